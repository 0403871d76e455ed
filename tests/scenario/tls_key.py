#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The key server's own TLS key on a card: handshakes wait for it, nothing else does."""
import os
import re
import signal
import socket
import ssl
import threading
import time
import urllib.request

from scenario import expect, run, skip
from token_wire import IMPORT_SHARE
from cards import Cards
from lab import BIN, free_port, wait_until
from ttlv import SIGN, Wire, enum, items_of, octets, request, status, struct_, text

SLOW_S = 0.3


class Tokens(Cards):
    """One card in the pool `main` of a key server with one loop."""

    def set_up(self):
        self.health = free_port()
        self.insert(1, options={("health", "listen"): f"127.0.0.1:{self.health}", ("server", "loops"): 1})
        self.conf = os.path.join(self.server.dir, "keyfleetd.conf")

    def identity(self, name, key):
        """The [tls] section: this certificate, and where its key is."""
        lines = open(self.conf).read().splitlines()
        at = lines.index("[tls]")
        lines = [line for i, line in enumerate(lines)
                 if i < at or not line.split("=")[0].strip() in ("certificate", "key")]
        lines[at + 1:at + 1] = [f"certificate = {name}", f"key = {key}"]
        self.write("keys/keyfleetd.conf", "\n".join(lines) + "\n")

    def certify_server(self, key, out):
        ca = os.path.join(self.server.dir, "ca")
        self.write(key + ".csr", self.server.keyfleet("key", "csr", key, "--subject", "CN=keys").stdout)
        self.write("server.ext", "extendedKeyUsage=serverAuth\nkeyUsage=digitalSignature\n"
                   "subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        self.run(["openssl", "x509", "-req", "-in", key + ".csr", "-CA", ca + "/ca.pem", "-CAkey", ca + "/ca.key",
                  "-days", "30", "-extfile", "server.ext", "-out", os.path.join(self.server.dir, out)])

    def reload(self):
        before = self.log().count("reloaded")
        self.server.process.signal(signal.SIGHUP)
        wait_until("the reload", lambda: self.log().count("reloaded") > before)

    def option(self, name, value):
        """Of [limits], taken at once."""
        lines = [line for line in open(self.conf).read().splitlines() if not line.startswith(name + " =")]
        at = lines.index("[limits]") if "[limits]" in lines else None
        if at is None:
            lines += ["[limits]"]
            at = len(lines) - 1
        lines.insert(at + 1, f"{name} = {value}")
        self.write("keys/keyfleetd.conf", "\n".join(lines) + "\n")
        self.reload()

    def log(self):
        return self.server.process.tail(10000)

    def connect(self):
        return Wire(*self.admin.where)

    def signatures(self):
        """By the card; asked without TLS."""
        return int(re.search(r'keyfleet_pool_token_signatures_total{serial="\w+"} (\d+)', self.metrics())[1])

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health}/metrics") as answer:
            return answer.read().decode()

    def handshakes(self, result):
        line = f'keyfleet_tls_handshakes_total{{result="{result}"}} '
        return int(self.metrics().split(line)[1].split()[0])

    def slow(self, seconds):
        ms = int(seconds * 1000)
        self.cards.tell("card", "1", "time", f"ec={ms},rsa2048={ms}")


def needs_cards(lab):
    if lab.why_not:
        skip(lab.why_not)


def quick_context(lab, version=None):
    _, ca, certificate, key = lab.admin.where
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(ca)
    context.load_cert_chain(certificate, key)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def shake(lab, context, session=None):
    with socket.create_connection(("127.0.0.1", lab.server.port), 10) as raw:
        with context.wrap_socket(raw, session=session) as tls:
            return tls.session, tls.session_reused


def fails(lab):
    """How long it took a handshake to fail."""
    began = time.monotonic()
    try:
        lab.connect().tls.close()
    except (OSError, EOFError):
        return time.monotonic() - began
    raise AssertionError("a handshake without a key")


def greet_and_leave(lab):
    """A greeting, and before it is answered the end."""
    to, from_ = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = quick_context(lab).wrap_bio(to, from_)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    raw = socket.create_connection(("127.0.0.1", lab.server.port), 10)
    raw.sendall(from_.read())
    return raw


