#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tokens without a key server, and with one: DKEK shares, keys made, cloned, kept in files and brought from software, in turns with
OpenSC's stock tools, on virtual SmartCard-HSMs behind stock pcscd."""
import glob
import hashlib
import json
import os
import pty
import re
import subprocess

from scenario import expect, run, skip
from hsm import Pcscd, VirtualCards, missing
from lab import BIN, KeyServer, Lab, wait_until

MODULE = next(iter(glob.glob("/usr/lib/*/opensc-pkcs11.so")), None)
SOFTHSM = next(iter(glob.glob("/usr/lib/softhsm/libsofthsm2.so") + glob.glob("/usr/lib/*/softhsm/libsofthsm2.so")), None)
PIN, SO_PIN, PASSWORD = "648219", "3537363231383830", "123456789"
CARDS = 3
# A share that sc-hsm-tool made, its content, and the check value of a DKEK of this share alone.
SHARE_FILE = bytes.fromhex("53616c7465645f5fa250a2f30e056b5afb1cfdebbf3d0b4c631b8745080826665f2a67571c9ffe9f"
                           "5f7d129ab7541ff537c527687424aec5cc3ad82397dab9b3")
SHARE = bytes.fromhex("833a24479d417fbee5e6405aac9e36fc0dce611626297509d8eb5e7bdf3d8217")
CHECK_VALUE = "29E586BE25F0EC54"
FEW = 1000


def quick_share(lab):
    """The same share in a file that opens sooner: as sc-hsm-tool would make it with fewer iterations."""
    salt, digest, key = b"saltsalt", b"", b""
    while len(key) < 48:
        digest += PASSWORD.encode() + salt
        for _ in range(FEW):
            digest = hashlib.md5(digest).digest()
        key += digest
    sealed = subprocess.run(["openssl", "enc", "-aes-256-cbc", "-K", key[:32].hex(), "-iv", key[32:].hex()],
                            input=SHARE, capture_output=True, check=True).stdout
    with open(lab.path("quick.pbe"), "wb") as f:
        f.write(b"Salted__" + salt + sealed)


class Bench(Lab):
    """Blank cards, a pcscd of our own, and no key server anywhere."""

    def __enter__(self):
        super().__enter__()
        self.why_not = missing("sc-hsm-tool", "pkcs11-tool", "openssl")
        if not MODULE:
            self.why_not = "opensc-pkcs11.so is not installed"
        if not self.why_not:
            self.cards = VirtualCards(self, CARDS)
            self.pcscd = Pcscd(self, self.cards)
            self.environment = {**self.pcscd.environment, "OPENSC_CONF": self.write(
                "opensc.conf", "app default { }\napp opensc-pkcs11 { pkcs11 {\n"
                "\tmax_virtual_slots = 64; slots_per_card = 1; } }\n")}
            for name, text in (("pin", PIN), ("so-pin", SO_PIN), ("password", PASSWORD)):
                self.secret(name, text)
            with open(self.path("share.pbe"), "wb") as f:
                f.write(SHARE_FILE)
            quick_share(self)
            self.quick = ["--iterations", str(FEW), "--password-file", self.path("password")]
        return self

    def secret(self, name, text):
        path = self.write(name, text + "\n")
        os.chmod(path, 0o600)
        return path

    def tool(self, *argv, check=True, stdin=None):
        return self.run(list(argv), check=check, env=self.environment, stdin=stdin)

    def local(self, *argv, check=True, stdin=None):
        return self.tool(os.path.join(BIN, "keyfleet"), *argv, "--local", "--pin-file", self.path("pin"),
                         check=check, stdin=stdin)

    def rows(self, *argv):
        return json.loads(self.local(*argv, "--json").stdout)

    def init(self, card, *more, check=True):
        return self.local("token", "init", self.serials[card - 1], "--so-pin-file", self.path("so-pin"),
                             "--label", f"hsm{card}", *more, check=check)

    def hsm(self, card, *argv, check=True, stdin=None):
        return self.tool("sc-hsm-tool", "--reader", self.pcscd.reader(card), *argv, check=check, stdin=stdin).stdout

    def pkcs11(self, card, *argv, check=True):
        return self.tool("pkcs11-tool", "--module", MODULE, "--token-label", f"hsm{card}", "--login", "--pin", PIN,
                         *argv, check=check)

    def id_of(self, card, label):
        text = self.pkcs11(card, "--list-objects", "--type", "privkey").stdout
        return re.search(rf"label:\s+{label}\n\s+ID:\s+(\w+)", text)[1]

    def sign_and_verify(self, card, label, public):
        """By a stock program with the key of this label; by openssl with a public key that we know."""
        self.write("message", "hello keyfleet")
        self.pkcs11(card, "--sign", "--id", self.id_of(card, label), "-m", "ECDSA-SHA256", "--signature-format", "openssl",
                    "-i", self.path("message"), "-o", self.path("signature"))
        self.run(["openssl", "dgst", "-sha256", "-verify", public, "-signature", self.path("signature"),
                  self.path("message")])

    def drift(self):
        result = self.local("dkek", "status", "--drift", "--json", check=False)
        return json.loads(result.stdout)


