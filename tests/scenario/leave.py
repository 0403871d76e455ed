#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Guests that go before a slow token has begun what they asked for: it does nothing for them, and whoever stays has it sooner."""
import glob
import os
import re
import socket

from scenario import expect, run, skip
from token_wire import IMPORT_SHARE
from cards import Cards
from lab import Agent, wait_until
from ttlv import batch_item, enum, items_of, message, octets, parse, status, struct_, text

SIGN = 0x21
VERIFY = b" " * 64 + b"TLS 1.3, server CertificateVerify\0" + bytes(32)


class Slow(Cards):
    """One card of one key server, and an agent."""

    def set_up(self):
        self.insert(1, options={("audit", "segment"): "4M"})
        self.serial = next(iter(self.admin.tokens()))
        self.admin.init(self.serial, "card")
        self.admin.act(IMPORT_SHARE, self.serial, octets(0x54002C, bytes(range(32))))
        self.key = self.admin.create("main", "www")
        wait_until("the key to be served", lambda: self.admin.keys()["www"].get("serving") == "1")
        self.agent = Agent(self, "web", [self.server])
        self.agent.process.stop()
        with open(self.agent.conf) as f:
            text_of_it = f.read()
        self.write("web.conf", text_of_it.replace("[agent]\n", "[agent]\ndeadline = 30s\n"))
        self.agent.start()

    def ask(self, deadline_ms=30000):
        """A guest with its question under way."""
        guest = socket.socket(socket.AF_UNIX)
        guest.settimeout(60)
        guest.connect("\0" + self.agent.socket[1:])
        parameters = struct_(0x42002B, enum(0x420038, 6), enum(0x4200AE, 0x0E))
        guest.sendall(message(batch_item(SIGN, text(0x420094, self.key) + parameters + octets(0x4200C2, VERIFY),
                                         deadline_ms=deadline_ms)))
        return guest

    def token(self):
        return self.admin.tokens()[self.serial]

    def signatures(self):
        return int(self.token()["signatures"])

    def waiting(self, n):
        row = {}
        wait_until(f"{n} to wait", lambda: row.update(self.admin.keys()["www"]) or row.get("waiting") == str(n))

    def allowed(self):
        return len(re.findall("phase=allowed .*operation=Sign ", self.audit()))

    def begun(self, n):
        wait_until(f"{n} signatures to be begun", lambda: self.allowed() == n)

    def audit(self):
        return "".join(open(f, errors="replace").read() for f in glob.glob(
            os.path.join(self.server.dir, "audit", "*.log"))).replace("\0", "")

    def given_up(self):
        return self.audit().count("had gone before it was begun")


def needs_cards(lab):
    if lab.why_not:
        skip(lab.why_not)


def answer(guest):
    """Whether it is a signature."""
    data = guest.recv(4096)
    guest.close()
    return bool(data) and status(items_of(parse(data))[0]) == 0


def claim_a_token_does_nothing_for_guests_that_have_gone(lab):
    needs_cards(lab)
    expect(answer(lab.ask()), "no signature at all")
    lab.cards.tell("card", "all", "time", "ec=1500")
    before = lab.signatures()
    first = lab.ask()
    lab.begun(2)
    crowd = [lab.ask() for _ in range(8)]
    last = lab.ask()
    lab.waiting(9)
    for guest in crowd:
        guest.close()
    lab.waiting(1)
    expect(answer(first) and answer(last), "who stayed got nothing")
    expect(lab.signatures() == before + 2, (before, lab.signatures()))
    expect(lab.given_up() == 8, lab.audit()[-3000:])


def claim_a_token_does_nothing_behind_a_deadline(lab):
    needs_cards(lab)
    before = lab.signatures()
    begun = lab.allowed()
    first = lab.ask()
    lab.begun(begun + 1)
    late = [lab.ask(deadline_ms=300) for _ in range(4)]
    expect(not any(answer(guest) for guest in late), "signed behind the deadline")
    expect(answer(first), "the first got nothing")
    lab.cards.tell("card", "all", "time", "ec=0")
    expect(answer(lab.ask()), "the next got nothing")
    expect(lab.signatures() == before + 2, (before, lab.signatures()))


if __name__ == "__main__":
    run(globals(), Slow("leave"))
