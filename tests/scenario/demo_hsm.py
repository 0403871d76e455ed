#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./dev demo hsm on its shortest path: one key, short runs, a share that was prepared."""
import json
import os
import re
import subprocess
import sys

from scenario import expect, run, skip
from lab import ROOT, Lab

DEMO = [sys.executable, "-B", os.path.join(ROOT, "tools", "hsm_demo", "demo.py")]


class Demo(Lab):
    """Runs it once."""

    def __enter__(self):
        super().__enter__()
        done = subprocess.run([*DEMO, "--quick", "--seconds", "2", "--keys", "p256", "--out", self.path("out")],
                              capture_output=True, text=True, timeout=280)
        self.status, self.output = done.returncode, done.stdout + done.stderr
        return self

    def needs_it(self):
        missing = re.search(r"demo: FAILED \((.* is not installed|a private pcscd needs .*)\)", self.output)
        if missing:
            skip(missing[1])

    def results(self):
        with open(self.path("out", "results.json"), encoding="utf-8") as f:
            return json.load(f)


def claim_the_demo_passes(lab):
    lab.needs_it()
    expect(lab.status == 0 and lab.output.rstrip().endswith("demo: PASSED"), lab.output[-3000:])


def claim_no_page_failed_and_every_set_up_was_measured(lab):
    lab.needs_it()
    cells = lab.results()["cells"]
    expect({(c["kind"], c["hsms"]) for c in cells} >= {("local", 0), ("opensc", 1), ("keyfleet", 1), ("keyfleet", 3)},
           str({(c["kind"], c["hsms"]) for c in cells}))
    bad = [c for c in cells if c["kind"] != "opensc" and (c["failed_transactions"] or not c["transactions"])]
    expect(not bad, str(bad))


def claim_the_report_sets_both_side_by_side(lab):
    lab.needs_it()
    with open(lab.path("out", "report.md"), encoding="utf-8") as f:
        report = f.read()
    for text in ("2016: sc-hsm-embedded, 3 HSMs", "**keyfleet, 3 HSMs**", "How many HSMs do the work of software"):
        expect(text in report, f"the report lacks {text}")
    with open(lab.path("out", "report.html"), encoding="utf-8") as f:
        expect("<table>" in f.read(), "the page has no table")


if __name__ == "__main__":
    run(globals(), Demo("demo-hsm"))
