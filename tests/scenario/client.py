#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A key server that is slow, silent or gone, as the agent's programs see it: late signatures get a second copy, within
a budget and under one op-id; nothing that has expired is signed."""
import collections
import datetime
import glob
import json
import os
import re
import signal
import threading
import urllib.request

from scenario import expect, run
from lab import BIN, Agent, KeyServer, Lab, Process, Relay, accepts, free_port, set_option, wait_until

BURST = 16  # copies at once; src/client/hedge.h


class Clients(Lab):
    """Two key servers on one PostgreSQL; the agent reaches the second through a relay."""

    def __enter__(self):
        super().__enter__()
        self.pg = self.postgresql()
        store = "postgresql:" + self.pg.conninfo
        self.first = KeyServer(self, "kms1", store)
        self.second = KeyServer(self, "kms2", store, join=self.first)
        self.key = self.first.keyfleet("key", "create", "www", "--type", "ec:P-256").stdout.split()[0]
        self.relay = Relay(self, "relay", self.second.port)
        self.agent = Agent(self, "agent", [self.first], addresses=[self.first.address, self.relay.address])
        self.port = free_port()
        self.first.keyfleet("grant", "add", "agent", "*", "sign")  # the load signs what is no TLS
        set_option(self.agent.conf, "metrics", "listen", f"127.0.0.1:{self.port}")
        self.agent.process.stop()
        self.agent.start()
        wait_until("the agent's metrics", lambda: accepts(self.port))
        self.is_measured()
        return self

    def bench(self, connections, seconds, agent=None):
        done = self.first.keyfleet("--json", "bench", "agent", "--key", self.key, "--socket",
                                   (agent or self.agent).socket, "--connections", str(connections), "--seconds",
                                   str(seconds), check=False)
        row = json.loads(done.stdout)[0]
        return {what: float(row[what]) for what in ("done", "failed", "p50_us", "p99_us")}

    def metrics(self):
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10).read().decode()
        found = collections.defaultdict(float)
        for name, value in re.findall(r"^(keyfleet_agent_\w+)(?:\{[^}]*\})? ([\d.e+]+)$", text, re.M):
            found[name] += float(value)
        return found

    def is_measured(self):
        """Both servers answer, and the agent knows how quickly."""
        wait_until("both servers", lambda: self.metrics()["keyfleet_agent_servers_up"] == 2)
        for _ in range(20):
            self.bench(8, 0.2)
            if "says nothing" not in self.agent.process.tail() and self.metrics()["keyfleet_agent_servers_up"] == 2:
                return

    def phases(self, server):
        """op-id -> phases of its records at this server."""
        found = collections.defaultdict(list)
        for path in sorted(glob.glob(os.path.join(server.dir, "audit", "audit-*.log"))):
            for line in open(path, errors="replace"):
                match = re.search(r" phase=(\w+) .* operation=Sign .* op-id=([0-9a-f]{32})", line)
                if match:
                    found[match[2]].append((match[1], line))
        return found


def repeated(lab, before=frozenset()):
    """Operations with a record at both servers."""
    return (lab.phases(lab.first).keys() & lab.phases(lab.second).keys()) - before


def is_recorded(lab, count):
    """Records of what answers did not wait for are on disk within a second."""
    wait_until("the records", lambda: len(lab.phases(lab.first)) + len(lab.phases(lab.second)) >= count)


def claim_a_slow_server_slows_no_signature_and_copies_keep_to_their_budget(lab):
    before, counted = repeated(lab), lab.metrics()
    quick = lab.bench(8, 1)
    lab.relay.delay(50)
    slow = lab.bench(8, 3)
    after = lab.metrics()
    lab.relay.delay(0)
    expect(quick["failed"] == 0 and slow["failed"] == 0, f"{quick} {slow}")
    # Whatever went to the slow server took 100 ms at least.
    expect(slow["p99_us"] < max(50000, 5 * quick["p99_us"]), f"{quick} {slow}")
    copies = after["keyfleet_agent_hedges_total"] - counted["keyfleet_agent_hedges_total"]
    copies += after["keyfleet_agent_probes_total"] - counted["keyfleet_agent_probes_total"]
    done = quick["done"] + slow["done"]
    expect(copies >= 1, f"nothing was asked for twice: {dict(after)}")
    expect(copies <= BURST + done * 2 / 100 + 1, f"{copies} copies of {done} signatures")
    retried = after["keyfleet_agent_retries_total"] - counted["keyfleet_agent_retries_total"]
    wait_until("records at both servers", lambda: repeated(lab, before))
    twice = len(repeated(lab, before))
    expect(twice <= copies + retried, f"{twice} operations at both servers, {copies} copies, {retried} retries")


def claim_a_slow_server_is_used_again_when_it_is_quick(lab):
    seen = len(lab.phases(lab.second))

    def is_used():
        lab.bench(8, 0.3)
        return len(lab.phases(lab.second)) > seen + 200
    wait_until("the second server to work again", is_used, 40)
    # Probes are copies of what the load asks for.
    wait_until("its breaker to close", lambda: lab.bench(8, 0.1) and not lab.metrics()["keyfleet_agent_server_breaker"])


def claim_a_black_hole_costs_a_handful_of_signatures_a_little(lab):
    result = {}
    thread = threading.Thread(target=lambda: result.update(lab.bench(8, 3)))
    before = lab.metrics()["keyfleet_agent_requests_total"]
    thread.start()
    wait_until("the load", lambda: lab.metrics()["keyfleet_agent_requests_total"] > before + 50)
    lab.relay.hole()
    thread.join()
    down = lab.bench(8, 1)
    lab.relay.heal()
    for row in (result, down):
        expect(row["failed"] == 0 and row["done"] > 0, f"{row} {lab.agent.process.tail()}")
        expect(row["p99_us"] < 200000, f"{row}")
    wait_until("both servers again", lambda: lab.metrics()["keyfleet_agent_servers_up"] == 2)


def claim_without_a_server_the_agent_says_why_of_each_and_is_back_within_a_second(lab):
    lab.first.kill()
    lab.second.kill()
    wait_until("the agent's word", lambda: "no key server can be reached" in open(lab.agent.process.log).read())
    line = [x for x in open(lab.agent.process.log) if "no key server can be reached" in x][-1]
    expect(lab.first.address in line and lab.relay.address in line, line)
    lab.first.start()
    lab.second.start()
    wait_until("both servers again", lambda: lab.metrics()["keyfleet_agent_servers_up"] == 2)
    row = lab.bench(4, 0.2)
    expect(row["failed"] == 0 and row["done"] > 0, f"{row}")


def claim_what_expired_while_a_server_was_stopped_is_not_signed(lab):
    agent = Agent(lab, "hasty", [lab.first], addresses=[lab.first.address])
    set_option(agent.conf, "agent", "deadline", "300ms")
    agent.process.stop()
    agent.start()
    lab.first.keyfleet("grant", "add", "hasty", "*", "sign")
    row = lab.bench(4, 0.2, agent)
    expect(row["failed"] == 0 and row["done"] > 0, f"{row}")

    lab.first.process.signal(signal.SIGSTOP)
    stopped_at = datetime.datetime.utcnow().isoformat()

    def records(phase):
        return [line for lines in lab.phases(lab.first).values() for was, line in lines
                if was == phase and " client=hasty " in line and line[len("time="):] > stopped_at]
    try:
        stopped = lab.bench(8, 0.1, agent)
        # The agent gives up the connection later than the last request.
        wait_until("the agent's word", lambda: "no key server can be reached" in open(agent.process.log).read())
    finally:
        lab.first.process.signal(signal.SIGCONT)
    expect(stopped["done"] == 0 and stopped["failed"] > 0, f"{stopped}")
    wait_until("the records of what expired", lambda: any("expired" in line for line in records("failed")))
    expect(not records("allowed"), f"signed after its time: {records('allowed')}")
    wait_until("signatures again", lambda: lab.bench(4, 0.1, agent)["done"] > 0)


def claim_an_agent_that_was_stopped_forwards_nothing_for_those_who_have_left(lab):
    before = lab.metrics()
    lab.agent.process.signal(signal.SIGSTOP)
    try:
        guests = Process(lab, "guests", [os.path.join(BIN, "keyfleet"), "--config", lab.first.conf, "bench", "agent", "--key",
                                         lab.key, "--socket", lab.agent.socket, "--connections", "8"])

        def sockets():
            folder = f"/proc/{guests.pid}/fd"
            return sum(os.readlink(os.path.join(folder, fd)).startswith("socket:") for fd in os.listdir(folder))
        wait_until("its connections", lambda: sockets() >= 8)
        guests.kill()
    finally:
        lab.agent.process.signal(signal.SIGCONT)
    accepted = "keyfleet_agent_connections_accepted_total"
    after = wait_until("the connections", lambda: (lambda m: m[accepted] >= before[accepted] + 8 and m)(lab.metrics()))
    sent = "keyfleet_agent_server_requests_total"
    expect(after[sent] == before[sent], f"{after[sent] - before[sent]} requests of nobody")
    row = lab.bench(4, 0.2)
    expect(row["failed"] == 0 and row["done"] > 0, f"{row}")


def claim_a_server_that_moves_is_found_at_its_new_address(lab):
    """Its address file says where it is; a host name is asked for in the same way."""
    old = Relay(lab, "old-address", lab.first.port)
    place = lab.write("address", old.address + "\n")
    agent = Agent(lab, "mover", [lab.first], addresses=[f"file:{place}"])
    lab.first.keyfleet("grant", "add", "mover", "*", "sign")
    expect(lab.bench(2, 0.1, agent)["done"] > 0, agent.process.tail())
    old.stop()
    lab.write("address", lab.first.address + "\n")
    wait_until("the move", lambda: "key servers have moved" in open(agent.process.log).read(), 30)
    row = lab.bench(2, 0.2, agent)
    expect(row["failed"] == 0 and row["done"] > 0, f"{row} {agent.process.tail()}")


def claim_records_say_for_which_user_the_agent_asks(lab):
    lab.bench(1, 0.1)
    lines = [line for found in lab.phases(lab.first).values() for _, line in found]
    lines += [line for found in lab.phases(lab.second).values() for _, line in found]
    expect(lines and all(f" uid={os.geteuid()} " in line for line in lines), f"{len(lines)}: {lines[:1]}")


if __name__ == "__main__":
    run(globals(), Clients("keyfleet-clients"))
