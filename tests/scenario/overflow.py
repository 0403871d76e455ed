#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keys on tokens with a copy in software: tokens first, software when they cannot in time, nothing without both the owner's
and the key server's word; on virtual SmartCard-HSMs behind pcscd."""
import glob
import os
import re
import threading
import urllib.request

from scenario import expect, run, skip
from token_wire import Admin, Refused
from hsm import Pcscd, VirtualCards, missing
from lab import Agent, Key, KeyServer, Lab, LabError, Nginx, free_port, handshake, wait_until
from provision import FEW, PASSWORD, PIN, SO_PIN, quick_share


class Mixed(Lab):
    def __enter__(self):
        super().__enter__()
        self.why_not = missing("openssl")
        if self.why_not:
            return self
        self.cards = VirtualCards(self, 2)
        self.pcscd = Pcscd(self, self.cards)
        for name, text in (("pin", PIN), ("so-pin", SO_PIN), ("password", PASSWORD)):
            self.write(name, text + "\n", 0o600)
        quick_share(self)
        self.share = ["--iterations", str(FEW), "--password-file", self.path("password")]
        self.health = free_port()
        self.server = KeyServer(self, "keys", options={("health", "listen"): f"127.0.0.1:{self.health}"})
        self.ask = self.server.keyfleet_json
        self.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.path("www.key")])
        self.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.path("other.key")])
        return self

    def pool(self, **options):
        """Restarts with this pool."""
        self.pool_of(self.server, **options)

    def pool_of(self, server, **options):
        server.process.stop()
        path = os.path.join(server.dir, "keyfleetd.conf")
        with open(path) as f:
            text = f.read().split("\n[pool ")[0]
        lines = {"pin": self.path("pin"), "socket": self.pcscd.socket, **options}
        with open(path, "w") as f:
            f.write(text + "\n[pool main]\n" + "".join(f"{k} = {v}\n" for k, v in lines.items()))
        server.start()

    def states(self):
        return sorted(t["state"] for t in self.ask("token", "list"))

    def to_be(self, *states):
        wait_until(f"the tokens to be {states}", lambda: self.states() == sorted(states))

    def audit(self):
        return "".join(open(f, errors="replace").read() for f in sorted(
            glob.glob(os.path.join(self.server.dir, "audit", "*.log")))).replace("\0", "")

    def done_by(self, who):
        return len(re.findall(rf"phase=done .*operation=Sign .*token={who}\b", self.audit()))

    def overflows(self, reason):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health}/metrics") as answer:
            page = answer.read().decode()
        found = re.search(rf'keyfleet_pool_overflows_total{{reason="{reason}"}} (\d+)', page)
        return int(found[1]) if found else 0

    def csr(self, key="www"):
        return self.server.keyfleet("key", "csr", key, "--subject", "CN=localhost", check=False)


def needs_cards(lab):
    if lab.why_not:
        skip(lab.why_not)


def claim_a_pool_that_is_not_told_to_takes_no_copy(lab):
    needs_cards(lab)
    lab.pool()
    lab.to_be("blank", "blank")
    for number, token in enumerate(lab.ask("token", "list"), 1):
        lab.server.keyfleet("token", "init", token["serial"], "--so-pin-file", lab.path("so-pin"), "--pin-file", lab.path("pin"),
                     "--label", f"hsm{number}")
    lab.server.keyfleet("dkek", "import", lab.path("quick.pbe"), *lab.share, "--all")
    args = ["key", "import", "www", "--pem", lab.path("www.key"), "--share", lab.path("quick.pbe"), *lab.share, "--pool", "main",
            "--overflow-copy"]
    failed = lab.server.keyfleet(*args, check=False)
    expect(failed.returncode != 0 and "overflow = software" in failed.stderr, failed.stdout + failed.stderr)
    expect("overflow" not in lab.server.keyfleet("key", "show", "www").stdout, "it says that there is a copy")
    lab.pool(overflow="software")
    lab.to_be("serving", "serving")
    lab.cards.tell("card", "all", "unplug")
    lab.to_be("gone", "gone")
    expect(lab.csr().returncode != 0, "signed without a token and without a copy")
    lab.cards.tell("card", "all", "replug")
    lab.to_be("serving", "serving")


def claim_only_the_key_of_the_tokens_is_taken_as_its_copy(lab):
    needs_cards(lab)
    failed = lab.server.keyfleet("key", "overflow", "www", "--pem", lab.path("other.key"), check=False)
    expect(failed.returncode != 0 and "another key" in failed.stderr, failed.stderr)
    expect(lab.csr().returncode == 0, "it does not sign any more")
    lab.server.keyfleet("key", "overflow", "www", "--pem", lab.path("www.key"))
    shown = lab.server.keyfleet("key", "show", "www").stdout
    expect("overflow" in shown and "software" in shown, shown)
    row = next(k for k in Admin(lab.server).keys().values() if k["name"] == "www")
    expect(row["overflow"] == "yes", row)
    try:
        Admin(lab.server).get(row["object"])
        raise AssertionError("the key was given out")
    except Refused as why:
        expect(why.args[0] == 0x16, why)  # Sensitive


