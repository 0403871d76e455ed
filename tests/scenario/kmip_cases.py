#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""OASIS's test cases for KMIP against a key server of ours with an empty store, a claim a case.

    kmip_cases.py [WORD...]     only claims with one of the words; --verbose: all messages of these cases

The cases are looked for beside the source tree (../shared/kmip-cases/VERSION/*.xml) or in $KMIP_CASES; without
them every claim is skipped.
"""
import json
import os
import subprocess
import sys

from scenario import run, skip
from lab import BIN, ROOT, KeyServer, Lab

CASES = os.environ.get("KMIP_CASES", os.path.join(os.path.dirname(ROOT), "shared", "kmip-cases"))
# Cases that do not pass yet.  One that does must leave the list.
PENDING = set(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "kmip_cases.pending")).read().split())


def versions():
    return sorted(v for v in os.listdir(CASES) if os.path.isdir(os.path.join(CASES, v))) if os.path.isdir(CASES) else []


def names(version):
    return sorted(f[:-4] for f in os.listdir(os.path.join(CASES, version)) if f.endswith(".xml"))


class Cases(Lab):
    def __init__(self):
        super().__init__("keyfleet-kmip-cases")
        self.results = {}

    def run_version(self, version):
        """All cases of a version, in the order of their names, at a server that is new."""
        server = KeyServer(self, "kms-" + version)
        done = subprocess.run([os.path.join(BIN, "keyfleet"), "--json", "--config", server.conf, "replay",
                               os.path.join(CASES, version)], capture_output=True, text=True, timeout=280)
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
        passed = found["result"] == "PASS"
        if name in PENDING and passed:
            raise AssertionError(f"{name} passes: take it off tests/scenario/kmip_cases.pending")
        if name in PENDING:
            skip(f"pending: exchange {found['exchange']} {found['operation']}: {found['difference']}")
        if not passed:
            raise AssertionError(f"exchange {found['exchange']} {found['operation']}: {found['difference']}")
    claim.__name__ = f"claim_{version} {name}"
    return claim


def claim_there_are_cases(lab):
    if not versions():
        skip("there are no cases in " + CASES)


def show(words):
    """The cases with one of the words, and all their messages, at a server that is new."""
    with Lab("keyfleet-kmip-cases") as lab:
        server = KeyServer(lab, "kms")
        files = [os.path.join(CASES, v, n + ".xml") for v in versions() for n in names(v) if any(w in n for w in words)]
        return subprocess.run([os.path.join(BIN, "keyfleet"), "--config", server.conf, "replay", "--verbose",
                               *files]).returncode


if __name__ == "__main__":
    if "--verbose" in sys.argv:
        sys.exit(show([w for w in sys.argv[1:] if w != "--verbose"]))
    claims = {f"claim_{v} {n}": make_claim(v, n) for v in versions() for n in names(v)}
    run({"claim_there_are_cases": claim_there_are_cases, **claims}, Cases())
