#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a KMIP message may ask of a key server beside its operations: batches that are undone, objects that
items of a batch refer to, answers that are fetched later, what no server has to support."""
import glob
import os
import subprocess

from scenario import expect, run
from keyserver import Bench
from lab import wait_until
from ttlv import (ACTIVATE, CREATE_KEY_PAIR, GET, batch_item, enum, find, int_, item, items_of, message, octets, reason,
                  request, status, struct_, text)

CREATE, REGISTER, LOCATE, GET_ATTRIBUTES, REVOKE, DESTROY = 0x01, 0x03, 0x08, 0x0B, 0x13, 0x14
PKCS12, BAD_PASSWORD = 0x16, 0x25
DECRYPT = 0x20
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


# -- later ---------------------------------------------------------------------------------------------

MANDATORY, OPTIONAL, PROHIBITED = (enum(0x420007, n) for n in (1, 2, 3))
POLL, CANCEL, QUERY_ASYNCHRONOUS, PROCESS, PING, PKCS11 = 0x1A, 0x19, 0x39, 0x3A, 0x3B, 0x33
NO_SUCH_REQUEST, CANCELED, DUPLICATE = 0x2B, 0x09, 0x4C


def rsa(bits):
    return CREATE_KEY_PAIR, struct_(0x420126, enum(0x420028, 4), int_(0x42002A, bits)) + struct_(
        0x420127, int_(0x42002C, 1)) + struct_(0x420128, int_(0x42002C, 2))


def begin(w, operation, option=OPTIONAL, **more):
    answer = w.ask(request(*operation, options=option, **more))
    expect(status(answer) == PENDING and find(answer, 0x42007C) is None, answer)
    return find(answer, 0x420006)


def about(operation, handle):
    return operation, octets(0x420006, handle)


def poll(b, w, handle):
    """The final answer."""
    answers = []

    def is_done():
        answers.append(w.ask(request(*about(POLL, handle))))
        return status(answers[-1]) != PENDING
    wait_until("the answer", is_done, 60)
    return answers[-1]


def claim_a_slow_key_is_made_while_its_client_does_other_things(b):
    with b.connect() as w:
        handle = begin(w, rsa(2048))
        one(w, (PING, b""))
    with b.connect() as w:
        answer = poll(b, w, handle)
        item = items_of(answer)[0]
        expect(status(answer) == SUCCESS and find(item, 0x42005C) == CREATE_KEY_PAIR, answer)
        expect(state(w, find(answer, 0x420066).decode()) == PRE_ACTIVE, "no such key")
        again = w.ask(request(*about(POLL, handle)))
        expect(find(again, 0x420066) == find(answer, 0x420066), "an answer that got lost is lost")


def claim_clients_of_1_x_are_answered_later_too(b):
    attributes = b"".join(struct_(0x420008, text(0x42000A, label), value) for label, value in (
        ("Cryptographic Algorithm", enum(0x42000B, 4)), ("Cryptographic Length", int_(0x42000B, 2048))))
    usage = [struct_(tag, struct_(0x420008, text(0x42000A, "Cryptographic Usage Mask"), int_(0x42000B, n)))
             for tag, n in ((0x420065, 1), (0x42006E, 2))]
    old = CREATE_KEY_PAIR, struct_(0x42001F, attributes) + usage[0] + usage[1]
    with b.connect() as w:
        handle = begin(w, old, item(0x420007, 6, bytes(7) + b"\x01"), version=(1, 2))
        answers = []

        def is_done():
            answers.append(w.ask(request(*about(POLL, handle), version=(1, 2))))
            return status(answers[-1]) != PENDING
        wait_until("the answer", is_done, 60)
        expect(status(answers[-1]) == SUCCESS and find(answers[-1], 0x420066), answers[-1])
        answer = w.ask(request(*about(POLL, b"x" * 16), version=(1, 2)))
        expect(reason(answer) == NOT_FOUND_1, answer)


def claim_whatever_is_asked_for_can_be_answered_later(b):
    with b.connect() as w:
        key = make(w, create())
        handle = begin(w, (GET, uid(key)), MANDATORY)
        answer = poll(b, w, handle)
        expect(find(answer, 0x420043) == find(one(w, (GET, uid(key))), 0x420043), answer)
        answer = poll(b, w, begin(w, activate(uid(key)), MANDATORY))
        expect(status(answer) == SUCCESS and state(w, key) == ACTIVE, answer)
        answer = w.ask(request(*no_such(), options=MANDATORY))
        expect(status(answer) == FAILED and reason(answer) == NOT_FOUND_2, answer)


def claim_what_fails_while_nobody_waits_is_in_the_audit(b):
    pair = CREATE_KEY_PAIR, struct_(0x420126, enum(0x420028, 4), int_(0x42002A, 2048), item(0x420001, 9, bytes(8))) + struct_(
        0x420127, int_(0x42002C, 8)) + struct_(0x420128, int_(0x42002C, 4))
    with b.connect() as w:
        key = make(w, pair)
        oaep = struct_(0x42002B, enum(0x42005F, 2), enum(0x420038, 6))
        handle = begin(w, (DECRYPT, uid(key) + oaep + octets(0x4200C2, bytes(255) + b"\2")), MANDATORY)
        expect(status(poll(b, w, handle)) == FAILED, "decrypted")

        def lines():
            return [line for line in audited(b).splitlines() if key in line and "operation=Decrypt" in line]
        wait_until("the record", lambda: len(lines()) == 2, 20)
        expect("phase=allowed" in lines()[0] and "phase=failed" in lines()[1], lines())
        # What a client brings that cannot be decrypted is no failure of the server.
        expect(status(poll(b, w, handle)) == FAILED, "polled again")
        expect(not b.logged("request failed"), b.process.tail(9))


def claim_what_is_quick_is_answered_at_once_if_that_will_do(b):
    with b.connect() as w:
        for option in OPTIONAL, PROHIBITED:
            expect(status(w.ask(request(*create(), options=option))) == SUCCESS, "answered later")
        expect(status(w.ask(request(*rsa(2048), options=PROHIBITED))) == SUCCESS, "answered later")
        expect(reason(w.ask(request(*create(), options=enum(0x420007, 4)))) == 7, "a fourth kind")


def claim_items_of_a_batch_are_answered_later_each_by_itself(b):
    with b.connect() as w:
        answer = w.ask(batch(create(), rsa(2048), activate(), (PING, b""), option=OPTIONAL + CONTINUE))
        expect(statuses(answer) == [SUCCESS, PENDING, FAILED, SUCCESS], answer)
        expect(status(poll(b, w, find(items_of(answer)[1], 0x420006))) == SUCCESS, "no answer")
        answer = w.ask(batch(*[create()] * 20, option=MANDATORY))
        expect(statuses(answer) == [PENDING] * 20, answer)
        for i in items_of(answer):
            expect(status(poll(b, w, find(i, 0x420006))) == SUCCESS, "no answer")
        answer = w.ask(batch(create(), create(), option=MANDATORY + UNDO))
        expect(reason(answer) == 8, answer)


def claim_answers_belong_to_who_asked(b):
    with b.connect() as w:
        handle = begin(w, create(), MANDATORY)
        expect(status(poll(b, w, handle)) == SUCCESS, "not mine")
        for wrong in b"", b"x", bytes(16), handle + b"x":
            expect(reason(w.ask(request(*about(POLL, wrong)))) == NO_SUCH_REQUEST, f"{wrong}")
            expect(find(w.ask(request(*about(CANCEL, wrong))), 0x420012) == 5, f"{wrong}")


def claim_a_request_that_waits_for_a_worker_is_canceled(b):
    with b.connect() as w:
        handles = [begin(w, rsa(4096)) for _ in range(12)]
        last = handles[-1]
        answer = one(w, about(CANCEL, last))
        expect(find(answer, 0x420012) == 1 and find(answer, 0x420006) == last, answer)
        answer = w.ask(request(*about(POLL, last)))
        expect(reason(answer) == CANCELED and find(items_of(answer)[0], 0x42005C) == CREATE_KEY_PAIR, answer)
        for handle in handles[1:-1]:
            expect(find(one(w, about(CANCEL, handle)), 0x420012) in (1, 2, 3), "no result")
        expect(status(poll(b, w, handles[0])) in (SUCCESS, FAILED), "no answer")
        expect(find(one(w, about(CANCEL, handles[0])), 0x420012) == 3, "not completed")


def claim_a_client_that_waits_after_all_is_answered_when_it_is_done(b):
    with b.connect() as w:
        handle = begin(w, rsa(2048))
        w.send(request(*about(PROCESS, handle)))
        answer = w.receive()
        expect(status(answer) == SUCCESS and find(answer, 0x42007C) == [], answer)
        expect(status(w.ask(request(*about(POLL, handle)))) == SUCCESS, "not done")
        expect(reason(w.ask(request(*about(PROCESS, bytes(16))))) == NO_SUCH_REQUEST, "waits for nothing")


def claim_what_is_under_way_is_listed(b):
    with b.connect() as w:
        handle = begin(w, create(), MANDATORY)
        poll(b, w, handle)
        answer = one(w, (QUERY_ASYNCHRONOUS, struct_(0x420176, octets(0x420006, handle))))
        row = find(answer, 0x42007C)
        expect(len(row) == 1 and find(row, 0x42005C) == CREATE and find(row, 0x420175) == 3, answer)
        rows = find(one(w, (QUERY_ASYNCHRONOUS, b"")), 0x42007C)
        expect(len(rows) > 1, rows)
        poll(b, w, begin(w, (GET, uid(make(w, create()))), MANDATORY))
        rows = find(one(w, (QUERY_ASYNCHRONOUS, struct_(0x42014F, enum(0x42005C, GET)))), 0x42007C)
        expect(rows and all(find([r], 0x42005C) == GET for r in rows), rows)


def claim_so_many_are_under_way_at_a_time(b):
    b.configure("admin", "client_asynchronous = 3\n")
    b.restart()
    with b.connect() as w:
        handles = [begin(w, rsa(4096)) for _ in range(3)]
        expect(reason(w.ask(request(*rsa(4096), options=OPTIONAL))) == 0x3A, "a fourth")
        for handle in handles[::-1]:
            one(w, about(CANCEL, handle))
        poll(b, w, handles[0])
        wait_until("room", lambda: status(w.ask(request(*create(), options=MANDATORY))) == PENDING, 60)
    b.configure("admin")
    b.restart()
    with b.connect() as w:
        expect(reason(w.ask(request(*about(POLL, handles[0])))) == NO_SUCH_REQUEST, "remembered")


# -- PKCS#11 -------------------------------------------------------------------------------------------


def cryptoki(w, function, handle=b"", parameters=b"", interface=b""):
    payload = interface + enum(0x42015A, function) + (octets(0x4200D6, handle) if handle else b"") + (
        octets(0x42015B, parameters) if parameters else b"")
    return w.ask(request(PKCS11, payload))


def claim_cryptoki_begins_says_what_it_is_and_ends(b):
    with b.connect() as w:
        answer = cryptoki(w, 1, parameters=b"\x01")
        handle = find(answer, 0x4200D6)
        expect(find(answer, 0x42015D) == 0 and len(handle) == 16, answer)
    with b.connect() as w:
        answer = cryptoki(w, 3, handle)
        information = find(answer, 0x42015C)
        expect(len(information) == 76 and information.startswith(b"\x02\x28keyfleet "), answer)
        expect(find(cryptoki(w, 5, handle), 0x42015D) == 0x54, "slots")
        expect(find(cryptoki(w, 1, handle), 0x42015D) == 0x191, "begins twice")
        expect(find(cryptoki(w, 2, handle), 0x42015D) == 0, "does not end")
        for function in 2, 3, 5:
            expect(find(cryptoki(w, function, handle), 0x42015D) == 0x190, f"{function} after the end")


def claim_cryptoki_that_makes_no_sense_is_refused(b):
    with b.connect() as w:
        expect(reason(cryptoki(w, 93)) == 0x46, "function 93")
        expect(reason(cryptoki(w, 0)) in (7, 0x46), "function 0")
        expect(reason(cryptoki(w, 3, bytes(16), b"x")) == 0x45, "parameters of C_GetInfo")
        expect(reason(cryptoki(w, 1, interface=text(0x420159, "Vendor"))) == 0x47, "interface")
        expect(find(cryptoki(w, 1, interface=text(0x420159, "PKCS 11")), 0x42015D) == 0, "the standard interface")


# -- how large an answer may be ------------------------------------------------------------------------


def sized(w, operation, most, **more):
    return w.ask(request(*operation, most=most, **more))


def raw_size(w, data):
    w.send(data)
    head = w.read(8)
    size = int.from_bytes(head[4:], "big")
    w.read(size)
    return 8 + size


def claim_a_change_whose_answer_would_be_too_large_is_not_made(b):
    with b.connect() as w:
        for version in ((1, 4), (2, 1)):
            key = make(w, create())
            answer = sized(w, activate(uid(key)), 150, version=version)
            expect(reason(answer) == 2 and state(w, key) == PRE_ACTIVE, answer)
            least = next(n for n in range(150, 400) if status(sized(w, activate(uid(key)), n, version=version)) == SUCCESS)
            other = make(w, create())
            expect(raw_size(w, request(*activate(uid(other)), version=version)) == least, f"{least} bytes")
        answer = sized(w, create("large"), 200)
        expect(reason(answer) == 2 and found(w, "large") == [], answer)
        answer = sized(w, rsa(2048), 200)
        expect(reason(answer) == 2, answer)


def claim_what_only_tells_something_is_cut_off_too(b):
    with b.connect() as w:
        key = make(w, create())
        for operation in (GET, uid(key)), (GET_ATTRIBUTES, uid(key)), locate("none"), (0x18, enum(0x420074, 1)):
            size = raw_size(w, request(*operation))
            expect(reason(sized(w, operation, size - 1)) == 2, f"{operation}")
            expect(status(sized(w, operation, size)) == SUCCESS, f"{operation}")


def claim_the_room_of_a_batch_is_shared(b):
    with b.connect() as w:
        operations = [create() for _ in range(6)]
        size = raw_size(w, batch(*operations))
        expect(statuses(w.ask(batch(*operations, most=size))) == [SUCCESS] * 6, "does not fit")
        answer = w.ask(batch(*operations, most=size - 200))
        expect(statuses(answer)[-1] == FAILED and SUCCESS in statuses(answer) and reason(answer) == 2, answer)


# -- correlation values --------------------------------------------------------------------------------


def claim_requests_have_names_on_both_sides(b):
    with b.connect() as w:
        answer = w.ask(request(*create(), options=text(0x420105, "mine")))
        ours = find(answer, 0x420106).decode()
        expect(find(answer, 0x420105) == b"mine" and len(ours) > 10, answer)
        line = [line for line in audited(b).splitlines() if f"server-correlation={ours} " in line]
        expect(len(line) == 1 and "correlation=mine " in line[0] and "Create" in line[0], line)
        other = find(w.ask(request(*create(), options=text(0x420105, "mine"))), 0x420106).decode()
        expect(ours != other, "two of the same name")
        old = w.ask(request(0x18, enum(0x420074, 1), version=(1, 4)))
        expect(find(old, 0x420106) is None, "a field that some clients of 1.4 do not know")
        old = w.ask(request(0x18, enum(0x420074, 1), version=(1, 4), options=text(0x420105, "mine")))
        expect(find(old, 0x420106) is not None, "no name")
        old = w.ask(request(0x18, enum(0x420074, 1), version=(1, 3)))
        expect(find(old, 0x420106) is None, "1.3 does not know it")


# -- who it is -----------------------------------------------------------------------------------------

NOT_SUCCESSFUL = 0x03


def credential(kind, *value):
    return struct_(0x42000C, struct_(0x420023, enum(0x420024, kind), struct_(0x420025, *value)))


def user(label, password):
    return credential(1, text(0x420099, label), *([text(0x4200A1, password)] if password is not None else []))


def claim_credentials_that_nobody_knows_fail_the_request(b):
    with b.connect() as w:
        for authentication in (user("alice", "open sesame"), user("alice", None), credential(2, text(0x4200B0, "disk 1"))):
            with b.connect() as w:
                answer = w.ask(request(*create(), options=authentication))
                expect(reason(answer) == NOT_SUCCESSFUL and find(items_of(answer)[0], 0x42005C) == CREATE, answer)
                expect(status(w.ask(request(*create()))) == SUCCESS, "the certificate does not count any more")
    with b.connect() as w:
        answer = w.ask(batch(create(), create(), option=user("alice", "x") + CONTINUE))
        expect(statuses(answer) == [FAILED, FAILED] and reason(answer) == NOT_SUCCESSFUL, answer)
    def lines():
        return [line for line in audited(b).splitlines() if "operation=Authentication" in line]
    wait_until("the records", lambda: len(lines()) >= 4)
    expect(all("phase=denied" in line for line in lines()), lines())


# -- what is not there ---------------------------------------------------------------------------------

NOT_SUPPORTED = 0x05


def claim_operations_that_are_not_there_are_not_supported(b):
    missing = [0x1B, 0x1C, 0x28, 0x29, 0x2D, 0x2E, 0x2F, 0x32, 0x35, 0x36, 0x37, 0x38, 0x3C, 0x7FFFFFFF, 0x80000001]
    with b.connect() as w:
        for version in ((1, 0), (1, 4), (2, 0), (2, 1)):
            for code in missing:
                answer = w.ask(request(code, b"", version=version))
                expect(reason(answer) == NOT_SUPPORTED and find(items_of(answer)[0], 0x42005C) == code & 0xFFFFFFFF
                       or code == 0x80000001, f"{code:#x} in {version}: {answer}")
        for code, since in ((PING, (2, 1)), (PROCESS, (2, 1)), (PKCS11, (2, 0)), (0x1E, (1, 1)), (0x21, (1, 2))):
            older = {(2, 1): (2, 0), (2, 0): (1, 4), (1, 1): (1, 0), (1, 2): (1, 1)}[since]
            expect(reason(w.ask(request(code, b"", version=older))) == NOT_SUPPORTED, f"{code:#x} in {older}")


def claim_unknown_fields_are_seen_by_who_knows_the_version(b):
    extra = int_(0x420001, 1)
    with b.connect() as w:
        expect(reason(w.ask(request(PING, extra))) == 7, "an unknown field")
        expect(status(w.ask(request(0x18, enum(0x420074, 1) + item(0x4201F0, 2, bytes(4)), version=(2, 9)))) == SUCCESS, "2.9")
    with b.connect() as w:
        answer = w.ask(request(GET, uid("a") + uid("b")))
        expect(reason(answer) == 4, f"a field given twice: {answer}")


def claim_another_major_version_is_an_invalid_message(b):
    for version in ((0, 9), (3, 0), (9, 9)):
        with b.connect() as w:
            answer = w.ask(request(0x18, enum(0x420074, 1), version=version))
            expect(reason(answer) == 4 and find(items_of(answer)[0], 0x42005C) is None, answer)


def claim_a_batch_count_that_lies_is_an_invalid_message(b):
    good = message(batch_item(*create("lie")), batch_item(PING, b""))
    for count in (1, 3, 0, -1, 1 << 30):
        with b.connect() as w:
            answer = w.ask(good.replace(int_(0x42000D, 2), int_(0x42000D, count)))
            expect(reason(answer) == 4, f"{count}: {answer}")
            expect(find(answer, 0x420093) is None, answer)
    with b.connect() as w:
        expect(found(w, "lie") == [], "something was done")


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


# -- PKCS#12 -------------------------------------------------------------------------------------------


def register(object_type, tag, key_format, material, attributes, before=b""):
    block = struct_(0x420040, enum(0x420042, key_format), struct_(0x420045, octets(0x420043, material)))
    return REGISTER, enum(0x420057, object_type) + struct_(0x420125, attributes) + struct_(tag, before, block)


def link(link_type, key):
    return struct_(0x42004A, enum(0x42004B, link_type), text(0x42004C, key))


def openssl(*args, stdin=b""):
    return subprocess.run(["openssl", *args], input=stdin, capture_output=True, check=True).stdout


def claim_a_pkcs12_file_of_openssl_goes_in_and_one_that_openssl_reads_comes_out(b):
    there, again = b.path("there.p12"), b.path("again.p12")
    openssl("pkcs12", "-export", "-inkey", b.path("other.key"), "-in", b.path("other.pem"), "-certfile", b.path("ca.pem"),
            "-name", "other", "-passout", "pass:secret", "-out", there)
    active = item(0x420001, 9, (1).to_bytes(8, "big"))
    with b.connect() as w:
        password = make(w, register(7, 0x420085, 1, b"secret", active, enum(0x420086, 1)))
        wrong = make(w, register(7, 0x420085, 1, b"Secret", active, enum(0x420086, 1)))
        file = open(there, "rb").read()
        expect(reason(w.ask(request(*register(4, 0x420064, PKCS12, file, link(0x10D, wrong))))) == BAD_PASSWORD, "opened")
        key = make(w, register(4, 0x420064, PKCS12, file, int_(0x42002C, 1) + link(0x10D, password)))
        expect(find(one(w, (GET, uid(key))), 0x420043) == file, "it is not the file that came")
        with open(again, "wb") as f:
            f.write(find(one(w, (GET, uid(key) + enum(0x420042, PKCS12))), 0x420043))
    read = openssl("pkcs12", "-in", again, "-passin", "pass:secret", "-nodes").decode()
    expect(read.count("BEGIN CERTIFICATE") == 2 and "friendlyName: other" in read, read)
    pair = [openssl("pkey", "-pubout", stdin=read.encode()), openssl("pkey", "-in", b.path("other.key"), "-pubout")]
    expect(pair[0] == pair[1], "another key")


if __name__ == "__main__":
    run(globals(), Bench("message"))