def needs_cards(lab):
    if lab.why_not:
        skip(lab.why_not)


def claim_blank_tokens_are_listed_by_serial_number(lab):
    needs_cards(lab)
    rows = wait_until("the cards", lambda: (r := lab.rows("token", "list")) and len(r) == CARDS and r)
    expect(all(r["state"] == "blank" for r in rows), str(rows))
    rows.sort(key=lambda r: r["place"])
    lab.serials = [r["serial"] for r in rows]
    expect(len(set(lab.serials)) == CARDS, str(rows))


def claim_tokens_are_initialised_once(lab):
    needs_cards(lab)
    for card in range(1, CARDS + 1):
        lab.init(card)
    said = lab.init(1).stderr
    expect("initialised already" in said and "--force" in said, said)
    rows = lab.rows("token", "list")
    expect({r["label"] for r in rows} == {"hsm1", "hsm2", "hsm3"}, str(rows))


def claim_a_new_pin_costs_no_other_token_a_try(lab):
    needs_cards(lab)
    lab.secret("pin", "135791")
    lab.init(3, "--force")
    lab.secret("pin", PIN)
    lab.init(3, "--force")
    rows = json.loads(lab.tool(os.path.join(BIN, "keyfleet"), "token", "list", "--local", "--json").stdout)
    expect({r["pin_tries"] for r in rows} == {"3"}, str(rows))
    result = lab.init(3, "--force", "--pin-tries", "many", check=False)
    expect(result.returncode != 0 and "1 to 10" in result.stderr, result.stderr)


def claim_a_wrong_so_pin_erases_nothing_and_is_told(lab):
    needs_cards(lab)
    lab.secret("so-pin", "0000000000000000")
    result = lab.init(1, "--force", check=False)
    lab.secret("so-pin", SO_PIN)
    expect(result.returncode == 1 and "SO-PIN is wrong" in result.stderr, result.stderr)
    expect("hsm1" in {r["label"] for r in lab.rows("token", "list")}, "the token lost its label")


def claim_a_wrong_password_is_told_as_such(lab):
    needs_cards(lab)
    lab.secret("wrong", "not this one")
    result = lab.local("dkek", "import", lab.path("quick.pbe"), "--all", "--iterations", str(FEW),
                          "--password-file", lab.path("wrong"), check=False)
    expect(result.returncode == 1 and "password of the share is wrong" in result.stderr, result.stderr)


def claim_a_share_of_sc_hsm_tool_is_given_to_all_tokens_and_its_password_worked_out_once(lab):
    needs_cards(lab)
    share = ["dkek", "import", lab.path("share.pbe"), "--password-file", lab.path("password")]
    rows = lab.rows(*share, "--to", "hsm1", "hsm2")
    expect([r["result"] for r in rows] == ["done", "done"], str(rows))
    for row in lab.rows("dkek", "status"):
        want = CHECK_VALUE if row["label"] in ("hsm1", "hsm2") else "-"
        expect(row["check_value"] == want, str(row))
    expect(CHECK_VALUE in lab.hsm(1), "sc-hsm-tool sees another DKEK")


