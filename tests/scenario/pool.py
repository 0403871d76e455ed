#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keys on tokens, as web servers use them: virtual SmartCard-HSMs behind pcscd, key servers, an agent, nginx."""
import glob
import json
import os
import re
import shutil
import subprocess
import time
import urllib.request

from scenario import expect, run, skip
from token_wire import BACKUP, CHANGE_PIN, CLONE, DELETE, DRAIN, IMPORT_SHARE, RESUME, Admin, Refused
from cards import PIN, Cards
from lab import Agent, Key, KeyServer, Load, Nginx, fetch, free_port, handshake, wait_until
from message import FAILED, UNDO, batch, destroy, no_such, statuses, uid
from ttlv import Wire, find, octets, reason

NOT_SUPPORTED = 0x08
SHARE = bytes(range(32))


class Tokens(Cards):
    """Three cards in the pool `main` of one key server."""

    def set_up(self):
        self.pg = self.postgresql()
        self.health = free_port()
        self.insert(3, store="postgresql:" + self.pg.conninfo,
                    options={("health", "listen"): f"127.0.0.1:{self.health}"})

    def state(self, number):
        """Of the card in this reader, from 1."""
        return self.admin.tokens()[self.serials[number - 1]]["state"]

    def to_be(self, number, state):
        wait_until(f"card {number} to be {state}", lambda: self.state(number) == state)

    def serving(self, key, n):
        wait_until(f"{n} tokens to serve {key}", lambda: self.admin.keys().get(key, {}).get("serving") == str(n))

    def audit(self):
        return "".join(open(f, errors="replace").read() for f in sorted(
            glob.glob(os.path.join(self.server.dir, "audit", "*.log")))).replace("\0", "")


def needs_cards(lab):
    if lab.why_not:
        skip(lab.why_not)


def refused(what, ask):
    """The reason."""
    try:
        ask()
    except Refused as why:
        return why.args[0]
    raise AssertionError(what)


def claim_cards_are_listed_initialised_and_given_a_share(lab):
    needs_cards(lab)
    tokens = lab.admin.tokens()
    expect(len(tokens) == 3 and all(t["state"] == "blank" and t["pool"] == "main" for t in tokens.values()), tokens)
    lab.serials = sorted(tokens, key=lambda s: tokens[s]["place"])
    for number, serial in enumerate(lab.serials, 1):
        lab.admin.init(serial, f"card {number}")
        told = lab.admin.act(IMPORT_SHARE, serial, octets(0x54002C, SHARE))
        expect(told["shares-missing"] == "0" and told["wrapping"] == "dkek", told)
    kcvs = {t["kcv"] for t in lab.admin.tokens().values()}
    expect(len(kcvs) == 1, kcvs)
    refused("a card that is in use was erased", lambda: lab.admin.init(lab.serials[0], "again"))


def claim_a_key_is_made_on_one_card_and_copied_to_others_once(lab):
    needs_cards(lab)
    request_id = os.urandom(16)
    lab.key_id = lab.admin.create("main", "www", copies=2, request_id=request_id)
    row = lab.admin.keys()["www"]
    expect(row["object"] == lab.key_id and len(row["holders"].split()) == 2, row)
    expect(lab.admin.create("main", "www", copies=2, request_id=request_id) == lab.key_id, "a repetition made another")
    expect(len(lab.admin.keys()) == 1, "a repetition made a key on a card")
    lab.admin.transfer(CLONE, lab.key_id)
    lab.serving("www", 3)
    why = refused("the key was given out", lambda: lab.admin.get(lab.key_id))
    expect(why == 0x16, hex(why))  # Sensitive
    refused("a key was said to be on tokens", lambda: lab.admin.register_token_key("forged"))
    refused("a key was made in a pool that is not there", lambda: lab.admin.create("other", "none"))
    log = lab.audit()
    for what in ('operation="Token Action"', "mechanism=init", "mechanism=import-share", 'operation="Create Key Pair"'):
        expect("phase=allowed" in next(x for x in log.splitlines() if what in x), what)
    expect(re.search(rf"mechanism=init .*token={lab.serials[0]}", log), "the token's initialisation is not on record")


