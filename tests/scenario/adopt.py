#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""keyfleet adopt: the keys of running stock servers move into the key servers, and back, while their clients
notice nothing."""
import os
import shutil
import signal
import subprocess

from host import Host, enter, read
from scenario import expect, run, skip
from lab import BIN, Load, Process, handshake, wait_until

STATE = "/var/lib/keyfleet/adopt"
STEP = int(os.environ.get("KILL_STEP", "13"))  # which of the changes it is killed before: every one, or one of so many


def etc():
    """Every file of /etc by its bytes."""
    return {path: read(path) for folder, _, names in os.walk("/etc") for path in (os.path.join(folder, n) for n in names)
            if os.path.isfile(path)}


def changed(before, after):
    return sorted(p for p in before.keys() | after.keys() if before.get(p) != after.get(p))


# -- nginx ---------------------------------------------------------------------------------------------

NGINX_SITE = """server {
\tlisten 443 ssl default_server; # the usual
\tserver_name localhost;
\tssl_certificate /etc/ssl/private/rsa.pem;
\tssl_certificate_key   /etc/ssl/private/rsa.key;
\tssl_certificate "/etc/ssl/private/ec.pem";
\tssl_certificate_key "/etc/ssl/private/ec.key";
\treturn 200 "hello\\n";
}
"""


# A pair that several servers inherit, each with a name of its own; one of them behind a balancer.
NGINX_INHERITED = """ssl_certificate /etc/ssl/private/all.pem;
ssl_certificate_key /etc/ssl/private/all.key;
server { listen 4431 ssl proxy_protocol; server_name one.localhost; return 200 "one\\n"; }
server { listen 4432 ssl default_server; server_name rsa.localhost; return 200 "rsa\\n";
	ssl_certificate /etc/ssl/private/rsa.pem; ssl_certificate_key /etc/ssl/private/rsa.key; }
server { listen 4432 ssl; server_name two.localhost; return 200 "two\\n"; }
"""


def start_impostor(lab):
    """Another user's process that looks like nginx: whoever believes it runs its program as root."""
    path = lab.path("impostor")
    os.makedirs(path, 0o755)
    shutil.copy("/bin/sleep", path + "/nginx")
    return Process(lab, "impostor", ["setpriv", "--reuid", "65534", "--clear-groups", path + "/nginx", "100000"])


def start_nginx(lab):
    start_impostor(lab)
    lab.key_pair("rsa", "rsa")
    lab.key_pair("ec", "ec")
    lab.key_pair("all", "ec")
    lab.put("/etc/nginx/sites-available/default", NGINX_SITE)
    lab.put("/etc/nginx/conf.d/inherited.conf", NGINX_INHERITED)
    subprocess.run(["/usr/sbin/nginx"], check=True)
    lab.wait_for_port(443)


def claim_nginx_a_dry_run_shows_the_plan_and_changes_nothing(lab):
    start_nginx(lab)
    before = etc()
    shown = lab.adopt("nginx", "--dry-run").stdout
    for words in ("/etc/ssl/private/rsa.pem", "rsa:2048", "ec:P-256", "/etc/nginx/sites-enabled/default:5",
                  "moves; reference /etc/ssl/private/ec.ref.pem"):
        expect(words in shown, f"{words} is not in the plan:\n{shown}")
    expect(changed(before, etc()) == [], "the dry run changed files")
    expect(not os.path.exists(STATE), "the dry run left a record")


def claim_nginx_keys_move_under_load_and_no_handshake_fails(lab):
    before, signed = etc(), lab.signatures()
    with Load(lab, 443) as load:
        load.goes_on()
        said = lab.adopt("nginx", "--yes").stdout
        load.goes_on()
    expect(not load.failures, f"{len(load.failures)} of {load.done} failed: {load.failures[:3]}")
    expect("3 keys moved" in said, said)
    expect(changed(before, etc()) == sorted([
        "/etc/nginx/conf.d/inherited.conf", "/etc/nginx/sites-available/default", "/etc/nginx/sites-enabled/default",
        "/etc/ssl/openssl.cnf", "/etc/ssl/private/all.ref.pem", "/etc/ssl/private/ec.ref.pem", "/etc/ssl/private/rsa.ref.pem"]),
        str(changed(before, etc())))
    expect(read("/etc/nginx/sites-available/default").decode() == NGINX_SITE.replace("rsa.key", "rsa.ref.pem").replace(
        "ec.key", "ec.ref.pem"), "more than the two arguments changed")
    signed = lab.signatures()
    handshake(443, lab.web_ca())
    wait_until("an audit record", lambda: lab.signatures() > signed)


