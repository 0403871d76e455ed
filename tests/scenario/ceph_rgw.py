#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ceph's object gateway, stock, encrypts objects (SSE-KMS) under keys that it gets from the key server by KMIP."""
import base64
import email.utils
import hashlib
import hmac
import os
import shutil
import urllib.error
import urllib.request
import uuid

from scenario import expect, run, skip
from lab import KeyServer, Lab, Process, accepts, free_port, wait_until

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "rados", "monmaptool", "ceph-authtool")
ACCESS, SECRET_KEY = "scenario", "scenario-secret"
LETTER = b"nobody reads this in the cluster " * 40
POOL = "default.rgw.buckets.data"


def is_installed():
    return all(shutil.which(program) for program in PROGRAMS)


class Ceph(Lab):
    """One monitor, one store of objects, in memory, and a gateway."""

    def __enter__(self):
        super().__enter__()
        if not is_installed():
            return self
        self.server = KeyServer(self, "kms")
        for key in ("letters", "others"):
            self.server.keyfleet("key", "create", key, "--type", "aes:256")
        self.server.keyfleet("client", "add", "rgw", "--out", self.dir)
        self.server.keyfleet("grant", "add", "rgw", "letters", "get,locate")
        self.gateway_port = free_port()
        self.configure()
        self.start_monitor()
        self.start_store()
        self.start_gateway()
        return self

    def configure(self):
        self.fsid, self.monitor_port = str(uuid.uuid4()), free_port()
        self.conf = self.write("ceph.conf", f"""[global]
fsid = {self.fsid}
mon host = v2:127.0.0.1:{self.monitor_port}
ms bind msgr1 = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
mon allow pool size one = true
mon max pg per osd = 1000
run dir = {self.dir}
admin socket = {self.dir}/$name.asok
log file = {self.dir}/$name.ceph.log
mon data = {self.dir}/mon
mon data avail crit = 1
osd data = {self.dir}/osd
osd objectstore = memstore
memstore device bytes = 1073741824
keyring = {self.dir}/keyring
[client.rgw]
rgw data = {self.dir}/rgw
rgw frontends = beast endpoint=127.0.0.1:{self.gateway_port}
rgw crypt require ssl = false
rgw crypt s3 kms backend = kmip
rgw crypt kmip addr = {self.server.address}
rgw crypt kmip ca path = {self.server.dir}/ca.pem
rgw crypt kmip client cert = {self.dir}/rgw.pem
rgw crypt kmip client key = {self.dir}/rgw.key
rgw crypt kmip kms key template = $keyid
""")

    def ceph(self, *words, timeout=60):
        return self.run([words[0], "-c", self.conf, *words[1:]], timeout=timeout).stdout

    def make_keyring(self):
        everything = ["--cap", "mon", "allow *", "--cap", "osd", "allow *"]
        for name, create in (("mon.", ["--create-keyring"]), ("client.admin", []), ("client.rgw", []), ("osd.0", [])):
            self.run(["ceph-authtool", *create, "keyring", "--gen-key", "-n", name, *everything])

    def start_monitor(self):
        self.make_keyring()
        self.run(["monmaptool", "--create", "--fsid", self.fsid, "--addv", "a", f"[v2:127.0.0.1:{self.monitor_port}]",
                  "monmap"])
        self.ceph("ceph-mon", "--mkfs", "-i", "a", "--monmap", "monmap", "--keyring", self.path("keyring"))
        monitor = Process(self, "ceph-mon", ["ceph-mon", "-f", "-i", "a", "-c", self.conf])
        wait_until("Ceph's monitor", lambda: monitor.must_run() and accepts(self.monitor_port), 60)

    def start_store(self):
        os.mkdir(self.path("osd"))
        identity = str(uuid.uuid4())
        self.ceph("ceph", "osd", "new", identity)
        self.ceph("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", identity)
        store = Process(self, "ceph-osd", ["ceph-osd", "-f", "-i", "0", "-c", self.conf])
        wait_until("Ceph's store", lambda: store.must_run() and "1 up" in self.ceph("ceph", "osd", "stat"), 60)

    def start_gateway(self):
        gateway = Process(self, "radosgw", ["radosgw", "-f", "-n", "client.rgw", "-c", self.conf])
        wait_until("Ceph's gateway", lambda: gateway.must_run() and accepts(self.gateway_port), 120)
        self.ceph("radosgw-admin", "-n", "client.rgw", "user", "create", "--uid", "scenario", "--display-name",
                  "scenario", "--access-key", ACCESS, "--secret", SECRET_KEY)

    def s3(self, method, path, data=None, key=None):
        headers = {"Date": email.utils.formatdate(usegmt=True), "Content-Type": "text/plain"}
        if key:
            headers |= {"x-amz-server-side-encryption": "aws:kms",
                        "x-amz-server-side-encryption-aws-kms-key-id": key}
        amazon = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()) if name.startswith("x-amz-"))
        text = f"{method}\n\ntext/plain\n{headers['Date']}\n{amazon}{path}"
        seal = base64.b64encode(hmac.new(SECRET_KEY.encode(), text.encode(), hashlib.sha1).digest()).decode()
        headers["Authorization"] = f"AWS {ACCESS}:{seal}"
        request = urllib.request.Request(f"http://127.0.0.1:{self.gateway_port}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def stored(self):
        names = self.ceph("rados", "-p", POOL, "ls").split()
        for i, name in enumerate(names):
            self.ceph("rados", "-p", POOL, "get", name, self.path(f"raw{i}"))
        return [open(self.path(f"raw{i}"), "rb").read() for i in range(len(names))]


def needs_ceph():
    if not is_installed():
        skip("radosgw, ceph-mon and ceph-osd are not installed")


def claim_objects_are_encrypted_under_a_key_of_the_key_server(lab):
    needs_ceph()
    lab.s3("PUT", "/box", b"")
    lab.s3("PUT", "/box/letter", LETTER, "letters")
    expect(lab.s3("GET", "/box/letter") == LETTER, "the gateway gave back something else")
    stored = lab.stored()
    expect(len(stored) == 1 and len(stored[0]) == len(LETTER), f"{[len(s) for s in stored]} in the cluster")
    expect(LETTER[:16] not in stored[0], "the object is in the cluster in the clear")


def claim_a_key_that_was_not_granted_encrypts_nothing(lab):
    needs_ceph()
    try:
        lab.s3("PUT", "/box/other", LETTER, "others")
    except urllib.error.HTTPError as error:
        expect(error.code >= 400, f"status {error.code}")
    else:
        raise AssertionError("an object was stored under a key that was not granted")


if __name__ == "__main__":
    run(globals(), Ceph("keyfleet-ceph"))
