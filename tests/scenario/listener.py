#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""More listeners: what TLS and which versions of KMIP a profile says, and only for the clients that it names."""
import os
import re
import subprocess

from scenario import expect, run
from lab import ROOT, KeyServer, Lab, free_port, set_option, wait_until
from ttlv import Wire, find, items_of, message, batch_item, reason, request

DISCOVER_VERSIONS, QUERY, INVALID_MESSAGE = 0x1E, 0x18, 0x04

OLD = ("AES128-SHA256", "AES256-SHA256", "ECDHE-RSA-AES128-SHA256")


class Listeners(Lab):
    def __enter__(self):
        super().__enter__()
        self.old, self.vsphere = free_port(), free_port()
        self.certify_rsa("array")
        self.server = KeyServer(self, "kms", options={
            ("listener old", "profile"): "kmip-1.4", ("listener old", "listen"): f"127.0.0.1:{self.old}",
            ("listener old", "clients"): "disks", ("listener old", "certificate"): self.path("array.pem"),
            ("listener old", "key"): self.path("array.key"),
            ("listener vcenter", "profile"): "vsphere", ("listener vcenter", "listen"): f"127.0.0.1:{self.vsphere}",
            ("listener vcenter", "clients"): "disks"})
        for client in ("disks", "stranger"):
            self.server.keyfleet("client", "add", client, "--out", self.dir)
        return self

    def certify_rsa(self, name):
        self.local_key(name, "rsa")
        self.run(["chmod", "600", self.path(name + ".key")])

    def shake(self, port, client, *options):
        """What s_client was answered after a handshake and a request; TLS 1.3 refuses clients only then."""
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-cert",
                               self.path(client + ".pem"), "-key", self.path(client + ".key"), "-tls1_2", *options],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20)
        return done.stdout

    def wire(self, port):
        ca = os.path.join(self.server.dir, "ca.pem")
        return Wire(port, ca, self.path("disks.pem"), self.path("disks.key"), "kmip")

    def versions_at(self, port):
        """What Discover Versions answers in 1.1, newest first."""
        with self.wire(port) as w:
            answer = items_of(w.ask(message(batch_item(DISCOVER_VERSIONS), version=(1, 1))))[0]
        return [tuple(number for _, number in value) for tag, value in find(answer, 0x42007C) if tag == 0x420069]

    def refusals(self):
        return open(self.server.process.log).read().count("this listener is not for this client")


def claim_old_suites_are_spoken_there_and_nowhere_else(lab):
    for suite in OLD:
        answer = lab.shake(lab.old, "disks", "-cipher", suite)
        expect(f"Cipher    : {suite}" in answer, f"{suite}: {answer[-600:]}")
        expect("Cipher    : 0000" in lab.shake(lab.server.port, "disks", "-cipher", suite), f"{suite} is spoken everywhere")


def claim_good_suites_come_first_there_too(lab):
    answer = lab.shake(lab.old, "disks")
    expect("Cipher    : ECDHE-RSA-AES256-GCM-SHA384" in answer, answer[-600:])


def claim_a_profile_offers_the_versions_that_its_clients_speak(lab):
    expect(lab.versions_at(lab.vsphere) == [(1, 1), (1, 0)], f"{lab.versions_at(lab.vsphere)}")
    expect(lab.versions_at(lab.server.port)[0] == (2, 1), "not everywhere else")
    with lab.wire(lab.vsphere) as w:
        refused = items_of(w.ask(request(QUERY, version=(2, 0))))[0]
    expect(reason(refused) == INVALID_MESSAGE, f"{refused}")


def claim_the_guide_has_every_profile(lab):
    """Its name, and the newest version that is offered."""
    table = open(os.path.join(ROOT, "src/keyfleetd/profile.def")).read().replace("\n\t", " ")
    guide = open(os.path.join(ROOT, "docs/guide/kmip-clients.md")).read()
    rows = re.findall(r'^X\(\w+, "([^"]+)", .*?, KMIP_(\d)_(\d), "', table, re.M)
    expect(len(rows) == table.count("\nX("), f"{rows}")
    for name, major, minor in rows:
        expect(f"| `{name}` | {major}.{minor} |" in guide, f"no row for {name} with {major}.{minor}")
    named = re.findall(r"^\| `([a-z0-9.-]+)` \| \d\.\d \|", guide, re.M)
    expect(sorted(named) == sorted(name for name, *_ in rows), f"{named}")


def claim_only_the_clients_that_it_names_are_let_in(lab):
    before = lab.refusals()
    lab.shake(lab.old, "stranger")
    wait_until("the refusal of a stranger", lambda: lab.refusals() == before + 1)
    lab.server.keyfleet("status")


def claim_a_new_certificate_is_shown_after_a_reload(lab):
    old = open(lab.path("array.pem")).read()
    lab.certify_rsa("array")
    lab.server.process.signal(1)

    def is_new():
        shown = lab.shake(lab.old, "disks")
        return "BEGIN CERTIFICATE" in shown and old.split("\n")[5] not in shown
    wait_until("the new certificate", is_new)


def claim_a_key_that_does_not_fit_leaves_everything_as_it_was(lab):
    lab.write("array.key", "nonsense\n", 0o600)
    shown = lab.shake(lab.old, "disks")
    lab.server.process.signal(1)
    wait_until("the complaint", lambda: "listener old" in open(lab.server.process.log).read())
    expect(lab.shake(lab.old, "disks").split("BEGIN")[1][:200] == shown.split("BEGIN")[1][:200], "it shows another one")


if __name__ == "__main__":
    run(globals(), Listeners("keyfleet-listener"))