def claim_nginx_its_own_test_and_reload_by_hand_go_on_working(lab):
    lab.run(["nginx", "-t"])
    with Load(lab, 443) as load:
        lab.run(["nginx", "-s", "reload"])
        load.goes_on()
    expect(not load.failures, str(load.failures[:3]))


def claim_nginx_a_second_run_finds_nothing_to_move(lab):
    done = lab.adopt("nginx", "--yes")
    expect("nothing to move" in done.stderr and "it is a key reference already" in done.stdout, done.stdout + done.stderr)


def claim_nginx_one_command_brings_everything_back_under_load(lab):
    with Load(lab, 443) as load:
        load.goes_on()
        lab.adopt("rollback")
        load.goes_on()
    expect(not load.failures, str(load.failures[:3]))
    expect(read("/etc/nginx/sites-available/default").decode() == NGINX_SITE, "the site is not what it was")
    expect(b"keyfleet" not in read("/etc/ssl/openssl.cnf"), "openssl.cnf is not what it was")
    expect(not os.path.exists("/etc/ssl/private/rsa.ref.pem"), "a reference is left")
    wait_until("the old workers' end", lambda: handshake(443, lab.web_ca()) is not None)
    signed = lab.signatures()
    for _ in range(5):
        handshake(443, lab.web_ca())
    expect(lab.signatures() == signed, "the key servers still sign")


# -- interrupted -----------------------------------------------------------------------------------------

def killed(lab, at, *args):
    """True: it was killed before the at-th change; False: it came to its end."""
    done = lab.run([os.path.join(BIN, "keyfleet"), "--config", lab.server.conf, *args], check=False,
                   env={"LD_PRELOAD": os.environ["KILL_AT_SO"], "KILL_AT": str(at)})
    expect(done.returncode in (0, -signal.SIGKILL), f"killed at {at}: {done.stdout}{done.stderr}")
    return done.returncode != 0


def claim_killed_before_any_step_a_rollback_or_another_run_completes(lab):
    if not os.environ.get("KILL_AT_SO"):
        skip("needs a build without sanitizers")
    clean = etc()
    with Load(lab, 443) as load:
        for at in range(1, 200, STEP):
            if not killed(lab, at, "adopt", "nginx", "--yes"):
                break
            if at // STEP % 2:
                lab.adopt("nginx", "--yes")
                expect(b"ec.ref.pem" in read("/etc/nginx/sites-available/default"), f"killed at {at}: it did not complete")
            done = lab.adopt("rollback", check=False)
            expect(not done.returncode or "no such adoption" in done.stderr, f"killed at {at}: {done.stderr}")
            left = changed(clean, etc())
            expect(not left, f"killed at {at}: {left}")
        load.goes_on()
    expect(10 < at < 199, f"{at} steps")
    expect(not load.failures, f"{len(load.failures)} of {load.done} failed: {load.failures[:3]}")
    lab.adopt("rollback")


def claim_a_rollback_that_is_killed_completes_the_second_time(lab):
    if not os.environ.get("KILL_AT_SO"):
        skip("needs a build without sanitizers")
    clean = etc()
    with Load(lab, 443) as load:
        for at in range(1, 100, STEP):
            lab.adopt("nginx", "--yes")
            was_killed = killed(lab, at, "adopt", "rollback")
            done = lab.adopt("rollback", check=False)
            expect(not done.returncode or "no such adoption" in done.stderr, f"killed at {at}: {done.stderr}")
            expect(not changed(clean, etc()), f"killed at {at}: {changed(clean, etc())}")
            if not was_killed:
                break
        load.goes_on()
    expect(at > 3 and not load.failures, f"{at} steps; {load.failures[:3]}")


# -- Apache --------------------------------------------------------------------------------------------