def claim_fewer_copies_than_wanted_are_not_used(lab):
    needs_cards(lab)
    for serial in lab.serials[1:]:
        lab.admin.act(DRAIN, serial)
    lab.cards.tell("card", "3", "unplug")
    lab.to_be(3, "gone")
    key = lab.admin.create("main", "few", copies=3)
    expect("Pre-Active" in lab.server.keyfleet("key", "show", key).stdout, "it is used")
    failed = lab.server.keyfleet("key", "activate", key, check=False)
    expect(failed.returncode != 0, "it was activated")
    lab.cards.tell("card", "3", "replug")
    for serial in lab.serials[1:]:
        lab.admin.act(RESUME, serial)
    for number in (1, 2, 3):
        lab.to_be(number, "serving")
    lab.admin.transfer(CLONE, key)
    lab.serving("few", 3)
    lab.server.keyfleet("key", "activate", key)


def claim_as_many_copies_as_a_key_was_brought_for_are_waited_for(lab):
    needs_cards(lab)
    file = find(lab.admin.transfer(BACKUP, lab.admin.keys()["few"]["object"]), 0x54002F)
    lab.cards.tell("card", "3", "unplug")
    lab.to_be(3, "gone")
    key = lab.admin.adopt("main", "brought", blob=file, copies=3)
    failed = lab.server.keyfleet("key", "activate", key, check=False)
    expect(failed.returncode != 0, "it was activated with two copies")
    lab.cards.tell("card", "3", "replug")
    lab.to_be(3, "serving")
    lab.serving("few", 3)
    lab.server.keyfleet("key", "activate", key)
    lab.server.keyfleet("key", "revoke", key)
    lab.server.keyfleet("key", "destroy", "--yes", key)


def claim_a_backup_brings_a_key_back_to_cards_that_lost_it(lab):
    needs_cards(lab)
    other = lab.admin.create("main", "kept", copies=3)
    row = lab.admin.keys()["kept"]
    file = find(lab.admin.transfer(BACKUP, other), 0x54002F)
    expect(file and len(file) > 100, "no key file")
    lab.admin.transfer(DELETE, other, lab.serials[1], lab.serials[2])
    lab.serving("kept", 1)
    log = [line for line in lab.audit().splitlines() if "mechanism=delete" in line and "phase=allowed" in line]
    expect(log and all(s in log[-1] for s in lab.serials[1:3]), "from which cards is not on record")
    refused("the last copy was deleted", lambda: lab.admin.transfer(DELETE, other, lab.serials[0]))
    lab.admin.transfer(CLONE, other, lab.serials[1])
    lab.serving("kept", 2)
    lab.server.keyfleet("key", "revoke", other)
    told = lab.server.keyfleet("key", "destroy", "--yes", other).stderr
    expect("deleted from the tokens" in told and "kept" not in lab.admin.keys(), told)
    refused("a destroyed key was adopted", lambda: lab.admin.adopt("main", "again", key_id=row["id"]))
    lab.admin.adopt("main", "from-file", blob=file)
    lab.serving("kept", 3)
    signed = lab.server.keyfleet("key", "ref", "from-file")
    expect("KEYFLEET KEY REFERENCE" in signed.stdout, signed)


def claim_a_batch_that_may_be_undone_destroys_no_key_on_cards(lab):
    needs_cards(lab)
    key = lab.admin.create("main", "lasting", copies=3)
    lab.serving("lasting", 3)
    lab.server.keyfleet("key", "revoke", key)
    with Wire(*lab.admin.where) as w:
        answer = w.ask(batch(destroy(uid(key)), no_such(), option=UNDO))
    expect(statuses(answer) == [FAILED] and reason(answer) == NOT_SUPPORTED, answer)
    expect(lab.admin.keys()["lasting"]["serving"] == "3", lab.admin.keys())
    lab.server.keyfleet("key", "destroy", "--yes", key)
    expect("lasting" not in lab.admin.keys(), lab.admin.keys())


