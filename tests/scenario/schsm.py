#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The SmartCard-HSM driver over stock pcscd: plugged, pulled, reset, hung, restarted, mistyped; sixteen readers on one
pcscd, and twenty cards on two of them in one process."""
import os
import select
import subprocess
import time

from scenario import expect, run, skip
from hsm import READERS_MAX, Pcscd, VirtualCards, missing
from lab import Lab, wait_until

PROBE = os.environ.get("SCHSM_PROBE", "")
PIN, SO_PIN = "648219", "3537363231383830"
DEADLINE = 30


class Probe:
    """tests/tools/schsm-probe.c: one line asked, one answered."""

    def __init__(self, lab, *sockets, env=None):
        self.lab = lab
        self.child = subprocess.Popen([PROBE, *sockets], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
                                      env={**os.environ, **(env or {})})
        self.rest = b""

    def ask(self, *words, seconds=DEADLINE):
        """Its answer, "ok ..." or not."""
        self.child.stdin.write("\t".join(str(w) for w in words).encode() + b"\n")
        return self.answer(seconds, words)

    def answer(self, seconds, words):
        end = time.monotonic() + seconds
        while b"\n" not in self.rest:
            readable, _, _ = select.select([self.child.stdout], [], [], max(0, end - time.monotonic()))
            expect(readable, f"no answer to {words} in {seconds} s")
            part = os.read(self.child.stdout.fileno(), 65536)
            expect(part, f"the probe ended at {words}")
            self.rest += part
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def ok(self, *words, seconds=DEADLINE):
        """What it answers beside "ok"."""
        text = self.ask(*words, seconds=seconds)
        expect(text.startswith("ok"), f"{words}: {text}")
        return text[3:]

    def places(self, source=0, wait_ms=0):
        """{reader: insertion}"""
        text = self.ok("watch", source, wait_ms)
        return dict(p.rsplit("#", 1) for p in text.split("|")) if text else {}

    def wait_for(self, condition, source=0):
        return wait_until("what is plugged in", lambda: [p for p in [self.places(source, 500)] if condition(p)],
                          DEADLINE)[0]

    def open(self, reader, source=0):
        """As soon as the reader gives it."""
        text = wait_until(f"{reader} to open",
                          lambda: (t := self.ask("open", source, reader)).startswith("ok") and t, DEADLINE)
        return text.split()[1]

    def ready(self, reader, source=0):
        token = self.open(reader, source)
        self.ok("login", token, PIN)
        self.ok("list", token)
        return token

    def keys(self, token):
        """{handle: (algorithm, label, problem)}"""
        text = self.ok("list", token)
        return {k[0]: k[1:] for k in (k.replace("ec:", "ec-", 1).replace("rsa:", "rsa-", 1).split(":", 3)
                                      for k in text.split("|"))} if text else {}

    def close(self):
        self.child.stdin.close()
        expect(self.child.wait(DEADLINE) == 0, f"the probe ended with status {self.child.returncode}")


class Cards(Lab):
    """Three cards on a pcscd of our own."""

    def __enter__(self):
        super().__enter__()
        self.why_not = missing() or (not PROBE and "the probe was not built") or None
        if not self.why_not:
            self.cards = VirtualCards(self, 3)
            self.pcscd = Pcscd(self, self.cards)
            self.probe = Probe(self, env=self.pcscd.environment)
            self.readers = [self.pcscd.reader(i) for i in (1, 2, 3)]
        return self

    def close(self):
        if not self.why_not:
            self.probe.child.kill()
            self.probe.child.wait()
        super().close()

    def tell(self, *words):
        return self.cards.tell(*words)


def counted(lab, card):
    """How many commands a card has had."""
    words = lab.tell("status").splitlines()[card - 1].split()
    return int(words[words.index("commands") + 1])


def needs(lab):
    if lab.why_not:
        skip(lab.why_not)


def prepare(probe, reader, source=0, shares=1):
    """A card that is initialised and logged in to."""
    token = probe.open(reader, source)
    probe.ok("init", token, SO_PIN, PIN, shares, "label of " + reader.split()[1])
    if shares > 0:
        probe.ok("share", token, 90)
    return token


def claim_what_is_plugged_in_is_told_and_keys_are_made_and_copied(lab):
    needs(lab)
    p = lab.probe
    places = p.wait_for(lambda places: len(places) == 3)
    expect(set(places) == set(lab.readers), places)
    first, second = prepare(p, lab.readers[0]), prepare(p, lab.readers[1])
    for algorithm in ("rsa:2048", "ec:P-256"):
        key = p.ok("generate", first, algorithm, "key " + algorithm)
        p.ok("wrap", first, key)
        p.ok("unwrap", second)
    for token in (first, second):
        keys = p.keys(token)
        expect([k[0] for k in keys.values()] == ["rsa-2048", "ec-P-256"], keys)
        for key in keys:
            p.ok("sign", token, key)
        p.ok("close", token)


def claim_opensc_sees_the_keys_and_their_copies(lab):
    needs(lab)
    if missing("pkcs15-tool"):
        skip(missing("pkcs15-tool"))
    for reader in ("0", "1"):
        text = lab.run(["pkcs15-tool", "--reader", reader, "--list-keys", "--list-public-keys"],
                       env=lab.pcscd.environment).stdout
        for label in ("key rsa:2048", "key ec:P-256"):
            expect(text.count(f"[{label}]") == 2, text)


def claim_a_card_that_is_pulled_and_put_back_is_another_insertion(lab):
    needs(lab)
    p = lab.probe
    before = p.places()
    lab.tell("card", "1", "unplug")
    p.wait_for(lambda places: lab.readers[0] not in places)
    lab.tell("card", "1", "replug")
    after = p.wait_for(lambda places: lab.readers[0] in places)
    expect(after[lab.readers[0]] != before[lab.readers[0]], f"{before} {after}")
    expect(after[lab.readers[1]] == before[lab.readers[1]], f"{before} {after}")


def claim_a_watch_that_waits_is_woken(lab):
    needs(lab)
    p = lab.probe
    p.places()
    p.ok("begin", "watch", 0, 600000)
    p.ok("wake", 0)
    p.ok("end")


def claim_a_card_that_is_pulled_during_a_signature_is_told_at_once_and_comes_back(lab):
    needs(lab)
    p = lab.probe
    token = p.ready(lab.readers[0])
    lab.tell("card", "1", "time", "ec=600000")
    commands = counted(lab, 1)
    p.ok("begin", "sign", token, 2)
    wait_until("the signature to begin", lambda: counted(lab, 1) > commands)
    lab.tell("card", "1", "unplug")
    answer = p.ask("end")
    expect(answer.split()[0] in ("TOKEN", "CLOSED"), answer)
    answer = p.ask("sign", token, 2)
    expect(answer.split()[0] in ("TOKEN", "CLOSED"), answer)
    p.ok("close", token)
    lab.tell("card", "1", "time", "ec=0")
    lab.tell("card", "1", "replug")
    token = p.ready(lab.readers[0])
    p.ok("sign", token, 2)
    p.ok("close", token)


def claim_after_a_quick_replug_the_old_handle_signs_or_is_closed_and_a_new_one_works(lab):
    # Too quick for pcscd it is like a reset: the card tells its serial number again, then gets its PIN.
    needs(lab)
    p = lab.probe
    for _ in range(5):
        token = p.ready(lab.readers[0])
        lab.tell("card", "1", "unplug")
        lab.tell("card", "1", "replug")
        answer = p.ask("sign", token, 2)
        expect(answer.split()[0] in ("ok", "CLOSED", "TOKEN"), answer)
        p.ok("close", token)
    token = p.ready(lab.readers[0])
    p.ok("sign", token, 2)
    p.ok("close", token)


def claim_a_reset_costs_no_signature_at_work_or_between(lab):
    needs(lab)
    p = lab.probe
    token = p.ready(lab.readers[0])
    lab.tell("card", "1", "reset")
    p.ok("sign", token, 2)
    lab.tell("card", "1", "hang")
    commands = counted(lab, 1)
    p.ok("begin", "sign", token, 2)
    wait_until("the signature to begin", lambda: counted(lab, 1) > commands)
    lab.tell("card", "1", "reset")
    p.ok("end")
    p.ok("close", token)


def claim_a_card_that_hangs_is_given_up_while_others_work(lab):
    needs(lab)
    p = lab.probe
    token, other = p.ready(lab.readers[0]), p.ready(lab.readers[1])
    lab.tell("card", "1", "hang")
    commands = counted(lab, 1)
    p.ok("begin", "sign", token, 2)
    wait_until("the signature to begin", lambda: counted(lab, 1) > commands)
    p.ok("sign", other, 2)
    p.places(wait_ms=0)
    p.ok("interrupt", token)
    answer = p.ask("end", seconds=10)
    expect(answer.startswith("TOKEN") or answer.startswith("CLOSED"), answer)
    p.ok("close", token, seconds=10)
    p.ok("sign", other, 2)
    lab.tell("card", "1", "resume")
    token = p.ready(lab.readers[0])
    p.ok("sign", token, 2)
    p.ok("close", token)
    p.ok("close", other)


def claim_a_pcscd_that_is_killed_is_missed_and_found_again(lab):
    needs(lab)
    p = lab.probe
    before = p.wait_for(lambda places: len(places) == 3)
    token = p.ready(lab.readers[0])
    lab.pcscd.process.kill()
    answer = p.ask("sign", token, 2)
    expect(answer.split()[0] in ("CLOSED", "TOKEN"), answer)
    p.wait_for(lambda places: not places)
    p.ok("close", token)
    lab.pcscd.start()
    after = p.wait_for(lambda places: len(places) == 3)
    expect(not set(before.values()) & set(after.values()), f"{before} {after}")
    token = p.ready(lab.readers[0])
    p.ok("sign", token, 2)
    p.ok("close", token)


def claim_a_card_is_one_process_s(lab):
    needs(lab)
    p = lab.probe
    token = p.open(lab.readers[0])
    other = Probe(lab, env=lab.pcscd.environment)
    answer = other.ask("open", 0, lab.readers[0])
    expect(answer.startswith("DENIED"), answer)
    p.ok("close", token)
    other.open(lab.readers[0])
    other.close()


def claim_a_wrong_pin_costs_one_try_and_the_last_two_are_for_people(lab):
    needs(lab)
    p = lab.probe
    token = p.open(lab.readers[1])
    expect(p.ask("login", token, "111111").startswith("AUTH"), "a wrong PIN")
    for _ in range(3):
        expect(p.ask("login", token, "111111").startswith("AUTH"), "a wrong PIN")
    p.ok("close", token)
    for _ in range(2):  # nor after opening it anew, whatever the PIN
        token = p.open(lab.readers[1])
        expect(p.ask("login", token, PIN).startswith("AUTH"), "two tries were left")
        facts = p.ok("facts", token)
        expect("tries=2" in facts, facts)
        p.ok("close", token)
    lab.tell("card", "2", "pin-blocked")
    token = p.open(lab.readers[1])
    answer = p.ask("login", token, PIN)
    expect(answer.startswith("AUTH") and "blocked" in answer, answer)
    p.ok("close", token)


def claim_a_card_that_is_pulled_while_it_makes_a_key_keeps_no_half_key_in_use(lab):
    needs(lab)
    p = lab.probe
    token = prepare(p, lab.readers[2])
    key = p.ok("generate", token, "ec:P-256", "whole")
    p.ok("wrap", token, key)
    for name, command in (("generate", ("generate", None, "ec:P-256", "half")), ("unwrap", ("unwrap", None))):
        lab.tell("card", "3", "time", ("generate" if name == "generate" else "wrap") + "=600000")
        commands = counted(lab, 3)
        p.ok("begin", *[token if w is None else w for w in command])
        wait_until(f"{name} to begin", lambda: counted(lab, 3) >= commands + 2)
        lab.tell("card", "3", "unplug")
        answer = p.ask("end")
        expect(answer.split()[0] in ("TOKEN", "CLOSED"), answer)
        p.ok("close", token)
        lab.tell("card", "3", "heal")
        lab.tell("card", "3", "time", "generate=0,wrap=0")
        token = p.ready(lab.readers[2])
        keys = p.keys(token)
        expect([k[1] for k in keys.values() if k[0] != "none"] == ["whole"], keys)
        for handle, (algorithm, _, problem) in keys.items():
            if algorithm == "none":
                expect("half made" in problem, keys)
                p.ok("delete", token, handle)
        expect(list(p.keys(token)) == [key], p.keys(token))
    p.ok("close", token)


def claim_rsa_keys_of_4096_bits_travel_through_a_file(lab):
    needs(lab)
    p = lab.probe
    first, third = p.ready(lab.readers[0]), p.ready(lab.readers[2])
    lab.tell("card", "1", "apdu-max", "1014")
    lab.tell("card", "3", "apdu-max", "1014")
    key = p.ok("generate", first, "rsa:4096", "long")
    expect(int(p.ok("wrap", first, key)) > 1014, "a short blob")
    copy = p.ok("unwrap", third)
    p.ok("list", third)
    p.ok("sign", third, copy)
    for card in ("1", "3"):
        lab.tell("card", card, "apdu-max", "0")
    p.ok("close", first)
    p.ok("close", third)


def claim_a_signature_is_one_command_and_its_way_is_short(lab):
    needs(lab)
    p, count = lab.probe, 500
    token = p.ready(lab.readers[0])
    commands = counted(lab, 1)
    median, least = (int(ns) / 1000 for ns in p.ok("sign", token, 2, count).split())
    expect(counted(lab, 1) - commands == count, f"{counted(lab, 1) - commands} commands")
    p.ok("close", token)
    # All of it: driver, libpcsclite, pcscd, its driver, and what the virtual card computes.
    print(f"# an ECDSA signature over pcscd: {median:.0f} us, at best {least:.0f} us", flush=True)


def claim_sixteen_readers_and_twenty_cards_on_two_pcscds_in_one_process(lab):
    needs(lab)
    many, more = VirtualCards(lab, READERS_MAX, "many"), VirtualCards(lab, 4, "more")
    pcscds = [Pcscd(lab, many, "pcscd-many"), Pcscd(lab, more, "pcscd-more")]
    p = Probe(lab, *[pcscd.socket for pcscd in pcscds])
    tokens = []
    for source, cards in enumerate((many, more)):
        places = p.wait_for(lambda places, n=cards.count: len(places) == n, source)
        for reader in places:
            tokens.append(prepare(p, reader, source))
    expect(len(tokens) == 20, tokens)
    serials = {p.ok("facts", t).split()[0] for t in tokens}
    expect(len(serials) == 20, serials)
    p.ok("generate", tokens[0], "ec:P-256", "shared")
    p.ok("wrap", tokens[0], 1)
    for token in tokens[1:]:
        p.ok("unwrap", token)
    for token in tokens:
        p.ok("list", token)
        p.ok("sign", token, 1)
    pcscds[1].process.kill()  # the other one's cards do not notice
    for token in tokens[:16]:
        p.ok("sign", token, 1)
    p.wait_for(lambda places: not places, 1)
    pcscds[1].start()
    p.wait_for(lambda places: len(places) == 4, 1)
    p.close()


if __name__ == "__main__":
    run(globals(), Cards("schsm"))