def claim_a_certificate_s_key_is_found_on_the_card(lab):
    needs_cards(lab)
    serial, = lab.admin.tokens()
    lab.admin.init(serial, "card")
    lab.admin.act(IMPORT_SHARE, serial, octets(0x54002C, bytes(range(32))))
    lab.admin.create("main", "own")
    lab.admin.create("main", "own-rsa", bits=2048)
    lab.certify_server("own", "own.pem")
    lab.certify_server("own-rsa", "own-rsa.pem")
    lab.on_card = lab.admin.create("main", "web")
    lab.soft = lab.server.keyfleet("key", "create", "soft", "--type", "ec:P-256").stdout.split()[0]
    lab.identity("own.pem", "pool:nobody")
    lab.server.process.stop()
    checked = lab.run([os.path.join(BIN, "keyfleetd"), "--config", lab.conf, "--check"], check=False)
    expect(checked.returncode == 1 and "names a pool that has no section" in checked.stderr, checked)
    lab.identity("own.pem", "pool:main")
    lab.server.start()
    told = lab.keyfleet("--json", "doctor", "--server-config", lab.conf, check=False).stdout
    expect("it is on tokens, which the key server uses" in told, told)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        before = lab.signatures()
        shake(lab, quick_context(lab, version))
        expect(lab.signatures() >= before + 1, "the card did not sign")


def claim_a_reload_takes_another_key_rsa_with_both_paddings(lab):
    needs_cards(lab)
    lab.identity("own-rsa.pem", "pool:main")
    lab.reload()
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        shake(lab, quick_context(lab, version))
    context = quick_context(lab, ssl.TLSVersion.TLSv1_2)
    done = lab.run(["openssl", "s_client", "-connect", lab.server.address, "-tls1_2", "-sigalgs", "RSA+SHA256", "-CAfile",
                    lab.admin.where[1], "-cert", lab.admin.where[2], "-key", lab.admin.where[3]], stdin="", check=False)
    expect("Verify return code: 0" in done.stdout and "signature type: RSA\n" in done.stdout, done)
    with open(lab.conf, "a") as f:
        f.write(f"\n[pool later]\npin = {lab.pin}\nsocket = {lab.pcscd.socket}\ntokens = nobody\n")
    lab.identity("own.pem", "pool:later")
    lab.server.process.signal(signal.SIGHUP)
    wait_until("a refusal", lambda: "this pool is in use from the next start on only" in lab.log())
    shake(lab, context)
    lab.write("keys/keyfleetd.conf", open(lab.conf).read().split("\n[pool later]")[0] + "\n")
    lab.identity("server.pem", "server.key")
    lab.reload()
    shake(lab, context)
    lab.identity("own.pem", "pool:main")
    lab.reload()


def claim_a_resumed_session_asks_no_card(lab):
    needs_cards(lab)
    context = quick_context(lab, ssl.TLSVersion.TLSv1_2)
    session, _ = shake(lab, context)
    before = lab.signatures()
    _, is_reused = shake(lab, context, session)
    expect(is_reused, "not resumed")
    expect(lab.signatures() == before, "the card signed")


def waiting_for(lab):
    """Jobs at the pool."""
    return sum(int(n) for n in re.findall(r'^keyfleet_pool_queue_length\{[^}]*\} (\d+)', lab.metrics(), re.M))


def sign(wire, key):
    parameters = struct_(0x42002B, enum(0x420038, 6), enum(0x4200AE, 0x0E))
    began = time.monotonic()
    answer = items_of(wire.ask(request(SIGN, text(0x420094, key) + parameters + octets(0x4200C2, b"data"))))[0]
    expect(status(answer) == 0, answer)
    return time.monotonic() - began


