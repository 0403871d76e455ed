#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What visitors notice of networks that swallow, clocks that jump, certificates that change and tables that are full:
nothing."""
import contextlib
import os
import resource
import shutil
import signal
import socket
import time

from faketime import clock
from scenario import expect, run, skip
from lab import Agent, KeyServer, Lab, Load, Nginx, Relay, handshake, set_option, wait_until

HOUR = 3600


class Outages(Lab):
    """Two key servers on one PostgreSQL; the agent reaches the second through a relay."""

    def __enter__(self):
        super().__enter__()
        self.pg = self.postgresql()
        self.store = "postgresql:" + self.pg.conninfo
        self.first = KeyServer(self, "kms1", self.store)
        self.second = KeyServer(self, "kms2", self.store, join=self.first)
        self.relay = Relay(self, "relay", self.second.port)
        self.keys = [self.first.create_key("rsa", "rsa:2048"), self.first.create_key("ec", "ec:P-256")]
        self.agent = Agent(self, "agent", [self.first], addresses=[self.first.address, self.relay.address])
        self.conf = self.openssl_conf(self.agent.socket)
        self.nginx = Nginx(self, "nginx", self.keys, self.conf, workers=2)
        return self

    def reload(self, process, word):
        before = open(process.log).read().count(word)
        process.signal(signal.SIGHUP)
        wait_until(f"the reload of {process.name}", lambda: open(process.log).read().count(word) > before)

    def reload_all(self):
        for server in (self.first, self.second):
            self.reload(server.process, "reloaded")
        self.reload(self.agent.process, "was read again")


def tries(port, lab, timeout=10):
    try:
        return handshake(port, lab.web_ca(), timeout) > 0
    except OSError:
        return False


# -- networks ------------------------------------------------------------------------------------------


def claim_a_slow_key_server_fails_no_handshake(lab):
    with Load(lab, lab.nginx.port) as load:
        load.goes_on()
        lab.relay.delay(100)
        load.goes_on(50)
        lab.relay.delay(0)
        load.goes_on()
    load.fails_nothing()


def claim_a_key_server_behind_a_black_hole_fails_no_handshake(lab):
    """What was sent never arrives, and no connection is refused."""
    with Load(lab, lab.nginx.port) as load:
        load.goes_on()
        lab.relay.hole()
        load.goes_on(100)
        lab.relay.heal()
        load.goes_on()
    load.fails_nothing()


def claim_connections_that_are_cut_fail_no_handshake(lab):
    with Load(lab, lab.nginx.port) as load:
        for _ in range(5):
            load.goes_on(10)
            lab.relay.cut()
        load.goes_on()
    load.fails_nothing()


@contextlib.contextmanager
def other_host(lab, name, address):
    """A network namespace with one address, and a cable to it."""
    near, far = "kf" + str(os.getpid()) + "a", "kf" + str(os.getpid()) + "b"
    if os.geteuid() or lab.run(["ip", "netns", "add", name], check=False).returncode:
        skip("needs root and network namespaces")
    try:
        network = address.rsplit(".", 1)[0]
        lab.run(["ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", name])
        lab.run(["ip", "address", "add", network + ".1/24", "dev", near])
        lab.run(["ip", "link", "set", near, "up"])
        for command in (f"address add {address}/24 dev {far}", f"link set {far} up", "link set lo up"):
            lab.run(["ip", "-n", name, *command.split()])
        yield ["ip", "netns", "exec", name]
    finally:
        lab.run(["ip", "netns", "delete", name], check=False)
        lab.run(["ip", "link", "delete", near], check=False)


def claim_a_firewall_that_drops_everything_fails_no_handshake(lab):
    """A key server on another host, whose packets nftables drops from one moment on."""
    address = "10.213.77.2"
    with other_host(lab, f"keyfleet-{os.getpid()}", address) as there:
        try:
            move_second(lab, address, f"{address}:{lab.second.port}", there)
            with Load(lab, lab.nginx.port) as load:
                load.goes_on()
                lab.run([*there, "nft", "add table inet hole; add chain inet hole input "
                         "{ type filter hook input priority 0; policy drop; }"])
                load.goes_on(100)
                lab.run([*there, "nft", "delete table inet hole"])
                load.goes_on()
            load.fails_nothing()
        finally:
            move_second(lab, "127.0.0.1", lab.relay.address, [])


def move_second(lab, host, reached_at, prefix):
    lab.second.process.stop()
    set_option(os.path.join(lab.second.dir, "keyfleetd.conf"), "server", "listen", f"{host}:{lab.second.port}")
    lab.second.start(prefix=prefix)
    set_option(lab.agent.conf, "client", "servers", f"{lab.first.address}, {reached_at}")
    lab.reload(lab.agent.process, "was read again")


def claim_five_seconds_without_any_key_server_fail_fast_and_end_within_one(lab):
    lab.first.kill()
    lab.second.kill()
    down, slowest = time.monotonic(), 0.0
    while time.monotonic() - down < 5:
        start = time.monotonic()
        expect(not tries(lab.nginx.port, lab), "a handshake without any key server succeeded")
        slowest = max(slowest, time.monotonic() - start)
    expect(slowest < 3, f"a handshake failed after {slowest:.1f} s only")
    lab.first.start()
    start = time.monotonic()
    wait_until("handshakes again", lambda: tries(lab.nginx.port, lab), 10)
    expect(time.monotonic() - start < 1, "handshakes took more than a second to come back")
    lab.second.start()
    expect("no server can be reached" in open(lab.path("nginx.error")).read(), "nginx was told another reason")


# -- clocks --------------------------------------------------------------------------------------------


def set_by_file(lab):
    """Environment of a process whose wall clock the file says; the monotonic clock goes on."""
    return clock(FAKETIME_TIMESTAMP_FILE=lab.path("clock"), FAKETIME_NO_CACHE="1", FAKETIME_DONT_FAKE_MONOTONIC="1")


def claim_clocks_that_jump_an_hour_fail_no_handshake(lab):
    lab.write("clock", "+0\n")
    env = set_by_file(lab)
    try:
        for server in (lab.first, lab.second):
            server.process.stop()
            server.start(env=env)
            env = set_by_file(lab)
        lab.agent.process.stop()
        lab.agent.start(env=env)
        with Load(lab, lab.nginx.port) as load:
            for offset in (HOUR, 0, -HOUR, 0):
                load.goes_on()
                lab.write("clock", f"{offset:+d}\n")
                load.goes_on()
                lab.relay.cut()  # new connections under the new time
                load.goes_on()
                lab.first.keyfleet("key", "create", f"at{offset:+d}-{load.done}")
        load.fails_nothing()
    finally:
        lab.write("clock", "+0\n")
        for restarted in (lab.first, lab.second, lab.agent):
            restarted.process.stop()
            restarted.start()


# -- certificates --------------------------------------------------------------------------------------


def new_server_certificate(lab, server, authority, ca_dir):
    new = lab.path("renewed")
    lab.keyfleet("init", new, "--join", authority, "--ca-dir", ca_dir)
    for name in ("server.pem", "server.key"):
        shutil.copy(os.path.join(new, name), os.path.join(server.dir, name))
    shutil.rmtree(new)


def claim_certificates_of_server_and_client_change_under_load(lab):
    with Load(lab, lab.nginx.port) as load:
        load.goes_on()
        for server in (lab.first, lab.second):
            new_server_certificate(lab, server, lab.first.dir, lab.first.dir + "/ca")
            lab.reload(server.process, "reloaded")
            load.goes_on()
        lab.first.keyfleet("client", "renew", "agent", "--out", lab.dir)
        lab.reload(lab.agent.process, "was read again")
        lab.relay.cut()
        load.goes_on()
    load.fails_nothing()


def claim_the_authority_changes_under_load(lab):
    """docs/guide/operations.md, "A new authority": both are believed, all get new certificates, then the old one goes."""
    others = [lab.first.dir + "/ca.pem", lab.second.dir + "/ca.pem"]
    admin = {name: open(os.path.join(lab.first.dir, name)).read() for name in ("admin.pem", "admin.key")}
    lab.keyfleet("init", lab.path("next"), "--ca-dir", lab.path("next-ca"))
    new = open(lab.path("next", "ca.pem")).read()
    with Load(lab, lab.nginx.port) as load:
        load.goes_on()
        for file in others:
            with open(file, "a") as f:
                f.write(new)
        lab.reload_all()
        load.goes_on()
        shutil.copy(lab.path("next", "ca.pem"), lab.path("next-ca", "ca.pem"))
        for server in (lab.first, lab.second):
            new_server_certificate(lab, server, lab.first.dir, lab.path("next-ca"))
        lab.first.keyfleet("client", "renew", "agent", "--out", lab.dir, "--ca-dir", lab.path("next-ca"))
        lab.first.keyfleet("client", "add", "boss", "--out", lab.dir, "--ca-dir", lab.path("next-ca"))
        printed = lab.run(["openssl", "x509", "-in", "boss.pem", "-noout", "-fingerprint", "-sha256"]).stdout
        for server in (lab.first, lab.second):
            set_option(os.path.join(server.dir, "keyfleetd.conf"), "server", "admin", printed.strip().split("=")[1])
            shutil.copy(lab.path("boss.pem"), os.path.join(server.dir, "admin.pem"))
            shutil.copy(lab.path("boss.key"), os.path.join(server.dir, "admin.key"))
        lab.reload_all()
        lab.relay.cut()
        load.goes_on()
        for file in others:
            with open(file, "w") as f:
                f.write(new)
        lab.reload_all()
        lab.relay.cut()
        load.goes_on()
        lab.first.keyfleet("status")
    load.fails_nothing()
    for name, text in admin.items():
        lab.write("old-" + name, text, 0o600)
    lab.run(["openssl", "s_client", "-connect", lab.first.address, "-cert", "old-admin.pem", "-key", "old-admin.key"],
            check=False, stdin="")
    wait_until("the refusal of what the old authority signed", lambda: "authority we do not know" in open(
        lab.first.process.log).read())


# -- tables that are full ------------------------------------------------------------------------------


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@contextlib.contextmanager
def no_more_descriptors(process):
    """Not one more than it has."""
    pid = process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    highest = max(int(fd) for fd in os.listdir(f"/proc/{pid}/fd"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def claim_a_key_server_without_descriptors_goes_on_and_recovers(lab):
    with Load(lab, lab.nginx.port) as load:
        load.goes_on()
        used = lab.first.process.cpu_seconds()
        with no_more_descriptors(lab.first.process):
            waiting = [socket.create_connection(("127.0.0.1", lab.first.port), 5) for _ in range(50)]
            load.goes_on(50)
            expect(lab.first.keyfleet("status", check=False).returncode != 0, "it has descriptors left")
            for s in waiting:
                s.close()
        load.goes_on()
        expect(lab.first.process.cpu_seconds() - used < 10, "it ran in circles")
    load.fails_nothing()
    lab.first.keyfleet("status")


def guest(name):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(name)
    return s


def claim_an_agent_without_descriptors_recovers(lab):
    """Guests with a connection go on; new ones are turned away at once, not left waiting."""
    name = "\0" + lab.agent.socket[1:]
    with no_more_descriptors(lab.agent.process):
        guests = [guest(name) for _ in range(100)]
        expect(guests[-1].recv(1) == b"", "it has descriptors left")
        start = time.monotonic()
        tries(lab.nginx.port, lab)
        expect(time.monotonic() - start < 5, "a handshake hung")
        for s in guests:
            s.close()
    wait_until("handshakes", lambda: tries(lab.nginx.port, lab), 5)


@contextlib.contextmanager
def small_disk(lab, name, megabytes=64):
    """A file system of its own that turns read-only at an error, as those of servers do."""
    image, place = lab.path(name + ".img"), lab.path(name)
    os.mkdir(place)
    with open(image, "wb") as f:
        f.truncate(megabytes << 20)
    if os.geteuid() or lab.run(["mkfs.ext4", "-q", image], check=False).returncode or lab.run(
            ["mount", "-o", "loop,errors=remount-ro", image, place], check=False).returncode:
        skip("needs root and loop devices")
    try:
        yield place
    finally:
        lab.run(["umount", "-l", place], check=False)


def fail(lab, place):
    """What a broken sector does to a file system."""
    device = lab.run(["findmnt", "-no", "SOURCE", place]).stdout.strip()
    with open(f"/sys/fs/ext4/{os.path.basename(device)}/trigger_fs_error", "w") as f:
        f.write("1")
    expect(lab.run(["touch", place + "/it"], check=False).returncode != 0, "the disk can still be written")


def claim_a_store_whose_disk_turns_read_only_signs_and_takes_no_changes(lab):
    with small_disk(lab, "disk") as place:
        server = KeyServer(lab, "disk/kms", options={("audit", "directory"): lab.path("disk-audit")})
        server.keyfleet("key", "create", "www", "--type", "ec:P-256")
        fail(lab, place)
        done = server.keyfleet("key", "create", "more", check=False)
        expect(done.returncode != 0 and done.stderr.strip(), "a change succeeded on a read-only disk")
        server.keyfleet("key", "csr", "www", "--subject", "CN=www")
        server.process.stop()


def claim_an_audit_whose_disk_turns_read_only_stops_signing(lab):
    """Nothing may happen that leaves no record; the load balancer is told."""
    with small_disk(lab, "log") as place:
        server = KeyServer(lab, "witness", options={
            ("audit", "directory"): place + "/audit", ("audit", "segment"): "4M"})
        server.keyfleet("key", "create", "www", "--type", "ec:P-256")
        fail(lab, place)
        done = server.keyfleet("key", "csr", "www", "--subject", "CN=www", check=False)
        expect(done.returncode != 0 and done.stderr.strip(), "a key was used without a record")
        server.process.stop()


if __name__ == "__main__":
    run(globals(), Outages("keyfleet-outages"))
