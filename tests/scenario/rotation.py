#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keys are replaced in time: by whoever asks, and by the key servers themselves, exactly once."""
import contextlib
import glob
import json
import os
import re
import subprocess
import time

from scenario import expect, run
from token_wire import Admin
from lab import KeyServer, Lab, wait_until
from ttlv import enum, find, int_, item, struct_, text

CREATE, LOCATE, ATTRIBUTES, REVOKE = 0x01, 0x08, 0x0B, 0x13
INTERVAL, AUTOMATIC, OFFSET, GENERATION, LATEST = 0x42016A, 0x42016B, 0x42016C, 0x42016E, 0x420172
EVERY_S = 2
RIVALS = 12  # so many keys are due at once that the servers meet at some of them


class Servers(Lab):
    """Two key servers with one database, which look for keys ten times a second."""

    def __enter__(self):
        super().__enter__()
        self.pg = self.postgresql()
        store = "postgresql:" + self.pg.conninfo
        options = {("rotation", "check"): "100ms"}
        self.first = KeyServer(self, "first", store, options=options)
        self.second = KeyServer(self, "second", store, join=self.first, options=options)
        self.admin = Admin(self.first)
        return self

    def named(self, name):
        found = self.admin.ask(LOCATE, struct_(0x420125, struct_(0x420053, text(0x420055, name), enum(0x420054, 1))))
        return [value.decode() for tag, value in found if tag == 0x420094]

    def attributes(self, uid):
        return self.admin.ask(ATTRIBUTES, text(0x420094, uid))

    def generation(self, uid):
        return find(self.attributes(uid), GENERATION) or 0

    def audit(self, server):
        lines = []
        for path in sorted(glob.glob(os.path.join(server.dir, "audit", "audit-*"))):
            with open(path, "rb") as f:
                lines += f.read().rstrip(b"\0").decode(errors="replace").split("\n")
        return lines

    def rotated(self, server, uid):
        return [line for line in self.audit(server) if "event=rotated" in line and uid in line]


    def events(self, server, uid):
        return [m.group(1) for line in self.audit(server) if (m := re.search(r"event=(rotat\S+) .*object=" + uid, line))]

    def is_closed(self, server, uid):
        """Whatever was begun has ended, one way or another."""
        events = self.events(server, uid)
        return 2 * events.count("rotation") == len(events)


def name_(value):
    return struct_(0x420053, text(0x420055, value), enum(0x420054, 1))


def create(lab, name, *more):
    attributes = struct_(0x420125, enum(0x420028, 3), int_(0x42002A, 256), int_(0x42002C, 12), name_(name), *more)
    return find(lab.admin.ask(CREATE, enum(0x420057, 2) + attributes), 0x420094).decode()


def automatic(every_s):
    return (item(0x420001, 9, (1).to_bytes(8, "big")), item(AUTOMATIC, 6, (1).to_bytes(8, "big")),
            item(INTERVAL, 10, every_s.to_bytes(4, "big")), item(OFFSET, 10, (0).to_bytes(4, "big")))


def claim_the_tool_re_keys_keys_and_pairs(lab):
    old = create(lab, "disk")
    told = json.loads(lab.first.keyfleet("--json", "key", "rekey", "disk").stdout)
    row = told[0] if isinstance(told, list) else told
    expect(old in json.dumps(row), row)
    new, = lab.named("disk")
    expect(new != old and new in json.dumps(row), row)
    lab.first.keyfleet("key", "create", "www", "--type", "ec:P-256")
    pair, = lab.named("www")
    lab.second.keyfleet("key", "rekey", "www", "--offset", "3600")
    wait_until("the other pair at the first server", lambda: lab.named("www") != [pair])
    bad = lab.first.keyfleet("key", "rekey", "www", "--offset", "soon", check=False)
    expect(bad.returncode == 2 and "a number of seconds" in bad.stderr, bad)


