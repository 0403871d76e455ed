#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The key server and those who talk to it badly: a daemon with a set-up made by openssl alone."""
import os
import re
import secrets
import signal
import socket
import ssl
import subprocess
import threading
import time

from scenario import expect, run, skip
from lab import BIN, Lab, Process, wait_until
from ttlv import (ACTIVATE, CREATE_KEY_PAIR, DISCOVER, GET, QUERY, SIGN, Wire, batch_item, enum, find, int_,
                  items_of, message, octets, reason, request, status, struct_, text)

INVALID_MESSAGE, INVALID_FIELD = 0x04, 0x07
SIGNATURE_VERIFY = 0x22
QUERY_OPERATIONS = enum(0x420074, 1)


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


class Authority:
    """A certificate authority and whom it vouches for."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "9",
                "-subj", "/CN=" + name, "-keyout", name + ".key", "-out", name + ".pem",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, name, usage, *more):
        with open(os.path.join(self.folder, name + ".ext"), "w") as f:
            f.write(f"extendedKeyUsage={usage}\nsubjectAltName=IP:127.0.0.1\n")
        openssl(self.folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc",
                "-subj", "/CN=" + name, "-keyout", name + ".key", "-out", name + ".csr")
        openssl(self.folder, "x509", "-req", "-in", name + ".csr", "-CA", self.name + ".pem", "-CAkey",
                self.name + ".key", "-CAcreateserial", "-extfile", name + ".ext", "-out", name + ".pem",
                *(more or ("-days", "9")))
        os.chmod(os.path.join(self.folder, name + ".key"), 0o600)


def fingerprint(path):
    with open(path) as f:
        der = ssl.PEM_cert_to_DER_cert(f.read())
    import hashlib
    return hashlib.sha256(der).hexdigest()


class Bench(Lab):
    def __enter__(self):
        super().__enter__()
        ca, foreign = Authority(self.dir, "ca"), Authority(self.dir, "foreign")
        ca.issue("server", "serverAuth")
        for name in ("admin", "other", "stranger"):
            ca.issue(name, "clientAuth")
        ca.issue("late", "clientAuth", "-days", "-1")
        foreign.issue("alien", "clientAuth")
        self.write_secret("master.key", f"k1 = {secrets.token_hex(32)}\n")
        self.configure("admin")
        try:
            self.start()
            self.key = self.make_key()
        except BaseException:
            print("#", self.process.tail(9))
            self.close()
            raise
        return self

    def configure(self, admin, limits=""):
        self.write("keyfleetd.conf", f"""[server]