APACHE_SITE = """<IfModule mod_ssl.c>
<VirtualHost *:8443>
\tServerName localhost
\tSSLEngine on
\tSSLCertificateFile\t/etc/ssl/private/a-rsa.pem
\tSSLCertificateKeyFile\t/etc/ssl/private/a-rsa.key
\tSSLCertificateFile\t/etc/ssl/private/a-both.pem
</VirtualHost>
<VirtualHost *:8444>
\tServerName localhost
\tSSLEngine on
\tRemoteIPProxyProtocol On
\tSSLCertificateFile\t/etc/ssl/private/a-rsa.pem
\tSSLCertificateKeyFile\t/etc/ssl/private/a-rsa.key
</VirtualHost>
</IfModule>
"""


def start_apache(lab):
    lab.key_pair("a-rsa", "rsa")
    lab.key_pair("a-both", "ec")
    with open("/etc/ssl/private/a-both.pem", "ab") as f:
        f.write(read("/etc/ssl/private/a-both.key"))
    os.remove("/etc/ssl/private/a-both.key")
    lab.put("/etc/apache2/ports.conf", "Listen 8443\nListen 8444\n")
    lab.put("/etc/apache2/sites-available/000-default.conf", APACHE_SITE)
    for module in ("ssl.load", "ssl.conf", "socache_shmcb.load", "remoteip.load"):
        if not os.path.exists(f"/etc/apache2/mods-enabled/{module}"):
            os.symlink(f"../mods-available/{module}", f"/etc/apache2/mods-enabled/{module}")
    lab.run(["apache2ctl", "start"])
    lab.wait_for_port(8443)


def claim_apache_keys_move_by_a_graceful_restart_and_no_handshake_fails(lab):
    start_apache(lab)
    before = etc()
    parent = read("/var/run/apache2/apache2.pid")
    with Load(lab, 8443) as load:
        load.goes_on()
        said = lab.adopt("apache", "--yes").stdout
        load.goes_on()
    expect(not load.failures, f"{len(load.failures)} of {load.done} failed: {load.failures[:3]}")
    expect("2 keys moved" in said, said)
    expect(read("/var/run/apache2/apache2.pid") == parent, "another parent process")
    site = read("/etc/apache2/sites-available/000-default.conf").decode()
    expect("\tSSLCertificateFile\t/etc/ssl/private/a-both.pem\n\tSSLCertificateKeyFile /etc/ssl/private/a-both.ref.pem\n"
           in site and "SSLCertificateKeyFile\t/etc/ssl/private/a-rsa.ref.pem\n" in site, site)
    expect("/etc/apache2/apache2.conf" in changed(before, etc()), "no loader")
    signed = lab.signatures()
    handshake(8443, lab.web_ca())
    wait_until("an audit record", lambda: lab.signatures() > signed)


def claim_apache_starts_anew_with_references(lab):
    lab.run(["apache2ctl", "stop"])
    wait_until("Apache's end", lambda: not os.path.exists("/var/run/apache2/apache2.pid"))
    lab.run(["apache2ctl", "start"])
    lab.wait_for_port(8443)
    handshake(8443, lab.web_ca())


def claim_apache_goes_back_under_load(lab):
    with Load(lab, 8443) as load:
        load.goes_on()
        lab.adopt("rollback")
        load.goes_on()
    expect(not load.failures, str(load.failures[:3]))
    expect(read("/etc/apache2/sites-available/000-default.conf").decode() == APACHE_SITE, "the site is not what it was")
    expect(b"keyfleet" not in read("/etc/apache2/apache2.conf"), "the loader is left")


# -- HAProxy -------------------------------------------------------------------------------------------

HAPROXY_CFG = """global
    user haproxy
    group haproxy
    chroot /var/lib/haproxy
    stats socket /run/haproxy/admin.sock mode 600 level admin
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 10s
frontend www
    bind 127.0.0.1:9443 ssl crt /etc/haproxy/bundle.pem # one file
    bind 127.0.0.1:9444 ssl crt /etc/haproxy/dir/
    bind 127.0.0.1:9445 ssl crt-list /etc/haproxy/list
    http-request return status 200 content-type text/plain string "haproxy"
"""


def bundle(lab, name, kind, path):
    key = lab.local_key(name, kind)
    lab.put(path, open(key.certificate).read() + open(key.key).read(), 0o600)


