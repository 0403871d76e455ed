#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Debian 13 with OpenSSL 3.5: the packages build there, and its programs work with keys that they do not hold."""
import glob
import os
import re
import shutil
import subprocess

from scenario import expect, run
from lab import Load, ROOT
from packages import Fleet, PACKAGES, newest_source

KINDS = ["ec:P-256", "ec:P-384", "rsa:2048", "ed25519"]
PAIRS = "".join(f"ssl_certificate {n}.pem; ssl_certificate_key {n}.ref;\n" for n in ("/srv/ec-P-256", "/srv/rsa-2048"))
NGINX = f"server {{ listen 127.0.0.1:8443 ssl; ssl_protocols TLSv1.2 TLSv1.3; {PAIRS} return 200 \"hello\\n\"; }}\n"
HAPROXY = """global
    ssl-provider default
    ssl-provider keyfleet
    ssl-mode-async
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 10s
frontend www
    bind 127.0.0.1:8445 ssl crt /srv/haproxy.pem
    http-request return status 200 content-type text/plain string "hello"
"""
APACHE = """Listen 127.0.0.1:8446
ServerName localhost
<VirtualHost 127.0.0.1:8446>
SSLEngine on
SSLCertificateFile /srv/ec-P-256.pem
SSLCertificateKeyFile /srv/ec-P-256.ref
SSLCertificateFile /srv/rsa-2048.pem
SSLCertificateKeyFile /srv/rsa-2048.ref
</VirtualHost>
"""
SERVERS = {"nginx": 8443, "haproxy": 8445, "apache2": 8446}
HANDSHAKES = {"ecdsa_secp256r1_sha256": "-tls1_3 -sigalgs ECDSA+SHA256", "rsa_pss_rsae_sha256": "-tls1_3 -sigalgs RSA-PSS+SHA256"}
OLD_HANDSHAKES = {"ecdsa_secp256r1_sha256": "-tls1_2 -sigalgs ECDSA+SHA256", "rsa_pkcs1_sha256": "-tls1_2 -sigalgs RSA+SHA256",
                  "rsa_pss_rsae_sha512": "-tls1_2 -sigalgs RSA-PSS+SHA512"}
USE = "OPENSSL_CONF=/etc/keyfleet/openssl.cnf openssl "


class Trixie(Fleet):
    """One machine that is key server and web host."""

    suite = "trixie"

    def debs(self):
        """Built there, from source."""
        folder = os.path.join(PACKAGES, self.suite)
        found = glob.glob(folder + "/*.deb")
        if not found or min(map(os.path.getmtime, found)) < newest_source():
            shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(folder)
            self.build(folder)
        return [("/debs", sorted(glob.glob(folder + "/*.deb")))]

    def build(self, folder):
        m = self.bare("builder")
        os.makedirs(m.root + "/src/keyfleet")
        files = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, check=True).stdout
        subprocess.run(["tar", "-C", ROOT, "-cf", self.path("src.tar"), "--null", "-T", "-"], input=files, check=True)
        self.run(["tar", "-C", m.root + "/src/keyfleet", "-xf", self.path("src.tar")])
        m.apt("install", "--no-install-recommends", "build-essential")
        m.apt("build-dep", "--no-install-recommends", "/src/keyfleet")
        m.run("cd /src/keyfleet && DEB_BUILD_OPTIONS='nocheck noautodbgsym parallel=2' dpkg-buildpackage -b -us -uc", timeout=1500)
        for deb in glob.glob(m.root + "/src/*.deb"):
            shutil.copy(deb, folder)
        self.switch_off("builder")


def claim_the_packages_build_there_and_a_key_server_starts(lab):
    lab.m = m = lab.machine("thirteen", "nginx", "haproxy", "apache2", "openssl", "procps")
    m.apt("install", "/debs/*.deb")
    expect(re.match(r"OpenSSL 3\.[5-9]", m.run("openssl version").stdout), m.run("openssl version").stdout)
    m.run("""set -e
keyfleet init /etc/keyfleet && systemctl start keyfleetd
keyfleet client add agent --owner keyfleet-agent
keyfleet grant add agent '*' sign,decrypt,decrypt-tls
sed -i 's/^operations = .*/operations = sign, decrypt/' /etc/keyfleet/agent.conf
systemctl start keyfleet-agent""")


