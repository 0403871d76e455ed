#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_keyfleet, the monitoring plug-in: key server, agent and a signature, in each state that it tells apart."""
import base64
import http.server
import os
import re
import socket
import subprocess
import threading
import time
import urllib.request

from scenario import expect, run
from lab import Agent, BIN, KeyServer, Lab, free_port, set_option, wait_until

OK, WARNING, CRITICAL, UNKNOWN = range(4)
STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
FIGURE = r"[a-z_]+=-?[0-9.e+]+(s|%|B|c)?(;[0-9.]*;[0-9.]*)?"
LINE = re.compile(rf"KEYFLEET (OK|WARNING|CRITICAL|UNKNOWN) - [^|\n]+( \| {FIGURE}( {FIGURE})*)?\n")


class Page:
    """Serves a page of metrics, as changed by the test."""

    def __init__(self, text):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *args):
                pass
        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return str(self.server.server_port)

    def __exit__(self, *why):
        self.server.shutdown()
        self.server.server_close()


class Checks(Lab):
    def __enter__(self):
        super().__enter__()
        self.plugin = self.path("check_keyfleet")
        os.symlink(os.path.join(BIN, "keyfleet"), self.plugin)
        self.health, self.port = str(free_port()), str(free_port())
        self.server = KeyServer(self, "ks1", options={("health", "listen"): f"127.0.0.1:{self.health}"})
        for name, kind in (("p256", "ec:P-256"), ("rsa", "rsa:2048"), ("p521", "ec:P-521"), ("ed", "ed25519")):
            self.server.keyfleet("key", "create", name, "--type", kind)
            self.write(name + ".ref", self.server.keyfleet("key", "ref", name).stdout)
        self.agent = Agent(self, "web1", [self.server])
        self.restart_agent(self.server.address)
        return self

    def restart_agent(self, servers):
        self.agent.process.stop()
        set_option(self.agent.conf, "client", "servers", servers)
        set_option(self.agent.conf, "metrics", "listen", f"127.0.0.1:{self.port}")
        self.agent.start()

    def check(self, *args):
        """(status, line)"""
        done = subprocess.run([self.plugin, *args], capture_output=True, text=True, timeout=60)
        expect(LINE.fullmatch(done.stdout) and not done.stderr, f"{args}: {done.stdout!r} {done.stderr!r}")
        expect(done.stdout.split()[1] == STATES[done.returncode], done.stdout)
        return done.returncode, done.stdout

    def must(self, status, text, *args):
        found, line = self.check(*args)
        expect(found == status and text in line, f"{' '.join(args)}: {line}")
        return line

    def page(self, port):
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20).read().decode()


def claim_what_is_well_is_ok(lab):
    wait_until("a load below its limits", lambda: lab.check("server", "-p", lab.health)[0] == OK)
    lab.must(OK, "key server is well", "server", "-H", "localhost", "-p", lab.health, "-w", "101", "-c", "101")
    wait_until("the agent's servers", lambda: lab.check("agent", "-p", lab.port)[0] == OK)
    lab.must(OK, "1 of 1 key servers", "agent", "--hostname", "127.0.0.1", "--port", lab.port, "-t", "5")


def claim_it_is_a_command_too(lab):
    done = lab.keyfleet("check", "server", "-p", lab.health, "-w", "101", "-c", "101")
    expect(done.stdout.startswith("KEYFLEET OK - "), done.stdout)
    expect(lab.keyfleet("check", "server", "-p", "1", check=False).returncode == CRITICAL, "the status")


def claim_a_signature_is_made_and_verified_with_every_kind_of_key(lab):
    for name, kind in (("p256", "ec:P-256"), ("rsa", "rsa:2048"), ("p521", "ec:P-521"), ("ed", "ed25519")):
        line = lab.must(OK, f"signed with {kind} in", "sign", "-k", lab.path(name + ".ref"), "-s", lab.agent.socket)
        expect(re.search(r"\| time=[0-9.e-]+s\n", line), line)