def claim_a_share_of_ours_is_read_by_sc_hsm_tool(lab):
    """It asks for a password as it derives; the third card gets a DKEK of its own this way."""
    needs_cards(lab)
    lab.tool(os.path.join(BIN, "keyfleet"), "dkek", "create", lab.path("ours.pbe"), "--password-file",
             lab.path("password"))
    said = lab.hsm(3, "--import-dkek-share", lab.path("ours.pbe"), "--password", PASSWORD)
    expect("DKEK share imported" in said, said)
    expect(any("another DKEK" in r["drift"] for r in lab.drift()), str(lab.drift()))


def claim_a_key_is_made_on_one_token_and_cloned(lab):
    needs_cards(lab)
    lab.local("key", "create", "www", "--type", "ec:P-256", "--on", "hsm1", "--copies", "2")
    result = lab.local("key", "create", "www", "--copies", "2", check=False)
    expect(result.returncode == 1 and "already" in result.stderr, "a second key got the same label: " + result.stderr)
    rows = lab.rows("key", "clone", "www", "--to", "hsm1", "hsm2")
    expect([r["result"] for r in rows] == ["was so", "was so"], str(rows))
    result = lab.local("key", "clone", "www", "--to", "hsm3", check=False)
    expect(result.returncode == 1 and "another DKEK" in result.stdout, result.stdout + result.stderr)


def claim_drift_is_told_until_all_tokens_are_alike(lab):
    needs_cards(lab)
    said = lab.drift()
    expect(any(r["token"] == lab.serials[2] and r["key"] == "www" for r in said), str(said))
    lab.init(3, "--force")
    lab.local("dkek", "import", lab.path("quick.pbe"), "--to", "hsm3", *lab.quick)
    rows = lab.rows("key", "clone", "www", "--all")
    expect(sorted(r["result"] for r in rows) == ["done", "was so", "was so"], str(rows))
    expect(lab.drift() == [], str(lab.drift()))


def read_public(lab, card, label):
    lab.pkcs11(card, "--read-object", "--type", "pubkey", "--id", lab.id_of(card, label), "-o", lab.path("public.der"))
    lab.run(["openssl", "pkey", "-pubin", "-inform", "DER", "-in", lab.path("public.der"),
             "-out", lab.path(f"{label}.pub")])
    return lab.path(f"{label}.pub")


def claim_stock_programs_sign_with_copies(lab):
    needs_cards(lab)
    public = read_public(lab, 1, "www")
    for card in (2, 3):
        lab.sign_and_verify(card, "www", public)


def references(lab, card):
    """Key references that a card's tools show, by label."""
    text = lab.tool("pkcs15-tool", "--reader", lab.pcscd.reader(card), "--list-keys").stdout
    return {m[1]: m[2] for m in re.finditer(r"\[(.*?)\].*?Key ref\s*:\s*(\d+)", text, re.S)}


def claim_key_files_go_both_ways(lab):
    needs_cards(lab)
    public = read_public(lab, 1, "www")
    lab.local("key", "backup", "www", "--out", lab.path("ours.key"))
    lab.hsm(1, "--wrap-key", lab.path("theirs.key"), "--key-reference", references(lab, 1)["www"], "--pin", PIN)
    for name, take_in in (("ours", "theirs"), ("theirs", "ours")):
        lab.local("key", "erase", "www", "--from", "hsm3")
        if take_in == "theirs":
            said = lab.hsm(3, "--unwrap-key", lab.path("ours.key"), "--key-reference", "9", "--pin", PIN)
            expect("successfully imported" in said, said)
        else:
            lab.local("key", "restore", lab.path("theirs.key"), "--to", "hsm3")
        lab.sign_and_verify(3, "www", public)


def claim_a_file_that_is_cut_or_changed_is_refused(lab):
    needs_cards(lab)
    with open(lab.path("ours.key"), "rb") as f:
        good = f.read()
    lab.local("key", "erase", "www", "--from", "hsm3")
    for bad in (good[:-1], good[:200], good[:100] + bytes([good[100] ^ 1]) + good[101:]):
        with open(lab.path("bad.key"), "wb") as f:
            f.write(bad)
        result = lab.local("key", "restore", lab.path("bad.key"), "--to", "hsm3", check=False)
        expect(result.returncode == 1, result.stdout + result.stderr)
    rows = lab.rows("key", "clone", "www", "--all")
    expect(sorted(r["result"] for r in rows) == ["done", "was so", "was so"], str(rows))


