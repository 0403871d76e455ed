#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that say by Username and Password who they are, on a connection with another one's certificate."""
import contextlib
import os
import signal
import struct
import time

from scenario import expect, run
from lab import KeyServer, Lab, set_option, wait_until
from message import (CONTINUE, FAILED, MANDATORY, NOT_SUCCESSFUL, PENDING, SUCCESS, activate, batch, create, credential,
                     found, make, reason, request, statuses, uid, user)
from ttlv import Wire, octets, status, text

LIMIT_EXCEEDED = 0x3A

ALICE = user("alice", "open sesame")


class Credentials(Lab):
    def __enter__(self):
        super().__enter__()
        # One loop: what was sent last is tried last.
        self.server = KeyServer(self, "kms", options={("server", "loops"): "1", ("limits", "address_password_checks"): "64",
                                                      ("limits", "password_checks"): "64"})
        for name in "alice", "bob", "carol":
            self.server.keyfleet("client", "add", name, "--out", self.dir)
        for name in "alice", "bob":
            self.server.keyfleet("grant", "add", name, "*", "create")
        return self

    def connect(self, name):
        return Wire(self.server.port, self.server.dir + "/ca.pem", self.path(name + ".pem"), self.path(name + ".key"), "kmip")

    def password(self, name, *options, password=None):
        if password:
            options += ("--password-file", self.write("typed", password + "\n"))
            os.chmod(self.path("typed"), 0o600)
        done = self.server.keyfleet("client", "password", name, *options, check=False)
        expect(done.returncode == 0, done.stderr)

    def reload(self):
        log = self.server.process.log
        before = open(log).read().count("reloaded")
        self.server.process.signal(signal.SIGHUP)
        wait_until("the reload", lambda: open(log).read().count("reloaded") > before)

    @property
    def file(self):
        return os.path.join(self.server.dir, "passwords")


def refused(answer):
    return status(answer) == FAILED and reason(answer) == NOT_SUCCESSFUL


def claim_the_file_tells_no_password_and_is_the_servers_alone(lab):
    lab.password("alice", password="open sesame")
    set_option(os.path.join(lab.server.dir, "keyfleetd.conf"), "server", "passwords", "passwords")
    lab.reload()
    lab.password("bob", password="correct horse")
    lab.password("bob", password="battery staple")
    lab.reload()
    content = open(lab.file).read()
    expect("sesame" not in content and content.count("scrypt:") == 2, content)
    expect(os.stat(lab.file).st_mode & 0o777 == 0o600, "others may read it")
    os.chmod(lab.write("typed", "short\n"), 0o600)
    short = lab.server.keyfleet("client", "password", "alice", "--password-file", lab.path("typed"), check=False)
    expect(short.returncode != 0, "a short password")


def claim_who_knows_the_password_is_that_client(lab):
    with lab.connect("alice") as w:
        key = make(w, create("hers"))
    with lab.connect("bob") as w:
        expect(found(w, "hers") == [], "bob sees it")
        expect(status(w.ask(request(*activate(uid(key)), options=ALICE))) == SUCCESS, "alice may not")
        expect(found(w, "hers") == [], "bob is alice now")
        answer = w.ask(batch(create("by password"), activate(), option=ALICE))
        expect(statuses(answer) == [SUCCESS, SUCCESS], answer)
        answer = w.ask(request(*create(), options=user("bob", "battery staple")))
        expect(status(answer) == SUCCESS, answer)
    with lab.connect("alice") as w:
        expect(len(found(w, "by password")) == 1, "it is not hers")
    with lab.connect("carol") as w:
        expect(status(w.ask(request(*create()))) == FAILED, "carol may create")
        expect(status(w.ask(request(*create(), options=ALICE))) == SUCCESS, "alice may not")


def claim_several_credentials_are_looked_through_for_one_that_counts(lab):
    with lab.connect("bob") as w:
        both = credential(2, text(0x4200B0, "disk 1"))[8:] + ALICE[8:]
        header = bytes.fromhex("42000c01") + len(both).to_bytes(4, "big") + both
        expect(status(w.ask(request(*create(), options=header))) == SUCCESS, "not found")


def claim_what_follows_an_item_that_is_answered_later_is_the_same_clients(lab):
    with lab.connect("carol") as w:
        answer = w.ask(batch(create("later 1"), create("later 2"), create("later 3"), option=MANDATORY + ALICE + CONTINUE))
        expect(statuses(answer) == [PENDING] * 3, answer)
    with lab.connect("alice") as w:
        wait_until("the keys", lambda: all(len(found(w, f"later {i}")) == 1 for i in (1, 2, 3)))


def claim_wrong_passwords_end_the_connection(lab):
    with lab.connect("carol") as w:
        for _ in range(3):
            expect(refused(w.ask(request(*create(), options=user("bob", "wrong")))), "let in")
        expect(w.is_closed(), "the connection goes on")


