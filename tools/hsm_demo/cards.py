# SPDX-License-Identifier: Apache-2.0
"""cards: SmartCard-HSMs set up with the stock tools, as a person with real ones would do it (docs/guide/smartcard-hsm.md
has the same commands), and copies of such a set for measurements side by side."""
import glob
import os
import re
import shutil
import time

from hsm import Pcscd, VirtualCards
from lab import BIN, LabError, wait_until

PIN, SO_PIN = "648219", "3537363231383830"
# What a real card takes, in ms: docs/guide/smartcard-hsm.md says where the figures are from.
TIMES = {"rsa1024": 210, "rsa2048": 660, "ec": 240}

# name, what pkcs11-tool calls it, CKA_ID, what ./dev demo hsm calls it
KEYS = {
    "rsa1024": ("rsa:1024", "10", "RSA-1024"),
    "rsa2048": ("rsa:2048", "11", "RSA-2048"),
    "p256": ("EC:prime256v1", "12", "P-256"),
}

# A share for tests, which have no 15 s for each derivation: made by sc-hsm-tool, with its content.
PREPARED = bytes.fromhex("53616c7465645f5fa250a2f30e056b5afb1cfdebbf3d0b4c631b8745080826665f2a67571c9ffe9f"
                         "5f7d129ab7541ff537c527687424aec5cc3ad82397dab9b3")
PREPARED_CONTENT = "833a24479d417fbee5e6405aac9e36fc0dce611626297509d8eb5e7bdf3d8217"
PASSWORD = "123456789"


def opensc_module():
    return next(iter(glob.glob("/usr/lib/*/opensc-pkcs11.so")), None)


def install(lab):
    """OpenSC shows four cards at most unless told otherwise."""
    lab.write("opensc.conf", "app default { }\napp opensc-pkcs11 { pkcs11 {\n"
                     "\tmax_virtual_slots = 64; slots_per_card = 1; } }\n")


class Progress:
    """Says what takes long, and then how long it took."""

    def __init__(self, say, what):
        self.say, self.what = say, what

    def __enter__(self):
        self.began = time.monotonic()
        self.say(f"  {self.what} ...")

    def __exit__(self, kind, *_):
        if not kind:
            self.say(f"  {self.what}: {time.monotonic() - self.began:.1f} s")