listen = 127.0.0.1:0
loops = 2
admin = {fingerprint(self.path(admin + ".pem"))}
[audit]
segment = 1M
[health]
listen = unix:{self.path("health.sock")}
[limits]
message_timeout = 500ms
handshake_timeout = 500ms
message_size = 64K
{limits}
""")

    def write_secret(self, name, text):
        self.write(name, text)
        os.chmod(self.path(name), 0o600)

    def start(self, env=None):
        address = self.path("address")
        if os.path.exists(address):
            os.unlink(address)
        self.process = Process(self, "keyfleetd", [
            os.path.join(BIN, "keyfleetd"), "--config", self.path("keyfleetd.conf")], env=env)
        wait_until("the key server", lambda: self.process.must_run() and os.path.exists(address), 60)
        with open(address) as f:
            self.port = int(f.read().rsplit(":", 1)[1])

    def restart(self, env=None):
        self.process.signal(signal.SIGTERM)
        expect(self.process.child.wait(20) == 0, "does not stop in order")
        self.start(env)

    def connect(self, name="admin", alpn="kmip", before=b""):
        return Wire(self.port, self.path("ca.pem"), self.path(name + ".pem"), self.path(name + ".key"), alpn, before)

    def make_key(self, algorithm=6, bits=256):
        curve = struct_(0x42002B, enum(0x420075, 7)) if algorithm == 6 else b""
        attributes = struct_(0x420126, enum(0x420028, algorithm), curve, int_(0x42002A, bits))
        private = struct_(0x420127, int_(0x42002C, 1))
        public = struct_(0x420128, int_(0x42002C, 2))
        with self.connect() as w:
            made = w.ask(request(CREATE_KEY_PAIR, attributes + private + public))
            expect(status(made) == 0, f"no key: {made}")
            key = find(made, 0x420066).decode()
            expect(status(w.ask(request(ACTIVATE, text(0x420094, key)))) == 0, "key is not activated")
        return key

    def sign(self, data=b"data", batch_id=None, deadline_ms=None, key=None, algorithm=0x0E):
        parameters = struct_(0x42002B, enum(0x420038, 6), enum(0x4200AE, algorithm))
        payload = text(0x420094, key or self.key) + parameters + octets(0x4200C2, data)
        return message(batch_item(SIGN, payload, batch_id, deadline_ms))

    def logged(self, what):
        with open(self.process.log) as f:
            return f.read().count(what)

    def facts(self):
        return dict(line.split("=", 1) for line in self.fetch("/status").split("\r\n\r\n")[1].splitlines())

    def health(self, path):
        return int(self.fetch(path).split()[1])

    def fetch(self, path):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(self.path("health.sock"))
            s.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            got = b""
            while piece := s.recv(4096):
                got += piece
        return got.decode()

    def lets_in(self, name, before=b""):
        try:
            with self.connect(name, before=before) as w:
                w.ask(request(QUERY, QUERY_OPERATIONS))
                return True
        except (ssl.SSLError, OSError, EOFError):
            return False


# -- what it answers -------------------------------------------------------------------------------------


def claim_versions_and_functions_are_told(b):
    with b.connect() as w:
        versions = w.ask(request(DISCOVER))
        expect(status(versions) == 0 and find(versions, 0x420069), versions)
        functions = w.ask(request(QUERY, QUERY_OPERATIONS, version=(1, 4)))
        expect(status(functions) == 0 and find(functions, 0x42005C) is not None, functions)


def claim_a_key_signs(b):
    with b.connect() as w:
        answer = w.ask(b.sign())
        expect(status(answer) == 0 and find(answer, 0x4200C3)[:1] == b"\x30", answer)


def claim_every_record_is_in_the_audit_before_the_answer(b):
    data = secrets.token_bytes(20)
    with b.connect() as w:
        expect(status(w.ask(b.sign(data))) == 0, "not signed")
    import hashlib
    digest = hashlib.sha256(data).hexdigest()
    found = [line for name in os.listdir(b.path("audit")) if name.startswith("audit-")
             for line in open(os.path.join(b.path("audit"), name), errors="replace") if digest in line]
    expect(len(found) == 1 and "phase=allowed" in found[0] and b.key in found[0], found)


# -- order ---------------------------------------------------------------------------------------------


def claim_plain_kmip_answers_in_the_order_of_the_requests(b):
    with b.connect() as w:
        w.send(b"".join(b.sign() if i % 2 else request(QUERY, QUERY_OPERATIONS) for i in range(20)))
        order = [find(w.receive(), 0x42005C) for _ in range(20)]
        expect(order == [SIGN if i % 2 else QUERY for i in range(20)], order)


def claim_more_than_may_be_in_flight_waits_and_is_answered(b):
    with b.connect() as w, b.connect(alpn="keyfleet/1") as k:
        n = 1500
        signs = 600
        w.send(request(QUERY, QUERY_OPERATIONS) * n)
        for i in range(signs):
            k.send(b.sign(batch_id=b"%d" % i))
        expect(all(status(w.receive()) == 0 for _ in range(n)), "not all are answered")
        ids = {find(k.receive(), 0x420093) for _ in range(signs)}
        expect(len(ids) == signs, "not all are signed")


def claim_who_goes_away_in_the_middle_harms_nobody(b):
    for alpn in ("kmip", "keyfleet/1"):
        for _ in range(5):
            with b.connect(alpn=alpn) as w:
                for i in range(300):
                    w.send(b.sign(batch_id=b"%d" % i))
    expect(b.lets_in("admin"), "nobody gets in any more")


def claim_keyfleet_answers_as_they_finish(b):
    with b.connect(alpn="keyfleet/1") as w:
        w.send(b.sign(batch_id=b"slow") + request(QUERY, QUERY_OPERATIONS, b"fast"))
        order = [find(w.receive(), 0x420093) for _ in range(2)]
        expect(order == [b"fast", b"slow"], order)


def claim_keyfleet_tells_its_load_and_plain_kmip_does_not(b):
    with b.connect(alpn="keyfleet/1") as w:
        expect(find(w.ask(request(QUERY, QUERY_OPERATIONS, b"1")), 0x42009C) is not None, "no load")
    with b.connect() as w:
        expect(find(w.ask(request(QUERY, QUERY_OPERATIONS)), 0x42009C) is None, "load to a plain client")


def claim_an_id_in_use_is_refused(b):
    with b.connect(alpn="keyfleet/1") as w:
        w.send(b.sign(batch_id=b"same") + b.sign(batch_id=b"same"))
        results = sorted(status(w.receive()) for _ in range(2))
        expect(results == [0, 1], results)
        expect(status(w.ask(request(QUERY, QUERY_OPERATIONS))) == 1, "a request without id")


def abandon(batch_id, *more):
    return message(batch_item(DISCOVER, batch_id=b"bye", abandoned=batch_id), *more)


def results(w, n):
    answers = [w.receive() for _ in range(n)]
    return {find(a, 0x420093): status(a) for a in answers}


def claim_what_nobody_waits_for_is_not_begun(b):
    with b.connect(alpn="keyfleet/1") as w:
        w.send(b.sign(batch_id=b"gone") + b.sign(batch_id=b"stays") + abandon(b"gone"))
        expect(results(w, 3) == {b"gone": 1, b"stays": 0, b"bye": 0}, "begun, or not only that one")
        expect(status(w.ask(abandon(b"gone"))) == 0, "an answer that overtook is held against the client")


def claim_nobody_abandons_what_another_connection_asks_for(b):
    key, n = b.make_key(algorithm=4, bits=2048), 100
    slow = b"".join(b.sign(batch_id=b"%d" % i, key=key, algorithm=5) for i in range(n))
    for who, may in (("other", False), ("w", True)):
        with b.connect(alpn="keyfleet/1") as w, b.connect(alpn="keyfleet/1") as other:
            w.send(slow)
            (w if who == "w" else other).send(b"".join(
                message(batch_item(DISCOVER, batch_id=b"bye%d" % i, abandoned=b"%d" % i)) for i in range(n)))
            if who == "other":
                expect(set(results(other, n).values()) == {0}, "not answered")
            got = results(w, n if who == "other" else 2 * n)
            done = {outcome for batch_id, outcome in got.items() if not batch_id.startswith(b"bye")}
            expect((1 in done) == may and done <= {0, 1}, f"abandoned by {who}: {done}")


def claim_items_of_batches_abandon_nothing(b):
    with b.connect(alpn="keyfleet/1") as w:
        w.send(b.sign(batch_id=b"stays") + abandon(b"stays", batch_item(DISCOVER, batch_id=b"2")))
        expect(results(w, 2) == {b"stays": 0, b"bye": 0}, "a batch's item withdrew it")


# -- batches -------------------------------------------------------------------------------------------


def claim_a_batch_stops_at_the_first_failure_or_goes_on(b):
    bad, good = batch_item(GET, text(0x420094, "none"), b"1"), batch_item(QUERY, QUERY_OPERATIONS, b"2")
    with b.connect() as w:
        expect([status(i) for i in items_of(w.ask(message(bad, good)))] == [1], "does not stop")
        on = enum(0x42000E, 1)
        expect([status(i) for i in items_of(w.ask(message(bad, good, options=on)))] == [1, 0], "does not go on")
        undo = enum(0x42000E, 3)
        expect([status(i) for i in items_of(w.ask(message(good, bad, options=undo)))] == [3, 1], "does not undo")


def claim_a_batch_that_is_broken_at_its_end_does_nothing(b):
    good = batch_item(ACTIVATE, text(0x420094, b.key), b"1")
    with b.connect() as w:
        broken = bytearray(message(good, batch_item(QUERY, QUERY_OPERATIONS, b"2")))
        broken[-12] = 0x77  # the type of the last item
        answer = w.ask(bytes(broken))
        expect(len(items_of(answer)) == 1 and reason(answer) == INVALID_MESSAGE, answer)
        expect(w.is_closed(), "goes on after a broken message")


def longest_wait(b, sent, answers):
    """Of two others, one on each loop, while so many answers come: in seconds, and how long these took."""
    with b.connect() as w, b.connect() as one, b.connect() as two:
        got, longest, query = [], 0, request(QUERY, QUERY_OPERATIONS)
        for any_one in (w, one, two):
            any_one.ask(query)
        reader = threading.Thread(target=lambda: got.extend(w.receive() for _ in range(answers)))
        begin = time.monotonic()
        w.send(sent)
        reader.start()
        while reader.is_alive():
            asked = time.monotonic()
            for other in (one, two):
                other.send(query)
            for other in (one, two):
                other.receive()
            longest = max(longest, time.monotonic() - asked)
        took = time.monotonic() - begin
    results = [status(i) for answer in got for i in items_of(answer)]
    expect(results == [0] * 300, f"not all were verified: {results}")
    return longest, took


def claim_others_are_answered_while_much_is_done_at_once(b):
    """Signatures are verified on the loop, each for a millisecond: in one message, or in many that come together."""
    attributes = struct_(0x420126, enum(0x420028, 6), struct_(0x42002B, enum(0x420075, 0x0D)), int_(0x42002A, 521))
    with b.connect() as w:
        made = w.ask(request(CREATE_KEY_PAIR, attributes + struct_(0x420127, int_(0x42002C, 1)) + struct_(
            0x420128, int_(0x42002C, 2))))
        key = find(made, 0x42006F).decode()
        expect(status(w.ask(request(ACTIVATE, text(0x420094, key)))) == 0, "key is not activated")
    wrong = octets(0x4200C3, bytes.fromhex("3006020101020101"))
    parameters = struct_(0x42002B, enum(0x420038, 6), enum(0x4200AE, 0x0E))
    payload = text(0x420094, key) + parameters + octets(0x4200C2, b"data") + wrong
    items = [batch_item(SIGNATURE_VERIFY, payload, b"%d" % i) for i in range(300)]
    for sent, answers in ((message(*items), 1), (b"".join(message(i) for i in items), 300)):
        longest, took = longest_wait(b, sent, answers)
        expect(longest < took / 3, f"somebody waited for {longest:.3f} s of {took:.3f} s")


def claim_an_answer_is_no_larger_than_asked_for(b):
    with b.connect() as w:
        answer = w.ask(request(QUERY, QUERY_OPERATIONS, most=200))
        expect(status(answer) == 1 and reason(answer) == 0x02, answer)


def claim_what_would_come_too_late_is_not_started(b):
    with b.connect(alpn="keyfleet/1") as w:
        n = 250
        w.send(b"".join(b.sign(batch_id=b"%d" % i, deadline_ms=1) for i in range(n)))
        late = sum(status(w.receive()) for _ in range(n))
        expect(late > 0, "all came in time")
        expect(status(w.ask(b.sign(batch_id=b"1", deadline_ms=60000))) == 0, "not in time")


# -- hostile bytes -------------------------------------------------------------------------------------


def claim_a_message_cut_anywhere_harms_nobody(b):
    whole = b.sign()
    for n in list(range(0, 64)) + list(range(64, len(whole), 7)):
        with b.connect() as w:
            w.send(whole[:n])
            w.tls.unwrap() if n % 2 else None
    expect(b.lets_in("admin"), "nobody gets in any more")


def claim_lies_in_every_byte_get_an_answer_or_the_door(b):
    whole = b.sign()
    for at in range(0, len(whole), 3):
        for lie in (0x00, 0x7f, 0xff):
            with b.connect() as w:
                try:
                    w.send(whole[:at] + bytes([lie]) + whole[at + 1:])
                    w.send(request(QUERY, QUERY_OPERATIONS) * 200)
                    w.receive()
                except (EOFError, OSError):
                    pass
    b.process.must_run()
    expect(b.lets_in("admin"), "nobody gets in any more")


def claim_a_payload_that_cannot_be_read_ends_no_connection(b):
    broken = text(0x420094, b.key) + text(0x420094, "x" * 300)
    with b.connect() as w:
        answer = w.ask(request(GET, broken))
        expect(reason(answer) == INVALID_MESSAGE and find(answer, 0x42005C) == GET, "is not refused")
        expect(status(w.ask(request(QUERY, QUERY_OPERATIONS))) == 0, "is cut off")
    with b.connect(alpn="keyfleet/1") as w:
        expect(reason(w.ask(request(GET, broken, b"1"))) == INVALID_MESSAGE, "is not refused")
        expect(status(w.ask(request(QUERY, QUERY_OPERATIONS, b"2"))) == 0, "the others are cut off")


def claim_what_is_no_message_gets_one_answer_and_the_door(b):
    for junk in (b"GET / HTTP/1.1\r\n\r\n", bytes(16), b"\x42\x00\x78\x01\x7f\xff\xff\xf8"):
        with b.connect() as w:
            expect(status(w.ask(junk)) == 1, "no refusal")
            expect(w.is_closed(), "stays open")


def claim_a_message_that_trickles_in_is_not_waited_for(b):
    with b.connect() as w:
        w.send(b.sign()[:100])
        expect(w.is_closed(), "waits")


def claim_a_handshake_that_does_not_come_is_not_waited_for(b):
    with socket.create_connection(("127.0.0.1", b.port), 10) as s:
        s.settimeout(10)
        expect(s.recv(1) == b"", "waits")


def client_hello():
    out = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    try:
        context.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    except ssl.SSLWantReadError:
        return out.read()


def claim_no_handshake_is_begun_with_a_client_that_has_left(b):
    def gone():
        return int(re.search(r'tls_handshakes_total{result="gone"} (\d+)', b.fetch("/metrics"))[1])
    before = gone()
    b.process.signal(signal.SIGSTOP)
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", b.port), 10) as s:
            s.sendall(client_hello())
    b.process.signal(signal.SIGCONT)
    wait_until("all to be found gone", lambda: gone() == before + 50)
    expect(b.logged("client gave up before the handshake"), "it was begun")


def claim_a_handshake_that_trickles_in_is_not_waited_for(b):
    with socket.create_connection(("127.0.0.1", b.port), 10) as s:
        s.settimeout(0.1)
        for byte in client_hello():
            try:
                s.send(bytes([byte]))
                expect(s.recv(1) == b"", "answers half a greeting")
                return
            except TimeoutError:
                pass
            except ConnectionError:
                return
        expect(False, "waits")


# -- whom it lets in -----------------------------------------------------------------------------------


def claim_only_known_certificates_of_the_right_role_get_in(b):
    for name in ("late", "alien", "stranger", "server"):
        expect(not b.lets_in(name), f"{name} gets in")
    try:
        with Wire(b.port, b.path("ca.pem")) as w:
            w.ask(request(QUERY, QUERY_OPERATIONS))
        raise AssertionError("gets in without a certificate")
    except (ssl.SSLError, OSError, EOFError):
        pass
    expect(b.lets_in("admin"), "the administrator does not get in")


def claim_a_reload_changes_who_is_administrator_at_once(b):
    with b.connect() as w:
        expect(status(w.ask(b.sign())) == 0, "not signed")
        b.configure("other")
        b.process.signal(signal.SIGHUP)
        wait_until("the reload", lambda: b.lets_in("other"))
        try:
            refused = status(w.ask(b.sign())) == 1
        except (EOFError, OSError):
            refused = True
        expect(refused, "goes on signing")
    b.configure("admin")
    b.process.signal(signal.SIGHUP)
    wait_until("the reload", lambda: b.lets_in("admin"))


def claim_a_reload_takes_a_new_master_key(b):
    with open(b.path("master.key")) as f:
        old = f.read()
    b.write_secret("master.key", f"k2 = {secrets.token_hex(32)}\n{old}")
    b.process.signal(signal.SIGHUP)
    wait_until("the rotation", lambda: b.facts().get("store.old-master-keys") == "0" and b.logged("reloaded") > 2)
    b.restart()
    with b.connect() as w:
        expect(status(w.ask(b.sign())) == 0, "not signed")


def claim_a_reload_that_fails_changes_nothing(b):
    with b.connect() as w:
        b.write("keyfleetd.conf", "nonsense\n")
        b.process.signal(signal.SIGHUP)
        wait_until("the refusal", lambda: b.logged("reload failed"))
        expect(status(w.ask(b.sign())) == 0, "not signed")
    b.configure("admin")


def claim_load_balancers_say_who_the_client_is(b):
    header = (b"\r\n\r\n\0\r\nQUIT\n" + b"\x21\x11\x00\x0c" + bytes([192, 0, 2, 7]) + bytes([127, 0, 0, 1]) +
              b"\x30\x39\x16\x40")
    b.configure("admin", "[proxy]\nprotocol = v2\ntrusted = 127.0.0.0/8\n")
    b.restart()
    with b.connect(before=header) as w:
        expect(status(w.ask(b.sign())) == 0, "not signed")
    expect(not b.lets_in("admin"), "gets in without a header")
    expect('keyfleet_connections_refused_total{reason="untrusted"} 1\n' in b.fetch("/metrics"), "it is not counted")
    expect(not b.lets_in("stranger", header), "a stranger gets in")
    wait_until("the client's address", lambda: b.logged("192.0.2.7"))
    b.configure("admin", "[proxy]\nprotocol = v2\ntrusted = 198.51.100.1\n")
    b.restart()
    expect(not b.lets_in("admin", header), "anybody may say who the client is")
    b.configure("admin")
    b.restart()


# -- load balancers and stopping -------------------------------------------------------------------------


def claim_health_is_told(b):
    for path in ("/up", "/drain", "/writable", "/status"):
        wait_until(path, lambda: b.health(path) == 200)
    expect(b.health("/other") == 404, "knows too much")


def claim_what_is_in_flight_is_answered_before_it_stops(b):
    with b.connect() as w, b.connect() as idle:
        w.ask(request(QUERY, QUERY_OPERATIONS))
        w.send(b.sign() * 100)
        w.receive()
        b.process.signal(signal.SIGTERM)
        expect(idle.is_closed(), "an idle connection is kept")
        answers = 1
        try:
            while status(w.receive()) == 0:
                answers += 1
        except (EOFError, OSError):
            pass
        expect(b.process.child.wait(20) == 0, "does not stop in order")
        expect(answers > 1, f"{answers} answers")
    b.start()


def claim_what_was_made_is_there_after_a_restart(b):
    b.restart()
    with b.connect() as w:
        expect(status(w.ask(b.sign())) == 0, "key is gone")


def claim_signing_allocates_nothing_of_ours(b):
    counter = os.environ.get("COUNT_MALLOC")
    if not counter:
        skip("no counter in this build")
    b.restart({"LD_PRELOAD": counter})

    def count():
        before = b.logged("allocations")
        b.process.signal(signal.SIGUSR2)
        wait_until("the count", lambda: b.logged("allocations") > before)
        with open(b.process.log) as f:
            return [line for line in f if line.startswith("allocations")][-1]

    with b.connect() as w:
        for _ in range(20):
            w.ask(b.sign())
        before = count()
        for _ in range(1000):
            w.ask(b.sign())
        expect(count() == before, f"{before} became {count()}")
    b.restart()


def claim_a_broken_configuration_is_told_by_check(b):
    path = b.write("broken.conf", "[server]\nlisten = 127.0.0.1:0\nport = 1\n[audit]\nsync = maybe\n")
    p = subprocess.run([os.path.join(BIN, "keyfleetd"), "--config", path, "--check"], capture_output=True, text=True,
                       check=False)
    expect(p.returncode == 1, p.returncode)
    expect("broken.conf:3" in p.stderr and "broken.conf:5" in p.stderr, p.stderr)


if __name__ == "__main__":
    run(globals(), Bench("keyserver"))
