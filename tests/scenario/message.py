#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a KMIP message may ask of a key server beside its operations: batches that are undone, objects that
items of a batch refer to."""
import glob
import os

from scenario import expect, run
from keyserver import Bench
from lab import wait_until
from ttlv import (ACTIVATE, CREATE_KEY_PAIR, GET, batch_item, enum, find, int_, item, items_of, message, reason, request,
                  status, struct_, text)

CREATE, LOCATE, GET_ATTRIBUTES, REVOKE, DESTROY = 0x01, 0x08, 0x0B, 0x13, 0x14
SUCCESS, FAILED, PENDING, UNDONE = range(4)
NOT_FOUND_1, NOT_FOUND_2 = 0x01, 0x37
PRE_ACTIVE, ACTIVE, DEACTIVATED, DESTROYED = 1, 2, 3, 5
CONTINUE, STOP, UNDO = (enum(0x42000E, n) for n in (1, 2, 3))


def uid(value=None):
    if value is None:
        return b""
    return text(0x420094, value)


def form(number):
    return enum(0x420094, number)


def nth(number):
    return int_(0x420094, number)


def name(value):
    return struct_(0x420053, text(0x420055, value), enum(0x420054, 1))


def create(label=None):
    attributes = enum(0x420028, 3) + int_(0x42002A, 128) + int_(0x42002C, 12) + (name(label) if label else b"")
    return CREATE, enum(0x420057, 2) + struct_(0x420125, attributes)


def create_pair():
    return CREATE_KEY_PAIR, struct_(0x420126, enum(0x420028, 6), int_(0x42002A, 256), struct_(0x42002B, enum(0x420075, 7))) + struct_(
        0x420127, int_(0x42002C, 1)) + struct_(0x420128, int_(0x42002C, 2))


def activate(which=b""):
    return ACTIVATE, which


def revoke(which=b""):
    return REVOKE, which + struct_(0x420081, enum(0x420082, 1))


def destroy(which=b""):
    return DESTROY, which


def locate(label):
    return LOCATE, struct_(0x420125, name(label))


def no_such():
    return GET, uid("none")


def batch(*operations, option=STOP, **more):
    return message(*(batch_item(code, payload, b"%d" % i) for i, (code, payload) in enumerate(operations)),
                   options=option, **more)


def statuses(answer):
    return [status(i) for i in items_of(answer)]


def one(w, operation):
    answer = w.ask(request(*operation))
    expect(status(answer) == SUCCESS, f"{operation[0]:#x}: {answer}")
    return answer


def make(w, operation):
    answer = one(w, operation)
    return (find(answer, 0x420094) or find(answer, 0x420066)).decode()


def state(w, key):
    return find(w.ask(request(GET_ATTRIBUTES, uid(key) + enum(0x42013B, 0x42008D))), 0x42008D)


def found(w, label):
    answer = one(w, locate(label))
    return [value.decode() for tag, value in find(answer, 0x42007C) or [] if tag == 0x420094]


def audited(b):
    return "".join(open(path, errors="replace").read() for path in sorted(glob.glob(b.path("audit/*"))) if os.path.isfile(path))


# -- Undo ----------------------------------------------------------------------------------------------


def claim_what_a_failed_batch_changed_is_undone(b):
    with b.connect() as w:
        key = make(w, create("stays"))
        answer = w.ask(batch(activate(uid(key)), create("goes"), activate(), no_such(), activate(uid(key)), option=UNDO))
        expect(statuses(answer) == [UNDONE, UNDONE, UNDONE, FAILED], answer)
        expect(find(answer, 0x42000D) == 4, answer)
        expect(find(items_of(answer)[0], 0x420094) == key.encode(), answer)
        made = find(items_of(answer)[1], 0x420094).decode()
        expect(state(w, key) == PRE_ACTIVE, "the key is active")
        expect(reason(w.ask(request(GET, uid(made)))) == NOT_FOUND_2, "what was made is there")
        expect(found(w, "goes") == [] and len(found(w, "stays")) == 1, "what was made is found")
        make(w, create("goes"))


def claim_what_was_destroyed_in_a_failed_batch_is_whole_again(b):
    with b.connect() as w:
        key = make(w, create("whole"))
        before = find(one(w, (GET, uid(key))), 0x420043)
        one(w, activate(uid(key)))
        answer = w.ask(batch(revoke(uid(key)), destroy(uid(key)), no_such(), option=UNDO))
        expect(statuses(answer) == [UNDONE, UNDONE, FAILED], answer)
        expect(state(w, key) == ACTIVE, "not active")
        expect(find(one(w, (GET, uid(key))), 0x420043) == before, "another key")
        expect(found(w, "whole") == [key], "without its name")
    b.restart()
    with b.connect() as w:
        expect(find(one(w, (GET, uid(key))), 0x420043) == before, "another key after a restart")
        expect(state(w, key) == ACTIVE, "another state after a restart")


def claim_a_signing_key_that_was_destroyed_signs_again(b):
    with b.connect() as w:
        answer = w.ask(batch(revoke(uid(b.key)), destroy(uid(b.key)), no_such(), option=UNDO))
        expect(statuses(answer) == [UNDONE, UNDONE, FAILED], answer)
        expect(status(w.ask(b.sign())) == SUCCESS, "does not sign")


def claim_no_secret_is_in_the_answer_of_what_was_undone(b):
    with b.connect() as w:
        key = make(w, create())
        secret = find(one(w, (GET, uid(key))), 0x420043)
        answer = w.ask(batch((GET, uid(key)), no_such(), option=UNDO))
        expect(statuses(answer) == [UNDONE, FAILED] and secret not in repr(answer).encode("latin1"), answer)
        expect(find(items_of(answer)[0], 0x420094) == key.encode() and find(answer, 0x420043) is None, answer)


def claim_a_batch_that_succeeds_is_not_undone(b):
    with b.connect() as w:
        answer = w.ask(batch(create(), activate(), option=UNDO))
        expect(statuses(answer) == [SUCCESS, SUCCESS], answer)
        expect(state(w, find(answer, 0x420094).decode()) == ACTIVE, "not active")


def claim_many_objects_are_undone_at_once(b):
    with b.connect() as w:
        answer = w.ask(batch(*(create(f"many{i}") for i in range(20)), no_such(), option=UNDO))
        expect(statuses(answer) == [UNDONE] * 20 + [FAILED], answer)
        expect(not any(found(w, f"many{i}") for i in range(20)), "some are there")


def claim_rights_are_not_changed_in_a_batch_that_is_undone(b):
    with b.connect() as w:
        key = make(w, create())
        answer = w.ask(batch(activate(uid(key)), (0x806B6604, b""), option=UNDO))
        expect(statuses(answer) == [UNDONE, FAILED] and reason(answer) == 8, answer)


def claim_what_was_undone_is_in_the_audit(b):
    with b.connect() as w:
        key = make(w, create())
        answer = w.ask(batch(activate(uid(key)), no_such(), option=UNDO))
        expect(statuses(answer) == [UNDONE, FAILED], answer)
        lines = [line for line in audited(b).splitlines() if key in line and "Activate" in line]
        expect(len(lines) == 2 and "phase=allowed" in lines[0] and "phase=undone" in lines[1], lines)


# -- what items refer to -------------------------------------------------------------------------------


def claim_items_refer_to_what_the_batch_has_made(b):
    with b.connect() as w:
        answer = w.ask(batch(create(), create_pair(), activate(form(3)), activate(form(6)), activate(nth(1)),
                             option=CONTINUE))
        expect(statuses(answer) == [SUCCESS] * 5, answer)
        items = items_of(answer)
        expect(find(items[2], 0x420094) == find(items[0], 0x420094), "form 3 is not what Create made")
        expect(find(items[3], 0x420094) == find(items[1], 0x42006F), "form 6 is not the public key")
        expect(find(items[4], 0x420094) == find(items[1], 0x420066), "number 1 is not the private key")


def claim_a_failed_create_leaves_no_placeholder(b):
    with b.connect() as w:
        make(w, create("taken"))
        answer = w.ask(batch(create(), create("taken"), activate(), option=CONTINUE))
        expect(statuses(answer) == [SUCCESS, FAILED, FAILED], answer)


def claim_a_placeholder_ends_with_its_message(b):
    with b.connect() as w:
        make(w, create())
        expect(status(w.ask(request(*activate()))) == FAILED, "the next message knows it")
        expect(status(w.ask(request(*activate(form(3))))) == FAILED, "the next message knows it")


if __name__ == "__main__":
    run(globals(), Bench("message"))
