#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/guide/operations.md and install.md, step by step: what they promise happens."""
import os
import re
import secrets
import shutil
import signal
import subprocess
import urllib.error
import urllib.request

from scenario import expect, run, skip
from lab import BIN, KeyServer, Lab, free_port, set_option, wait_until


class Operations(Lab):
    def __enter__(self):
        super().__enter__()
        self.health = free_port()
        self.server = KeyServer(self, "kms", options={("health", "listen"): f"127.0.0.1:{self.health}"})
        self.server.keyfleet("key", "create", "www", "--type", "ec:P-256")
        return self

    def file(self, name):
        return os.path.join(self.server.dir, name)

    def status(self, name):
        found = [row["value"] for row in self.server.keyfleet_json("status") if row["name"] == name]
        expect(found, f"status lacks {name}")
        return found[0]

    def signs(self):
        return self.server.keyfleet("key", "csr", "www", "--names", "www.example.org", check=False).returncode == 0

    def reload(self):
        log = self.server.process.log
        before = open(log).read().count("reloaded")
        self.server.process.signal(signal.SIGHUP)
        wait_until("the reload", lambda: open(log).read().count("reloaded") > before)

    def add_master_key(self, name):
        old = open(self.file("master.key")).read()
        self.replace("master.key", f"{name} = {secrets.token_hex(32)}\n{old}")

    def replace(self, name, text):
        with open(self.file(name), "w") as f:
            f.write(text)

    def restart(self):
        self.server.process.stop()
        self.server.start()

    def all_is_rewrapped(self):
        wait_until("the rotation", lambda: self.status("store.old-master-keys") == "0")


def claim_master_keys_rotate_with_a_reload(lab):
    lab.add_master_key("second")
    lab.reload()
    lab.all_is_rewrapped()
    expect(lab.signs(), "the key cannot be used")


def claim_master_keys_rotate_with_a_restart(lab):
    lab.add_master_key("third")
    lab.restart()
    lab.all_is_rewrapped()
    expect(lab.signs(), "the key cannot be used")


def claim_an_old_master_key_is_not_needed_any_more(lab):
    lab.replace("master.key", open(lab.file("master.key")).readline())
    lab.restart()
    expect(lab.signs(), "the key cannot be used")


def claim_a_server_gets_a_new_certificate_from_the_authority(lab):
    new = lab.path("new")
    lab.keyfleet("init", new, "--join", lab.server.dir, "--names", "ks1.example.org")
    for name in ("server.pem", "server.key"):
        shutil.copy(os.path.join(new, name), lab.file(name))
    lab.reload()
    shown = lab.run(["openssl", "s_client", "-connect", lab.server.address], check=False, stdin="").stdout
    expect(open(lab.file("server.pem")).read().strip().splitlines()[1] in shown, "the old certificate is shown")
    expect(lab.signs(), "the server is not believed any more")


def claim_the_administrator_gets_a_new_certificate(lab):
    lab.server.keyfleet("client", "add", "admin2", "--out", lab.dir)
    printed = lab.run(["openssl", "x509", "-in", "admin2.pem", "-noout", "-fingerprint", "-sha256"]).stdout
    set_option(lab.file("keyfleetd.conf"), "server", "admin", printed.strip().split("=")[1])
    lab.reload()
    expect(lab.server.keyfleet("status", check=False).returncode != 0, "the old administrator is let in")
    for key, name in (("certificate", "admin2.pem"), ("key", "admin2.key")):
        set_option(lab.server.conf, "client", key, lab.path(name))
    expect(lab.signs(), "the new administrator is not let in")


def claim_a_backup_restores_into_an_empty_store_and_nowhere_else(lab):
    copy, place = lab.path("copy"), "sqlite:" + lab.path("restored.db")
    lab.server.keyfleet("backup", copy)
    given = ["restore", copy, "--master-key", lab.file("master.key")]
    lab.keyfleet(*given, "--verify")
    lab.keyfleet(*given, "--store", place)
    expect(lab.keyfleet(*given, "--store", place, check=False).returncode == 1, "it was written twice")


def claim_the_health_endpoint_answers_its_questions(lab):
    for question in ("up", "drain", "writable", "status", "metrics"):
        with urllib.request.urlopen(f"http://127.0.0.1:{lab.health}/{question}", timeout=5) as answer:
            expect(answer.status == 200, question)
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{lab.health}/else", timeout=5)
        expect(False, "anything is answered")
    except urllib.error.HTTPError as e:
        expect(e.code == 404, str(e))


def claim_audit_records_have_the_documented_form(lab):
    folder = lab.file("audit")
    text = "".join(open(os.path.join(folder, f), errors="replace").read().replace("\0", "")
                   for f in sorted(os.listdir(folder)) if f.startswith("audit-"))
    form = (r'time=\S+Z (event=\S+ number=\d+ .*|loop=\d+ sequence=\d+ connection=\d+ phase=(allowed|denied|failed) '
            r'client=\S+ operation=("[^"]+"|\S+) object=\S+ rule=\S+ mechanism=\S+.*) chain=[0-9a-f]+( signature=[0-9a-f]{128})?')
    for line in text.splitlines():
        expect(re.fullmatch(form, line), line)
    expect(re.search(r"operation=Sign object=\S+ rule=admin mechanism=ECDSA_SHA256 digest=[0-9a-f]{64}", text),
           "no record of a signature")


def claim_a_set_up_in_etc_keeps_what_changes_in_var_lib(lab):
    if os.geteuid() or lab.run(["unshare", "-m", "true"], check=False).returncode:
        skip("needs root and a mount namespace")
    script = f"""set -e
for d in /etc/keyfleet /var/lib/keyfleet; do [ -d $d ] || {{ mkdir $d; made="$d $made"; }}; mount -t tmpfs -o mode=0755 none $d; done
{BIN}/keyfleet --quiet init /etc/keyfleet --listen 127.0.0.1:0
{BIN}/keyfleetd > ready & server=$!
until grep -q ready ready; do kill -0 $server; sleep 0.05; done
{BIN}/keyfleet key create www
ls /etc/keyfleet /var/lib/keyfleet
kill $server; wait $server
umount /etc/keyfleet /var/lib/keyfleet; [ -z "$made" ] || rmdir $made"""
    env = {k: v for k, v in os.environ.items() if k != "KEYFLEET_CONFIG"}
    done = subprocess.run(["unshare", "-m", "bash", "-c", script], cwd=lab.dir, env=env, capture_output=True, text=True,
                          timeout=60)
    expect(done.returncode == 0, done.stderr)
    etc, var = done.stdout.split("/var/lib/keyfleet:")
    expect("keyfleet.db" in var and "audit" in var and "address" in var, done.stdout)
    expect("keyfleet.db" not in etc and "audit" not in etc.splitlines(), done.stdout)


run(globals(), Operations("kf-operations"))