def claim_who_tries_too_often_waits_and_nobody_else(lab):
    for i in range(4):
        with lab.connect("carol") as w:
            for _ in range(3):
                expect(refused(w.ask(request(*create(), options=user("alice", f"wrong {i}")))), "let in")
    with lab.connect("carol") as w:
        expect(refused(w.ask(request(*create(), options=ALICE))), "goes on trying")
    with lab.connect("bob") as w:
        expect(status(w.ask(request(*create(), options=ALICE))) == SUCCESS, "another one waits too")


def claim_guesses_at_the_same_time_are_counted_as_those_one_by_one(lab):
    lab.server.keyfleet("client", "add", "dave", "--out", lab.dir)
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(lab.connect("dave")) for _ in range(33)]
        for w in wires[:-1]:
            w.send(request(*create(), options=user("bob", "wrong")))
        answers = [wires[0].receive()]  # the others wait; what is sent now comes after them
        wires[-1].send(request(*create(), options=user("bob", "battery staple")))
        answers += [w.receive() for w in wires[1:]]
    expect(all(refused(a) for a in answers), [status(a) for a in answers])


def claim_one_address_has_so_many_checked_at_a_time(lab):
    conf = os.path.join(lab.server.dir, "keyfleetd.conf")
    set_option(conf, "limits", "address_password_checks", "2")
    lab.reload()
    lab.server.keyfleet("client", "add", "frank", "--out", lab.dir)
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(lab.connect("frank")) for _ in range(9)]
        for w in wires:
            w.send(request(*create(), options=user("bob", "wrong")))
        answers = [w.receive() for w in wires]
    busy = [a for a in answers if not refused(a)]
    expect(0 < len(busy) < 9, f"{len(busy)} of 9 were told to come again")
    expect(all(status(a) == FAILED and reason(a) == LIMIT_EXCEEDED for a in busy), [reason(a) for a in busy])
    with lab.connect("frank") as w:
        expect(status(w.ask(request(*create(), options=ALICE))) == SUCCESS, "no check is ever begun again")
    set_option(conf, "limits", "address_password_checks", "64")
    lab.reload()


def enrol(lab, who, fingerprint, not_after):
    payload = text(0x540006, who) + octets(0x540007, fingerprint) + struct.pack(">IIq", 0x54000809, 8, not_after)
    with Wire(lab.server.port, *(lab.server.dir + "/" + f for f in ("ca.pem", "admin.pem", "admin.key")), "kmip") as w:
        answer = w.ask(request(0x806B6601, payload))
        expect(status(answer) == SUCCESS, answer)


def claim_a_password_lasts_no_longer_than_its_clients_certificates(lab):
    lab.password("erin", password="open sesame")
    lab.reload()
    erin = user("erin", "open sesame")
    enrol(lab, "erin", bytes(range(32)), 1700000000)
    with lab.connect("bob") as w:
        expect(refused(w.ask(request(*activate(), options=erin))), "let in after her certificate's time")
        enrol(lab, "erin", bytes(32), int(time.time()) + 4)
        expect(not refused(w.ask(request(*activate(), options=erin))), "not let in")
        wait_until("the end of the certificate", lambda: refused(w.ask(request(*activate(), options=erin))))


def claim_admin_is_nobodys_user_name(lab):
    lab.password("admin", password="open sesame")
    lab.password("stranger", password="open sesame")
    lab.reload()
    with lab.connect("bob") as w:
        for name in "admin", "stranger":
            expect(refused(w.ask(request(*create(), options=user(name, "open sesame")))), f"{name} is let in")


def claim_a_password_that_is_gone_counts_no_more(lab):
    with lab.connect("bob") as w:
        expect(status(w.ask(request(*create(), options=ALICE))) == SUCCESS, "not let in")
        lab.password("alice", "--remove")
        lab.reload()
        expect(refused(w.ask(request(*create(), options=ALICE))), "still let in")
        lab.password("alice", password="open sesame")
        lab.reload()
        expect(status(w.ask(request(*create(), options=ALICE))) == SUCCESS, "not let in again")
        lab.server.keyfleet("client", "revoke", "alice")
        wait_until("the revocation", lambda: refused(w.ask(request(*create(), options=ALICE))))
        expect(status(w.ask(request(*create()))) == SUCCESS, "bob is out too")


def claim_a_file_that_cannot_be_read_right_changes_nothing(lab):
    content = open(lab.file).read()
    with open(lab.file, "a") as f:
        f.write("nonsense\n")
    log = lab.server.process.log
    lab.server.process.signal(signal.SIGHUP)
    wait_until("the complaint", lambda: "passwords:" in open(log).read())
    with lab.connect("carol") as w:
        expect(status(w.ask(request(*create(), options=user("bob", "battery staple")))) == SUCCESS, "bob is not let in")
    with open(lab.file, "w") as f:
        f.write(content)


if __name__ == "__main__":
    run(globals(), Credentials("keyfleet-credentials"))
