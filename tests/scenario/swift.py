#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""OpenStack Swift, stock, encrypts its objects under a root secret that it gets from the key server by KMIP."""
import os
import subprocess
import urllib.request

from scenario import expect, run, skip
from lab import KeyServer, Lab, Process, accepts, free_port, wait_until

PYTHON = "/usr/bin/python3"  # Debian's own, for which its packages are
SECRET = b"nobody reads this on the disk " * 40
# What Debian's swift-proxy-server and the like do, but with a swift.conf that is not in /etc.
SERVE = """import sys; from swift.common import utils; utils.SWIFT_CONF_FILE = sys.argv[3]
from swift.common.wsgi import run_wsgi; sys.exit(run_wsgi(sys.argv[1], sys.argv[2]))"""
RING = """import sys; sys.argv[0] = "swift-ring-builder"
from swift.cli.ringbuilder import main; sys.exit(main(sys.argv))"""
STORES = {"account": "accounts", "container": "containers", "object": "objects"}


def is_installed():
    return subprocess.run([PYTHON, "-c", "import swift, kmip"], capture_output=True).returncode == 0


class Swift(Lab):
    """One proxy and one server each for accounts, containers and objects; the proxy starts with the key or not at all."""

    def __enter__(self):
        super().__enter__()
        if not is_installed():
            return self
        self.server = KeyServer(self, "kms")
        self.key = self.server.keyfleet("key", "create", "swift-root", "--type", "aes:256").stdout.split()[0]
        for client in ("swift", "stranger"):
            self.server.keyfleet("client", "add", client, "--out", self.dir)
        self.server.keyfleet("grant", "add", "swift", "swift-root", "get")
        os.mkdir(self.path("disk"))
        self.write("swift.conf", "[swift-hash]\nswift_hash_path_suffix = scenario\n")
        for kind in STORES:
            self.start_store(kind)
        return self

    def serve(self, kind, conf):
        return Process(self, kind + "-server", [PYTHON, "-W", "ignore", "-c", SERVE, conf, kind + "-server",
                                               self.path("swift.conf")], env={"PYTHONPATH": "", "HOME": self.dir})

    def common(self, port):
        return f"""[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {os.environ.get("USER", "root")}
swift_dir = {self.dir}
devices = {self.path("disk")}
mount_check = false
log_address = {self.path("no-syslog")}
"""

    def start_store(self, kind):
        port = free_port()
        conf = self.write(kind + ".conf", self.common(port) + f"""[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
""")
        builder = self.path(kind + ".builder")
        for words in (["create", "4", "1", "0"], ["add", f"r1z1-127.0.0.1:{port}/one", "1"], ["rebalance"]):
            self.run([PYTHON, "-W", "ignore", "-c", RING, builder, *words], env={"PYTHONPATH": ""})
        os.makedirs(self.path("disk", "one"), exist_ok=True)
        process = self.serve(kind, conf)
        wait_until(f"Swift's {kind} server", lambda: process.must_run() and accepts(port), 60)

    def start_proxy(self, client):
        self.port = free_port()
        d = self.server.dir
        conf = self.write(f"proxy-{client}.conf", self.common(self.port) + f"""[pipeline:main]
pipeline = catch_errors proxy-logging kmip_keymaster encryption proxy-logging proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:proxy-logging]
use = egg:swift#proxy_logging
[filter:encryption]
use = egg:swift#encryption
[filter:kmip_keymaster]
use = egg:swift#kmip_keymaster
keymaster_config_path = {self.path(client + "-kmip.conf")}
""")
        self.write(client + "-kmip.conf", f"""[kmip_keymaster]
key_id = {self.key}
host = 127.0.0.1
port = {self.server.port}
certfile = {self.path(client + ".pem")}
keyfile = {self.path(client + ".key")}
ca_certs = {d}/ca.pem
ssl_version = PROTOCOL_TLSv1_2
""")
        return self.serve("proxy", conf)

    def http(self, method, path, data=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/AUTH_test{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def on_disk(self):
        found = []
        for folder, _, files in os.walk(self.path("disk", "one", "objects")):
            found += [open(os.path.join(folder, f), "rb").read() for f in files if f.endswith(".data")]
        return found


def needs_swift():
    if not is_installed():
        skip("python3-swift is not installed")


def claim_objects_are_encrypted_under_a_key_of_the_key_server(lab):
    needs_swift()
    proxy = lab.start_proxy("swift")
    wait_until("Swift's proxy", lambda: proxy.must_run() and accepts(lab.port), 60)
    lab.http("PUT", "/box", b"")
    lab.http("PUT", "/box/letter", SECRET)
    expect(lab.http("GET", "/box/letter") == SECRET, "Swift gave back something else")
    stored = lab.on_disk()
    expect(len(stored) == 1 and len(stored[0]) == len(SECRET), f"{len(stored)} objects on the disk")
    expect(SECRET[:16] not in stored[0], "the object is on the disk in the clear")
    proxy.stop()


def claim_a_proxy_that_starts_later_reads_what_was_written(lab):
    needs_swift()
    proxy = lab.start_proxy("swift")
    wait_until("Swift's proxy", lambda: proxy.must_run() and accepts(lab.port), 60)
    expect(lab.http("GET", "/box/letter") == SECRET, "another proxy cannot read the object")
    proxy.stop()


def claim_a_proxy_without_a_grant_does_not_start(lab):
    needs_swift()
    proxy = lab.start_proxy("stranger")
    proxy.child.wait(60)
    expect(proxy.child.returncode != 0, "a client without a grant got the root secret")
    expect("ITEM_NOT_FOUND" in open(proxy.log).read(), proxy.tail())


if __name__ == "__main__":
    run(globals(), Swift("keyfleet-swift"))
