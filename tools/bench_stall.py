#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench_stall [--json FILE] [--rounds N] [--slow-at-once N] [--tokens N] [NAME...]: how a slow key holds up everything else in stock web servers.

Each server has two sites on the same workers: one whose key is at a key server 150 ms away (an operation takes
300 ms or more, as on a token), one with a key of its own.  `keyfleet bench stall` measures them: eight handshakes with
the slow key at once; 50 ms later ten with the fast one, and ten pages on connections that were open before.
With --tokens the slow key is in the pool of a key server: on that many virtual SmartCard-HSMs behind pcscd, each of
which takes 300 ms a signature.  Medians of the rounds.  Ends with 0 if the servers that are said not to wait did not.
"""
import argparse
import json
import os
import statistics
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hsm import Pcscd, VirtualCards  # noqa: E402
from lab import BIN, Agent, Apache, HAProxy, KeyServer, Lab, LabError, Nginx, Relay, wait_until  # noqa: E402

DELAY_MS = 150  # each way
NGINX_WORKERS = (1, 2, 4, 8, 16, 32, 64)
SERVERS = {
    **{f"nginx, {n} worker{'s' * (n > 1)}": (Nginx, {"workers": n}) for n in NGINX_WORKERS},
    "nginx, 16 workers, reuseport": (Nginx, {"workers": 16, "listen": "reuseport"}),
    "HAProxy, 1 thread": (HAProxy, {"is_async": False}),
    "HAProxy, 1 thread, ssl-mode-async": (HAProxy, {}),
    "HAProxy, 2 threads, ssl-mode-async": (HAProxy, {"threads": 2}),
    "Apache event": (Apache, {}),
    "Apache prefork": (Apache, {"mpm": "prefork"}),
}
# At most this part of the slow operation is what others may notice.
WAITS_FOR_NOBODY = ("HAProxy, 1 thread, ssl-mode-async", "HAProxy, 2 threads, ssl-mode-async", "Apache event",
                    "nginx, 32 workers")
NOTICEABLE = 0.25
ROWS = {"fast key, at rest": "rest_ms", "slow key, alone": "slow_alone_ms", "fast key, beside the slow one": "fast_ms",
        "pages, beside the slow key": "page_ms", "slow key, at once": "slow_ms"}


class Slow:
    """A key server far away, and a web host whose agent asks it."""

    def __init__(self, lab, at_once=8):
        self.lab, self.at_once = lab, at_once
        server = KeyServer(lab, "ks")
        self.slow = server.create_key("www-slow", "ec:P-256")
        self.fast = lab.local_key("www-fast", "ec")
        self.relay = Relay(lab, "far", server.port)
        self.agent = Agent(lab, "web", [server], addresses=[self.relay.address])
        self.conf = lab.openssl_conf(self.agent.socket)
        self.relay.delay(DELAY_MS)

    def measure(self, name, rounds):
        kind, options = SERVERS[name]
        server = kind(self.lab, name.replace(" ", "-").replace(",", ""), [self.slow], self.conf, beside=[self.fast],
                      **options)
        try:
            return median_of([self.once(server) for _ in range(rounds)])
        finally:
            server.process.stop()

    def once(self, server):
        done = self.lab.run([
            os.path.join(BIN, "keyfleet"), "--json", "bench", "stall", "--slow", f"localhost:{server.port}",
            "--fast", f"localhost:{server.beside_port}", "--slow-at-once", str(self.at_once)])
        rows = {ROWS[r["what"]]: r for r in json.loads(done.stdout)}
        failed = sum(int(r["failed"]) for r in rows.values())
        if failed:
            raise LabError(f"{server.name}: {failed} visits failed: {done.stderr.strip()}")
        return {what: float(r["median_ms"]) for what, r in rows.items()} | {
            what.replace("_ms", "_max_ms"): float(r["max_ms"]) for what, r in rows.items()}


class SlowTokens(Slow):
    """A key server with a pool of slow tokens that all hold the slow key."""

    def __init__(self, lab, at_once=8, tokens=4):  # pylint: disable=super-init-not-called
        self.lab, self.at_once = lab, at_once
        self.cards = VirtualCards(lab, tokens)
        self.pcscd = Pcscd(lab, self.cards)
        self.server = KeyServer(lab, "ks")
        self.server.process.stop()
        secrets = {name: lab.write(name, text + "\n", 0o600) for name, text in (
            ("pin", "648219"), ("so-pin", "3537363231383830"), ("password", "one for the share"))}
        with open(os.path.join(self.server.dir, "keyfleetd.conf"), "a") as f:
            f.write(f"\n[pool hsm]\npin = {secrets['pin']}\nsocket = {self.pcscd.socket}\n")
        self.server.start()
        self.provision(secrets)
        self.slow = self.server.create_key("www-slow", "ec:P-256", "--pool", "hsm")  # a copy on each
        self.fast = lab.local_key("www-fast", "ec")
        self.agent = Agent(lab, "web", [self.server])
        self.conf = lab.openssl_conf(self.agent.socket)
        self.cards.tell("card", "all", "time", f"ec={2 * DELAY_MS}")

    def provision(self, secrets):
        """Blank tokens with one DKEK."""
        keyfleet, share = self.server.keyfleet, self.lab.path("share.pbe")
        pins = ["--pin-file", secrets["pin"]]
        few = ["--iterations", "1000", "--password-file", secrets["password"]]
        rows = wait_until("the tokens", lambda: (
            r := self.server.keyfleet_json("token", "list")) and len(r) == self.cards.count and r)
        for number, row in enumerate(rows, 1):
            keyfleet("token", "init", row["serial"], "--label", f"hsm{number}", "--so-pin-file", secrets["so-pin"], *pins)
        keyfleet("dkek", "create", share, *few)
        keyfleet("dkek", "import", share, "--all", *few, *pins)


def median_of(rounds):
    return {what: statistics.median(r[what] for r in rounds) for what in rounds[0]}


def verdict(name, row):
    """Why this server does not keep what is said of it, or None."""
    slow = row["slow_alone_ms"] - row["rest_ms"]
    waits = row["fast_ms"] - row["rest_ms"]
    if name in WAITS_FOR_NOBODY and waits > NOTICEABLE * slow:
        return f"{name}: fast handshakes wait {waits:.0f} ms for a key that takes {slow:.0f} ms"
    return None


def print_table(results):
    print(f"{'':36}{'fast key,':>10}{'slow key,':>11}{'beside it: fast key':>24}{'pages':>17}{'slow key':>19}")
    print(f"{'ms':36}{'at rest':>10}{'alone':>11}{'median':>15}{'max':>9}{'median':>9}{'max':>8}{'median':>11}{'max':>8}")
    for name, r in results.items():
        print(f"{name:36}{r['rest_ms']:>10.1f}{r['slow_alone_ms']:>11.0f}{r['fast_ms']:>15.0f}{r['fast_max_ms']:>9.0f}"
              f"{r['page_ms']:>9.0f}{r['page_max_ms']:>8.0f}{r['slow_ms']:>11.0f}{r['slow_max_ms']:>8.0f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slow-at-once", type=int, default=8)
    parser.add_argument("--tokens", type=int)
    parser.add_argument("names", nargs="*", help="part of a server's name")
    args = parser.parse_args()
    wanted = [n for n in SERVERS if not args.names or any(w.lower() in n.lower() for w in args.names)]
    with Lab("keyfleet-stall") as lab:
        slow = SlowTokens(lab, args.slow_at_once, args.tokens) if args.tokens else Slow(lab, args.slow_at_once)
        results = {name: slow.measure(name, args.rounds) for name in wanted}
    print_table(results)
    broken = [why for why in (verdict(n, r) for n, r in results.items()) if why]
    for why in broken:
        print(f"stall: {why}")
    if args.json:
        with open(args.json, "w") as f:
            json.dump({"delay_ms": 2 * DELAY_MS, "servers": results, "broken": broken}, f, indent=1)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
