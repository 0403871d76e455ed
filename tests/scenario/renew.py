#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Renewal: new certificates for keys in the key servers, new keys beside old ones, while clients notice nothing."""
import os
import shutil
import socket
import ssl
import subprocess

from host import Host, enter, read
from scenario import expect, run
from lab import BIN, Load, Process, ROOT, handshake, wait_until

HOOKS = os.path.join(ROOT, "packaging", "hooks")
PORTS = {"nginx": 443, "apache": 8443, "haproxy": 9443}


def serial(lab, port):
    """Of the certificate that is shown now."""
    context = ssl.create_default_context(cafile=lab.web_ca())
    with socket.create_connection(("127.0.0.1", port), 10) as raw:
        with context.wrap_socket(raw, server_hostname="localhost") as tls:
            return tls.getpeercert()["serialNumber"]


def renewed(lab, name, key="www"):
    """What an ACME client does with --csr: the authority certifies the request; the key stays where it is."""
    lab.write(name + ".csr", lab.server.keyfleet("key", "csr", key, "--names", "localhost").stdout)
    return lab.certify(name + ".csr", name + ".pem")


def hook(lab, name, *arguments, **environment):
    return lab.run([os.path.join(HOOKS, name), *arguments], check=False, env={
        "KEYFLEET": os.path.join(BIN, "keyfleet"), **environment})


def serve_everywhere(lab):
    with open("/etc/ssl/openssl.cnf", "a") as f:
        f.write("\n.include /etc/keyfleet/openssl.cnf\n")
    key = lab.server.create_key("www", "ec:P-256")
    lab.server.keyfleet("grant", "add", "web1", "www", "sign", "--tls-only")
    chain, reference = read(key.certificate).decode(), read(key.key).decode()
    lab.put("/etc/ssl/www.pem", chain)
    lab.put("/etc/ssl/www.ref.pem", reference)
    lab.put("/etc/haproxy/www.pem", chain + reference)
    lab.put("/etc/nginx/sites-available/default", """server {
    listen 443 ssl;
    ssl_certificate /etc/ssl/www.pem;
    ssl_certificate_key /etc/ssl/www.ref.pem;
}
""")
    lab.put("/etc/apache2/ports.conf", "Listen 8443\n")
    lab.put("/etc/apache2/sites-available/000-default.conf", """<VirtualHost *:8443>
    SSLEngine on
    SSLCertificateFile /etc/ssl/www.pem
    SSLCertificateKeyFile /etc/ssl/www.ref.pem
</VirtualHost>
""")
    for module in ("ssl.load", "ssl.conf", "socache_shmcb.load"):
        if not os.path.exists(f"/etc/apache2/mods-enabled/{module}"):
            os.symlink(f"../mods-available/{module}", f"/etc/apache2/mods-enabled/{module}")
    lab.put("/etc/haproxy/haproxy.cfg", """global
    stats socket /run/haproxy/admin.sock mode 600 level admin
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 10s
frontend www
    bind 127.0.0.1:9443 ssl crt /etc/haproxy/www.pem
    http-request return status 200 content-type text/plain string "haproxy"
""")
    lab.run(["/usr/sbin/nginx"])
    lab.run(["apache2ctl", "start"])
    lab.haproxy = Process(lab, "haproxy", ["haproxy", "-W", "-f", "/etc/haproxy/haproxy.cfg"])
    for port in PORTS.values():
        lab.wait_for_port(port)


def deploys_everywhere(lab, certificate, deploy):
    """The hook runs under load: no handshake fails, and all servers show the new certificate."""
    before = {serial(lab, port) for port in PORTS.values()}
    loads = [Load(lab, port, threads=1) for port in PORTS.values()]
    for load in loads:
        load.__enter__()
    try:
        done = deploy()
        for load in loads:
            load.goes_on()
    finally:
        for load in loads:
            load.__exit__()
    expect(done.returncode == 0, done.stdout + done.stderr)
    for load in loads:
        expect(not load.failures, f"{load.port}: {len(load.failures)} of {load.done} failed: {load.failures[:3]}")
    new = lab.run(["openssl", "x509", "-in", certificate, "-noout", "-serial"]).stdout.strip().split("=")[1]
    expect(new not in before, "the certificate is not new")
    for name, port in PORTS.items():
        expect(serial(lab, port) == new, f"{name} shows an old certificate")


