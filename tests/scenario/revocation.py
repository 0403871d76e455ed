#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is taken back ends within a second: on open connections, on resumed sessions, on every key server."""
import os
import signal
import socket
import ssl
import statistics
import subprocess
import time

from scenario import expect, run, skip
from lab import KeyServer, Lab, LabError, PostgreSQL, set_option, wait_until
from ttlv import (CREATE_KEY_PAIR, SIGN, Wire, batch_item, enum, int_, items_of, message, octets, parse, reason, request,
                  status, struct_, text)

QUERY, QUERY_OPERATIONS = 0x18, enum(0x420074, 1)
OBJECT_NOT_FOUND = 0x37


def sign(key):
    parameters = struct_(0x42002B, enum(0x420038, 6), enum(0x4200AE, 0x0E))
    return message(batch_item(SIGN, text(0x420094, key) + parameters + octets(0x4200C2, b"data")))


class Resuming:
    """Connections over one TLS session: the first makes it, the others come back with it."""

    def __init__(self, server, certificate, key):
        self.server = server
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.load_verify_locations(server.dir + "/ca.pem")
        self.context.load_cert_chain(certificate, key)
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2  # whose tickets come with the handshake
        self.session = None

    def ask(self, data):
        """(the answer or None, was it a resumed session)"""
        raw = socket.create_connection(("127.0.0.1", self.server.port), 10)
        try:
            with self.context.wrap_socket(raw, session=self.session) as s:
                s.settimeout(10)
                s.sendall(data)
                got = b""
                while len(got) < 8 or len(got) < 8 + int.from_bytes(got[4:8], "big"):
                    piece = s.recv(65536)
                    if not piece:
                        return None, s.session_reused
                    got += piece
                self.session = s.session
                return parse(got), s.session_reused
        except OSError:
            return None, False


class Revocation(Lab):
    def __enter__(self):
        super().__enter__()
        try:
            store = "postgresql:" + PostgreSQL(self).conninfo
        except LabError:
            store = None
        self.servers = [KeyServer(self, "one", store=store or "sqlite")]
        if store:
            self.servers.append(KeyServer(self, "two", store=store, join=self.servers[0]))
        self.first = self.servers[0]
        self.first.create_key("www", "ec:P-256")
        self.id = self.first.keyfleet_json("key", "list")[0]["id"]
        self.made = 0
        return self

    def client(self):
        """A fresh client that may sign; its name and the id of its grant."""
        self.made += 1
        name = f"client{self.made}"
        self.first.keyfleet("client", "add", name, "--out", self.dir)
        grant = self.first.keyfleet("grant", "add", name, self.id, "sign").stdout.strip()
        return name, grant

    def files(self, name):
        return self.path(name + ".pem"), self.path(name + ".key")

    def connect(self, server, name):
        return Wire(server.port, server.dir + "/ca.pem", *self.files(name), "kmip")

    def audited(self, operation, name):
        """How many such requests of this client are in the first server's audit log."""
        folder = os.path.join(self.first.dir, "audit")
        return sum(f'operation="{operation}"' in line and "client=" + name in line
                   for file in os.listdir(folder) for line in open(os.path.join(folder, file), errors="replace"))

    def works(self, wire):
        """A signature comes back on this connection."""
        try:
            return status(wire.ask(sign(self.id))) == 0
        except (OSError, EOFError):
            return False

    def wait_works(self, server, name):
        """The client is known there; its connection."""
        wires = []

        def is_in():
            try:
                wires.append(self.connect(server, name))
                return self.works(wires[-1])
            except (OSError, EOFError):
                return False
        wait_until(f"{name} at {server.name}", is_in)
        return wires[-1]

    def reload(self, server):
        log = server.process.log
        before = open(log).read().count("event=reloaded")
        server.process.signal(signal.SIGHUP)
        wait_until("the reload", lambda: open(log).read().count("event=reloaded") > before)


def seconds_until_refused(lab, wire):
    begin = time.monotonic()
    wait_until("the end of the right", lambda: not lab.works(wire))
    return time.monotonic() - begin