def claim_the_last_copy_is_not_deleted_by_mistake(lab):
    needs_cards(lab)
    result = lab.local("key", "erase", "www", "--from", "hsm1", "hsm2", "hsm3", check=False)
    expect(result.returncode == 1 and "last copies" in result.stderr, result.stderr)


def claim_keys_of_pem_and_pkcs12_files_sign_on_tokens(lab):
    needs_cards(lab)
    lab.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1", "-nodes",
             "-subj", "/CN=shop", "-keyout", lab.path("shop.pem"), "-out", lab.path("shop.crt")])
    os.chmod(lab.path("shop.pem"), 0o600)
    lab.run(["openssl", "pkcs12", "-export", "-inkey", lab.path("shop.pem"), "-in", lab.path("shop.crt"),
             "-out", lab.path("shop.p12"), "-passout", "pass:" + PASSWORD])
    os.chmod(lab.path("shop.p12"), 0o600)
    share = ["--share", lab.path("quick.pbe"), *lab.quick]
    lab.local("key", "import", "shop", "--p12", lab.path("shop.p12"), "--passphrase-file", lab.path("password"),
                 *share, "--copies", "2")
    public = lab.path("shop.pub")
    lab.run(["openssl", "pkey", "-in", lab.path("shop.pem"), "-pubout", "-out", public])
    rows = lab.rows("key", "clone", "shop", "--all")
    expect(sorted(r["result"] for r in rows) == ["done", "was so", "was so"], str(rows))
    for card in (1, 2, 3):
        lab.sign_and_verify(card, "shop", public)
    lab.run(["openssl", "req", "-new", "-key", lab.path("shop.pem"), "-subj", "/CN=shop", "-out", lab.path("shop.csr")])
    rows = lab.rows("key", "certificate", "shop", lab.path("shop.csr"))
    expect([r["result"] for r in rows] == ["done"] * 3, str(rows))
    rows = lab.rows("key", "certificate", "shop", lab.path("shop.crt"))
    expect([r["result"] for r in rows] == ["was so"] * 3, str(rows))
    result = lab.local("key", "certificate", "www", lab.path("shop.crt"), check=False)
    expect(result.returncode == 1 and "another key" in result.stdout, result.stdout + result.stderr)
    text = lab.pkcs11(3, "--list-objects", "--type", "data").stdout
    expect("certificate request" in text, "its request is not on the token: " + text)
    text = lab.pkcs11(3, "--list-objects", "--type", "cert").stdout
    expect("shop" in text, "its certificate did not come along: " + text)


def claim_a_password_in_parts_opens_a_share_with_both_tools(lab):
    needs_cards(lab)
    said = lab.tool(os.path.join(BIN, "keyfleet"), "dkek", "create", lab.path("parts.pbe"), "--split", "2/3",
                    "--iterations", "1000").stdout
    prime = re.search(r"Prime\s*: (\S+)", said)[1]
    parts = re.findall(r"Share ID\s*: (\S+)\nShare value : (\S+)", said)
    expect(len(parts) == 3, said)
    for chosen in ((0, 1), (2, 0)):
        lines = "\n".join([prime, *(line for i in chosen for line in parts[i])]) + "\n"
        result = lab.local("dkek", "import", lab.path("parts.pbe"), "--to", "hsm1", "--parts", "2",
                              "--iterations", "1000", check=False, stdin=lines)
        expect("another DKEK" in result.stdout, result.stdout + result.stderr)
    wrong = "\n".join([prime, parts[0][0], parts[1][1], *parts[2]]) + "\n"
    result = lab.local("dkek", "import", lab.path("parts.pbe"), "--to", "hsm1", "--parts", "2", "--iterations", "1000",
                          check=False, stdin=wrong)
    expect("password of the share is wrong" in result.stderr, result.stdout + result.stderr)
    value = parts[0][1]  # typed where its number belongs
    result = lab.local("dkek", "import", lab.path("parts.pbe"), "--to", "hsm1", "--parts", "2", check=False,
                       stdin=f"{prime}\n{value}\n")
    expect("from 1 to 255" in result.stderr and value not in result.stderr, result.stdout + result.stderr)
    lab.tool("sh", "-c", f"{BIN}/keyfleet dkek create {lab.path('lost.pbe')} --split 2/3 --iterations 1000 >/dev/full",
             check=False)
    expect(not os.path.exists(lab.path("lost.pbe")), "a share that nobody can open")


