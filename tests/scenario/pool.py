#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keys on tokens, as web servers use them: virtual SmartCard-HSMs behind pcscd, key servers, an agent, nginx."""
import glob
import os
import ssl
import time

from scenario import expect, run, skip
from token_wire import CLONE, DRAIN, RESUME, Admin, Refused
from hsm import Pcscd, VirtualCards, missing
from lab import Agent, Key, KeyServer, Lab, Load, Nginx, fetch, set_option, wait_until
from ttlv import octets

PIN = "648219"
SHARE = bytes(range(32))


class Tokens(Lab):
    """Two cards with one DKEK in the pool of one key server; a P-256 key on both, served by nginx."""

    def __enter__(self):
        super().__enter__()
        self.why_not = missing()
        if self.why_not:
            return self
        self.cards = VirtualCards(self, 3)
        self.pcscd = Pcscd(self, self.cards)
        self.pin = self.write("pin", PIN + "\n", 0o600)
        self.server = KeyServer(self, "keys")
        self.server.process.stop()
        self.pool(self.server, "main")
        self.server.start(env=self.pcscd.environment)
        self.admin = Admin(self.server)
        return self

    def pool(self, server, name, **options):
        lines = {"pin": self.pin, "socket": self.pcscd.socket, **options}
        with open(os.path.join(server.dir, "keyfleetd.conf"), "a") as f:
            f.write(f"\n[pool {name}]\n" + "".join(f"{k} = {v}\n" for k, v in lines.items()))

    def states(self):
        return {serial: token["state"] for serial, token in self.admin.tokens().items()}

    def serving(self, key, n):
        wait_until(f"{n} tokens to serve {key}", lambda: self.admin.keys().get(key, {}).get("serving") == str(n))

    def served(self):
        """A handshake with the key."""
        with fetch(self.web.port, self.web_ca()) as answer:
            return answer


def needs_cards(lab):
    if lab.why_not:
        skip(lab.why_not)


def claim_cards_are_listed_initialised_and_given_a_share(lab):
    needs_cards(lab)
    tokens = lab.admin.tokens()
    expect(len(tokens) == 3 and all(t["state"] == "blank" and t["pool"] == "main" for t in tokens.values()), tokens)
    lab.serials = sorted(tokens, key=lambda s: tokens[s]["place"])
    for number, serial in enumerate(lab.serials, 1):
        lab.admin.init(serial, f"card {number}")
        told = lab.admin.act(6, serial, octets(0x54002C, SHARE))
        expect(told["shares-missing"] == "0" and told["wrapping"] == "dkek", told)
    kcvs = {t["kcv"] for t in lab.admin.tokens().values()}
    expect(len(kcvs) == 1, kcvs)
    try:
        lab.admin.init(lab.serials[0], "again")
        expect(False, "a card that is in use was erased")
    except Refused:
        pass


def claim_a_key_is_made_on_one_and_copied_to_the_others(lab):
    needs_cards(lab)
    lab.key_id = lab.admin.create("main", "www", copies=2)
    row = lab.admin.keys()["www"]
    expect(row["object"] == lab.key_id and len(row["holders"].split()) >= 2, row)
    log = "".join(open(f).read() for f in glob.glob(os.path.join(lab.server.dir, "audit", "*.log")))
    expect("operation=\"Create Key Pair\"" in log, "no record")


if __name__ == "__main__":
    run(globals(), Tokens("pool"))
