#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keys on tokens are replaced by keys on the same tokens: by request, and in time."""
import glob
import json
import os
import threading

from scenario import expect, run
from tls_key import Tokens, needs_cards, sign
from token_wire import IMPORT_SHARE, NAME, USAGE, Refused
from lab import wait_until
from ttlv import enum, find, int_, item, octets, struct_, text

CREATE_PAIR, LOCATE, ATTRIBUTES, REVOKE, GENERATION = 0x02, 0x08, 0x0B, 0x13, 0x42016E
ROTATE_DATE = 0x42016D
SLOW_MS = 8000
NOW = item(0x420001, 9, (1).to_bytes(8, "big"))


class Rotating(Tokens):
    def __enter__(self):
        super().__enter__()
        if not self.why_not:
            self.server.process.stop()
            with open(self.conf, "a") as f:
                f.write("\n[rotation]\ncheck = 200ms\n")
            self.server.start()
        return self


def named(lab, name):
    found = lab.admin.ask(LOCATE, struct_(0x420125, struct_(0x420053, text(NAME, name), enum(0x420054, 1))))
    return [value.decode() for tag, value in found if tag == 0x420094]


def attribute(lab, uid, tag):
    return find(lab.admin.ask(ATTRIBUTES, text(0x420094, uid)), tag)


def create(lab, name, *more):
    """On the card, with more attributes of the private key."""
    own = struct_(0x420008, text(0x42009D, "keyfleet"), text(0x42000A, "pool"), text(0x42000B, "main"))
    answer = lab.admin.ask(CREATE_PAIR, struct_(0x420126, enum(0x420028, 6), struct_(0x420029, enum(0x420075, 7)))
                           + struct_(0x420127, struct_(0x420053, text(NAME, name), enum(0x420054, 1)), int_(USAGE, 1), NOW, own, *more)
                           + struct_(0x420128, int_(USAGE, 2), NOW))
    return find(answer, 0x420066).decode()


def leased(lab, uid):
    return b"rotation-lease" in repr(lab.admin.ask(ATTRIBUTES, text(0x420094, uid))).encode()


def records(lab):
    text = b""
    for name in sorted(glob.glob(os.path.join(lab.server.dir, "audit", "*.log"))):
        with open(name, "rb") as f:
            text += f.read()
    return text.decode(errors="replace")


def claim_a_pair_on_the_card_is_followed_by_one_on_the_card(lab):
    needs_cards(lab)
    serial, = lab.admin.tokens()
    lab.admin.init(serial, "card")
    lab.admin.act(IMPORT_SHARE, serial, octets(0x54002C, bytes(range(32))))
    old = create(lab, "www")
    told = json.loads(lab.server.keyfleet("--json", "key", "rekey", "www").stdout)
    new, = named(lab, "www")
    expect(new != old and new in json.dumps(told), told)
    labels = lab.admin.keys()
    expect("www" in labels and "www-2" in labels, labels)
    before = lab.signatures()
    with lab.connect() as wire:
        sign(wire, new)
        sign(wire, old)
    expect(lab.signatures() >= before + 2, "the card did not sign")


def claim_a_key_whose_object_the_store_refused_goes_from_the_card_again(lab):
    """Two are asked for by one name: both find it free, both are generated, and one is there first."""
    needs_cards(lab)
    serial, = lab.admin.tokens()
    before = int(lab.admin.tokens()[serial]["keys"])
    made, refused = [], []

    def make():
        try:
            made.append(create(lab, "twin"))
        except Refused as why:
            refused.append(why)
    lab.slow(0.5)
    threads = [threading.Thread(target=make) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    lab.slow(0)
    expect(len(made) == len(refused) == 1, f"{made} {refused}")
    wait_until("one of the two to go", lambda: int(lab.admin.tokens()[serial]["keys"]) == before + 1)
    wait_until("the log to say so", lambda: "object=none" in lab.log())
    with lab.connect() as wire:
        sign(wire, made[0])


def claim_a_server_that_dies_meanwhile_does_it_after_the_lease(lab):
    needs_cards(lab)
    key = create(lab, "lease", item(0x42016B, 6, (1).to_bytes(8, "big")), item(0x42016A, 10, (3).to_bytes(4, "big")))
    lab.cards.tell("card", "1", "time", f"generate={SLOW_MS}")
    wait_until("the claim", lambda: leased(lab, key))
    expect(attribute(lab, key, ROTATE_DATE) is None, "it says that it was rotated")
    lab.server.process.kill()
    lab.cards.tell("card", "1", "time", "generate=0")
    lab.cards.tell("card", "1", "replug")
    lab.server.start()
    wait_until("the rotation", lambda: named(lab, "lease") not in ([], [key]), 40)
    expect(not leased(lab, key), "the lease is still there")
    new, = named(lab, "lease")
    expect(attribute(lab, new, GENERATION) == 1 and not leased(lab, new), "the new key")


def claim_a_key_on_the_card_is_rotated_in_time(lab):
    needs_cards(lab)
    first = create(lab, "vault", item(0x42016B, 6, (1).to_bytes(8, "big")), item(0x42016A, 10, (5).to_bytes(4, "big")),
                   item(0x42016C, 10, (0).to_bytes(4, "big")))
    wait_until("a rotation", lambda: named(lab, "vault") not in ([], [first]))
    new, = named(lab, "vault")
    expect(attribute(lab, new, GENERATION) == 1, "its generation")
    with lab.connect() as wire:
        sign(wire, new)


def claim_without_the_card_nothing_is_made_and_nothing_lost(lab):
    needs_cards(lab)
    key = create(lab, "away", item(0x42016B, 6, (1).to_bytes(8, "big")), item(0x42016A, 10, (2).to_bytes(4, "big")))
    lab.cards.tell("card", "1", "unplug")
    wait_until("a failure", lambda: any("key cannot be rotated" in line and key in line for line in lab.log().splitlines()))
    expect(named(lab, "away") == [key], "rotated without a card")
    expect(f"event=rotation object={key}" not in records(lab), "it was claimed in vain")
    expect(attribute(lab, key, ROTATE_DATE) is None, "it says that it was rotated")
    wait_until("the lease to be given back", lambda: not leased(lab, key))
    lab.cards.tell("card", "1", "replug")
    wait_until("the rotation", lambda: named(lab, "away") not in ([], [key]))


def claim_a_new_key_that_came_too_late_leaves_the_card(lab):
    needs_cards(lab)
    key = create(lab, "late", item(0x42016B, 6, (1).to_bytes(8, "big")), item(0x42016A, 10, (2).to_bytes(4, "big")))
    lab.cards.tell("card", "1", "time", "generate=2000")
    wait_until("the claim", lambda: leased(lab, key))
    lab.admin.ask(REVOKE, text(0x420094, key) + struct_(0x420081, enum(0x420082, 6)))
    wait_until("the deletion", lambda: any("was deleted from a token" in line and "object=none" in line
                                           for line in lab.log().splitlines()))
    lab.cards.tell("card", "1", "time", "generate=0")
    expect(named(lab, "late") == [key], "it was replaced after it was revoked")
    expect("late-2" not in lab.admin.keys(), "the new key is still there")


if __name__ == "__main__":
    run(globals(), Rotating("rotation-token"))