def start_haproxy(lab):
    bundle(lab, "h-rsa", "rsa", "/etc/haproxy/bundle.pem")
    bundle(lab, "h-dir", "ec", "/etc/haproxy/dir/one.pem")
    key = lab.local_key("h-list", "ec")
    lab.put("/etc/haproxy/list.pem", open(key.certificate).read())
    lab.put("/etc/haproxy/list.pem.key", open(key.key).read(), 0o600)
    lab.put("/etc/haproxy/list", "/etc/haproxy/list.pem [alpn h2] localhost\n")
    lab.put("/etc/haproxy/haproxy.cfg", HAPROXY_CFG)
    process = Process(lab, "haproxy", ["haproxy", "-W", "-f", "/etc/haproxy/haproxy.cfg"])
    for port in (9443, 9444, 9445):
        lab.wait_for_port(port)
    return process


def claim_haproxy_bundles_folders_and_lists_move_and_no_handshake_fails(lab):
    start_haproxy(lab)
    before = etc()
    with Load(lab, 9443) as one, Load(lab, 9444) as two, Load(lab, 9445) as three:
        one.goes_on()
        said = lab.adopt("haproxy", "--yes").stdout
        for load in (one, two, three):
            load.goes_on()
    for load in (one, two, three):
        expect(not load.failures, f"{load.port}: {len(load.failures)} of {load.done} failed: {load.failures[:3]}")
    expect("3 keys moved" in said, said)
    expect(read("/etc/haproxy/haproxy.cfg").decode() == HAPROXY_CFG.replace("bundle.pem", "bundle.ref.pem"), "more changed")
    for path in ("bundle.ref.pem", "dir/one.pem", "list.pem.key"):
        text = read("/etc/haproxy/" + path)
        expect(b"KEYFLEET KEY REFERENCE" in text and b"PRIVATE KEY" not in text, path)
    lab.etc_before_haproxy = before
    signed = lab.signatures()
    for port in (9443, 9444, 9445):
        handshake(port, lab.web_ca())
    wait_until("audit records", lambda: lab.signatures() >= signed + 3)


def claim_haproxy_goes_back_under_load(lab):
    with Load(lab, 9443) as load:
        load.goes_on()
        lab.adopt("rollback")
        load.goes_on()
    expect(not load.failures, str(load.failures[:3]))
    expect(changed(lab.etc_before_haproxy, etc()) == ["/etc/ssl/openssl.cnf"] or not changed(
        lab.etc_before_haproxy, etc()), str(changed(lab.etc_before_haproxy, etc())))


# -- stunnel -------------------------------------------------------------------------------------------

def start_stunnel(lab):
    process = Process(lab, "stunnel", ["stunnel", "/etc/stunnel/stunnel.conf"])
    lab.wait_for_port(7443)
    return process


def claim_stunnel_changes_its_files_and_is_restarted_by_hand(lab):
    lab.key_pair("tunnel", "ec")
    lab.put("/etc/stunnel/stunnel.conf", """foreground = yes
pid =
[https]
accept = 127.0.0.1:7443
connect = 127.0.0.1:80
cert = /etc/ssl/private/tunnel.pem
key = /etc/ssl/private/tunnel.key
""")
    process = start_stunnel(lab)
    refused = lab.adopt("stunnel", "--yes", check=False)
    expect(refused.returncode and "only when it starts" in refused.stderr, refused.stderr)
    expect(b"tunnel.key" in read("/etc/stunnel/stunnel.conf"), "it was changed all the same")
    lab.adopt("stunnel", "--yes", "--no-reload")
    process.stop()
    process = start_stunnel(lab)
    signed = lab.signatures()
    handshake(7443, lab.web_ca())
    wait_until("an audit record", lambda: lab.signatures() > signed)
    lab.adopt("rollback", "--no-reload")
    expect(b"tunnel.key" in read("/etc/stunnel/stunnel.conf"), "it did not go back")


# -- the end ---------------------------------------------------------------------------------------------

def claim_what_cannot_be_proved_is_not_begun(lab):
    lab.agent.stop()
    before = etc()
    done = lab.adopt("nginx", "--yes", check=False)
    expect(done.returncode and "cannot be used through the agent" in done.stderr, done.stderr)
    expect(not changed(before, etc()), str(changed(before, etc())))
    lab.start_agent()