def how_soon(lab, server, end, rounds=5):
    """Median of the seconds from the end of a command to the first refusal on an open connection."""
    took = []
    for _ in range(rounds):
        name, grant = lab.client()
        wire = lab.wait_works(server, name)
        end(name, grant)
        took.append(seconds_until_refused(lab, wire))
    return statistics.median(took), took


# -- open connections, every key server ------------------------------------------------------------------


def claim_a_revoked_client_ends_within_a_second_on_open_connections(lab):
    for server in lab.servers:
        median, took = how_soon(lab, server, lambda name, _: lab.first.keyfleet("client", "revoke", name))
        print(f"# {server.name}: {median:.3f} s")
        expect(median <= 1, f"{server.name} took {took}")


def claim_a_removed_grant_ends_within_a_second_on_open_connections(lab):
    for server in lab.servers:
        median, took = how_soon(lab, server, lambda _, grant: lab.first.keyfleet("grant", "remove", grant))
        print(f"# {server.name}: {median:.3f} s")
        expect(median <= 1, f"{server.name} took {took}")


def claim_it_ends_within_a_second_though_the_notice_is_lost(lab):
    """The other server's connection, which listens, is ended at the moment of the change."""
    if len(lab.servers) < 2:
        skip("no PostgreSQL")
    first, second = lab.servers
    base = lab.path("pg")

    def end(_, grant):
        first.keyfleet("grant", "remove", grant)

    def end_unheard(_, grant):
        subprocess.run(["psql", "-h", base, "-U", "postgres", "-Atc",
                        "select pg_terminate_backend(pid) from pg_stat_activity where backend_type='client backend' "
                        "and pid<>pg_backend_pid()"], check=True, capture_output=True)
        end(None, grant)
    median, took = how_soon(lab, second, end_unheard)
    print(f"# {median:.3f} s")
    expect(median <= 1, f"took {took}")


def claim_idle_connections_of_a_revoked_client_are_closed(lab):
    name, _ = lab.client()
    wire = lab.wait_works(lab.first, name)
    lab.first.keyfleet("client", "revoke", name)
    wire.tls.settimeout(20)
    expect(wire.is_closed(), "it is open")


def new_pair():
    """Something that takes a worker a while."""
    attributes = struct_(0x420126, enum(0x420028, 4), int_(0x42002A, 4096))
    return batch_item(CREATE_KEY_PAIR, attributes + struct_(0x420127, int_(0x42002C, 1)) +
                      struct_(0x420128, int_(0x42002C, 2)))


def statuses_until_the_end(wire, answers):
    """Of every item of so many answers, or until the connection is closed."""
    found = []
    try:
        for _ in range(answers):
            answer = wire.receive()
            found += [status(item) for item in items_of(answer)]
    except (OSError, EOFError):
        pass
    return found


def begin_slowly(lab, name):
    """A connection with a signature that is made, and has to wait for what was asked for before it."""
    lab.first.keyfleet("grant", "add", name, "*", "create")
    lab.wait_works(lab.first, name).tls.close()
    wire = lab.connect(lab.first, name)
    wire.tls.settimeout(60)
    before = lab.audited("Create Key Pair", name)
    wire.send(message(*[new_pair()] * 3) + sign(lab.id))
    wait_until("the first to begin", lambda: lab.audited("Create Key Pair", name) > before)
    return wire


def claim_what_waits_when_its_client_is_revoked_is_not_given_away(lab):
    name, _ = lab.client()
    with begin_slowly(lab, name) as wire:
        lab.first.keyfleet("client", "revoke", name)
        found = statuses_until_the_end(wire, 2)
        expect(0 not in found, found)


def claim_a_signature_that_waits_when_its_grant_is_removed_is_not_given_away(lab):
    name, grant = lab.client()
    with begin_slowly(lab, name) as wire:
        lab.first.keyfleet("grant", "remove", grant)
        found = statuses_until_the_end(wire, 2)
        expect(found == [0, 0, 0, 1], found)
        expect(not lab.works(wire), "signs on")


# -- resumed sessions ------------------------------------------------------------------------------------


