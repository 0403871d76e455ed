#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""100,000 handshakes with each web server leave no more memory and no more descriptors in use than the first few."""
import contextlib
import os

from scenario import expect, run
from lab import Agent, Apache, HAProxy, KeyServer, Lab, Nginx
from bench_network import handshakes

HANDSHAKES = int(os.environ.get("HANDSHAKES", "100000"))
WARM = HANDSHAKES // 5
IDLE_CONNECTIONS = 64  # that a web server's process may keep to the agent
GROWTH_KIB = 1024  # allocators find their size late; a leak of 13 bytes a handshake would show


def each_of_family(process, measure):
    """The most that one of its processes has: how many there are is the web server's choice of the moment."""
    found = []
    for pid in process.family():
        with contextlib.suppress(OSError):
            found.append(measure(f"/proc/{pid}"))
    return max(found)


def kib(folder):
    lines = open(folder + "/smaps_rollup").read().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Dirty", "Private_Clean")))


def usage(process):
    return each_of_family(process, kib), each_of_family(process, lambda folder: len(os.listdir(folder + "/fd")))


class Endurance(Lab):
    def __enter__(self):
        super().__enter__()
        # A small queue: its memory is in use from the beginning, and what grows is something else.
        self.server = KeyServer(self, "kms", options={("audit", "queue"): "256K"})
        self.keys = [self.server.create_key("rsa", "rsa:2048"), self.server.create_key("ec", "ec:P-256")]
        self.agent = Agent(self, "agent", [self.server])
        self.conf = self.openssl_conf(self.agent.socket)
        return self

    def endure(self, web):
        processes = [web.process, self.agent.process, self.server.process]
        handshakes(self, web.port, 600, at_once=16, count=WARM)
        before = [usage(p) for p in processes]
        handshakes(self, web.port, 1800, at_once=16, count=HANDSHAKES)
        for process, (memory, opened) in zip(processes, before):
            after = usage(process)
            more, fds = after[0] - memory, after[1] - opened
            print(f"# {process.name}: {memory} KiB and {more} more, {opened} descriptors and {fds} more", flush=True)
            expect(more <= GROWTH_KIB, f"{process.name} grew by {more} KiB")
            expect(fds <= IDLE_CONNECTIONS, f"{process.name} has {fds} descriptors more")
        web.process.stop()


def claim_nginx_does_not_grow(lab):
    lab.endure(Nginx(lab, "nginx", lab.keys, lab.conf, workers=2))


def claim_apache_does_not_grow(lab):
    lab.endure(Apache(lab, "apache", lab.keys, lab.conf))


def claim_haproxy_does_not_grow(lab):
    lab.endure(HAProxy(lab, "haproxy", lab.keys, lab.conf))


if __name__ == "__main__":
    run(globals(), Endurance("keyfleet-endurance"))