def claim_certbots_hook_renews_on_three_servers_and_no_handshake_fails(lab):
    serve_everywhere(lab)
    certificate = renewed(lab, "one")
    os.makedirs(lab.path("live/www"))
    shutil.copy(certificate, lab.path("live/www/fullchain.pem"))
    worker = lab.haproxy.family()
    deploys_everywhere(lab, certificate, lambda: hook(lab, "certbot", RENEWED_LINEAGE=lab.path("live/www"),
                                                      RENEWED_DOMAINS="localhost"))
    expect(lab.haproxy.family() == worker, "HAProxy has new workers: it was not told over its socket")


def claim_legos_hook_renews(lab):
    certificate = renewed(lab, "two")
    text = "The certificate\n\nof this host\n\n" + open(certificate).read()
    with open(certificate, "w", newline="\r\n") as f:  # to HAProxy's socket an empty line is the end
        f.write(text)
    worker = lab.haproxy.family()
    deploys_everywhere(lab, certificate, lambda: hook(lab, "lego", LEGO_CERT_PATH=certificate, LEGO_CERT_DOMAIN="localhost"))
    expect(lab.haproxy.family() == worker, "HAProxy has new workers: it was not told over its socket")


def claim_dehydrateds_hook_renews_and_passes_over_other_steps(lab):
    certificate = renewed(lab, "three")
    expect(hook(lab, "dehydrated", "startup_hook").returncode == 0, "startup_hook")
    deploys_everywhere(lab, certificate, lambda: hook(
        lab, "dehydrated", "deploy_cert", "localhost", "/no/key", "/no/cert", certificate, "/no/chain", "1"))


def claim_a_certificate_of_another_key_is_refused(lab):
    before = serial(lab, 443), read("/etc/ssl/www.pem")
    other = lab.local_key("other", "ec")
    done = lab.keyfleet("deploy", other.certificate, check=False)
    expect(done.returncode and "no server of this host has a reference" in done.stderr, done.stderr)
    expect(before == (serial(lab, 443), read("/etc/ssl/www.pem")), "something changed")


def claim_what_a_server_does_not_take_goes_back(lab):
    before = serial(lab, 443), read("/etc/ssl/www.pem")
    lab.put("/etc/nginx/conf.d/broken.conf", "nonsense on;\n")
    done = lab.keyfleet("deploy", renewed(lab, "four"), "--server", "nginx", check=False)
    os.remove("/etc/nginx/conf.d/broken.conf")
    expect(done.returncode and "unknown directive" in done.stderr and "goes back" in done.stderr, done.stderr)
    expect(before == (serial(lab, 443), read("/etc/ssl/www.pem")), "the old certificate is not there")


def claim_a_key_rotates_with_old_and_new_side_by_side(lab):
    made = lab.server.keyfleet_json("key", "rotate", "www")[0]
    expect(made["name"] == "www-2" and made["type"] == "ec:P-256" and made["id"] != made["old_id"], str(made))
    grants = [g for g in lab.server.keyfleet_json("grant", "list") if g["key"] == made["id"]]
    expect([(g["who"], g["operations"], g["constraints"]) for g in grants] == [("web1", "sign", "tls-only")], str(grants))
    lab.put("/etc/ssl/www-2.pem", open(renewed(lab, "next", "www-2")).read())
    lab.put("/etc/ssl/www-2.ref.pem", lab.server.keyfleet("key", "ref", "www-2").stdout)
    site = read("/etc/nginx/sites-available/default").decode()
    with Load(lab, 443) as load, Load(lab, 9443) as old:
        lab.put("/etc/nginx/sites-available/default", site.replace("www.", "www-2."))
        lab.run(["nginx", "-s", "reload"])
        new = lab.run(["openssl", "x509", "-in", "/etc/ssl/www-2.pem", "-noout", "-serial"]).stdout.strip().split("=")[1]
        wait_until("the new key", lambda: serial(lab, 443) == new)
        load.goes_on()
        old.goes_on()  # HAProxy goes on with the old one
    expect(not load.failures + old.failures, str((load.failures + old.failures)[:3]))
    expect(lab.server.keyfleet_json("key", "rotate", "www-2")[0]["name"] == "www-3", "the third generation")


if __name__ == "__main__":
    enter()
    run(globals(), Host("renew"))
