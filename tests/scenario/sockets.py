#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Twenty cards on one host: a pcscd has sixteen readers at most, so there are two, and one pool of one key server has both."""
import os

from scenario import expect, run, skip
from token_wire import IMPORT_SHARE, Admin
from hsm import READERS_MAX, Pcscd, VirtualCards, missing
from lab import BIN, KeyServer, Lab, wait_until
from ttlv import octets

CARDS = 20


class TwoServices(Lab):
    def __enter__(self):
        super().__enter__()
        self.why_not = missing()
        if self.why_not:
            return self
        self.cards = [VirtualCards(self, n, name) for n, name in ((READERS_MAX, "many"), (CARDS - READERS_MAX, "more"))]
        self.pcscds = [Pcscd(self, cards, "pcscd-" + cards.name) for cards in self.cards]
        self.write("pin", "648219\n", 0o600)
        self.server = KeyServer(self, "keys")
        self.server.process.stop()
        with open(os.path.join(self.server.dir, "keyfleetd.conf"), "a") as f:
            f.write(f"\n[pool main]\npin = {self.path('pin')}\nsocket = {', '.join(p.socket for p in self.pcscds)}\n")
        self.server.start()
        self.admin = Admin(self.server)
        return self

    def count(self, state):
        return sum(t["state"] == state for t in self.admin.tokens().values())

    def sign(self):
        self.write("www.csr", self.server.keyfleet("key", "csr", "www", "--subject", "CN=localhost").stdout)
        self.run(["openssl", "req", "-verify", "-noout", "-in", self.path("www.csr")])


def needs_cards(lab):
    if lab.why_not:
        skip(lab.why_not)


def claim_one_pool_has_the_cards_of_both(lab):
    needs_cards(lab)
    wait_until("all cards", lambda: lab.count("blank") == CARDS)
    places = {t["place"] for t in lab.admin.tokens().values()}
    expect(len(places) == CARDS and all(any(p.socket in place for p in lab.pcscds) for place in places), places)


def claim_a_key_is_copied_to_all_of_them(lab):
    needs_cards(lab)
    for number, serial in enumerate(sorted(lab.admin.tokens()), 1):
        lab.admin.init(serial, f"card {number}")
        lab.admin.act(IMPORT_SHARE, serial, octets(0x54002C, bytes(range(32))))
    lab.admin.create("main", "www", copies=CARDS)
    row = lab.admin.keys()["www"]
    expect(len(row["holders"].split()) == CARDS and row["serving"] == str(CARDS), row)
    lab.sign()


def claim_a_service_that_dies_takes_its_cards_along_and_no_others(lab):
    needs_cards(lab)
    lab.pcscds[1].process.kill()
    wait_until("four to be gone", lambda: lab.count("serving") == READERS_MAX)
    lab.sign()
    lab.pcscds[1].start()
    wait_until("all to be back", lambda: lab.count("serving") == CARDS)
    lab.pcscds[0].process.kill()
    wait_until("sixteen to be gone", lambda: lab.count("serving") == CARDS - READERS_MAX)
    lab.sign()


def claim_a_workstation_sees_both_too(lab):
    needs_cards(lab)
    lab.pcscds[0].start()
    lab.server.process.stop()
    sockets = [word for p in lab.pcscds for word in ("--socket", p.socket)]
    rows = lab.run([os.path.join(BIN, "keyfleet"), "token", "list", "--local", *sockets]).stdout.splitlines()
    expect(len(rows) == CARDS + 1, rows)


if __name__ == "__main__":
    run(globals(), TwoServices("sockets"))