@contextlib.contextmanager
def held_up(lab):
    """Nothing is committed meanwhile."""
    sql = subprocess.Popen([lab.pg.bin + "/psql", "-qAt", lab.pg.conninfo], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    sql.stdin.write("begin; select 'held' from head for update;\n")
    sql.stdin.flush()
    expect(sql.stdout.readline().strip() == "held", "the head is not held")
    try:
        yield
    finally:
        sql.stdin.close()
        sql.wait(20)
        sql.stdout.close()


def claim_who_comes_second_says_so_too(lab):
    """Before others are due, for one at a time is waited for."""
    key = create(lab, "meeting", *automatic(EVERY_S))
    with held_up(lab):
        wait_until("both to begin", lambda: all("rotation" in lab.events(s, key) for s in (lab.first, lab.second)))
    wait_until("both outcomes", lambda: all(lab.is_closed(s, key) for s in (lab.first, lab.second)))
    ends = sorted(e for s in (lab.first, lab.second) for e in lab.events(s, key) if e != "rotation")
    expect(ends == ["rotated", "rotation-later"], ends)


def claim_a_key_is_rotated_in_time_by_one_of_two_servers(lab):
    first = create(lab, "vault", *automatic(EVERY_S))
    wait_until("two rotations", lambda: lab.generation(lab.named("vault")[0]) >= 2)
    old = lab.attributes(first)
    expect(find(old, LATEST) == (0).to_bytes(8, "big") and find(old, 0x420055) is None, old)
    wait_until("the records", lambda: lab.rotated(lab.first, first) or lab.rotated(lab.second, first))
    wait_until("a third rotation", lambda: lab.generation(lab.named("vault")[0]) >= 3)
    done = lab.rotated(lab.first, first) + lab.rotated(lab.second, first)
    expect(len(done) == 1, done)
    expect(len(lab.named("vault")) == 1, "the name is not one key's")


def claim_keys_that_are_due_together_are_rotated_once_each(lab):
    keys = {f"rival-{i}": create(lab, f"rival-{i}", *automatic(EVERY_S)) for i in range(RIVALS)}
    wait_until("all rotations", lambda: all(lab.named(name) != [uid] for name, uid in keys.items()))
    wait_until("the records", lambda: all(lab.rotated(lab.first, uid) or lab.rotated(lab.second, uid) for uid in keys.values()))
    for name, uid in keys.items():
        done = lab.rotated(lab.first, uid) + lab.rotated(lab.second, uid)
        expect(len(done) == 1 and len(lab.named(name)) == 1, done)
        wait_until("the outcome of each", lambda: lab.is_closed(lab.first, uid) and lab.is_closed(lab.second, uid))


def claim_what_was_revoked_is_not_rotated(lab):
    key = create(lab, "over", *automatic(1))
    uid = lab.named("over")[0]
    lab.admin.ask(REVOKE, text(0x420094, uid) + struct_(0x420081, enum(0x420082, 6)))
    others = create(lab, "going-on", *automatic(EVERY_S))
    wait_until("a later one's turn", lambda: lab.named("going-on") != [others])
    expect(uid != key or lab.named("over") == [key], "rotated after its end")
    expect(lab.named("over") == [uid], "rotated after its end")


def claim_nothing_is_forgotten_over_a_restart(lab):
    key = create(lab, "slow", *automatic(EVERY_S))
    lab.second.process.stop()
    lab.first.process.stop()
    lab.first.start()
    wait_until("the rotation", lambda: lab.named("slow") != [key])
    lab.second.start()
    expect(lab.generation(lab.named("slow")[0]) >= 1, "no generation")


def claim_a_server_may_be_told_to_rotate_none(lab):
    for server in lab.first, lab.second:
        server.process.stop()
        conf = os.path.join(server.dir, "keyfleetd.conf")
        with open(conf) as f:
            told = re.sub(r'check = .*', "check = 0", f.read())
        lab.write(os.path.relpath(conf, lab.dir), told)
        server.start()
    before = lab.named("vault")
    key = create(lab, "still", *automatic(1))
    due = time.time() + 2
    wait_until("its time", lambda: time.time() > due)
    expect(lab.named("vault") == before and lab.named("still") == [key], "rotated all the same")


if __name__ == "__main__":
    run(globals(), Servers("rotation"))
