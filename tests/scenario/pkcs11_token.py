#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The PKCS#11 driver with SoftHSM2, and with OpenSC's module on virtual SmartCard-HSMs behind pcscd."""
import glob
import os
import shutil

from scenario import expect, run, skip
from probe import Probe
from hsm import Pcscd, VirtualCards, missing
from lab import Agent, KeyServer, Lab, Nginx, fetch

OPENSC = next(iter(glob.glob("/usr/lib/*/opensc-pkcs11.so")), None)
SOFTHSM = next(iter(glob.glob("/usr/lib/softhsm/libsofthsm2.so") + glob.glob("/usr/lib/*/softhsm/libsofthsm2.so")), None)
PIN, SO_PIN, CARD_SO_PIN = "648219", "12345678", "3537363231383830"


class Tokens(Lab):
    """Two SoftHSM tokens with labels t1 and t2."""

    def __enter__(self):
        super().__enter__()
        self.why_not = None if SOFTHSM and shutil.which("softhsm2-util") else "SoftHSM2 is not installed"
        self.pin = self.write("pin", PIN + "\n", 0o600)
        self.so_pin = self.write("so-pin", SO_PIN + "\n", 0o600)
        if not self.why_not:
            os.makedirs(self.path("tokens"))
            self.environment = {"SOFTHSM2_CONF": self.write(
                "softhsm2.conf", f"directories.tokendir = {self.path('tokens')}\nlog.level = ERROR\n")}
            for label in ("t1", "t2"):
                self.util("--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", SO_PIN)

        self.why_no_cards = missing("sc-hsm-tool") or (None if OPENSC else "opensc-pkcs11.so is not installed")
        if not self.why_no_cards:
            self.cards = VirtualCards(self, 2)
            self.pcscd = Pcscd(self, self.cards)
            self.card_environment = {**self.pcscd.environment, "OPENSC_CONF": self.write(
                "opensc.conf", "app default { }\napp opensc-pkcs11 { pkcs11 {\n"
                "\tmax_virtual_slots = 64; slots_per_card = 1; } }\n")}
            for card in (1, 2):
                self.run(["sc-hsm-tool", "--reader", str(card - 1), "--initialize", "--so-pin", CARD_SO_PIN, "--pin",
                          PIN, "--label", f"card{card}"], env=self.card_environment)
        return self

    def util(self, *argv):
        return self.run(["softhsm2-util", *argv], env=self.environment).stdout

    def card(self, number, pin=None):
        return Probe(self, "pkcs11", "--module", OPENSC, "--token", f"card{number}", "--pin-file", pin or self.pin,
                     env=self.card_environment)

    def token(self, label, pin=None):
        return Probe(self, "pkcs11", "--module", SOFTHSM, "--token", label, "--pin-file", pin or self.pin,
                     env=self.environment)


def needs_softhsm(lab):
    if lab.why_not:
        skip(lab.why_not)


ALGORITHMS = ("rsa:2048", "ec:P-256", "ec:P-384", "ec:P-521", "ed25519")


def claim_all_tokens_of_a_module_are_seen_and_read(lab):
    needs_softhsm(lab)
    with lab.token("t1") as t1, lab.token("t2") as t2:
        places = t1.ask("places")
        expect(len(places) == 3, places)  # and SoftHSM's blank one
        one, two = t1.facts(), t2.facts()
        expect(one["label"] == "t1" and two["label"] == "t2", one)
        expect(one["serial"] != two["serial"] and one["initialised"] == "1", two)
        expect(one["pin-tries"] == "255", one)
        with lab.token(one["serial"]) as by_serial:
            expect(by_serial.facts()["label"] == "t1", "a token is found by its serial number")


def claim_keys_are_made_on_the_token_and_sign(lab):
    needs_softhsm(lab)
    with lab.token("t1") as t:
        for alg in ALGORITHMS:
            more = "decrypt leave" if alg == "rsa:2048" else "leave"
            made = t.ask(f"generate {alg} {alg} {more}")
            expect(f" {alg} " in made[0] and 'problem=""' in made[0], made)
        for hash_name in ("SHA1", "SHA256", "SHA384", "SHA512"):
            for scheme in ("pkcs1", "pss"):
                t.ask(f"sign rsa:2048 {scheme} {hash_name}")
            for curve in ("P-256", "P-384", "P-521"):
                t.ask(f"sign ec:{curve} ecdsa {hash_name}")
        t.ask("sign ed25519 ed25519 none 3")
        expect(t.error("sign rsa:2048 ecdsa SHA256") == "BAD_PARAMETERS", "an RSA key makes no ECDSA signature")
        t.ask("sign ec:P-256 ecdsa SHA256 50")
        expect(t.ask("random")[0] != t.ask("random")[0], "random bytes differ")


