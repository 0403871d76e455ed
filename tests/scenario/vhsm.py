#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Virtual SmartCard-HSMs behind stock pcscd, worked on by OpenSC's stock tools."""
import glob
import os
import threading

from scenario import expect, run, skip
from hsm import Pcscd, VirtualCards, missing
from lab import Lab, wait_until

MODULE = next(iter(glob.glob("/usr/lib/*/opensc-pkcs11.so")), None)
PIN, SO_PIN = "648219", "3537363231383830"
CARDS = 3


class Cards(Lab):
    """Blank cards, and a pcscd of our own."""

    def __enter__(self):
        super().__enter__()
        self.why_not = missing("sc-hsm-tool", "pkcs11-tool", "pkcs15-tool", "opensc-tool", "openssl")
        if not MODULE:
            self.why_not = "opensc-pkcs11.so is not installed"
        if not self.why_not:
            self.cards = VirtualCards(self, CARDS)
            self.pcscd = Pcscd(self, self.cards)
            self.environment = {**self.pcscd.environment, "OPENSC_CONF": self.write(
                "opensc.conf", "app default { }\napp opensc-pkcs11 { pkcs11 {\n"
                "\tmax_virtual_slots = 64; slots_per_card = 1; } }\n")}
        return self

    def tool(self, *argv, check=True):
        return self.run(list(argv), check=check, env=self.environment)

    def hsm(self, card, *argv, check=True):
        return self.tool("sc-hsm-tool", "--reader", str(card - 1), *argv, check=check).stdout

    def pkcs11(self, card, *argv, check=True, login=True):
        return self.tool("pkcs11-tool", "--module", MODULE, "--slot-index", str(card - 1),
                         *(["--login", "--pin", PIN] if login else []), *argv, check=check)

    def public_key(self, card, key_id):
        self.pkcs11(card, "--read-object", "--type", "pubkey", "--id", key_id, "-o", self.path("public.der"))
        self.run(["openssl", "pkey", "-pubin", "-inform", "DER", "-in", self.path("public.der"),
                  "-out", self.path(f"public-{key_id}.pem")])
        return self.path(f"public-{key_id}.pem")

    def sign(self, card, key_id, mechanism, *more):
        self.write("message", "hello keyfleet")
        self.pkcs11(card, "--sign", "--id", key_id, "-m", mechanism, "-i", self.path("message"),
                    "-o", self.path("signature"), *more)
        with open(self.path("signature"), "rb") as f:
            return f.read()

    def verify(self, key_id, *more):
        return self.run(["openssl", "dgst", "-sha256", "-verify", self.path(f"public-{key_id}.pem"),
                         "-signature", self.path("signature"), *more, self.path("message")])


def needs_cards(lab):
    if lab.why_not:
        skip(lab.why_not)


def claim_three_readers_hold_three_cards(lab):
    needs_cards(lab)
    readers = wait_until("the readers", lambda: (t := lab.tool("opensc-tool", "--list-readers").stdout).count(
        " Yes ") == CARDS and t)
    for card in range(1, CARDS + 1):
        expect(lab.pcscd.reader(card) in readers, readers)


def claim_a_blank_card_says_so(lab):
    needs_cards(lab)
    text = lab.hsm(1)
    expect("never been initialized" in text, text)


# A share that sc-hsm-tool made: its password, its content, and the check value of a DKEK of this share alone.
SHARE_FILE = bytes.fromhex("53616c7465645f5fa250a2f30e056b5afb1cfdebbf3d0b4c631b8745080826665f2a67571c9ffe9f"
                           "5f7d129ab7541ff537c527687424aec5cc3ad82397dab9b3")
SHARE, PASSWORD = "833a24479d417fbee5e6405aac9e36fc0dce611626297509d8eb5e7bdf3d8217", "123456789"
CHECK_VALUE = "29E586BE25F0EC54"


