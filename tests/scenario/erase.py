#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A destroyed key leaves its card when that is certain, and not before."""
import glob
import os
import shutil
import signal
import sqlite3
import time

from scenario import expect, run
from tls_key import Tokens, needs_cards
from token_wire import IMPORT_SHARE, UID, Refused
from lab import set_option, wait_until
from ttlv import octets, text

DESTROY = 0x14
HANGS_S = 30


class Erasing(Tokens):
    """One card whose keys are destroyed while it is away."""

    def audit(self):
        lines = []
        for name in sorted(glob.glob(os.path.join(self.server.dir, "audit", "*.log"))):
            with open(name, "rb") as f:
                lines += f.read().rstrip(b"\0").decode(errors="replace").splitlines()
        return lines

    def events(self, uid):
        return [line.split("event=")[1].split()[0] for line in self.audit() if "event=erase" in line and uid in line]

    def holds(self, label):
        return label in self.admin.keys()

    def serves(self):
        wait_until("the card to serve", lambda: [t["state"] for t in self.admin.tokens().values()] == ["serving"])

    def make_aes(self, name):
        return self.server.keyfleet("key", "create", name, "--type", "aes:256", "--pool", "main").stdout.split()[0]

    def destroyed(self, name, make=None):
        """While the card is away, which still has it."""
        key = make(name) if make else self.admin.create("main", name)
        self.server.keyfleet("key", "revoke", key)
        self.cards.tell("card", "1", "unplug")
        wait_until("the card to be gone", lambda: [t["state"] for t in self.admin.tokens().values()] == ["gone"])
        self.admin.ask(DESTROY, text(UID, key))
        return key

    def restart_with_card(self):
        self.cards.tell("card", "1", "replug")
        self.server.start()
        self.serves()

    def loses(self, label):
        wait_until("the card to lose the key", lambda: not self.holds(label))


def claim_the_server_s_own_key_is_not_destroyed_while_it_is_in_use(lab):
    needs_cards(lab)
    since = time.time()  # the store was made before, perhaps in this second
    serial, = lab.admin.tokens()
    lab.admin.init(serial, "card")
    lab.admin.act(IMPORT_SHARE, serial, octets(0x54002C, bytes(range(32))))
    lab.own = lab.admin.create("main", "own")
    lab.certify_server("own", "own.pem")
    lab.server.keyfleet("key", "revoke", lab.own)
    lab.identity("own.pem", "pool:main")
    lab.reload()
    try:
        lab.admin.ask(DESTROY, text(UID, lab.own))
        raise AssertionError("the key of all handshakes was destroyed")
    except Refused as why:
        expect(b"own TLS key, in use: put another" in why.args[1], why)
    expect(lab.holds("own"), "it is gone from the card")
    lab.identity("server.pem", "server.key")
    lab.reload()
    wait_until("another second than the store's first", lambda: time.time() > since + 1)
    lab.admin.ask(DESTROY, text(UID, lab.own))
    lab.loses("own")


def claim_each_deletion_is_on_record_before_it_is_done(lab):
    needs_cards(lab)
    wait_until("the records", lambda: len(lab.events(lab.own)) == 2)
    expect(lab.events(lab.own) == ["erase", "erased"], lab.audit())
    first = next(line for line in lab.audit() if "event=erase " in line)
    expect("pool=main" in first and "token=" in first and "key=" in first, first)


def claim_an_aes_key_that_was_destroyed_leaves_its_card_when_that_comes_back(lab):
    needs_cards(lab)
    stays = lab.make_aes("stays")
    key = lab.destroyed("goes", lab.make_aes)
    lab.cards.tell("card", "1", "replug")
    lab.serves()
    lab.loses("goes")
    wait_until("the record of it", lambda: lab.events(key) == ["erase", "erased"])
    expect(lab.holds("stays") and not lab.events(stays), "another AES key was deleted")