class CardSet:
    """Virtual cards behind a pcscd of their own; cards count from 1."""

    def __init__(self, lab, name, count, files=None):
        self.lab, self.name, self.count = lab, name, count
        self.publics, self.backups = {}, {}  # key: file
        folder = lab.path(name + ".cards")
        if files:
            os.makedirs(folder, mode=0o700)
            for card in range(1, count + 1):
                shutil.copy(os.path.join(files, f"card-{card}"), folder)
        self.folder = folder
        self.cards = VirtualCards(lab, count, name, ",".join(f"{k}={v}" for k, v in TIMES.items()))
        self.pcscd = Pcscd(lab, self.cards, name + "-pcscd")
        os.chmod(self.pcscd.socket, 0o666)  # web servers with OpenSC's module come as their own users
        self.environment = {**self.pcscd.environment, "OPENSC_CONF": lab.path("opensc.conf")}
        wait_until("the readers", lambda: self.tool("opensc-tool", "--list-readers").count(" Yes ") == count, 60)

    def tool(self, *argv, timeout=180):
        return self.lab.run(list(argv), env=self.environment, timeout=timeout).stdout

    def hsm(self, card, *argv):
        return self.tool("sc-hsm-tool", "--reader", str(card - 1), *argv)

    def pkcs11(self, card, *argv):
        return self.tool("pkcs11-tool", "--module", opensc_module(), "--slot-index", str(card - 1), "--login",
                         "--pin", PIN, *argv)

    # -- as in the guide -----------------------------------------------------------------------------
    def initialise(self):
        for card in range(1, self.count + 1):
            self.hsm(card, "--initialize", "--so-pin", SO_PIN, "--pin", PIN, "--dkek-shares", "1",
                     "--label", f"hsm{card}")

    def make_share(self):
        self.share = self.lab.path("dkek-share-1.pbe")
        self.tool("sc-hsm-tool", "--create-dkek-share", self.share, "--password", PASSWORD)
        os.chmod(self.share, 0o600)

    def import_share(self, card):
        return self.hsm(card, "--import-dkek-share", self.share, "--password", PASSWORD)

    def take_prepared_share(self, card):
        """What IMPORT DKEK SHARE says after the 15 s."""
        with open(self.lab.path("dkek-share-1.pbe"), "wb") as f:
            f.write(PREPARED)
        self.share = f.name
        self.tool("opensc-tool", "--reader", str(card - 1), "-s", "00A404000BE82B0601040181C31F020100",
                  "-s", f"8052000020{PREPARED_CONTENT}00")

    def check_value(self, card):
        found = re.search(r"DKEK key check value\s*:\s*([0-9A-F]+)", self.hsm(card))
        if not found:
            raise LabError(f"card {card} has no whole DKEK")
        return found[1]

    def generate(self, name):
        kind, key_id, _ = KEYS[name]
        self.pkcs11(1, "--keypairgen", "--key-type", kind, "--id", key_id, "--label", name)

    def clone_by_tool(self, card):
        """All keys of card 1."""
        for reference in range(1, len(self.names) + 1):
            blob = self.lab.path("key.bin")
            self.hsm(1, "--wrap-key", blob, "--key-reference", str(reference), "--pin", PIN)
            self.hsm(card, "--unwrap-key", blob, "--key-reference", str(reference), "--pin", PIN)
            os.unlink(blob)

    # -- the same by keyfleet, without any key server --------------------------------------------------
    def keyfleet(self, *argv, timeout=180):
        """On these cards."""
        pin = self.lab.write(self.name + ".pin", PIN + "\n", 0o600)
        return self.lab.run([os.path.join(BIN, "keyfleet"), *argv, "--local", "--socket", self.pcscd.socket, "--pin-file", pin],
                            timeout=timeout).stdout

    def import_share_by_keyfleet(self, card):
        password = self.lab.write("share.password", PASSWORD + "\n", 0o600)
        self.keyfleet("dkek", "import", self.share, "--to", f"hsm{card}", "--password-file", password)

    def clone_by_keyfleet(self, card):
        """All keys of card 1; each copy has proved itself."""
        for name in self.names:
            self.keyfleet("key", "clone", name, "--to", f"hsm{card}")

    def back_up(self, name):
        """For a key server: what the key is, and itself under the DKEK."""
        self.backups[name] = self.lab.path(name + ".key-backup")
        self.keyfleet("key", "backup", name, "--out", self.backups[name])

    def generate_all(self, names):
        self.names = list(names)
        for name in names:
            self.generate(name)
            self.read_public(name)

    def read_public(self, name):
        der, pem = self.lab.path(f"{name}.der"), self.lab.path(f"{name}.pub")
        self.pkcs11(1, "--read-object", "--type", "pubkey", "--id", KEYS[name][1], "-o", der)
        self.lab.run(["openssl", "pkey", "-pubin", "-inform", "DER", "-in", der, "-out", pem])
        self.publics[name] = pem

    def proves(self, name, card):
        """A signature of this card, verified with the public key of card 1."""
        message, signature = self.lab.write("message", "a clone signs as its original does\n"), self.lab.path("signature")
        ec = name == "p256"
        self.pkcs11(card, "--sign", "--id", KEYS[name][1], "-m", "ECDSA-SHA256" if ec else "SHA256-RSA-PKCS",
                    "-i", message, "-o", signature, *(["--signature-format", "openssl"] if ec else []))
        self.lab.run(["openssl", "dgst", "-sha256", "-verify", self.publics[name], "-signature", signature, message])

    def copy(self, name, count):
        """The first `count` cards once more, behind a pcscd of their own."""
        copied = CardSet(self.lab, name, count, files=self.folder)
        copied.publics, copied.backups = self.publics, self.backups
        return copied

    def stop(self):
        self.pcscd.process.stop()
        self.cards.process.stop()
