# SPDX-License-Identifier: Apache-2.0
"""bench_network: what a distance between web host and key server costs, web server by web server.

New TLS handshakes a second and their 99th percentile at round trips of 0, 0.2, 1 and 10 ms, beside the same
server with a local key.  The distance is a relay's; all else is on this machine.
"""
import json
import os

from lab import BIN, Agent, Apache, HAProxy, KeyServer, LabError, Nginx, Relay

ROUND_TRIPS = (0, 0.2, 1, 10)
AT_ONCE = 64
SERVERS = {
    "nginx, 1 worker": lambda lab, name, key, conf: Nginx(lab, name, [key], conf, workers=1),
    "nginx, 4 workers": lambda lab, name, key, conf: Nginx(lab, name, [key], conf, workers=4),
    "nginx, 32 workers": lambda lab, name, key, conf: Nginx(lab, name, [key], conf, workers=32),
    "Apache event": lambda lab, name, key, conf: Apache(lab, name, [key], conf),
    "HAProxy async": lambda lab, name, key, conf: HAProxy(lab, name, [key], conf),
}


def handshakes(lab, port, seconds, at_once=AT_ONCE, count=0):
    """As many as there can be: what tests/tools/handshakes prints."""
    done = lab.run([os.path.join(BIN, "..", "tests", "handshakes"), str(port), str(at_once), str(count), str(seconds)],
                   timeout=seconds + 60)
    row = json.loads(done.stdout)
    if row["failed"]:
        raise LabError(f"{row['failed']} of {row['done'] + row['failed']} handshakes failed: {row['why']}")
    return row


class Network:
    """One web server after the other, each with a local key and with a remote one at each distance."""

    def __init__(self, lab, seconds, kind="ec:P-256"):
        self.lab, self.seconds = lab, seconds
        self.server = KeyServer(lab, "kms-network")
        self.relay = Relay(lab, "distance", self.server.port)
        self.agent = Agent(lab, "network", [self.server], addresses=[self.relay.address])
        self.remote = self.server.create_key("network", kind)
        self.local = lab.local_key("network-local", "rsa" if kind.startswith("rsa") else "ec")
        self.conf = lab.openssl_conf(self.agent.socket)

    def close(self):
        for process in (self.agent.process, self.relay, self.server.process):
            process.stop()

    def measure(self, server, key, conf, round_trips):
        name = f"web{len(self.lab.processes)}"
        web = SERVERS[server](self.lab, name, key, conf)
        rows = []
        for round_trip in round_trips:
            self.relay.delay(round_trip / 2)
            handshakes(self.lab, web.port, 20, count=AT_ONCE)  # and what the last one left behind is done with
            rows.append(handshakes(self.lab, web.port, self.seconds))
        web.process.stop()
        return rows

    def compare(self, server, round_trips=ROUND_TRIPS):
        """(with a local key, [with the remote one at each distance]); local is the mean of before and after."""
        before = self.measure(server, self.local, None, [0])[0]
        remote = self.measure(server, self.remote, self.conf, round_trips)
        after = self.measure(server, self.local, None, [0])[0]
        return {k: (before[k] + after[k]) / 2 for k in ("per_s", "p99_ms")}, remote


def table(network, progress):
    """Prints it; returns rows for --json."""
    rows = []
    print(f"{'':18} {'local key':>18} " + " ".join(f"{f'{r:g} ms away':>26}" for r in ROUND_TRIPS))
    for server in SERVERS:
        progress(f"measuring {server}")
        local, remote = network.compare(server)
        progress("")
        cells = []
        for round_trip, row in zip(ROUND_TRIPS, remote):
            ratio = row["per_s"] / local["per_s"]
            cells.append(f"{row['per_s']:7.0f}/s {ratio:5.2f} x p99 {row['p99_ms']:6.1f}")
            rows.append({"name": f"network {server} {round_trip:g} ms", "value": round(row["per_s"], 1),
                         "unit": "handshakes/s", "reference": round(local["per_s"], 1), "ratio": round(ratio, 3),
                         "p99_ms": row["p99_ms"], "reference_p99_ms": round(local["p99_ms"], 3)})
        print(f"{server:18} {local['per_s']:6.0f}/s p99 {local['p99_ms']:5.1f} " + " ".join(f"{c:>26}" for c in cells),
              flush=True)
    return rows
