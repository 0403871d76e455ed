#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who is let in, and what they may do: nothing that was not granted."""
import os
import ssl
import socket

from scenario import expect, run
from lab import Agent, KeyServer, Lab, LabError, Nginx, Process, accepts, free_port, handshake, wait_until
from ttlv import ACTIVATE, CREATE_KEY_PAIR, Wire, enum, int_, request, status, struct_


class Rights(Lab):
    def __enter__(self):
        super().__enter__()
        self.server = KeyServer(self, "kms")
        self.key = self.server.create_key("www", "ec:P-256")
        self.id = self.server.keyfleet_json("key", "list")[0]["id"]
        self.as_client("alice")
        self.as_client("bob")
        return self

    def as_client(self, name):
        """A client of its own, enrolled, with a configuration."""
        self.server.keyfleet("client", "add", name, "--out", self.dir)
        return self.conf_for(name, name + ".pem", name + ".key")

    def conf_for(self, name, certificate, key):
        return self.write(name + ".conf", f"""[client]
servers = {self.server.address}
certificate = {certificate}
key = {key}
ca = {self.server.dir}/ca.pem
timeout = 3s
patience = 0ms
""")

    def keyfleet_as(self, name, *args):
        return self.keyfleet("--config", self.path(name + ".conf"), *args, check=False)

    def csr_as(self, name):
        """A private-key operation."""
        return self.keyfleet_as(name, "key", "csr", self.id)

    def refuses(self, certificate, key, ca=None):
        """The server lets nobody in with this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(ca or self.server.dir + "/ca.pem")
        if certificate:
            context.load_cert_chain(certificate, key)
        try:
            with socket.create_connection(("127.0.0.1", self.server.port), 5) as raw:
                with context.wrap_socket(raw) as s:
                    s.settimeout(5)
                    # Discover Versions of KMIP 1.0
                    s.sendall(bytes.fromhex(
                        "4200780100000060" "4200770100000038" "4200690100000020" "42006a0200000004"
                        "0000000100000000" "42006b0200000004" "0000000400000000" "42000d0200000004"
                        "0000000100000000" "42000f0100000018" "42005c0500000004" "0000001e00000000"
                        "4200790100000000"))
                    return s.recv(4096) == b""
        except OSError:
            return True


def claim_an_enrolled_client_sees_nothing_until_it_is_granted(lab):
    expect(lab.keyfleet_as("alice", "key", "list").stdout.count(lab.id) == 0, "an ungranted key was listed")
    expect(lab.keyfleet_as("alice", "key", "show", lab.id).returncode != 0, "an ungranted key was shown")
    expect(lab.csr_as("alice").returncode != 0, "an ungranted key signed")


def claim_forbidden_looks_like_missing(lab):
    forbidden = lab.keyfleet_as("alice", "key", "show", lab.id).stderr
    missing = lab.keyfleet_as("alice", "key", "show", "00000000-0000-4000-8000-000000000000").stderr
    expect(forbidden == missing, f"{forbidden!r} is not {missing!r}")


def claim_a_grant_works_at_once_and_ends_at_once(lab):
    grant = lab.server.keyfleet("grant", "add", "alice", "www", "sign,csr").stdout.strip()
    expect(lab.csr_as("alice").returncode == 0, "a granted key did not sign: " + lab.csr_as("alice").stderr)
    expect(lab.csr_as("bob").returncode != 0, "another client's grant was used")
    lab.server.keyfleet("grant", "remove", grant)
    expect(lab.csr_as("alice").returncode != 0, "a grant that was taken back still works")


def claim_a_tls_only_grant_signs_no_request(lab):
    grant = lab.server.keyfleet("grant", "add", "alice", "www", "sign", "--tls-only").stdout.strip()
    expect(lab.csr_as("alice").returncode != 0, "a tls-only grant signed a PKCS#10 request")
    csr = lab.server.keyfleet("grant", "add", "alice", "www", "csr").stdout.strip()
    expect(lab.csr_as("alice").returncode == 0, "the separate grant for requests did not help")
    for g in (grant, csr):
        lab.server.keyfleet("grant", "remove", g)


def claim_only_the_administrator_administers(lab):
    for words in (("client", "list"), ("grant", "list"), ("grant", "add", "alice", "*", "sign"), ("status",)):
        expect(lab.keyfleet_as("alice", *words).returncode != 0, f"{words} was allowed")


def claim_a_revoked_client_is_let_in_no_more(lab):
    lab.as_client("carol")
    lab.server.keyfleet("grant", "add", "carol", "www", "sign,csr")
    expect(lab.csr_as("carol").returncode == 0, "the client did not work before")
    lab.server.keyfleet("client", "revoke", "carol")
    expect(lab.csr_as("carol").returncode != 0, "a revoked client signed")


def claim_strangers_are_refused(lab):
    lab.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
             "foreign.key", "-out", "foreign.pem", "-days", "1", "-subj", "/CN=admin", "-addext",
             "extendedKeyUsage=clientAuth"])
    expect(not lab.refuses(lab.server.dir + "/admin.pem", lab.server.dir + "/admin.key"), "the admin was refused")
    expect(lab.refuses(None, None), "a client without certificate was let in")
    expect(lab.refuses(lab.path("foreign.pem"), lab.path("foreign.key")), "a foreign certificate was let in")
    expect(lab.refuses(lab.server.dir + "/server.pem", lab.server.dir + "/server.key"),
           "a server's certificate was let in as a client's")


def claim_a_certificate_of_ours_that_nobody_enrolled_is_refused(lab):
    for name, days in (("mallory", "10"), ("late", "-1")):
        lab.write("client.ext", "extendedKeyUsage=clientAuth\n")
        lab.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                 name + ".key", "-out", name + ".csr", "-subj", "/CN=alice"])
        lab.run(["openssl", "x509", "-req", "-in", name + ".csr", "-CA", lab.server.dir + "/ca/ca.pem", "-CAkey",
                 lab.server.dir + "/ca/ca.key", "-days", days, "-extfile", "client.ext", "-out", name + ".pem"])
        expect(lab.refuses(lab.path(name + ".pem"), lab.path(name + ".key")), f"{name} was let in")


def told_by(lab, name, certificate, key):
    """What the tool says of a TLS server with this certificate, whatever name it shows."""
    port = free_port()
    server = Process(lab, name, ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", certificate, "-key", key,
                                 "-quiet"])
    wait_until(name, lambda: accepts(port))
    text = open(lab.path("bob.conf")).read().replace(lab.server.address, f"127.0.0.1:{port}")
    conf = lab.write(name + ".conf", text.replace("timeout = 3s", "timeout = 3s\nserver_name = *"))
    done = lab.keyfleet("--config", conf, "key", "list", check=False)
    server.stop()
    expect(done.returncode != 0, f"{name} was believed")
    return done.stderr


def claim_a_client_cannot_pose_as_a_server(lab):
    """A client's certificate is refused for its purpose.  The control: a server's gets past that."""
    purpose = "extended key usage"
    said = told_by(lab, "impostor", lab.path("alice.pem"), lab.path("alice.key"))
    expect(purpose in said, "refused, but not for its purpose: " + said)
    said = told_by(lab, "honest", lab.server.dir + "/server.pem", lab.server.dir + "/server.key")
    expect(purpose not in said, "a server's certificate was refused for its purpose: " + said)


def claim_a_squatter_on_the_agents_name_gets_no_request(lab):
    """Somebody else's process listens under the agent's name: nothing is sent to it."""
    if os.geteuid() != 0:
        from scenario import skip
        skip("needs a second user")
    from lab import Process
    name = "@" + os.path.basename(lab.dir) + "-squatted"
    got = lab.path("squatter.got")
    open(got, "w").close()
    os.chmod(got, 0o666)
    Process(lab, "squatter", ["python3", "-c", f"""
