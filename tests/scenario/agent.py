#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The agent under load: restarted under a supervisor's socket, reloaded, told nonsense, left without servers."""
import json
import os
import signal
import socket
import subprocess
import threading

from scenario import expect, run
from lab import BIN, Agent, KeyServer, Lab, Process, wait_until

AGENT = os.path.join(BIN, "keyfleet-agent")


class Load:
    """`keyfleet bench agent` for as long as the block lasts; every failed operation counts."""

    def __init__(self, lab, agent, seconds):
        self.lab, self.agent, self.seconds = lab, agent, seconds

    def __enter__(self):
        self.thread = threading.Thread(target=self.work)
        self.thread.start()
        return self

    def work(self):
        self.done = self.lab.server.keyfleet(
            "--json", "bench", "agent", "--key", self.lab.key, "--socket", self.agent.socket, "--connections", "8",
            "--seconds", str(self.seconds), check=False)

    def __exit__(self, *_):
        self.thread.join()

    def counts(self):
        row = json.loads(self.done.stdout)[0]
        return {what: int(row[what]) for what in ("done", "failed")}

    def fails_nothing(self):
        counts = self.counts()
        expect(counts["failed"] == 0 and counts["done"] > 0, f"{counts}, agent: {self.agent.process.tail()}")


class Agents(Lab):
    def __enter__(self):
        super().__enter__()
        self.server = KeyServer(self, "kms")
        self.key = self.server.keyfleet("key", "create", "www", "--type", "ec:P-256").stdout.split()[0]
        self.agent = Agent(self, "agent", [self.server])
        self.server.keyfleet("grant", "add", "agent", "*", "sign")  # the load signs what is no TLS
        return self


def claim_a_restart_under_a_supervisors_socket_fails_no_operation(lab):
    with Load(lab, lab.agent, 2) as load:
        for _ in range(3):
            lab.agent.process.stop()
            lab.agent.start()
    load.fails_nothing()


def claim_a_kill_under_a_supervisors_socket_fails_no_operation(lab):
    with Load(lab, lab.agent, 2) as load:
        lab.agent.process.kill()
        lab.agent.start()
    load.fails_nothing()


def claim_a_reload_fails_no_operation(lab):
    with Load(lab, lab.agent, 2) as load:
        for _ in range(5):
            before = open(lab.agent.process.log).read().count("was read again")
            os.kill(lab.agent.process.pid, signal.SIGHUP)
            wait_until("a reload", lambda: open(lab.agent.process.log).read().count("was read again") > before)
    load.fails_nothing()


def claim_a_reload_with_a_mistake_changes_nothing(lab):
    good = open(lab.agent.conf).read()
    with open(lab.agent.conf, "a") as conf:
        conf.write("nonsense = 1\n")
    os.kill(lab.agent.process.pid, signal.SIGHUP)
    wait_until("the refusal", lambda: "reload refused" in open(lab.agent.process.log).read())
    checked = subprocess.run([AGENT, "--config", lab.agent.conf, "--check"], capture_output=True, text=True)
    with open(lab.agent.conf, "w") as conf:
        conf.write(good)
    with Load(lab, lab.agent, 0.3) as load:
        pass
    load.fails_nothing()
    expect(checked.returncode == 1, "--check found nothing")
    expect("nonsense" in checked.stderr and lab.agent.conf + ":" in checked.stderr, checked.stderr)


def claim_users_lose_their_leave_at_a_reload(lab):
    good = open(lab.agent.conf).read()
    with open(lab.agent.conf, "w") as conf:
        conf.write(good.replace("users = ", "users = daemon # "))
    before = open(lab.agent.process.log).read().count("was read again")
    os.kill(lab.agent.process.pid, signal.SIGHUP)
    wait_until("a reload", lambda: open(lab.agent.process.log).read().count("was read again") > before)
    with Load(lab, lab.agent, 0.3) as load:
        pass
    with open(lab.agent.conf, "w") as conf:
        conf.write(good)
    os.kill(lab.agent.process.pid, signal.SIGHUP)
    wait_until("a reload", lambda: open(lab.agent.process.log).read().count("was read again") > before + 1)
    expect(load.counts()["done"] == 0, "the agent served a user that is not on its list")


if __name__ == "__main__":
    run(globals(), Agents("keyfleet-agents"))
