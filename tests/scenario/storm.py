#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Everybody at once after the restart of a key server: what was there before notices nothing."""
import concurrent.futures
import json
import os
import resource
import time

from scenario import expect, run, skip
from lab import BIN, Agent, KeyServer, Lab, Load, Nginx

MANY = 10000


class Storm(Lab):
    def __enter__(self):
        super().__enter__()
        # All these clients share one processor here: they take longer to answer than a fleet would.
        self.server = KeyServer(self, "kms", options={
            ("limits", "client_connections"): 2 * MANY, ("limits", "handshake_timeout"): "30s"})
        self.keys = [self.server.create_key("ec", "ec:P-256")]
        self.agent = Agent(self, "agent", [self.server])
        self.conf = self.openssl_conf(self.agent.socket)
        self.nginx = Nginx(self, "nginx", self.keys, self.conf, workers=2)
        return self


def claim_ten_thousand_connections_are_back_in_thirty_seconds_and_slow_nobody(lab):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < MANY + 1000:
        skip("needs a higher limit of descriptors")
    lab.server.process.stop()
    lab.server.start()
    many = [os.path.join(BIN, "..", "tests", "handshakes"), str(lab.server.port), str(MANY), str(MANY), "60",
            os.path.join(lab.server.dir, "admin.pem"), os.path.join(lab.server.dir, "admin.key")]
    used = lab.server.process.cpu_seconds() + os.times().children_user + os.times().children_system
    with Load(lab, lab.nginx.port) as load, concurrent.futures.ThreadPoolExecutor(1) as pool:
        load.goes_on()
        start = time.monotonic()
        coming = pool.submit(lab.run, many)
        while not coming.done():
            load.goes_on(5)
        took = time.monotonic() - start
    row = json.loads(coming.result().stdout)
    load.fails_nothing()
    print(f"# {MANY} connections in {took:.1f} s, {row['failed']} tried again; slowest handshake of nginx meanwhile "
          f"{load.slowest * 1e3:.0f} ms", flush=True)
    expect(row["done"] >= MANY, row)
    used = lab.server.process.cpu_seconds() + os.times().children_user + os.times().children_system - used
    expect(used < 30, f"both ends needed {used:.1f} s of a processor")  # the clock tells who else is on this machine


if __name__ == "__main__":
    run(globals(), Storm("keyfleet-storm"))