def claim_a_destroyed_key_is_deleted_from_cards_that_come_later(lab):
    needs_cards(lab)
    key = lab.admin.create("main", "doomed", copies=3)
    lab.serving("doomed", 3)
    lab.cards.tell("card", "3", "unplug")
    lab.to_be(3, "gone")
    lab.server.keyfleet("key", "revoke", key)
    lab.server.keyfleet("key", "destroy", "--yes", key)
    expect("doomed" not in lab.admin.keys(), "cards that are here hold it")
    lab.server.process.stop()
    lab.cards.tell("card", "3", "replug")
    lab.server.start()
    wait_until("the third card to lose it", lambda: lab.state(3) == "serving" and "doomed" not in lab.admin.keys())
    wait_until("the log to tell of it", lambda: f"serial={lab.serials[2]}" in "".join(
        line for line in lab.server.process.tail(1000).splitlines() if "destroyed key was deleted" in line))
    expect(lab.admin.keys()["www"]["serving"] == "3", lab.admin.keys())


def claim_nginx_serves_with_it_and_the_audit_names_the_card(lab):
    needs_cards(lab)
    reference = lab.write("www.ref", lab.server.keyfleet("key", "ref", "www").stdout)
    lab.write("www.csr", lab.server.keyfleet("key", "csr", "www", "--subject", "CN=localhost").stdout)
    lab.admin.create("main", "rsa", bits=2048)
    rsa = lab.write("rsa.ref", lab.server.keyfleet("key", "ref", "rsa").stdout)
    lab.write("rsa.csr", lab.server.keyfleet("key", "csr", "rsa", "--subject", "CN=localhost").stdout)
    lab.agent = Agent(lab, "web", [lab.server])
    conf = lab.openssl_conf(lab.agent.socket)
    lab.web = Nginx(lab, "nginx", [Key(lab.certify("www.csr", "www.pem"), reference),
                                   Key(lab.certify("rsa.csr", "rsa.pem"), rsa)], conf)
    fetch(lab.web.port, lab.web_ca(), "1.3", "RSA-PSS+SHA256")
    fetch(lab.web.port, lab.web_ca(), "1.2", "RSA+SHA256")
    for _ in range(6):
        handshake(lab.web.port, lab.web_ca())
    done = [line for line in lab.audit().splitlines() if "phase=done" in line and "operation=Sign" in line]
    expect(len(done) >= 6 and all(any(f"token={s}" in line for s in lab.serials) for line in done), done)


def claim_a_card_that_is_pulled_under_load_fails_nothing(lab):
    needs_cards(lab)
    with Load(lab, lab.web.port) as load:
        load.goes_on()
        for number in (1, 2, 3):
            lab.cards.tell("card", str(number), "unplug")
            lab.to_be(number, "gone")
            load.goes_on()
            lab.cards.tell("card", str(number), "replug")
            lab.to_be(number, "serving")
        load.goes_on()
        load.fails_nothing()


def claim_a_wrong_signature_never_leaves(lab):
    needs_cards(lab)
    with Load(lab, lab.web.port) as load:
        load.goes_on()
        for number in (1, 2):
            lab.cards.tell("card", str(number), "wrong", "1")
        wait_until("a wrong signature", lambda: "wrong" in (lab.state(1), lab.state(2)))
        load.goes_on()
        load.fails_nothing()
    for number in (1, 2):
        lab.cards.tell("card", str(number), "heal")
        lab.admin.act(RESUME, lab.serials[number - 1])
        lab.to_be(number, "serving")


def claim_a_drained_card_signs_nothing(lab):
    needs_cards(lab)
    def check():
        done = lab.keyfleet("check", "server", "-p", str(lab.health), check=False)
        return done.returncode, done.stdout
    expect(check()[0] == 0 and "tokens=3" in check()[1], check())
    lab.admin.act(DRAIN, lab.serials[0])
    lab.to_be(1, "drained")
    expect(check()[0] == 1 and "2 of 3 tokens take work" in check()[1], check())
    found = json.loads(lab.keyfleet("--json", "doctor", "--server-config", os.path.join(lab.server.dir, "keyfleetd.conf"),
                                    check=False).stdout)
    found = {f["id"]: f for f in found if f["id"].startswith("pool-")}
    expect(found["pool-serving"]["state"] == "WARN" and "2 of 3 tokens" in found["pool-serving"]["what"], found)
    before = lab.admin.tokens()[lab.serials[0]]["signatures"]
    for _ in range(5):
        handshake(lab.web.port, lab.web_ca())
    expect(lab.admin.tokens()[lab.serials[0]]["signatures"] == before, "it signed")
    lab.admin.act(RESUME, lab.serials[0])
    lab.to_be(1, "serving")


