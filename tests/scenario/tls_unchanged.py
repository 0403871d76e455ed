#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the web servers speak is the same with a remote key as with a local one."""
import json
import os
import subprocess

from scenario import expect, run, skip
from lab import Agent, Apache, HAProxy, KeyServer, Lab, Nginx

PROBES = [
    ["-tls1_3", "-sigalgs", "ecdsa_secp256r1_sha256"],
    ["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"],
    ["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha512"],
    ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"],
    ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256", "-sigalgs", "RSA+SHA256"],
    ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256", "-sigalgs", "RSA-PSS+SHA384"],
    ["-tls1_2", "-cipher", "AES128-GCM-SHA256"],
    ["-tls1_1"],
]
FACTS = ("Peer signature type", "Peer signing digest", "Server Temp Key", "Verify return code",
         "Secure Renegotiation", "New,")


def facts(port, ca, probe):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost", "-CAfile",
                           ca, *probe], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20)
    return sorted({line.strip() for line in done.stdout.splitlines() if line.strip().startswith(FACTS)})


class Pairs(Lab):
    """Each web server twice: with local keys, and with references to the same keys."""

    def __enter__(self):
        super().__enter__()
        self.server = KeyServer(self, "kms")
        self.local, self.remote = [], []
        for name, kind in (("rsa", "rsa"), ("ec", "ec")):
            key = self.local_key(name, kind)
            os.chmod(key.key, 0o600)
            self.server.keyfleet("key", "import", name, key.key)
            os.chmod(key.key, 0o644)
            self.local.append(key)
            self.remote.append(type(key)(key.certificate, self.write(
                name + ".ref", self.server.keyfleet("key", "ref", name).stdout)))
        # RSA key exchange too, which is off by default: the cipher lists are the web servers' own.
        self.agent = Agent(self, "agent", [self.server], operations="sign, decrypt", grant="sign,decrypt-tls")
        self.conf = self.openssl_conf(self.agent.socket)
        return self

    def same(self, make, name):
        local = make(self, name + "-local", self.local, None)
        remote = make(self, name + "-remote", self.remote, self.conf)
        for probe in PROBES:
            a, b = (facts(web.port, self.web_ca(), probe) for web in (local, remote))
            expect(a == b, f"{probe}: {a} became {b}")
            expect(a, f"{probe}: s_client said nothing")
        local.process.stop()
        remote.process.stop()


def claim_nginx_speaks_the_same_tls(lab):
    lab.same(Nginx, "nginx")


def claim_apache_speaks_the_same_tls(lab):
    lab.same(Apache, "apache")


def claim_haproxy_speaks_the_same_tls(lab):
    lab.same(HAProxy, "haproxy")


def testssl(lab, port, name):
    """testssl.sh's own findings, without what is the time's, the port's or the service's, and without resumption, of
    which it says one thing or another of the same server from run to run."""
    out = lab.path(name + ".json")
    if os.path.exists(out):
        os.unlink(out)
    subprocess.run(["testssl", "--quiet", "--fast", "--color", "0", "--warnings", "off", "-p", "-S", "-f", "-P", "-s",
                    "--jsonfile", out, f"127.0.0.1:{port}"], capture_output=True, timeout=280,
                   stdin=subprocess.DEVNULL)
    drop = ("scanTime", "service", "clock", "TLS_timestamp", "cert_numbers", "TLS_session_ticket", "sessionresumption")
    return {(f["id"], f["finding"]) for f in json.load(open(out)) if not f["id"].startswith(drop)}


def claim_testssl_finds_no_difference(lab):
    """A difference is what every comparison shows: on a busy machine testssl.sh's own probes time out now and then."""
    if subprocess.run(["which", "testssl"], capture_output=True).returncode:
        skip("testssl.sh is not installed")
    local = Nginx(lab, "nginx-t-local", lab.local, None)
    remote = Nginx(lab, "nginx-t-remote", lab.remote, lab.conf)
    differences = None
    for _ in range(3):
        a, b = testssl(lab, local.port, "local"), testssl(lab, remote.port, "remote")
        expect(len(a) > 10, f"testssl.sh found only {len(a)} things")
        differences = a ^ b if differences is None else differences & (a ^ b)
        if not differences:
            return
        print(f"# testssl.sh differs, once more: {sorted(differences)}")
    expect(False, f"differences: {sorted(differences)}")


if __name__ == "__main__":
    run(globals(), Pairs("keyfleet-same"))