def claim_an_rsa_key_decrypts_the_bare_number(lab):
    needs_softhsm(lab)
    with lab.token("t1") as t:
        for _ in range(5):
            t.ask("decrypt rsa:2048")
        expect(t.error("decrypt ec:P-256") == "UNSUPPORTED", "an EC key does not decrypt")


def claim_keys_travel_between_tokens_under_a_wrapping_key(lab):
    needs_softhsm(lab)
    share, other = lab.path("share"), lab.path("other-share")
    for path in (share, other):
        with open(path, "wb") as f:
            f.write(os.urandom(32))
    with lab.token("t1") as t1, lab.token("t2") as t2:
        t1.ask("generate ec:P-256 stays")
        expect(t1.error("wrap ec:P-256 blob") == "UNSUPPORTED", "there is no wrapping key yet")
        t1.ask(f"share {share}")
        t1.ask(f"share {share}")  # it is there already
        expect(t1.error(f"share {other}") == "EXISTS", "one wrapping key a token")
        expect(t1.error("wrap stays blob") == "DENIED", "a key that may not leave stays")
        before = t1.keys()
        for alg in ("rsa:2048", "ec:P-256", "ec:P-384"):
            expect(" leave " in before[alg], before[alg])
            t1.ask(f"wrap {alg} blob-{alg}")
        expect(t2.error("unwrap blob-rsa:2048") == "UNSUPPORTED", "t2 has no wrapping key")
        t2.ask(f"share {share}")
        expect(t1.facts()["kcv"] == t2.facts()["kcv"], "the same key has the same check value")
        for alg in ("rsa:2048", "ec:P-256", "ec:P-384"):
            made = t2.ask(f"unwrap blob-{alg}")[0]
            expect(made.split()[1:3] == before[alg].split()[1:3], made)  # algorithm and key id
            expect(t2.error(f"unwrap blob-{alg}") == "EXISTS", "twice is once")
        t2.ask("sign rsa:2048 pss SHA256")
        t2.ask("decrypt rsa:2048")
        t2.ask("sign ec:P-384 ecdsa SHA384")
        expect(t1.error("wrap ed25519 blob") == "DENIED", "SoftHSM wraps no Ed25519 keys")
        expect(" leave " in t2.keys()["rsa:2048"], "what came may go on")


def claim_a_damaged_or_foreign_key_blob_leaves_no_key(lab):
    needs_softhsm(lab)
    lab.util("--init-token", "--free", "--label", "t3", "--pin", PIN, "--so-pin", SO_PIN)
    with open(lab.path("blob-rsa:2048"), "rb") as f:
        blob = bytearray(f.read())
    blob[-400] ^= 1  # in the wrapped key: SPKI and nothing else come after it
    with open(lab.path("blob-damaged"), "wb") as f:
        f.write(blob)
    with lab.token("t3") as t:
        t.ask(f"share {lab.path('other-share')}")
        expect(t.error("unwrap blob-rsa:2048") == "CONFLICT", "it is wrapped under another key")
        expect(t.keys() == {}, "nothing came")
    lab.util("--init-token", "--free", "--label", "t4", "--pin", PIN, "--so-pin", SO_PIN)
    with lab.token("t4") as t:
        t.ask(f"share {lab.path('share')}")
        expect(t.error("unwrap blob-damaged") in ("CRYPTO", "TOKEN"), "it is damaged")
        expect(t.keys() == {}, "nothing came")
        t.ask("unwrap blob-rsa:2048")