def claim_without_any_card_the_error_is_quick_and_it_heals_by_itself(lab):
    needs_cards(lab)
    for number in (1, 2, 3):
        lab.cards.tell("card", str(number), "unplug")
        lab.to_be(number, "gone")
    wait_until("no hope", lambda: lab.admin.keys().get("www", {}).get("serving", "0") == "0")
    def fails_quickly():
        began = time.monotonic()
        try:
            handshake(lab.web.port, lab.web_ca())
        except OSError:
            return time.monotonic() - began < 1.0  # the agent would wait for two
        raise AssertionError("a handshake without a card")
    wait_until("a quick answer", fails_quickly)  # after a while of hope for a card that comes back
    log = [line for line in lab.audit().splitlines() if "phase=failed" in line and "operation=Sign" in line]
    expect(any("no token" in line for line in log), log[-3:])
    for number in (1, 2, 3):
        lab.cards.tell("card", str(number), "replug")
    lab.serving("www", 3)
    handshake(lab.web.port, lab.web_ca())


def claim_metrics_and_status_tell_of_every_card(lab):
    needs_cards(lab)
    status = lab.server.keyfleet("status").stdout
    expect("pool.main.serving" in status, status)
    with urllib.request.urlopen(f"http://127.0.0.1:{lab.health}/metrics") as answer:
        page = answer.read().decode()
    for serial in lab.serials:
        expect(f'keyfleet_pool_token_state{{serial="{serial}",state="serving"}} 1' in page, serial)
    signed = re.findall(r'keyfleet_pool_token_signatures_total{serial="\w+"} (\d+)', page)
    expect(len(signed) == 3 and sum(map(int, signed)) > 6, signed)
    expect('keyfleet_pool_tokens_serving{pool="main"} 3' in page, "not three")
    expect('keyfleet_token_operations_total{token="pool",algorithm="ec:P-256"}' in page, "no operations")
    if shutil.which("promtool"):
        lab.write("metrics.txt", page)
        with open(lab.path("metrics.txt")) as f:
            done = subprocess.run(["promtool", "check", "metrics"], stdin=f, capture_output=True, text=True, check=False)
        expect(done.returncode == 0, done.stdout + done.stderr)


def claim_another_key_server_takes_over_what_the_first_has_no_card_for(lab):
    needs_cards(lab)
    lab.server.process.stop()
    with open(os.path.join(lab.server.dir, "keyfleetd.conf")) as f:
        text = f.read()
    mine, others = text[:text.index("\n[pool main]")], lab.serials[1:]
    lab.write("keys/keyfleetd.conf", mine)
    lab.pool(lab.server, "main", tokens=lab.serials[0])
    lab.server.start()
    other = KeyServer(lab, "other", store="postgresql:" + lab.pg.conninfo, join=lab.server)
    other.process.stop()
    lab.pool(other, "main", tokens=", ".join(others))
    other.start()
    lab.serving("www", 1)
    agent = Agent(lab, "web2", [lab.server, other])
    web = Nginx(lab, "nginx2", lab.web.keys, lab.openssl_conf(agent.socket), workers=6)
    with Load(lab, web.port) as load:
        load.goes_on()
        lab.cards.tell("card", "1", "unplug")
        lab.to_be(1, "gone")
        load.goes_on(40)
        lab.cards.tell("card", "1", "replug")
        lab.to_be(1, "serving")
        load.goes_on()
        load.fails_nothing()

    def signatures():
        return {s: int(t["signatures"]) for a in (lab.admin, Admin(other, lab.server)) for s, t in a.tokens().items()
                if t["state"] == "serving"}
    # One card here and two there, and enough to do for all: each does a third.
    lab.cards.tell("card", "all", "time", "ec=100")
    with Load(lab, web.port, 9) as load:
        load.goes_on(30)
        before = signatures()
        load.goes_on(90)
        did = {s: n - before[s] for s, n in signatures().items()}
        load.fails_nothing()
    lab.cards.tell("card", "all", "time", "ec=0")
    expect(len(did) == 3 and 2 * min(did.values()) > max(did.values()), did)
    other.process.stop()