def give_share(lab, card, share):
    lab.tool("opensc-tool", "--reader", str(card - 1), "-s", "00A404000BE82B0601040181C31F020100",
             "-s", f"8052000020{share}00")


def claim_cards_are_initialised_and_share_a_dkek(lab):
    """Ten million rounds of MD5 open a share file: once is enough here, the second card gets its content."""
    needs_cards(lab)
    with open(lab.path("share.pbe"), "wb") as f:
        f.write(SHARE_FILE)
    for card in (1, 2, 3):
        lab.hsm(card, "--initialize", "--so-pin", SO_PIN, "--pin", PIN, "--dkek-shares", "1",
                "--label", f"hsm{card}")
    lab.hsm(1, "--import-dkek-share", lab.path("share.pbe"), "--password", PASSWORD)
    give_share(lab, 2, SHARE)
    for card in (1, 2):
        text = lab.hsm(card)
        expect(CHECK_VALUE in text and "User PIN tries left  : 3" in text, text)
    expect("DKEK import pending" in lab.hsm(3), "card 3 has a whole DKEK")


def claim_keys_are_generated_and_sign(lab):
    needs_cards(lab)
    lab.pkcs11(1, "--keypairgen", "--key-type", "rsa:2048", "--id", "10", "--label", "RSA key")
    lab.pkcs11(1, "--keypairgen", "--key-type", "EC:prime256v1", "--id", "11", "--label", "EC key")
    lab.pkcs11(1, "--keypairgen", "--key-type", "EC:brainpoolP256r1", "--id", "12", "--label", "Brainpool key")
    for key_id in ("10", "11", "12"):
        lab.public_key(1, key_id)
    lab.sign(1, "10", "SHA256-RSA-PKCS")
    lab.verify("10")
    lab.sign(1, "10", "SHA256-RSA-PKCS-PSS")
    lab.verify("10", "-sigopt", "rsa_padding_mode:pss")
    for key_id in ("11", "12"):
        lab.sign(1, key_id, "ECDSA-SHA256", "--signature-format", "openssl")
        lab.verify(key_id)


def claim_rsa_4096_and_secp521r1_move_too(lab):
    """The longest blobs and fields."""
    needs_cards(lab)
    lab.pkcs11(1, "--keypairgen", "--key-type", "rsa:4096", "--id", "20", "--label", "long RSA key")
    lab.pkcs11(1, "--keypairgen", "--key-type", "EC:secp521r1", "--id", "21", "--label", "long EC key")
    for reference in ("4", "5"):
        lab.hsm(1, "--wrap-key", lab.path("long.bin"), "--key-reference", reference, "--pin", PIN)
        lab.hsm(2, "--unwrap-key", lab.path("long.bin"), "--key-reference", reference, "--pin", PIN)
        os.unlink(lab.path("long.bin"))
    lab.public_key(1, "20")
    lab.sign(2, "20", "SHA256-RSA-PKCS")
    lab.verify("20")
    lab.public_key(1, "21")
    lab.sign(2, "21", "ECDSA-SHA256", "--signature-format", "openssl")
    lab.verify("21")


def claim_keys_decrypt_and_agree(lab):
    needs_cards(lab)
    lab.write("plain", "a premaster secret")
    lab.run(["openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", lab.path("public-10.pem"),
             "-in", lab.path("plain"), "-out", lab.path("sealed")])
    lab.pkcs11(1, "--decrypt", "-m", "RSA-PKCS", "--id", "10", "-i", lab.path("sealed"), "-o", lab.path("opened"))
    expect(open(lab.path("opened")).read() == "a premaster secret", "decrypted something else")
    lab.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", lab.path("peer.pem")])
    lab.run(["openssl", "ec", "-in", lab.path("peer.pem"), "-pubout", "-outform", "DER", "-out", lab.path("peer.der")])
    lab.pkcs11(1, "--derive", "-m", "ECDH1-DERIVE", "--id", "11", "-i", lab.path("peer.der"), "-o", lab.path("secret"))
    lab.run(["openssl", "pkeyutl", "-derive", "-inkey", lab.path("peer.pem"), "-peerkey", lab.path("public-11.pem"),
             "-out", lab.path("secret2")])
    expect(open(lab.path("secret"), "rb").read() == open(lab.path("secret2"), "rb").read(), "two secrets")