def claim_certificates_go_with_their_keys(lab):
    needs_softhsm(lab)
    key, der = lab.path("cert.key"), lab.path("cert.der")
    lab.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
             "-subj", "/CN=www.example", "-outform", "DER", "-out", der])
    lab.run(["openssl", "pkcs8", "-topk8", "-nocrypt", "-in", key, "-out", lab.path("cert.p8")])
    lab.util("--import", lab.path("cert.p8"), "--token", "t1", "--label", "imported", "--id", "0a0b", "--pin", PIN)
    with lab.token("t1") as t:
        expect("id=0a0b" in t.keys()["imported"], "a key that another program put there is found")
        t.ask("sign imported ecdsa SHA256")
        t.ask(f"certificate imported {der}")
        t.ask(f"certificate imported {der}")  # instead of the old one
        expect(" certificate " in t.keys()["imported"], "the key has its certificate")
        expect(t.error(f"certificate ec:P-256 {der}") == "BAD_PARAMETERS", "it is for another key")
        t.ask("delete imported")
        expect("imported" not in t.keys(), "deleted")
    with lab.token("t1") as t:
        expect("imported" not in t.keys(), "for good")


def claim_a_wrong_pin_is_tried_once_and_never_again(lab):
    needs_softhsm(lab)
    wrong = lab.write("wrong-pin", "111111\n", 0o600)
    with lab.token("t3", pin=wrong) as t:
        expect(t.error("login") == "AUTH", "the PIN is wrong")
        expect(t.facts()["pin-tries"] == "2", "the token tells")
        expect(t.error("login") == "AUTH", "not tried again")
    with lab.token("t3") as t:
        expect(t.error("login") == "AUTH", "the last tries are for people")
        expect(t.facts()["pin-tries"] == "2", "no try was spent")


def claim_a_blank_token_is_initialised_and_its_pin_changed(lab):
    needs_softhsm(lab)
    new = lab.write("new-pin", "987654\n", 0o600)
    with Probe(lab, "pkcs11", "--module", SOFTHSM, "--pin-file", lab.pin, env=lab.environment) as t:
        blank = t.ask("places")[-1].split(":")[0].replace("slot ", "slot-")
    with Probe(lab, "pkcs11", "--module", SOFTHSM, "--token", blank, "--pin-file", lab.pin, env=lab.environment) as t:
        expect(t.facts()["initialised"] == "0", "it is blank")
        expect(t.error("login") == "AUTH", "nobody can log in")
        t.ask(f"initialise fresh {lab.so_pin}")
        expect(t.facts()["label"] == "fresh", "it has its label")
        t.ask("generate ec:P-256 first")
        t.ask(f"change-pin {new}")
    with lab.token("fresh") as t:
        expect(t.error("list") == "AUTH", "the old PIN is over")
    lab.util("--init-token", "--token", "fresh", "--label", "fresh", "--pin", "987654", "--so-pin", SO_PIN)
    with lab.token("fresh", pin=new) as t:
        expect(t.keys() == {}, "initialising erases")


def claim_nginx_serves_with_a_key_that_two_tokens_of_a_key_server_hold(lab):
    needs_softhsm(lab)
    fleet = {"SOFTHSM2_CONF": lab.write("fleet.conf", f"directories.tokendir = {lab.path('fleet-tokens')}\n")}
    os.makedirs(lab.path("fleet-tokens"))
    for label in ("f1", "f2"):
        lab.run(["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", SO_PIN], env=fleet)
    server = KeyServer(lab, "ks")
    server.process.stop()
    with open(os.path.join(server.dir, "keyfleetd.conf"), "a") as f:
        f.write(f"\n[pool hsm]\ndriver = pkcs11\nmodule = {SOFTHSM}\npin = {lab.pin}\ntokens = f1, f2\n")
    server.start(env=fleet)
    password = lab.write("password", "for the share\n", 0o600)
    few = ["--iterations", "1000", "--password-file", password]
    server.keyfleet("dkek", "create", lab.path("fleet.pbe"), *few)
    server.keyfleet("dkek", "import", lab.path("fleet.pbe"), "--all", *few)
    keys = [server.create_key("www-" + kind.replace(":", "-"), kind, "--pool", "hsm")
            for kind in ("rsa:2048", "ec:P-256")]
    agent = Agent(lab, "web", [server])
    web = Nginx(lab, "www", keys, lab.openssl_conf(agent.socket), workers=2)
    for version in ("1.2", "1.3"):
        for signatures in ("RSA-PSS+SHA256", "ECDSA+SHA256"):
            expect("nginx" in fetch(web.port, lab.web_ca(), version, signatures), "a page")
    rows = server.keyfleet_json("token", "list")
    expect(sum(r["state"] == "serving" for r in rows) == 2, rows)