def claim_tokens_come_first(lab):
    needs_cards(lab)
    for _ in range(3):
        expect(lab.csr().returncode == 0, "no signature")
    expect(lab.done_by("software") == 0, "software did what tokens could")


def claim_without_tokens_software_does_it_and_is_told_of(lab):
    needs_cards(lab)
    lab.cards.tell("card", "all", "unplug")
    lab.to_be("gone", "gone")
    made = lab.csr()
    expect(made.returncode == 0, made.stderr)
    lab.run(["openssl", "req", "-verify", "-noout", "-in", lab.write("www.csr", made.stdout)])
    wait_until("the audit to name software", lambda: lab.done_by("software") == 1)
    expect(lab.overflows("no-token") == 1, "not counted")
    status = lab.server.keyfleet("status").stdout
    expect(re.search(r"pool-overflows\S*\s+1\b", status) and "pool.main.overflow" in status, status)
    lab.cards.tell("card", "all", "replug")
    lab.to_be("serving", "serving")
    expect(lab.csr().returncode == 0 and lab.done_by("software") == 1, "software goes on though tokens are back")


def claim_a_burst_overflows_and_no_visitor_waits_long(lab):
    needs_cards(lab)
    lab.pool(overflow="software", overflow_wait="300ms")
    lab.to_be("serving", "serving")
    lab.cards.tell("card", "all", "time", "ec=200")
    reference = lab.write("www.ref", lab.server.keyfleet("key", "ref", "www").stdout)
    lab.agent = Agent(lab, "web", [lab.server])
    web = Nginx(lab, "nginx", [Key(lab.certify("www.csr", "www.pem"), reference)], lab.openssl_conf(lab.agent.socket),
                workers=8)
    failed = []

    def visit():
        try:
            for _ in range(3):
                handshake(web.port, lab.web_ca())
        except OSError as why:
            failed.append(why)
    visitors = [threading.Thread(target=visit) for _ in range(8)]
    for v in visitors:
        v.start()
    for v in visitors:
        v.join()
    lab.cards.tell("card", "all", "time", "ec=0")
    expect(not failed, failed)
    expect(lab.overflows("wait") > 0, "nothing overflowed")
    tokens = sum(int(t["signatures"]) for t in Admin(lab.server).tokens().values())
    expect(tokens > 3, f"tokens made {tokens} signatures")


def digest(lab):
    """By which the key servers of a store know that they have to look at the material again."""
    shown = lab.server.keyfleet("key", "show", "www").stdout
    return "".join(line.strip() for line in shown.splitlines() if "Digest Value" in line)


def claim_the_copy_is_taken_away_again(lab):
    needs_cards(lab)
    had = digest(lab)
    lab.server.keyfleet("key", "overflow", "www", "--drop")
    expect("overflow" not in lab.server.keyfleet("key", "show", "www").stdout, "it says that there is a copy")
    expect(digest(lab) not in ("", had), "other key servers do not learn that it is gone")
    expect(lab.csr().returncode == 0, "tokens do not sign any more")
    lab.cards.tell("card", "all", "unplug")
    lab.to_be("gone", "gone")
    expect(lab.csr().returncode != 0, "the copy is still used")
    log = lab.audit()
    expect("mechanism=overflow-copy" in log and "mechanism=no-overflow-copy" in log, "not on record")


def claim_a_key_in_software_cannot_be_given_a_copy(lab):
    needs_cards(lab)
    lab.server.keyfleet("key", "create", "soft")
    failed = lab.server.keyfleet("key", "overflow", "soft", "--pem", lab.path("other.key"), check=False)
    expect(failed.returncode != 0 and "on tokens" in failed.stderr, failed.stderr)


def claim_a_copy_that_is_taken_away_is_taken_away_at_every_key_server_of_the_store(lab):
    """The second one has no token: only the copy lets it sign."""
    needs_cards(lab)
    try:
        database = lab.postgresql()
    except LabError as why:
        skip(str(why))
    lab.server.process.stop()
    lab.cards.tell("card", "all", "replug")
    one = KeyServer(lab, "one", f"postgresql:{database.conninfo}")
    lab.pool_of(one, overflow="software")
    two = KeyServer(lab, "two", f"postgresql:{database.conninfo}", join=one)
    lab.pool_of(two, overflow="software", tokens="none-of-these")
    wait_until("the tokens", lambda: [t["state"] for t in one.keyfleet_json("token", "list")] == ["serving"] * 2)

    def signs(server):
        return server.keyfleet("key", "csr", "www", "--subject", "CN=localhost", check=False).returncode == 0
    one.keyfleet("key", "adopt", "www", "--pool", "main")
    wait_until("the key to be known at both", lambda: "www" in two.keyfleet("key", "show", "www", check=False).stdout)
    expect(signs(one) and not signs(two), "signed without a token and without a copy")
    one.keyfleet("key", "overflow", "www", "--pem", lab.path("www.key"))
    wait_until("the copy to be used at the second", lambda: signs(two))
    one.keyfleet("key", "overflow", "www", "--drop")
    wait_until("the copy to be gone from the second", lambda: not signs(two))
    expect(signs(one), "tokens do not sign any more")


if __name__ == "__main__":
    run(globals(), Mixed("overflow"))
