#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""OASIS's test cases for KMIP against a key server of ours with an empty store, a claim a case.

    kmip_cases.py [WORD...]     only claims with one of the words; --verbose: all messages of these cases

The cases are looked for beside the source tree (../shared/kmip-cases/VERSION/*.xml) or in $KMIP_CASES; without
them every claim is skipped.
"""
import glob
import json
import os
import re
import subprocess
import sys

from scenario import expect, run, skip
from lab import BIN, ROOT, KeyServer, Lab

CASES = os.environ.get("KMIP_CASES", os.path.join(os.path.dirname(ROOT), "shared", "kmip-cases"))
OPTIONS = {("server", "interop_test"): "yes"}

# Cases that cannot be played at an older version, because they ask for what that does not have: attributes in lists
# (Always Sensitive and others: 1.4; Random Number Generator: 1.3; Original Creation Date, Alternative Name: 1.2), fields of
# authenticated encryption, OAEP and PSS (1.4), operations with keys and Next Link (1.2), formats in digests (1.1).
NEWER = {
    "1.4": {"1.3": r"CS-BC-M-GCM|CS-AC-M-(1-|OAEP)|SKFF-M-(9|1.)-|TL-M-3",
            "1.2": r"CS-BC-M-GCM|CS-AC-M-(1-|OAEP)|SKFF-M-(9|1.)-|TL-M-3|AKLC",
            "1.1": r"CS-|SKFF-M-(9|1.)-|TL-M-[23]|AKLC|AX-",
            "1.0": r"CS-|SKFF-M-(9|1.)-|TL-M-[23]|AKLC|AX-|SKLC"},
    "2.1": {"2.0": r"^$"},
}


def versions():
    return sorted(v for v in os.listdir(CASES) if os.path.isdir(os.path.join(CASES, v))) if os.path.isdir(CASES) else []


def names(version):
    return sorted(f[:-4] for f in os.listdir(os.path.join(CASES, version)) if f.endswith(".xml"))


class Cases(Lab):
    def __init__(self):
        super().__init__("keyfleet-kmip-cases")
        self.results, self.servers = {}, {}

    def run_version(self, version, spoken=None):
        """All cases of a version, in the order of their names, at a server that is new; in another version's messages."""
        server = KeyServer(self, f"kms-{version}-{spoken or version}", options=OPTIONS)
        self.servers.setdefault(version, server)
        done = subprocess.run([os.path.join(BIN, "keyfleet"), "--json", "--config", server.conf, "replay",
                               os.path.join(CASES, version)] + (["--version", spoken] if spoken else []),
                              capture_output=True, text=True, timeout=280)
        if done.returncode not in (0, 1) or not done.stdout:
            raise AssertionError(f"keyfleet replay: status {done.returncode}: {done.stderr}")
        return {r["case"]: r for r in json.loads(done.stdout)}

    def result(self, version, name):
        if version not in self.results:
            self.results[version] = self.run_version(version)
        return self.results[version][name]


def make_claim(version, name):
    def claim(lab):
        found = lab.result(version, name)
        if found["result"] != "PASS":
            raise AssertionError(f"exchange {found['exchange']} {found['operation']}: {found['difference']}")
    claim.__name__ = f"claim_{version} {name}"
    return claim


def make_older(version, spoken):
    def claim(lab):
        if version not in versions():
            skip(f"there are no cases of {version} in {CASES}")
        wrong = [f"{name} ({r['operation']}): {r['difference']}" for name, r in lab.run_version(version, spoken).items()
                 if (r["result"] == "PASS") == bool(re.search(NEWER[version][spoken], name))]
        expect(not wrong, "\n".join(wrong))
    claim.__name__ = f"claim_cases of {version} at {spoken} fail only for what is newer"
    return claim


def claim_there_are_cases(lab):
    if not versions():
        skip("there are no cases in " + CASES)


def claim_no_answer_is_waited_for_longer_than_a_day(lab):
    server = KeyServer(lab, "kms-patient")
    case = os.path.join(lab.dir, "empty.xml")
    with open(case, "w") as f:
        f.write("<KMIP></KMIP>")
    for wrong in ("99999999999999999999", "86401", "0", "-1", "", "30s", " 30", "0x10", "1e3"):
        done = server.keyfleet("replay", case, f"--timeout={wrong}", check=False)
        expect(done.returncode != 0 and "--timeout is in whole seconds, from 1 to 86400" in done.stderr,
               f"{wrong!r}: {done.returncode} {done.stderr}")
    done = server.keyfleet("replay", case, "--timeout=86400", check=False)
    expect("--timeout" not in done.stderr, done.stderr)


def claim_a_server_that_is_not_under_test_forgets_nothing(lab):
    if not versions():
        skip("there are no cases in " + CASES)
    server = KeyServer(lab, "kms-plain")
    server.keyfleet("key", "create", "kept", "--type", "ec:P-256")
    case = os.path.join(CASES, versions()[0], names(versions()[0])[0] + ".xml")
    done = server.keyfleet("replay", "--reset", case, check=False)
    expect(done.returncode == 1 and "operation is not supported" in done.stderr, done.stderr + done.stdout)
    expect("kept" in server.keyfleet("key", "list").stdout, "the key is gone")


def claim_a_server_under_test_forgets_everything_and_says_so_in_its_log(lab):
    if not versions():
        skip("there are no cases in " + CASES)
    server = KeyServer(lab, "kms-tested", options=OPTIONS)
    expect("UNDER TEST" in open(server.process.log).read(), "no warning in the log")
    server.keyfleet("key", "create", "gone", "--type", "ec:P-256")
    case = os.path.join(CASES, versions()[0], "MSGENC-XML-M-1-14.xml")
    if not os.path.exists(case):
        skip("there is no case MSGENC-XML-M-1-14")
    done = server.keyfleet("replay", "--reset", case)
    expect(done.stdout == "PASS MSGENC-XML-M-1-14\n1.4: 1 passed, 0 failed\n", done.stdout)
    expect("gone" not in server.keyfleet("key", "list").stdout, "the key is still there")


def claim_what_a_client_wants_to_have_logged_stands_in_the_audit_log(lab):
    if "2.1" not in versions():
        skip("there are no cases of 2.1 in " + CASES)
    lab.result("2.1", "BL-M-1-21")
    lines = [line for f in glob.glob(os.path.join(lab.servers["2.1"].dir, "audit", "*.log"))
             for line in open(f, errors="replace")]
    expect(any("operation=Log " in line and 'message="Registered a symmetric key."' in line for line in lines),
           f"not in {len(lines)} lines")


def show(words):
    """The cases with one of the words, and all their messages, at a server that is new."""
    with Lab("keyfleet-kmip-cases") as lab:
        server = KeyServer(lab, "kms", options=OPTIONS)
        files = [os.path.join(CASES, v, n + ".xml") for v in versions() for n in names(v) if any(w in n for w in words)]
        return subprocess.run([os.path.join(BIN, "keyfleet"), "--config", server.conf, "replay", "--verbose",
                               *files]).returncode


if __name__ == "__main__":
    if "--verbose" in sys.argv:
        sys.exit(show([w for w in sys.argv[1:] if w != "--verbose"]))
    first = {name: claim for name, claim in globals().items() if name.startswith("claim_")}
    older = [make_older(v, s) for v in NEWER for s in NEWER[v]]
    run({**first, **{c.__name__: c for c in older},
         **{f"claim_{v} {n}": make_claim(v, n) for v in versions() for n in names(v)}}, Cases())