# ---- OpenSC ----

def needs_cards(lab):
    if lab.why_no_cards:
        skip(lab.why_no_cards)


def claim_cards_behind_opensc_make_keys_and_sign(lab):
    needs_cards(lab)
    with lab.card(1) as card:
        facts = card.facts()
        expect(facts["label"].startswith("card1") and facts["initialised"] == "1", facts)
        for alg in ("rsa:2048", "ec:P-256", "ec:P-384", "ec:P-521"):
            card.ask(f"generate {alg} {alg} {'decrypt' if alg == 'rsa:2048' else ''}")
        keys = card.keys()
        expect(len(keys) == 4 and all('problem=""' in k for k in keys.values()), keys)
        for scheme in ("pkcs1", "pss"):
            for hash_name in ("SHA256", "SHA384", "SHA512"):
                card.ask(f"sign rsa:2048 {scheme} {hash_name}")
        for curve in ("P-256", "P-384", "P-521"):
            card.ask(f"sign ec:{curve} ecdsa SHA256")
            card.ask(f"sign ec:{curve} ecdsa SHA512")
        card.ask("decrypt rsa:2048")


def claim_a_card_that_is_pulled_comes_back_without_a_new_start(lab):
    needs_cards(lab)
    with lab.card(1) as card:
        card.ask("sign ec:P-256 ecdsa SHA256")
        expect(len(card.ask("places")) == 2, "both cards are there")
        lab.cards.tell("card", "1", "unplug")
        expect(card.error("sign ec:P-256 ecdsa SHA256") in ("CLOSED", "TOKEN"), "it is gone")
        expect(len(card.ask("places 20000")) == 1, "one card is left")
        card.ask("close")
        lab.cards.tell("card", "1", "replug")
        expect(len(card.ask("places 20000")) == 2, "it is back")
        card.ask("sign ec:P-256 ecdsa SHA256")
        card.ask("sign rsa:2048 pss SHA256")


def claim_a_card_that_was_reset_or_swapped_quickly_is_used_again(lab):
    needs_cards(lab)
    with lab.card(1) as card:
        card.ask("sign ec:P-256 ecdsa SHA256")
        for fault in ("reset", "replug"):
            lab.cards.tell("card", "1", fault)
            if card.error("sign ec:P-256 ecdsa SHA256"):  # CLOSED or TOKEN: what the pool does then
                card.ask("close")
                card.ask("places")
            card.ask("sign ec:P-256 ecdsa SHA256")


def claim_two_cards_work_in_two_processes(lab):
    needs_cards(lab)
    with lab.card(1) as one, lab.card(2) as two:
        two.ask("generate ec:P-256 here")
        one.send("sign ec:P-256 ecdsa SHA256 10")
        two.send("sign here ecdsa SHA256 10")
        expect(one.receive()[-1] == "ok" and two.receive()[-1] == "ok", "both sign")
        expect("ec:P-384" not in two.keys(), "each has its own keys")


def claim_a_card_says_what_it_cannot(lab):
    needs_cards(lab)
    with lab.card(1) as card:
        expect(card.error(f"share {lab.path('pin')}") == "BAD_PARAMETERS", "that is no share")
        with open(lab.path("card-share"), "wb") as f:
            f.write(os.urandom(32))
        for command in (f"share {lab.path('card-share')}", "wrap ec:P-256 blob"):
            answer = card.try_(command)[-1]
            expect(answer.startswith("error UNSUPPORTED"), answer)


def claim_a_wrong_pin_costs_a_card_one_try(lab):
    needs_cards(lab)
    wrong = lab.write("wrong-pin", "111111\n", 0o600)
    with lab.card(2, pin=wrong) as card:
        expect(card.error("login") == "AUTH", "the PIN is wrong")
        expect(card.error("login") == "AUTH", "not tried again")
    text = lab.run(["sc-hsm-tool", "--reader", "1"], env=lab.card_environment).stdout
    expect("User PIN tries left  : 2" in text, text)


if __name__ == "__main__":
    run(globals(), Tokens("keyfleet-pkcs11"))