def claim_openssl_signs_with_every_kind_of_key(lab):
    for kind in KINDS:
        name = "/srv/" + kind.replace(":", "-")
        lab.m.run(f"""set -e
keyfleet key create {os.path.basename(name)} --type {kind} && keyfleet key ref {os.path.basename(name)} > {name}.ref
{USE} pkey -in {name}.ref -pubout -out {name}.pub
echo data > /srv/data
{USE} pkeyutl -sign -rawin -in /srv/data -inkey {name}.ref -out /srv/sig
openssl pkeyutl -verify -rawin -in /srv/data -pubin -inkey {name}.pub -sigfile /srv/sig
{USE} req -new -key {name}.ref -subj /CN=localhost -out {name}.csr""")
        csr = lab.write("thirteen.csr", lab.m.read(name + ".csr"))
        lab.m.write(name + ".pem", open(lab.certify(csr, "thirteen.pem")).read())


def claim_openssl_signs_digests_pads_as_told_and_decrypts(lab):
    ec, rsa = "/srv/ec-P-256", "/srv/rsa-2048"
    lab.m.run(f"""set -e
cd /srv && openssl dgst -sha256 -binary data > digest
{USE} pkeyutl -sign -in digest -inkey {ec}.ref -out sig && openssl pkeyutl -verify -in digest -pubin -inkey {ec}.pub -sigfile sig
for pad in pkcs1 pss; do
	{USE} dgst -sha256 -sigopt rsa_padding_mode:$pad -sign {rsa}.ref -out sig data
	openssl dgst -sha256 -sigopt rsa_padding_mode:$pad -verify {rsa}.pub -signature sig data
done
for pad in pkcs1 oaep; do
	openssl pkeyutl -encrypt -pkeyopt rsa_padding_mode:$pad -pubin -inkey {rsa}.pub -in data -out secret
	{USE} pkeyutl -decrypt -pkeyopt rsa_padding_mode:$pad -inkey {rsa}.ref -in secret | cmp - data
done""")


def claim_keys_of_its_own_work_beside_the_provider(lab):
    """Those that OpenSSL 3.5 brings as well."""
    lab.m.run(f"""set -e
cd /srv
for kind in ML-DSA-44 EC\\ -pkeyopt\\ group:P-256; do
	{USE} genpkey -algorithm $kind -out own.key && {USE} pkey -in own.key -pubout -out own.pub
	{USE} pkeyutl -sign -rawin -in data -inkey own.key -out sig
	openssl pkeyutl -verify -rawin -in data -pubin -inkey own.pub -sigfile sig
done""")


def shakes_hands(lab, port, wanted):
    for kind, options in wanted.items():
        said = lab.m.run(f"openssl s_client -connect 127.0.0.1:{port} {options} </dev/null 2>&1", check=False).stdout
        expect(f"Peer signature type: {kind}" in said, f"port {port} {options}: {said}")


def claim_nginx_haproxy_and_apache_serve_with_references(lab):
    m = lab.m
    m.write("/etc/nginx/conf.d/www.conf", NGINX)
    m.write("/etc/haproxy/haproxy.cfg", HAPROXY)
    m.write("/srv/haproxy.pem", m.read("/srv/ec-P-256.pem") + m.read("/srv/ec-P-256.ref"))
    m.write("/etc/apache2/ports.conf", "")
    m.write("/etc/apache2/sites-enabled/www.conf", APACHE)
    for unit in ("nginx", "apache2"):
        m.write(f"/etc/systemd/system/{unit}.service.d/keyfleet.conf",
                "[Service]\nEnvironment=OPENSSL_CONF=/etc/keyfleet/openssl.cnf\n")
    m.run("rm -f /etc/apache2/sites-enabled/000-default.conf && a2enmod -q ssl")
    for unit in SERVERS:
        m.run(f"systemctl restart {unit}")
    for port in (8443, 8446):
        shakes_hands(lab, port, HANDSHAKES)
        shakes_hands(lab, port, OLD_HANDSHAKES)
    shakes_hands(lab, 8445, {k: v for k, v in HANDSHAKES.items() if "ecdsa" in k})


def claim_the_key_exchange_is_post_quantum_and_that_of_old_still_works(lab):
    said = lab.m.run("openssl s_client -connect 127.0.0.1:8443 -groups X25519MLKEM768 </dev/null 2>&1").stdout
    expect("X25519MLKEM768" in said, said)
    said = lab.m.run("openssl s_client -connect 127.0.0.1:8443 -tls1_2 -cipher AES128-GCM-SHA256 </dev/null 2>&1").stdout
    expect("Cipher is AES128-GCM-SHA256" in said and "alert" not in said, said)


def claim_load_fails_no_handshake(lab):
    for port in SERVERS.values():
        with Load(lab, port) as load:
            load.goes_on(100)
        load.fails_nothing()


if __name__ == "__main__":
    run(globals(), Trixie("kf-openssl35"))
