# SPDX-License-Identifier: Apache-2.0
"""./dev bench hsm [--out DIR] [--json FILE] [OPTION...] [NAME...]: many SmartCard-HSMs as one, beside published figures.

Runs bench-pool (scaling, waits beside an ideal queue, burn-in with faults; its --help has the options) and writes a
report with a chart to build/bench-hsm.  Ends with bench-pool's status: 1 when a goal was missed.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
import charts  # noqa: E402
import published  # noqa: E402
from lab import BIN, ROOT  # noqa: E402
from page import Page  # noqa: E402

NAMES = {"rsa:2048": "RSA-2048", "ec:brainpoolP256r1": "ECDSA brainpoolP256r1"}
PROGRAM = os.path.join(BIN, "bench-pool")


def scaling(rows):
    """{kind: {tokens: signatures a second}} of our runs."""
    found = {}
    for row in rows:
        match = re.fullmatch(r"(.+), (\d+) tokens?", row["name"])
        if match and match[1] in NAMES:
            found.setdefault(NAMES[match[1]], {})[int(match[2])] = row["value"]
    return found


def scaling_table(page, found, folder):
    page.heading("Signatures a second")
    page.text("Published: CardContact, \"Building a SmartCard-HSM cluster\", 2015, eight SmartCard-HSM EA+ at a USB server. "
              "Ours: virtual tokens with the same time an operation.")
    rows = []
    for kind, ours in found.items():
        for tokens, rate in sorted(ours.items()):
            signatures, seconds, _ = published.SCALING[kind][tokens]
            then, first = signatures / seconds, published.SCALING[kind][1]
            rows.append([f"{kind}, {tokens}", f"{then:.2f}", f"{then / (first[0] / first[1]):.2f}", f"{rate:.2f}",
                         f"**{rate / ours[1]:.2f}**"])
    page.table(["tokens", "published /s", "times one", "keyfleet /s", "times one"], rows)
    if charts.can_draw():
        lines = []
        for kind, ours in found.items():
            lines.append((f"{kind}, keyfleet", sorted(ours.items()), "o-"))
            lines.append((f"{kind}, published", [(n, s / t) for n, (s, t, _) in published.SCALING[kind].items()], "s--"))
        charts.lines(folder, "scaling", "One key on many SmartCard-HSMs", "tokens", "signatures/s", lines)
        page.figure("scaling", "Signatures a second with one to eight tokens")


def burn_in_text():
    return "; ".join(f"{kind}: {n:,} signatures in {seconds:,} s, {rate}/s" for kind, (n, seconds, rate) in published.BURN_IN.items())


def others_table(page, rows, shown):
    rest = [row for row in rows if not any(row["name"].startswith(name) for name in shown)]
    if not rest:
        return
    page.heading("Waits, faults and burn-in")
    page.text(f"Published burn-in of eight real tokens, none failed: {burn_in_text()}. Ours go as fast as they can, with a token killed, hung, "
              "reset or pulled every few seconds.")
    page.table(["", "value", "of", "ratio", "goal met"],
               [[row["name"], f"{row['value']:.6g} {row.get('unit', '')}", f"{row['reference']:.6g}" if row.get("reference") else "",
                 f"{row['ratio']:.4f}" if row.get("reference") else "", "yes" if row["met"] else "**no**"] for row in rest])


def write(rows, folder):
    page = Page("Many SmartCard-HSMs as one")
    page.text("Written by `./dev bench hsm`.")
    found = scaling(rows)
    if found:
        scaling_table(page, found, folder)
    others_table(page, rows, list(NAMES))
    return page.save(folder, "report")


def main():
    parser = argparse.ArgumentParser(prog="./dev bench hsm", description=__doc__.split("\n\n")[0],
                                     epilog="All else goes to bench-pool.")
    parser.add_argument("--out", default=os.path.join(ROOT, "build", "bench-hsm"), help="folder of the report")
    parser.add_argument("--json", help="figures, also to this file")
    options, rest = parser.parse_known_args()
    if not os.path.exists(PROGRAM):
        print("bench: bench-pool was not built (libpcsclite-dev)", file=sys.stderr)
        return 1
    os.makedirs(options.out, exist_ok=True)
    figures = os.path.join(options.out, "results.json")
    status = subprocess.run([PROGRAM, "--json", figures, *rest], check=False).returncode
    with open(figures, encoding="utf-8") as f:
        rows = json.load(f)
    if options.json:
        shutil.copy(figures, options.json)
    print("report: " + ", ".join(os.path.relpath(name) for name in write(rows, options.out)))
    return status


if __name__ == "__main__":
    sys.exit(main())