def claim_a_key_with_a_pass_phrase_stays(lab):
    lab.run(["openssl", "pkey", "-in", "/etc/ssl/private/rsa.key", "-aes256", "-passout", "pass:x", "-out",
             "/etc/ssl/private/locked.key"])
    lab.put("/etc/nginx/locked.conf", "events {}\nhttp { server { listen 444 ssl; ssl_certificate /etc/ssl/private/rsa.pem;"
            " ssl_certificate_key /etc/ssl/private/locked.key; } }\n")
    shown = lab.adopt("nginx", "--file", "/etc/nginx/locked.conf", "--dry-run").stdout
    expect("stays: the key has a pass phrase" in shown, shown)


def claim_records_that_another_user_could_have_made_are_not_believed(lab):
    os.makedirs(lab.path("foreign"), 0o700)
    os.chown(lab.path("foreign"), 65534, 65534)
    for command in (("nginx", "--yes"), ("rollback",)):
        done = lab.adopt(*command, "--state", lab.path("foreign"), check=False)
        expect(done.returncode and "must be yours alone" in done.stderr, done.stderr)


def claim_finish_destroys_nothing_that_may_be_the_last_copy(lab):
    lab.adopt("nginx", "--yes")
    lab.agent.stop()
    try:
        done = lab.adopt("finish", "--yes", check=False)
    finally:
        lab.start_agent()
    expect(done.returncode and "cannot be used" in done.stderr, done.stderr)
    for name in ("rsa", "ec"):
        expect(os.path.exists(f"/etc/ssl/private/{name}.key"), f"{name}.key is destroyed")


def claim_finish_destroys_the_old_keys_and_there_is_no_way_back(lab):
    lab.adopt("finish", "--yes")
    for name in ("rsa", "ec"):
        expect(not os.path.exists(f"/etc/ssl/private/{name}.key"), f"{name}.key is still there")
        expect(os.path.exists(f"/etc/ssl/private/{name}.ref.pem"), f"{name}.ref.pem is gone")
    left = subprocess.run(["grep", "-rl", "PRIVATE KEY", STATE], capture_output=True, text=True).stdout
    expect(not left, f"a copy is left: {left}")
    handshake(443, lab.web_ca())
    lab.run(["nginx", "-t"])
    listed = lab.server.keyfleet_json("adopt", "list")[-1]
    expect(listed["state"] == "finished", str(listed))
    refused = lab.adopt("rollback", listed["id"], check=False)
    expect(refused.returncode and "finished" in refused.stderr, refused.stderr)


def claim_finish_leaves_keys_that_another_server_uses_or_that_were_not_moved(lab):
    servers = ""
    for name in ("shared", "renewed", "moved", "linked", "it's"):
        lab.key_pair(name, "ec")
        servers += f"""server {{ listen 445 ssl; ssl_certificate "/etc/ssl/private/{name}.pem";
            ssl_certificate_key "/etc/ssl/private/{name}.key"; }}\n"""
    lab.put("/etc/nginx/other.conf", "events {}\nhttp {\n" + servers + "}\n")
    os.symlink("/etc/shadow", "/etc/ssl/private/linked.ref.pem")
    os.symlink("shared.key", "/etc/ssl/private/alias.key")
    lab.put("/etc/apache2/sites-enabled/001-shared.conf", """<VirtualHost *:8443>
    SSLEngine on
    SSLCertificateFile /etc/ssl/private/shared.pem
    SSLCertificateKeyFile /etc/ssl/private/alias.key
</VirtualHost>
""")
    shadow = read("/etc/shadow")
    shown = lab.adopt("nginx", "--file", "/etc/nginx/other.conf", "--yes").stdout
    expect("stays: a path with quotes" in shown and "stays: where its reference would be" in shown, shown)
    expect("3 keys moved" in shown and read("/etc/shadow") == shadow, shown)
    shutil.copy("/etc/ssl/private/it's.key", "/etc/ssl/private/renewed.key")
    done = lab.adopt("finish", "--yes")
    for name, why in (("shared", "still in use"), ("renewed", "does not hold the key")):
        expect(os.path.exists(f"/etc/ssl/private/{name}.key"), f"{name}.key is destroyed")
        expect(f"{name}.key {why}" in done.stderr or f"{name}.key is {why}" in done.stderr, done.stderr)
    expect(not os.path.exists("/etc/ssl/private/moved.key"), "moved.key is still there")


if __name__ == "__main__":
    enter()
    run(globals(), Host("adopt"))