def claim_handshakes_wait_and_nobody_else(lab):
    needs_cards(lab)
    failed, took = [], []

    def one():
        try:
            lab.connect().tls.close()
        except OSError as why:
            failed.append(why)

    with lab.connect() as wire:
        lab.slow(SLOW_S)
        began = time.monotonic()
        waiting = [threading.Thread(target=one) for _ in range(8)]
        for thread in waiting:
            thread.start()
        while any(thread.is_alive() for thread in waiting):
            took.append(sign(wire, lab.soft))
        spent = time.monotonic() - began
    lab.slow(0)
    expect(not failed, failed)
    expect(spent > 7 * SLOW_S, f"the card took {spent} s for eight signatures")
    took.sort()
    expect(len(took) > 100 and took[len(took) * 99 // 100] < SLOW_S / 3, (len(took), took[-20:]))


def claim_who_leaves_meanwhile_leaves_no_work(lab):
    needs_cards(lab)
    with lab.connect() as wire:
        before, gone = lab.signatures(), lab.handshakes("gone")
        lab.slow(SLOW_S)
        left = [greet_and_leave(lab) for _ in range(30)]
        sign(wire, lab.soft)
        for raw in left:
            raw.close()
        wait_until("all to be gone", lambda: lab.handshakes("gone") >= gone + 30)
        lab.slow(0)
        lab.connect().tls.close()
        done = lab.signatures() - before
        expect(done < 15, f"{done} signatures, for nobody")


def claim_handshakes_of_strangers_yield_to_signatures_of_clients(lab):
    needs_cards(lab)
    with lab.connect() as wire:
        sign(wire, lab.on_card)
        lab.slow(SLOW_S)
        left = [greet_and_leave(lab) for _ in range(25)]
        wait_until("all to wait", lambda: waiting_for(lab) >= 20)
        took = sign(wire, lab.on_card)
        expect(waiting_for(lab) >= 10, "the handshakes did not wait")
        expect(took < 6 * SLOW_S, f"a signature waited for {took} s behind strangers")
        for raw in left:
            raw.close()
        lab.slow(0)


def claim_a_handshake_whose_turn_would_come_too_late_fails_at_once(lab):
    needs_cards(lab)
    lab.option("handshake_timeout", "2s")
    lab.connect().tls.close()
    lab.slow(SLOW_S)
    lab.connect().tls.close()
    before, late = lab.handshakes("key"), lab.handshakes("timeout")
    gone = [greet_and_leave(lab) for _ in range(20)]
    wait_until("refusals", lambda: lab.handshakes("key") >= before + 5)
    expect("its turn would come after its deadline" in lab.log(), lab.log()[-2000:])
    expect(lab.handshakes("timeout") == late, "handshakes waited in vain")
    for raw in gone:
        raw.close()
    lab.slow(0)
    lab.option("handshake_timeout", "10s")
    lab.connect().tls.close()


def claim_more_than_may_wait_fail_at_once(lab):
    needs_cards(lab)
    lab.option("handshake_timeout", "60s")
    lab.slow(SLOW_S)
    before = lab.handshakes("key")
    left = [greet_and_leave(lab) for _ in range(80)]
    wait_until("handshakes that were too many", lambda: lab.handshakes("key") > before)
    expect("too many handshakes wait for the key of this server" in lab.log(), lab.log()[-2000:])
    for raw in left:
        raw.close()
    lab.slow(0)
    lab.option("handshake_timeout", "10s")
    lab.connect().tls.close()


def works(lab):
    try:
        lab.connect().tls.close()
        return True
    except OSError:
        return False


def claim_without_the_card_handshakes_fail_clearly_and_the_rest_lives_on(lab):
    needs_cards(lab)
    with lab.connect() as wire:
        lab.cards.tell("card", "1", "unplug")
        before = lab.handshakes("key")
        wait_until("a quick failure", lambda: fails(lab) < 1)
        expect(lab.handshakes("key") > before, "not counted")
        expect('handshake failed: our own key' in lab.log(), lab.log()[-2000:])
        sign(wire, lab.soft)
        lab.server.process.must_run()
        lab.cards.tell("card", "1", "replug")
        wait_until("the card to serve again", lambda: works(lab))
        sign(wire, lab.soft)


def claim_a_server_that_starts_without_the_card_waits_for_it(lab):
    needs_cards(lab)
    lab.cards.tell("card", "1", "unplug")
    lab.server.process.stop()
    lab.server.start()
    fails(lab)
    lab.cards.tell("card", "1", "replug")
    wait_until("the card to serve", lambda: works(lab))


def claim_it_stops_while_handshakes_wait(lab):
    needs_cards(lab)
    lab.slow(SLOW_S)
    left = [greet_and_leave(lab) for _ in range(10)]
    time_of = time.monotonic()
    lab.server.process.stop()
    expect(time.monotonic() - time_of < 8, "it took long")
    for raw in left:
        raw.close()
    lab.slow(0)
    lab.server.start()
    lab.connect().tls.close()


if __name__ == "__main__":
    run(globals(), Tokens("tls-key"))
