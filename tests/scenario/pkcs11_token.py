#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The PKCS#11 driver with SoftHSM2, and with OpenSC's module on virtual SmartCard-HSMs behind pcscd."""
import glob
import os
import shutil

from scenario import expect, run, skip
from probe import Probe
from lab import Lab

SOFTHSM = next(iter(glob.glob("/usr/lib/softhsm/libsofthsm2.so") + glob.glob("/usr/lib/*/softhsm/libsofthsm2.so")), None)
PIN, SO_PIN = "648219", "12345678"


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
        return self

    def util(self, *argv):
        return self.run(["softhsm2-util", *argv], env=self.environment).stdout

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


run(globals(), Tokens("keyfleet-pkcs11"))