def claim_a_resumed_session_of_a_revoked_client_is_refused(lab):
    for server in lab.servers:
        name, grant = lab.client()
        lab.wait_works(server, name)
        back = Resuming(server, *lab.files(name))
        back.ask(sign(lab.id))
        answer, is_resumed = back.ask(sign(lab.id))
        expect(answer and status(answer) == 0 and is_resumed, f"{server.name}: no resumption: {answer}")
        lab.first.keyfleet("grant", "remove", grant)
        begin = time.monotonic()
        wait_until("the end of the grant", lambda: reason(back.ask(sign(lab.id))[0]) == OBJECT_NOT_FOUND)
        lab.first.keyfleet("client", "revoke", name)
        wait_until("the end of the client", lambda: back.ask(sign(lab.id))[0] is None)
        expect(time.monotonic() - begin < 10, "too late")


# -- certificates ----------------------------------------------------------------------------------------


def write_revocations(lab, serials):
    """A revocation list of the authority with these serial numbers; its path."""
    ca = lab.first.dir + "/ca"
    index = "".join(f"R\t400101000000Z\t260101000000Z\t{s}\tunknown\t/CN=x\n" for s in serials)
    lab.write("index.txt", index)
    lab.write("crlnumber", "01\n")
    lab.write("crl.cnf", f"""[ca]
default_ca = own
[own]
database = {lab.path("index.txt")}
crlnumber = {lab.path("crlnumber")}
default_md = sha256
default_crl_days = 30
""")
    lab.run(["openssl", "ca", "-gencrl", "-config", lab.path("crl.cnf"), "-cert", ca + "/ca.pem", "-keyfile",
             ca + "/ca.key", "-out", lab.path("crl.pem")])
    return lab.path("crl.pem")


def serial_of(lab, name):
    done = lab.run(["openssl", "x509", "-in", lab.path(name + ".pem"), "-noout", "-serial"])
    return done.stdout.strip().split("=")[1]


def claim_a_new_revocation_list_ends_open_connections_and_no_others(lab):
    server = lab.first
    good, _ = lab.client()
    bad, _ = lab.client()
    idle, _ = lab.client()
    wires = {name: lab.wait_works(server, name) for name in (good, bad, idle)}
    back = Resuming(server, *lab.files(bad))
    expect(back.ask(sign(lab.id))[0] is not None, "the session was not made")
    set_option(server.dir + "/keyfleetd.conf", "tls", "crl", write_revocations(lab, []))
    lab.reload(server)
    expect(all(lab.works(w) for w in wires.values()), "a list of nobody ended a connection")
    expect(back.ask(sign(lab.id))[0] is not None, "a list of nobody ended a session")

    write_revocations(lab, [serial_of(lab, bad), serial_of(lab, idle)])
    lab.reload(server)
    expect(not lab.works(wires[bad]), "an open connection goes on with a revoked certificate")
    expect(back.ask(sign(lab.id))[0] is None, "a resumed session goes on with a revoked certificate")
    expect(lab.works(wires[good]), "another client's connection was ended")
    wires[idle].tls.settimeout(20)
    expect(wires[idle].is_closed(), "an idle connection with a revoked certificate is open")


def claim_other_authorities_end_open_connections(lab):
    server = lab.servers[-1]
    name, _ = lab.client()
    wire = lab.wait_works(server, name)
    lab.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout",
             "new-ca.key", "-out", "new-ca.pem", "-days", "9", "-subj", "/CN=new", "-addext",
             "keyUsage=critical,keyCertSign,cRLSign"])
    conf = server.dir + "/keyfleetd.conf"
    kept = open(conf).read()
    set_option(conf, "tls", "crl", "")
    text = "\n".join(line for line in open(conf).read().splitlines() if line.strip() != "crl =")
    open(conf, "w").write(text + "\n")
    set_option(conf, "tls", "ca", lab.path("new-ca.pem"))
    lab.reload(server)
    expect(not lab.works(wire), "an open connection goes on under an authority that is not known any more")
    open(conf, "w").write(kept)
    lab.reload(server)
    expect(lab.works(lab.connect(server, name)), "the old authority is not accepted again")


if __name__ == "__main__":
    run(globals(), Revocation("keyfleet-revocation"))