def claim_a_read_only_pool_is_never_written_to(lab):
    needs_cards(lab)
    lab.server.process.stop()
    lab.keyfleet("key", "create", "stray", "--local", "--socket", lab.pcscd.socket, "--pin-file", lab.pin, "--token",
                 lab.serials[0], "--on", lab.serials[0], "--copies", "1")
    lab.write("keys/keyfleetd.conf", open(os.path.join(lab.server.dir, "keyfleetd.conf")).read() + "read_only = yes\n")
    lab.server.start()
    lab.serving("www", 1)
    signed = lab.admin.tokens()[lab.serials[0]]
    expect(signed["read-only"] == "yes", signed)
    file = find(lab.admin.transfer(BACKUP, lab.key_id), 0x54002F)
    why = {
        refused("made a key", lambda: lab.admin.create("main", "no")),
        refused("took a key in", lambda: lab.admin.adopt("main", "no", blob=file)),
        refused("copied a key", lambda: lab.admin.transfer(CLONE, lab.key_id)),
        refused("deleted a key", lambda: lab.admin.transfer(DELETE, lab.key_id, lab.serials[0])),
        refused("erased a card", lambda: lab.admin.init(lab.serials[0], "no", force=True)),
        refused("gave a share", lambda: lab.admin.act(IMPORT_SHARE, lab.serials[0], octets(0x54002C, SHARE))),
        refused("changed the PIN", lambda: lab.admin.act(CHANGE_PIN, lab.serials[0], octets(0x540027, b"648219"),
                                                         octets(0x540028, b"111111"))),
    }
    expect(len(why) == 1, f"refused for other reasons: {why}")
    lab.server.keyfleet("key", "revoke", lab.key_id)
    failed = lab.server.keyfleet("key", "destroy", "--yes", lab.key_id, check=False)
    expect(failed.returncode != 0 and "Deactivated" in lab.server.keyfleet("key", "show", lab.key_id).stdout,
           "a key that stays on its card was destroyed")
    lab.server.keyfleet("key", "adopt", "stray")
    lab.admin.act(DRAIN, lab.serials[0])
    lab.admin.act(RESUME, lab.serials[0])


def claim_a_wrong_pin_costs_one_try_and_the_server_runs_on(lab):
    needs_cards(lab)
    lab.server.process.stop()
    lab.write("pin", "000000\n", 0o600)
    lab.server.start()
    lab.to_be(1, "pin")
    tries = lab.admin.tokens()[lab.serials[0]]["pin-tries"]
    for _ in range(3):
        lab.admin.act(RESUME, lab.serials[0])  # with two tries left nothing is sent
        lab.to_be(1, "pin")
    expect(lab.admin.tokens()[lab.serials[0]]["pin-tries"] == tries == "2", tries)
    lab.server.keyfleet("key", "create", "soft")


def claim_a_refused_pin_is_remembered_over_restarts(lab):
    needs_cards(lab)
    lab.server.process.stop()
    path = os.path.join(lab.server.dir, "keyfleetd.conf")
    with open(path) as f:
        text = f.read()
    with open(path, "w") as f:
        f.write(text.replace("read_only = yes\n", ""))
    lab.server.start()
    lab.admin.init(lab.serials[0], "five tries", force=True, tries=5, pin=b"6482196482")
    lab.server.process.stop()
    lab.server.start()
    wait_until("the wrong PIN to be tried", lambda: lab.admin.tokens()[lab.serials[0]]["pin-tries"] == "4")
    with open(os.path.join(lab.server.dir, "pins-refused")) as f:
        kept = f.read()
    expect(lab.serials[0] in kept and "000000" not in kept, kept)
    for _ in range(2):
        lab.server.process.stop()
        lab.server.start()
        lab.to_be(1, "pin")
        expect(lab.admin.tokens()[lab.serials[0]]["pin-tries"] == "4", "it was tried again")
    lab.admin.act(RESUME, lab.serials[0])
    wait_until("a try because somebody said so", lambda: lab.admin.tokens()[lab.serials[0]]["pin-tries"] == "3")
    with open(lab.path("pin")) as f:
        wrong = f.read()
    right = "6482196482\n"
    for pin, state in (right, "serving"), (wrong, "pin"), (right, "serving"):
        lab.server.process.stop()
        lab.write("pin", pin, 0o600)
        lab.server.start()
        lab.to_be(1, state)
        expect(state == "serving" or lab.admin.tokens()[lab.serials[0]]["pin-tries"] == "5", "it was tried once more")


if __name__ == "__main__":
    run(globals(), Tokens("pool"))