def claim_parts_of_a_password_are_shown_to_one_person_after_the_other(lab):
    ours, theirs = pty.openpty()
    child = subprocess.Popen([os.path.join(BIN, "keyfleet"), "dkek", "create", lab.path("shown.pbe"), "--split", "2/3", "--iterations",
                              "1000"], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    for number in (b"1", b"2", b"3"):
        seen = b""
        while b"press Enter" not in seen:
            seen += os.read(ours, 4096)
        expect(seen.count(b"Share value") == 1 and b"Part " + number in seen, repr(seen))
        expect(number == b"1" or b"\033[2J" in seen, "the screen was not cleared: " + repr(seen))
        expect(not os.path.exists(lab.path("shown.pbe")), "a share before everybody has his part")
        os.write(ours, b"\n")
    expect(child.wait(30) == 0 and os.path.exists(lab.path("shown.pbe")), "no share")
    os.close(ours)


def claim_tokens_behind_pkcs11_are_provisioned_alike(lab):
    """Their keys travel under an AES wrapping key, which is imported as the sum of the shares."""
    if not SOFTHSM:
        skip("SoftHSM2 is not installed")
    if lab.why_not:
        skip(lab.why_not)
    os.makedirs(lab.path("tokens"), exist_ok=True)
    lab.environment["SOFTHSM2_CONF"] = lab.write("softhsm2.conf", f"directories.tokendir = {lab.path('tokens')}\n")

    def keyfleet(*argv, check=True):
        return lab.local(*argv, "--module", SOFTHSM, check=check)
    for label in ("soft1", "soft2"):
        blank = next(r["serial"] for r in json.loads(keyfleet("token", "list", "--json").stdout) if r["state"] == "blank")
        keyfleet("token", "init", blank, "--label", label, "--so-pin-file", lab.path("so-pin"))
    result = keyfleet("key", "create", "p11", "--copies", "2", check=False)
    expect(result.returncode == 1 and "no token" in result.stderr, result.stdout + result.stderr)
    keyfleet("dkek", "import", lab.path("quick.pbe"), *lab.quick, "--all")
    said = json.loads(keyfleet("dkek", "import", lab.path("quick.pbe"), *lab.quick, "--all", "--json").stdout)
    expect([r["result"] for r in said] == ["was so", "was so"], str(said))
    keyfleet("key", "create", "p11", "--type", "rsa:2048", "--copies", "2")
    keyfleet("key", "backup", "p11", "--out", lab.path("p11.key"))
    keyfleet("key", "erase", "p11", "--from", "soft1")
    keyfleet("key", "restore", lab.path("p11.key"), "--to", "soft1")
    said = json.loads(keyfleet("dkek", "status", "--drift", "--json").stdout)
    expect([r["drift"] for r in said] == ["is not initialised"], str(said))
    result = lab.local("key", "restore", lab.path("p11.key"), "--to", "hsm1", check=False)
    expect(result.returncode == 1 and "wrapped like this" in result.stdout, result.stdout + result.stderr)


def claim_a_key_server_has_the_same_commands(lab):
    needs_cards(lab)
    lab.server = KeyServer(lab, "keys")
    lab.server.process.stop()
    with open(os.path.join(lab.server.dir, "keyfleetd.conf"), "a") as f:
        f.write(f"\n[pool main]\npin = {lab.path('pin')}\nsocket = {lab.pcscd.socket}\n")
    lab.server.start()
    ask = lab.server.keyfleet_json
    wait_until("the tokens to serve", lambda: [t["state"] for t in ask("token", "list")] == ["serving"] * CARDS)
    lab.server.keyfleet("token", "drain", "hsm1")
    expect({t["label"]: t["state"] for t in ask("token", "list")}["hsm1"] == "drained", "hsm1 still serves")
    lab.server.keyfleet("token", "resume", "hsm1")
    lab.server.keyfleet("token", "identify", "hsm1")
    said = lab.server.keyfleet("token", "init", "hsm1", "--so-pin-file", lab.path("so-pin"), "--pin-file",
                               lab.path("pin")).stderr
    expect("initialised already" in said, said)
    said = ask("dkek", "import", lab.path("quick.pbe"), *lab.quick, "--all")
    expect([r["result"] for r in said] == ["was so"] * CARDS, str(said))
    lab.cards.tell("card", "3", "unplug")
    wait_until("the third to be gone", lambda: "gone" in {t["state"] for t in ask("token", "list")})
    said = ask("dkek", "import", lab.path("quick.pbe"), *lab.quick, "--all")
    expect([r["result"] for r in said] == ["was so"] * (CARDS - 1), str(said))
    lab.cards.tell("card", "3", "replug")
    wait_until("the third to serve", lambda: {t["state"] for t in ask("token", "list")} == {"serving"})
    info = {r["name"]: r["value"] for r in ask("token", "info", "hsm2")}
    expect(info["DKEK"] == CHECK_VALUE and info["pool"] == "main", str(info))


def claim_keys_on_tokens_of_a_key_server_are_made_cloned_kept_and_brought(lab):
    needs_cards(lab)
    ask, keyfleet = lab.server.keyfleet_json, lab.server.keyfleet
    keyfleet("key", "create", "web", "--pool", "main", "--type", "ec:P-256", "--copies", "2")
    said = ask("key", "clone", "web", "--all")
    expect(sorted(r["result"] for r in said) == ["done", "was so", "was so"], str(said))
    keyfleet("key", "backup", "web", "--out", lab.path("web.key"))
    said = ask("key", "erase", "web", "--from", "hsm1")
    expect([r["result"] for r in said] == ["done"], str(said))
    keyfleet("key", "clone", "web", "--to", "hsm1")
    keyfleet("key", "import", "shop", "--p12", lab.path("shop.p12"), "--passphrase-file", lab.path("password"),
             "--share", lab.path("quick.pbe"), *lab.quick, "--pool", "main")
    keyfleet("key", "restore", lab.path("ours.key"), "--all", "--pool", "main")
    states = {k["name"]: k["state"] for k in ask("key", "list")}
    expect(states == {"web": "Active", "shop": "Active", "www": "Active"}, str(states))
    expect(ask("dkek", "status", "--drift") == [], "there is drift")
    for key in ("web", "shop", "www"):
        request = lab.write(key + ".csr", keyfleet("key", "csr", key, "--subject", "CN=localhost").stdout)
        lab.run(["openssl", "req", "-verify", "-noout", "-in", request])


def claim_a_key_server_keeps_the_last_copy_and_says_how_it_goes(lab):
    needs_cards(lab)
    result = lab.server.keyfleet("key", "erase", "web", "--from", "hsm1", "hsm2", "hsm3", check=False)
    expect(result.returncode == 1 and "last copies" in result.stderr and "--force" not in result.stderr, result.stderr)
    result = lab.server.keyfleet("key", "erase", "web", "--from", "hsm1", "--force", check=False)
    expect(result.returncode != 0 and "--local" in result.stderr, result.stderr)


def claim_a_key_that_lacks_a_copy_is_told_to_be_inactive(lab):
    """The third card has another DKEK: no copy gets there."""
    needs_cards(lab)
    keyfleet, ask = lab.server.keyfleet, lab.server.keyfleet_json
    erase = ["token", "init", "hsm3", "--force", "--label", "hsm3", "--so-pin-file", lab.path("so-pin"), "--pin-file", lab.path("pin")]
    lab.tool(os.path.join(BIN, "keyfleet"), "dkek", "create", lab.path("second.pbe"), *lab.quick)
    keyfleet(*erase)
    keyfleet("dkek", "import", lab.path("second.pbe"), *lab.quick, "--to", "hsm3")
    result = keyfleet("key", "create", "odd", "--pool", "main", check=False)
    expect(result.returncode == 1 and "not active" in result.stdout, result.stdout + result.stderr)
    result = keyfleet("key", "activate", "odd", check=False)
    expect(result.returncode == 1, "it is active with a copy too few")
    keyfleet(*erase)
    result = keyfleet("dkek", "import", lab.path("quick.pbe"), lab.path("second.pbe"), *lab.quick, "--password-file", lab.path("password"),
                      "--to", "hsm3", check=False)
    expect(result.returncode == 1, "two shares for a card of one")
    keyfleet("dkek", "import", lab.path("quick.pbe"), *lab.quick, "--to", "hsm3")
    for key in ("web", "shop", "www", "odd"):
        keyfleet("key", "clone", key, "--all")
    wait_until("the new copy to be proved", lambda: keyfleet("key", "activate", "odd", check=False).returncode == 0)


def claim_a_key_that_belongs_to_no_object_is_told_and_adopted(lab):
    needs_cards(lab)
    keyfleet, ask = lab.server.keyfleet, lab.server.keyfleet_json
    keyfleet("key", "revoke", "web")
    told = keyfleet("key", "destroy", "--yes", "web").stderr
    expect("deleted from the tokens" in told, told)
    lab.server.process.stop()
    lab.local("key", "create", "web", "--type", "ec:P-256")
    lab.server.start()
    wait_until("the tokens to serve", lambda: [t["state"] for t in ask("token", "list")] == ["serving"] * CARDS)
    said = [r for r in json.loads(keyfleet("--json", "dkek", "status", "--drift", check=False).stdout) if r["key"] == "web"]
    expect(said and "key adopt" in said[0]["drift"], str(said))
    expect(keyfleet("key", "adopt", "www", check=False).returncode == 1, "a key that has an object got another")
    keyfleet("key", "adopt", "web", "--copies", "3")
    expect({k["name"]: k["state"] for k in ask("key", "list")}["web"] == "Active", "it is not used")
    lab.write("web.csr", keyfleet("key", "csr", "web", "--subject", "CN=localhost").stdout)
    lab.run(["openssl", "req", "-verify", "-noout", "-in", lab.path("web.csr")])


def claim_tokens_without_shares_get_their_sum_from_a_key_server_too(lab):
    needs_cards(lab)
    if not SOFTHSM:
        skip("SoftHSM2 is not installed")

    def local(*argv):
        return json.loads(lab.local(*argv, "--module", SOFTHSM, "--json").stdout)
    blank = next(r["serial"] for r in local("token", "list") if r["state"] == "blank")
    lab.local("token", "init", blank, "--label", "soft3", "--so-pin-file", lab.path("so-pin"), "--module", SOFTHSM)
    lab.server.process.stop()
    with open(os.path.join(lab.server.dir, "keyfleetd.conf"), "a") as f:
        f.write(f"\n[pool soft]\ndriver = pkcs11\nmodule = {SOFTHSM}\npin = {lab.path('pin')}\ntokens = soft3\n")
    lab.server.start(env={"SOFTHSM2_CONF": lab.environment["SOFTHSM2_CONF"]})
    shares = [lab.path("quick.pbe"), lab.path("second.pbe"), *lab.quick, "--password-file", lab.path("password")]
    ask = lab.server.keyfleet_json
    wait_until("soft3", lambda: any(t["label"] == "soft3" and t["state"] == "serving" for t in ask("token", "list")))
    result = lab.server.keyfleet("dkek", "import", *shares, "--all", check=False)
    expect(result.returncode != 0 and "--pool" in result.stderr, result.stderr)
    for _ in range(2):
        said = ask("dkek", "import", *shares, "--all", "--pool", "soft")
        expect([r["result"] for r in said] == ["done"], str(said))
    lab.server.process.stop()
    said = local("dkek", "import", *shares, "--to", "soft3")
    expect([r["result"] for r in said] == ["was so"], "another wrapping key than by --local: " + str(said))


if __name__ == "__main__":
    run(globals(), Bench("provision"))