def claim_a_slow_signature_is_told(lab):
    sign = ["sign", "-k", lab.path("p256.ref"), "-s", lab.agent.socket]
    lab.must(WARNING, "time of a signature", *sign, "-w", "0", "-c", "60000")
    lab.must(CRITICAL, "time of a signature", *sign, "-w", "0", "-c", "0.1")


def claim_a_signature_of_another_key_is_wrong(lab):
    """The reference of one key with the Unique Identifier of another."""
    lab.server.keyfleet("key", "create", "other", "--type", "ec:P-256")
    other = lab.server.keyfleet("key", "ref", "other").stdout
    body = {n: base64.b64decode("".join(re.findall(r"^[A-Za-z0-9+/=]+$", t, re.M))) for n, t in (
        ("p256", open(lab.path("p256.ref")).read()), ("other", other))}
    ids = {n: re.search(rb"[0-9a-f]{8}-[0-9a-f-]{27}", b)[0] for n, b in body.items()}
    mixed = base64.b64encode(body["p256"].replace(ids["p256"], ids["other"])).decode()
    label = re.search(r"-----BEGIN (.*)-----", other)[1]
    lines = "\n".join(mixed[i:i + 64] for i in range(0, len(mixed), 64))
    path = lab.write("mixed.ref", f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n")
    lab.must(CRITICAL, "the signature is wrong", "sign", "-k", path, "-s", lab.agent.socket)


def claim_what_cannot_be_found_out_is_unknown(lab):
    lab.must(UNKNOWN, "give -p", "server")
    lab.must(UNKNOWN, "--nonsense", "server", "--nonsense")
    lab.must(UNKNOWN, "see --help", "server", "-p", lab.health, "-w", "much")
    lab.must(UNKNOWN, "see --help", "server", "-p", lab.health, "else")
    for address in (["-H", "nobody.invalid"], ["-H", "::1::"], ["-H", "unix:"], ["-p", "99999"]):
        lab.must(UNKNOWN, "address" if address[1] != "unix:" else "path", "server", "-p", lab.health, *address)
    lab.must(UNKNOWN, "give -k", "sign")
    lab.must(UNKNOWN, "web1.pem", "sign", "-k", lab.path("web1.pem"))
    lab.must(UNKNOWN, "nowhere.ref", "sign", "-k", lab.path("nowhere.ref"))
    lab.must(UNKNOWN, "not a key server's page", "server", "-p", lab.port)
    lab.must(UNKNOWN, "not an agent's page", "agent", "-p", lab.health)
    lab.must(UNKNOWN, "check_keyfleet 0", "server", "-V")


def claim_limits_decide(lab):
    lab.must(WARNING, "load is", "server", "-p", lab.health, "-w", "0")
    lab.must(CRITICAL, "load is", "server", "-p", lab.health, "-w", "0", "-c", "0")
    lab.must(WARNING, "certificate (server) ends in 3", "server", "-p", lab.health, "-C", "1000,3")
    lab.must(CRITICAL, "certificate (server) ends in 3", "server", "-p", lab.health, "-C", "1000,999")
    lab.must(WARNING, "certificate (client) ends in 3", "agent", "-p", lab.port, "-C", "1000")


def changed(page, **values):
    """keyfleet_NAME -> value; the first series of the name."""
    for name, value in values.items():
        page, n = re.subn(rf"^(keyfleet_{name}(?:\{{[^\n]*\}})?) \S+$", rf"\g<1> {value}", page, count=1, flags=re.M)
        expect(n == 1, f"no keyfleet_{name} in the page")
    return page


def claim_every_illness_of_a_key_server_has_its_state(lab):
    page, now = lab.page(lab.health), time.time()
    cases = (
        (CRITICAL, "nothing is signed", {"audit_healthy": 0, "up": 0}),
        (WARNING, "it is stopping", {"draining": 1, "up": 0}),
        (CRITICAL, "does not answer requests", {"up": 0}),
        (WARNING, "no spare audit segment", {"audit_reserve_bytes": 1000}),
        (WARNING, "changes cannot be committed", {"store_writable": 0}),
        (CRITICAL, "changed outside keyfleet", {"store_tampered_rows": 2}),
        (CRITICAL, "changed outside keyfleet", {"store_rolled_back": 1}),
        (CRITICAL, "the audit log is not what was written", {"audit_intact": 0}),
        (CRITICAL, "certificate (server) has expired", {"certificate_expiry_seconds": now - 60}),
        (CRITICAL, "certificate (server) ends in 2.", {"certificate_expiry_seconds": now + 2.5 * 86400}),
        (WARNING, "certificate (server) ends in 9.", {"certificate_expiry_seconds": now + 9.5 * 86400}),
        (CRITICAL, "load is 99%", {"load_ratio": 0.99}),
        (CRITICAL, "changes cannot be committed, load is 99%", {"load_ratio": 0.99, "store_writable": 0}),
    )
    for status, text, values in cases:
        with Page(changed(page, **values)) as port:
            lab.must(status, text, "server", "-p", port)


def claim_every_illness_of_an_agent_has_its_state(lab):
    page = lab.page(lab.port)
    for status, text, values in (
            (CRITICAL, "0 of 1 key servers", {"agent_servers_up": 0}),
            (WARNING, "1 of 3 key servers", {"agent_servers": 3}),
            (WARNING, f"{lab.server.address} is left alone", {"agent_server_breaker": 2}),
            (OK, "agent is well", {"agent_server_breaker": 1})):
        with Page(changed(page, **values)) as port:
            lab.must(status, text, "agent", "-p", port)
    with Page(changed(page, agent_servers=3)) as port:
        lab.must(OK, "1 of 3", "agent", "-p", port, "-w", "1")
        lab.must(CRITICAL, "1 of 3", "agent", "-p", port, "-c", "2")


def claim_what_is_no_page_or_never_comes_is_critical(lab):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        lab.must(CRITICAL, "no answer in time", "server", "-p", str(silent.getsockname()[1]), "-t", "1")
        expect(time.monotonic() - began < 20, "it waited longer than it was told")
    with Page("") as port:
        lab.must(UNKNOWN, "not a key server's page", "server", "-p", port)
    lab.must(CRITICAL, "refused", "server", "-p", str(free_port()))
    lab.must(CRITICAL, "", "agent", "-H", f"unix:{lab.path('nobody.sock')}")


def claim_a_server_that_stops_is_a_warning(lab):
    """Keys are being made, which a server that stops waits for."""
    making = [subprocess.Popen([os.path.join(BIN, "keyfleet"), "--config", lab.server.conf, "key", "create", f"big{i}",
                                "--type", "rsa:4096"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
              for i in range(4)]
    wait_until("keys to be made", lambda: re.search(r"^keyfleet_worker_queue_length [1-9]", lab.page(lab.health), re.M))
    lab.server.process.signal(15)
    wait_until("the warning", lambda: "it is stopping" in lab.check("server", "-p", lab.health)[1])
    for process in making:
        process.wait(60)
    lab.server.process.child.wait(60)


def claim_a_server_that_is_gone_is_critical_for_all(lab):
    lab.must(CRITICAL, "refused", "server", "-p", lab.health)
    wait_until("the agent to notice", lambda: lab.check("agent", "-p", lab.port)[0] == CRITICAL)
    lab.must(CRITICAL, "0 of 1 key servers can be reached", "agent", "-p", lab.port)
    lab.must(CRITICAL, "no signature: ", "sign", "-k", lab.path("p256.ref"), "-s", lab.agent.socket)
    lab.agent.process.stop()
    lab.agent.listener.close()
    lab.must(CRITICAL, "no signature: ", "sign", "-k", lab.path("p256.ref"), "-s", lab.agent.socket)


def claim_one_of_two_servers_is_a_warning(lab):
    lab.server.start()
    lab.agent.listener = socket.socket(socket.AF_UNIX)
    lab.agent.listener.bind("\0" + lab.agent.socket[1:])
    lab.agent.listener.listen()
    lab.restart_agent(f"{lab.server.address}, 127.0.0.1:{free_port()}")
    wait_until("the warning", lambda: "1 of 2 key servers" in lab.check("agent", "-p", lab.port)[1])
    lab.must(WARNING, "1 of 2 key servers", "agent", "-p", lab.port)


run(globals(), Checks("kf-check"))