def claim_wrapped_keys_work_on_another_card(lab):
    needs_cards(lab)
    for reference in ("1", "2", "3"):
        lab.hsm(1, "--wrap-key", lab.path("key.bin"), "--key-reference", reference, "--pin", PIN)
        lab.hsm(2, "--unwrap-key", lab.path("key.bin"), "--key-reference", reference, "--pin", PIN)
        os.unlink(lab.path("key.bin"))
    expect(lab.sign(1, "10", "SHA256-RSA-PKCS") == lab.sign(2, "10", "SHA256-RSA-PKCS"), "the clone signs otherwise")
    for key_id in ("11", "12"):
        lab.sign(2, key_id, "ECDSA-SHA256", "--signature-format", "openssl")
        lab.verify(key_id)


def claim_a_foreign_card_does_not_take_a_blob(lab):
    needs_cards(lab)
    lab.hsm(1, "--wrap-key", lab.path("key.bin"), "--key-reference", "2", "--pin", PIN)
    give_share(lab, 3, os.urandom(32).hex())
    done = lab.tool("sc-hsm-tool", "--reader", "2", "--unwrap-key", lab.path("key.bin"), "--key-reference", "2",
                    "--pin", PIN, check=False)
    expect(done.returncode != 0, done.stdout)
    expect("EC key" not in lab.pkcs11(3, "--list-objects").stdout, "card 3 has the key")


def claim_a_certificate_is_written_and_read(lab):
    needs_cards(lab)
    lab.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
             lab.path("ca.key"), "-subj", "/CN=www.example", "-out", lab.path("ca.pem")])
    lab.run(["openssl", "x509", "-in", lab.path("ca.pem"), "-signkey", lab.path("ca.key"), "-force_pubkey",
             lab.path("public-10.pem"), "-outform", "DER", "-out", lab.path("www.der")])
    lab.pkcs11(1, "--write-object", lab.path("www.der"), "--type", "cert", "--id", "10", "--label", "www")
    lab.pkcs11(1, "--read-object", "--type", "cert", "--id", "10", "-o", lab.path("read.der"))
    expect(open(lab.path("www.der"), "rb").read() == open(lab.path("read.der"), "rb").read(), "another certificate")
    dump = lab.tool("pkcs15-tool", "--reader", "0", "--dump").stdout
    expect("Private RSA Key [www]" in dump and "EC key" in dump and "X.509 Certificate" in dump, dump)


def claim_data_and_random_bytes(lab):
    needs_cards(lab)
    lab.write("note", "seven of nine")
    lab.pkcs11(1, "--write-object", lab.path("note"), "--type", "data", "--label", "note", "--private")
    lab.pkcs11(1, "--read-object", "--type", "data", "--label", "note", "-o", lab.path("note2"))
    expect(open(lab.path("note2")).read() == "seven of nine", "another note")
    lab.pkcs11(1, "--generate-random", "64", "-o", lab.path("random"), login=False)
    expect(os.path.getsize(lab.path("random")) == 64, "not 64 bytes")


def claim_a_wrong_pin_counts_down_blocks_and_is_given_back(lab):
    needs_cards(lab)
    for left in (2, 1):
        lab.tool("pkcs11-tool", "--module", MODULE, "--slot-index", "2", "--login", "--pin", "111111", "-O", check=False)
        expect(f"User PIN tries left  : {left}" in lab.hsm(3), "the wrong PIN was not counted")
    lab.tool("pkcs11-tool", "--module", MODULE, "--slot-index", "2", "--login", "--pin", "111111", "-O", check=False)
    expect("User PIN locked" in lab.hsm(3), "the PIN is not blocked")
    lab.tool("pkcs11-tool", "--module", MODULE, "--slot-index", "2", "--login", "--login-type", "so", "--so-pin", SO_PIN,
             "--init-pin", "--new-pin", "123456")
    lab.tool("pkcs11-tool", "--module", MODULE, "--slot-index", "2", "--login", "--pin", "123456",
             "--change-pin", "--new-pin", PIN)
    lab.pkcs11(3, "--list-objects")
    expect("User PIN tries left  : 3" in lab.hsm(3), "the tries were not given back")