import socket
s = socket.socket(socket.AF_UNIX)
s.bind(chr(0) + {name[1:]!r})
s.listen(8)
while True:
    c, _ = s.accept()
    c.settimeout(1)
    try:
        data = c.recv(4096)
    except OSError:
        data = b''
    with open({got!r}, 'ab') as f:
        f.write(data)
    c.close()
"""], user="nobody")
    wait_until("the squatter", lambda: name in open("/proc/net/unix").read())
    web = Nginx(lab, "nginx-squatted", [lab.key], lab.openssl_conf(name))
    try:
        handshake(web.port, lab.web_ca(), 10)
        raise AssertionError("a handshake succeeded")
    except OSError:
        pass
    web.process.stop()
    expect(os.path.getsize(got) == 0, "the squatter was sent a request")


def claim_a_user_without_leave_gets_nothing_from_the_agent(lab):
    agent = Agent(lab, "strict", [lab.server])
    lab.server.keyfleet("grant", "add", "strict", "*", "sign")  # digests, which tls-only refuses

    def served():
        return lab.keyfleet("bench", "agent", "--key", lab.id, "--socket", agent.socket, "--seconds", "0.1", check=False)
    done = served()
    expect(done.returncode == 0, "the agent did not serve a user on its list: " + done.stderr)
    lab.write("strict.conf", open(agent.conf).read().replace("users = ", "users = daemon #"))
    agent.process.stop()
    agent.start()
    done = served()
    expect(done.returncode != 0, "the agent served a user that is not on its list: " + done.stdout)


def claim_a_message_knows_nothing_of_what_an_earlier_one_made(lab):
    """The ID Placeholder ends with its batch, though the memory of the request is used again."""
    lab.server.keyfleet("grant", "add", "alice", "*", "create")
    files = lab.server.dir + "/ca.pem", lab.path("alice.pem"), lab.path("alice.key")
    attributes = struct_(0x420126, enum(0x420028, 6), struct_(0x42002B, enum(0x420075, 7)), int_(0x42002A, 256))
    make = request(CREATE_KEY_PAIR, attributes + struct_(0x420127, int_(0x42002C, 1)) + struct_(0x420128, int_(0x42002C, 2)))
    with Wire(lab.server.port, *files, "kmip") as w:
        expect(status(w.ask(make)) == 0, "no key")
        for _ in range(3):
            expect(status(w.ask(request(ACTIVATE))) == 1, "a key was activated that nobody named")


if __name__ == "__main__":
    run(globals(), Rights("keyfleet-rights"))
