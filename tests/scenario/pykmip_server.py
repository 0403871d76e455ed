#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server that we did not write: our client at PyKMIP's, whose answers come in order and know nothing of ours."""
import json
import os
import re
import subprocess

from scenario import expect, run, skip
from lab import ROOT, Lab, Process, accepts, free_port, wait_until

PYTHON = "/usr/bin/python3"  # Debian's own, for which its packages are
SERVE = "from kmip.services.server.server import main; main()"


def is_installed():
    return subprocess.run([PYTHON, "-c", "import kmip"], capture_output=True).returncode == 0


class Foreign(Lab):
    """PyKMIP's server with the certificates of `keyfleet init`, and its administrator as client."""

    def __enter__(self):
        super().__enter__()
        if not is_installed():
            return self
        port = free_port()
        self.keyfleet("init", self.path("d"), "--listen", f"127.0.0.1:{port}")
        self.write("d/address", f"127.0.0.1:{port}\n")
        conf = self.write("server.conf", f"""[server]
hostname=127.0.0.1
port={port}
certificate_path={self.path("d/server.pem")}
key_path={self.path("d/server.key")}
ca_path={self.path("d/ca.pem")}
auth_suite=TLS1.2
policy_path={self.dir}
enable_tls_client_auth=True
database_path={self.path("pykmip.db")}
""")
        process = Process(self, "pykmip", [PYTHON, "-W", "ignore", "-c", SERVE, "-f", conf, "-l",
                                           self.path("server.log")], env={"PYTHONPATH": ""})
        wait_until("PyKMIP's server", lambda: process.must_run() and accepts(port), 60)
        return self

    def ask(self, *words, check=True):
        return self.keyfleet("--config", self.path("d/client.conf"), *words, check=check)


def needs_pykmip():
    if not is_installed():
        skip("python3-pykmip is not installed")


def claim_keys_are_made_found_shown_and_activated(lab):
    needs_pykmip()
    pair = lab.ask("key", "create", "web", "--type", "rsa:2048", "--inactive").stdout.split()[0]
    lab.ask("key", "create", "disk", "--type", "aes:256", "--inactive")
    expect(re.search(rf"^web +private +RSA +2048 +Pre-Active .* {pair}$", lab.ask("key", "list").stdout, re.M), "not listed")
    expect(re.search(r"^disk +symmetric +AES +256 +Pre-Active ", lab.ask("key", "list").stdout, re.M), "a secret key is not listed")
    lab.ask("key", "activate", "web")
    shown = lab.ask("key", "show", "web").stdout
    expect("State = Enumeration Active" in shown, shown)
    expect("Cryptographic Algorithm = Enumeration AES" in lab.ask("key", "show", "disk").stdout, "another key was shown")


def claim_what_the_server_refuses_is_told_in_its_words(lab):
    needs_pykmip()
    refused = lab.ask("key", "create", "now", "--type", "aes:256", check=False)
    expect(refused.returncode and "The Activation Date attribute is unsupported." in refused.stderr, refused.stderr)
    active = lab.ask("key", "destroy", "web", "--yes", check=False)
    expect(active.returncode and "Object is active" in active.stderr, active.stderr)


def claim_a_key_lives_and_dies(lab):
    needs_pykmip()
    lab.ask("key", "revoke", "web")
    lab.ask("key", "destroy", "web", "--yes")
    lab.ask("key", "destroy", "disk", "--yes")
    expect(len(lab.ask("key", "list").stdout.splitlines()) == 1, "a destroyed key is listed")


CASES = os.environ.get("KMIP_CASES", os.path.join(os.path.dirname(ROOT), "shared", "kmip-cases"))


def claim_oasis_cases_are_told_apart_that_pass_and_that_fail(lab):
    """The same runner as against our own server: kmip_cases.py."""
    needs_pykmip()
    cases = os.path.join(CASES, "1.4")
    if not os.path.isdir(cases):
        skip("there are no cases in " + cases)
    d = lab.path("d")
    done = lab.keyfleet("--json", "replay", "--server", open(d + "/address").read().strip(), "--cert", d + "/admin.pem",
                        "--key", d + "/admin.key", "--ca", d + "/ca.pem", cases, check=False)
    results = {}
    for row in json.loads(done.stdout):
        results.setdefault(row["result"], []).append(row["case"])
    print("# PyKMIP's server, 1.4: " + ", ".join(f"{len(found)} {result}" for result, found in sorted(results.items())))
    expect(done.returncode == 1, f"status {done.returncode}: {done.stderr}")
    expect("SKLC-M-1-14" in sum(results.values(), []) and len(results.get("PASS", [])) >= 1, results)
    expect(len(results.get("FAIL-STATUS", [])) >= 30, results)


if __name__ == "__main__":
    run(globals(), Foreign("keyfleet-foreign"))
