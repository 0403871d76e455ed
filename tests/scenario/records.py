#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nothing is changed before the record of it is on disk, and a log that does not get there holds up nobody else."""
import contextlib
import os
import re
import sqlite3
import subprocess
import urllib.request

from scenario import expect, run
from lab import BIN, KeyServer, Lab, free_port, wait_until


class Server(KeyServer):
    """Its audit log reaches the disk when it is let."""

    def __init__(self, lab, name, store):
        self.health = free_port()
        super().__init__(lab, name, store, options={("store", "poll"): "20ms", ("store", "commit_timeout"): "60s",
                                                    ("health", "listen"): f"127.0.0.1:{self.health}"})

    def start(self, wait=True, env=None, prefix=()):
        self.sync = self.lab.path(self.name + "-sync")
        super().start(wait, {"LD_PRELOAD": os.environ["HOLD_SYNC_SO"], "HOLD_SYNC": self.sync, **(env or {})}, prefix)

    @contextlib.contextmanager
    def disk(self, how):
        file = f"{self.sync}.{how}"
        open(file, "w").close()
        try:
            yield
        finally:
            os.remove(file)

    def begin(self, name):
        """A change that no worker has a part in: it goes to the store at once."""
        argv = [os.path.join(BIN, "keyfleet"), "--config", self.conf, "key", "create", name, "--type", "aes:256"]
        return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def queue(self):
        """How many changes wait in the store."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health}/metrics", timeout=20) as answer:
            return int(re.search(r"^keyfleet_store_queue_length (\d+)", answer.read().decode(), re.M)[1])


class Records(Lab):
    def __enter__(self):
        super().__enter__()
        self.pg = self.postgresql()
        shared = "postgresql:" + self.pg.conninfo
        self.alone, self.first = Server(self, "alone", "sqlite"), Server(self, "first", shared)
        self.second = KeyServer(self, "second", shared, join=self.first)
        return self

    def has(self, server, name):
        """In the database itself."""
        sql = f"select count(*) from name where name = '{name}'"
        return (self.look(sql)[0] if server is self.alone else
                int(self.run([self.pg.bin + "/psql", "-qAtc", sql, self.pg.conninfo]).stdout)) > 0

    def look(self, sql):
        with contextlib.closing(sqlite3.connect(f"file:{self.alone.dir}/keyfleet.db?mode=ro", uri=True)) as db:
            return db.execute(sql).fetchone()

    def commits_once_more(self):
        """A store that has nothing to do commits a row from time to time, to know whether it can."""
        before = self.look("select group_concat(hex(nonce)) from writer")
        wait_until("another commit", lambda: self.look("select group_concat(hex(nonce)) from writer") != before)


def succeeds(child):
    _, errors = child.communicate(timeout=60)
    expect(child.returncode == 0, errors)


def claim_no_change_is_committed_before_its_record_is_on_disk(lab):
    with lab.alone.disk("held"):
        child = lab.alone.begin("late")
        wait_until("the change to wait", lambda: lab.alone.queue() == 1)
        lab.commits_once_more()
        lab.commits_once_more()
        expect(lab.alone.queue() == 1 and not lab.has(lab.alone, "late"), "committed without its record")
    succeeds(child)
    expect(lab.has(lab.alone, "late"), "it was lost")


def claim_who_waits_for_its_record_holds_up_no_other_server(lab):
    with lab.first.disk("held"):
        child = lab.first.begin("late")
        wait_until("the change to wait", lambda: lab.first.queue() == 1)
        lab.second.keyfleet("key", "create", "quick", "--type", "aes:256")
        expect(lab.has(lab.first, "quick") and not lab.has(lab.first, "late"), "committed without its record")
    succeeds(child)
    expect(lab.has(lab.first, "late"), "it was lost")


def claim_a_record_that_cannot_be_written_bars_its_change(lab):
    for server in lab.alone, lab.first:
        with server.disk("bad"):
            done = server.keyfleet("key", "create", "barred", "--type", "aes:256", check=False)
            expect(done.returncode and "audit" in done.stderr, done.stderr)
        wait_until("the audit to be written again", lambda: server.keyfleet(
            "key", "create", "after", "--type", "aes:256", check=False).returncode == 0)
        expect(lab.has(server, "after") and not lab.has(server, "barred"), "committed without its record")


run(globals(), Records("keyfleet-records"))