def claim_nothing_is_deleted_while_an_object_cannot_be_read(lab):
    needs_cards(lab)
    lab.server.keyfleet("key", "create", "victim", "--type", "ec:P-256")
    key = lab.destroyed("kept")
    lab.server.process.stop()
    where = os.path.join(lab.server.dir, "keyfleet.db")
    shutil.copy(where, lab.path("whole.db"))
    db = sqlite3.connect(where)
    edited = db.execute("update object set owner = 'mallory' where id = (select id from object where version = 1 and id != ? limit 1)",
                        (key,)).rowcount
    db.commit()
    db.close()
    expect(edited == 1, "nothing was edited")
    lab.restart_with_card()
    wait_until("the log to tell of it", lambda: "destroyed keys are left on tokens" in lab.log())
    expect(lab.holds("kept") and not lab.events(key), lab.audit())
    lab.server.process.stop()
    for left in glob.glob(where + "-*"):
        os.unlink(left)
    shutil.copy(lab.path("whole.db"), where)
    lab.server.start()
    lab.loses("kept")


def claim_what_was_destroyed_before_a_restore_waits_for_somebody_s_word(lab):
    needs_cards(lab)
    key = lab.destroyed("older")
    file = lab.path("store.backup")
    lab.server.keyfleet("backup", file)
    lab.server.process.stop()
    for name in os.listdir(lab.server.dir):
        if name.startswith("keyfleet.db") or name == "seen":
            os.unlink(os.path.join(lab.server.dir, name))
    lab.keyfleet("restore", file, "--master-key", os.path.join(lab.server.dir, "master.key"), "--store",
                 f"sqlite:{lab.server.dir}/keyfleet.db")
    lab.restart_with_card()
    wait_until("the log to name it", lambda: "before the store was restored" in lab.log() and key in lab.log())
    expect(lab.holds("older") and not lab.events(key), lab.audit())
    newer = lab.destroyed("newer")
    lab.cards.tell("card", "1", "replug")
    lab.serves()
    lab.loses("newer")
    expect(lab.holds("older") and lab.events(newer)[0] == "erase", "what came after the restore")
    lab.server.process.stop()
    set_option(lab.conf, "store", "erase_restored", "yes")
    lab.server.start()
    lab.loses("older")


def claim_keys_that_belong_to_no_object_are_told_after_a_start_and_can_be_deleted(lab):
    needs_cards(lab)
    told = "tokens hold keys that belong to no object"
    before = lab.log().count(told)
    lab.admin.create("main", "stray")
    expect(lab.log().count(told) == before, "it has an object")
    lab.server.process.stop()
    for name in os.listdir(lab.server.dir):
        if name.startswith("keyfleet.db") or name == "seen":
            os.unlink(os.path.join(lab.server.dir, name))
    lab.server.start()
    lab.serves()
    wait_until("the log to tell of it", lambda: lab.log().count(told) > before)
    lab.server.keyfleet("key", "adopt", "stray")
    lab.server.keyfleet("key", "revoke", "stray")
    lab.server.keyfleet("key", "destroy", "stray", "--yes")
    lab.loses("stray")


def claim_a_card_that_hangs_meanwhile_does_not_hold_up_the_end(lab):
    needs_cards(lab)
    key = lab.admin.create("main", "stuck")
    lab.server.keyfleet("key", "revoke", key)
    lab.slow(HANGS_S)  # the challenge before the deletion
    lab.admin.ask(DESTROY, text(UID, key))
    wait_until("the deletion to begin", lambda: lab.events(key) == ["erase"])
    began = time.monotonic()
    lab.server.process.signal(signal.SIGTERM)
    lab.server.process.child.wait(HANGS_S)
    expect(time.monotonic() - began < HANGS_S / 2, "it waited for the card")
    lab.cards.tell("card", "1", "replug")
    lab.slow(0)
    lab.server.start()
    lab.loses("stuck")


if __name__ == "__main__":
    run(globals(), Erasing("erase"))
