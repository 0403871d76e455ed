#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""keyfleet adopt: the keys of running stock servers move into the key servers, and back, while their clients
notice nothing."""
import glob
import os
import subprocess

from host import Host, enter, kill_by_file, read
from scenario import expect, run
from lab import Load, handshake, wait_until

STATE = "/var/lib/keyfleet/adopt"


def etc():
    """Every file of /etc by its bytes, but for what an adoption leaves on purpose."""
    return {path: read(path) for path in glob.glob("/etc/**", recursive=True) if os.path.isfile(path)}


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


def start_nginx(lab):
    lab.key_pair("rsa", "rsa")
    lab.key_pair("ec", "ec")
    lab.put("/etc/nginx/sites-available/default", NGINX_SITE)
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
    expect("2 keys moved" in said, said)
    expect(changed(before, etc()) == sorted([
        "/etc/nginx/sites-available/default", "/etc/nginx/sites-enabled/default", "/etc/ssl/openssl.cnf",
        "/etc/ssl/private/ec.ref.pem", "/etc/ssl/private/rsa.ref.pem"]), str(changed(before, etc())))
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


if __name__ == "__main__":
    enter()
    run(globals(), Host("adopt"))
