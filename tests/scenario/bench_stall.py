#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A slow key beside fast ones in stock web servers: who waits for it, and `keyfleet bench stall` tells."""
import json
import os

from scenario import expect, run, skip
from bench_stall import Slow, SlowTokens, verdict
from hsm import missing
from lab import BIN, Lab, Nginx


class Stalls(Lab):
    def __enter__(self):
        super().__enter__()
        self.slow = Slow(self)
        return self


def measure(lab, name, slow=None):
    row = (slow or lab.slow).measure(name, 1)
    print(f"# {name}: at rest {row['rest_ms']:.0f}, slow {row['slow_alone_ms']:.0f}, beside it {row['fast_ms']:.0f}, "
          f"pages {row['page_ms']:.0f} ms")
    expect(row["slow_alone_ms"] >= 290, "the slow key takes as long as its distance")
    return row


def waits_for_nobody(lab, name, slow=None):
    why = verdict(name, measure(lab, name, slow))
    expect(not why, why)


def claim_one_worker_of_nginx_waits_for_the_slow_key(lab):
    row = measure(lab, "nginx, 1 worker")
    expect(row["fast_ms"] > 1000 and row["page_ms"] > 250, "eight operations hold up everything else")


def claim_haproxy_with_ssl_mode_async_waits_for_nobody(lab):
    waits_for_nobody(lab, "HAProxy, 1 thread, ssl-mode-async")


def claim_apache_event_waits_for_nobody(lab):
    waits_for_nobody(lab, "Apache event")


def claim_enough_workers_of_nginx_wait_for_nobody(lab):
    waits_for_nobody(lab, "nginx, 32 workers")


def claim_nobody_waits_for_keys_on_slow_tokens_either(lab):
    why_not = missing("sc-hsm-tool")
    if why_not:
        skip(why_not)
    with Lab("keyfleet-stall-tokens") as other:
        slow = SlowTokens(other, at_once=3, tokens=3)
        waits_for_nobody(other, "HAProxy, 1 thread, ssl-mode-async", slow)
        waits_for_nobody(other, "Apache event", slow)
        row = measure(other, "nginx, 1 worker", slow)
        expect(row["fast_ms"] > 300, "one worker waits with everything")


def claim_the_command_tells_people_and_monitoring(lab):
    server = Nginx(lab, "told", [lab.slow.slow], lab.slow.conf, beside=[lab.slow.fast])
    sites = ["--slow", f"localhost:{server.port}", "--fast", f"localhost:{server.beside_port}"]
    command = [os.path.join(BIN, "keyfleet"), "bench", "stall", *sites, "--slow-at-once", "2", "--fast-at-once", "3"]
    done = lab.run([*command, "--limit", "100"], check=False)
    expect(done.returncode == 1 and "over the limit of 100 ms" in done.stderr, done.stderr)
    expect("wait" in done.stderr and "more workers" in done.stderr, done.stderr)
    expect("fast key, beside the slow one" in done.stdout, done.stdout)
    done = lab.run([os.path.join(BIN, "keyfleet"), "--json", *command[1:], "--limit", "60000"])
    rows = {r["what"]: r for r in json.loads(done.stdout)}
    expect(rows["slow key, at once"]["done"] in (2, "2") and rows["fast key, at rest"]["failed"] in (0, "0"), rows)
    done = lab.run([*command[:3], "--slow", sites[3], "--fast", sites[3]])
    expect("is not slow" in done.stderr, "two fast keys say nothing")


def claim_what_cannot_be_reached_is_an_error(lab):
    command = [os.path.join(BIN, "keyfleet"), "bench", "stall"]
    for arguments, why in ((["--slow", "localhost:1", "--fast", "localhost:1"], "no handshake with the fast key"),
                           (["--slow", "localhost", "--fast", "localhost"], "HOST:PORT"),
                           (["--slow", "localhost:1"], "are needed"),
                           (["--slow", "a:1", "--fast", "a:1", "--slow-at-once", "257"], "not in its range")):
        done = lab.run([*command, *arguments], check=False)
        expect(done.returncode and why in done.stderr, done.stderr)


run(globals(), Stalls("keyfleet-stall"))