def claim_a_key_is_deleted(lab):
    needs_cards(lab)
    lab.pkcs11(2, "--delete-object", "--type", "privkey", "--id", "12")
    expect("Brainpool" not in lab.pkcs11(2, "--list-objects").stdout, "the key is still there")


def readers_in(lab):
    return lab.tool("opensc-tool", "--list-readers").stdout.count(" Yes ")


def claim_pcscd_sees_a_card_pulled_and_put_back(lab):
    needs_cards(lab)
    lab.cards.tell("card", "2", "unplug")
    wait_until("the card to be out", lambda: readers_in(lab) == CARDS - 1)
    lab.cards.tell("card", "2", "replug")
    wait_until("the card to be in", lambda: readers_in(lab) == CARDS)
    lab.sign(2, "11", "ECDSA-SHA256", "--signature-format", "openssl")
    lab.verify("11")


def claim_a_card_that_hangs_stops_its_own_reader_only(lab):
    needs_cards(lab)
    lab.cards.tell("card", "1", "hang")
    hung = threading.Thread(target=lambda: lab.pkcs11(1, "--list-objects", check=False))
    other = ["opensc-tool", "--reader", "1", "-s", "0084000008"]
    hung.start()
    expect("SW1=0x90" in lab.tool(*other).stdout, "the neighbour does not answer")
    lab.cards.tell("card", "1", "unplug")
    lab.cards.tell("card", "1", "heal")
    hung.join(60)
    expect(not hung.is_alive(), "the hung program did not end")
    wait_until("the card to be in", lambda: readers_in(lab) == CARDS)


def claim_a_killed_pcscd_starts_again_with_all_cards(lab):
    needs_cards(lab)
    lab.pcscd.process.kill()
    lab.pcscd.start()
    wait_until("the cards", lambda: readers_in(lab) == CARDS)
    expect("SW1=0x90" in lab.tool("opensc-tool", "--reader", "1", "-s", "0084000008").stdout, "no answer")


def claim_faults_of_a_card_are_seen_by_the_tools(lab):
    needs_cards(lab)
    challenge = ["opensc-tool", "--reader", "0", "-s", "0084000008"]
    lab.cards.tell("card", "1", "sw", "6f00", "50")
    expect("SW1=0x6F" in lab.tool(*challenge, check=False).stdout, "the status word is another")
    lab.cards.tell("card", "1", "heal")
    expect("SW1=0x90" in lab.tool(*challenge).stdout, "the card was not healed")
    lab.cards.tell("card", "1", "uses", "2", "1")
    lab.sign(1, "11", "ECDSA-SHA256", "--signature-format", "openssl")
    lab.verify("11")
    again = lab.pkcs11(1, "--sign", "--id", "11", "-m", "ECDSA-SHA256", "-i", lab.path("message"),
                       "-o", lab.path("none"), check=False)
    expect(again.returncode != 0, "the key signs although it is used up")
    expect("faults" in lab.cards.tell("status"), "no status")


def claim_cards_survive_a_killed_program(lab):
    needs_cards(lab)
    lab.cards.process.kill()
    wait_until("empty readers", lambda: readers_in(lab) == 0)
    lab.cards.start()
    wait_until("the cards", lambda: readers_in(lab) == CARDS)
    lab.public_key(1, "10")
    lab.sign(1, "10", "SHA256-RSA-PKCS")
    lab.verify("10")


if __name__ == "__main__":
    run(globals(), Cards("vhsm"))
