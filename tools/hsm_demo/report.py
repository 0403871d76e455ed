# SPDX-License-Identifier: Apache-2.0
"""report: our tables beside those of the cluster of 2016, charts, and how many HSMs do the work of software."""
import math

import charts
import published
from cards import KEYS, TIMES
from page import Page
from siege import CELLS

NAMES = {**{name: key[2] for name, key in KEYS.items()}, "rsa4096": "RSA-4096", "rsa8192": "RSA-8192"}
KINDS = {"local": "no HSM", "opensc": "OpenSC's module", "embedded": "sc-hsm-embedded", "keyfleet": "keyfleet",
         "nginx": "nginx", "haproxy": "HAProxy"}
THEN = (("local", 0), ("opensc", 1), ("opensc", 2), ("opensc", 3), ("embedded", 1), ("embedded", 2), ("embedded", 3))
OURS = (("local", 0), ("opensc", 1), ("keyfleet", 1), ("keyfleet", 2), ("keyfleet", 3))
ENOUGH = 0.95  # of the pages without HSM: nobody waits much


class Results:
    """Everything measured; `cells` has {(kind, hsms, key, cell): siege's figures}."""

    def __init__(self):
        self.cells, self.core, self.notes, self.conditions = {}, {}, [], []

    def rate(self, *where):
        cell = self.cells.get(where)
        return cell and cell["transaction_rate"]

    def response(self, *where):
        cell = self.cells.get(where)
        return cell and cell["response_time"]

    def failed(self):
        return sum(cell["failed_transactions"] for (kind, *_), cell in self.cells.items() if kind != "opensc")

    def has(self, kind, hsms, key):
        return any(where[:3] == (kind, hsms, key) for where in self.cells)

    def as_json(self):
        rows = [{"kind": kind, "hsms": hsms, "key": key, "load": cell, **figures}
                for (kind, hsms, key, cell), figures in self.cells.items()]
        return {"cells": rows, "signatures_a_core": self.core, "conditions": self.conditions, "notes": self.notes,
                "break_even": break_even(self)}


def number(value, digits=2):
    return "" if value is None else f"{value:.{digits}f}" if value < 100 else f"{value:.0f}"


def place(kind, hsms):
    return KINDS[kind] + (f", {hsms} HSM{'s' if hsms > 1 else ''}" if hsms else "")


def rows_of(results, key, which):
    """One row a set-up: then and now; `which` picks pages/s (0), mean (1) or longest (2)."""
    field = ("transaction_rate", "response_time", "longest_transaction")[which]
    for kind, hsms in THEN:
        if (kind, hsms, key) in published.CLUSTER:
            cells = [published.cell(kind, hsms, key, name) for name in CELLS]
            yield f"2016: {place(kind, hsms)}", [cell[which] for cell in cells]
    for kind, hsms in OURS:
        if results.has(kind, hsms, key):
            cells = [results.cells.get((kind, hsms, key, name)) for name in CELLS]
            yield f"**{place(kind, hsms)}**", [cell and cell[field] for cell in cells]


def add_key(page, results, key, folder):
    page.heading(NAMES[key])
    head = ["", *(("PHP, " if n.startswith("php") else "") + f"{CELLS[n][0]} users{'' if CELLS[n][1] else ', burst'}"
                  for n in CELLS)]
    for which, what in ((0, "Pages a second"), (1, "Mean time of a page, seconds")):
        page.text(f"{what}:")
        page.table(head, [[name, *(number(v) for v in values)] for name, values in rows_of(results, key, which)])
    if charts.can_draw() and key in KEYS:
        rows = [(name.strip("*"), values) for name, values in rows_of(results, key, 0) if "no HSM" not in name]
        charts.bars(folder, f"pages-{key}", f"{NAMES[key]} in HSMs: pages a second, real cards of 2016 and now",
                    "pages/s", head[1:], rows)
        page.figure(f"pages-{key}", f"{NAMES[key]}: pages a second")


# -- scaling -------------------------------------------------------------------------------------------


def scaling_rows(results, cell="60"):
    for key in KEYS:
        for kind in ("opensc", "embedded", "keyfleet"):
            rates = [results.rate(kind, n, key, cell) if kind == "keyfleet" else
                     published.cell(kind, n, key, cell)[0] for n in (1, 2, 3)]
            if all(rates):
                yield key, kind, rates


def add_scaling(page, results, folder):
    page.heading("Two and three HSMs")
    page.text("60 users without a pause: pages a second, and how many times the one HSM that is. Each card's own time allows "
              + ", ".join(f"{1000 / TIMES[t]:.2f} {NAMES[k]}" for k, t in zip(KEYS, TIMES)) + " signatures a second.")
    rows = list(scaling_rows(results))
    page.table(["", "1 HSM", "2 HSMs", "3 HSMs", "2 : 1", "3 : 1", "of the cards' time, 3 HSMs"],
               [[f"{NAMES[key]}, {KINDS[kind]}" + ("" if kind == "keyfleet" else " (2016)"), *map(number, rates),
                 number(rates[1] / rates[0]), number(rates[2] / rates[0]), f"{rates[2] / ideal(key, 3):.0%}"]
                for key, kind, rates in rows])
    if charts.can_draw() and rows:
        lines = [(f"{NAMES[key]}, {KINDS[kind]}" + ("" if kind == "keyfleet" else " (2016)"),
                  list(zip((1, 2, 3), rates)), "o-" if kind == "keyfleet" else "s--")
                 for key, kind, rates in rows if kind != "opensc"]
        charts.lines(folder, "scaling", "60 users in burst mode", "HSMs", "pages/s", lines)
        page.figure("scaling", "Pages a second with one, two and three HSMs")


def ideal(key, hsms):
    time = TIMES["ec" if key == "p256" else key]
    return hsms * 1000 / time


# -- break-even ----------------------------------------------------------------------------------------


def enough(local, rates, a_token):
    """The least number of HSMs that serve as many pages as software does, and whether it was measured."""
    for hsms, rate in rates.items():
        if rate and rate >= ENOUGH * local:
            return hsms, True
    return math.ceil(local / a_token), False


def break_even(results):
    """{key: {load: HSMs}, "signatures": HSMs a core}; more than three are reckoned from one HSM's share of three."""
    found = {}
    for key in KEYS:
        measured = {n: results.rate("keyfleet", n, key, "60") for n in (1, 2, 3)}
        most = max((n for n, rate in measured.items() if rate), default=0)
        if not most:
            continue
        row = {}
        if key in results.core:
            row["core"] = round(results.core[key] / ideal(key, 1), 1)
        for load in CELLS:
            local = results.rate("local", 0, key, load)
            if local:
                rates = {n: results.rate("keyfleet", n, key, load) for n in (1, 2, 3)}
                hsms, is_measured = enough(local, rates, measured[most] / most)
                row[load] = hsms if is_measured else -hsms
        found[key] = row
    return found


def then_even(key, load):
    local = published.cell("local", 0, key, load)[0]
    rates = {n: published.cell("embedded", n, key, load)[0] for n in (1, 2, 3)}
    return enough(local, rates, published.cell("embedded", 3, key, "60")[0] / 3)


def add_break_even(page, results, folder):
    page.heading("How many HSMs do the work of software")
    page.text(f"The least number of HSMs that serve {ENOUGH:.0%} of the pages that the same web server serves without one, at each load; "
              "numbers with ~ are reckoned from the share of one HSM under 60 users. **One core** is `openssl speed` by one processor "
              "of this machine over one card's signatures: the hardest case, for a core that does nothing but sign.")
    even = break_even(results)
    head = ["", *(("PHP " if n.startswith("php") else "") + str(CELLS[n][0]) + ("" if CELLS[n][1] else " burst") for n in CELLS),
            "one core"]
    rows = []
    for key, row in even.items():
        then = [then_even(key, load) for load in CELLS]
        rows.append([f"2016: {NAMES[key]}", *(("" if measured else "~") + str(n) for n, measured in then), ""])
        rows.append([f"**{NAMES[key]}**", *(("~" if row[c] < 0 else "") + str(abs(row[c])) if c in row else "" for c in CELLS),
                     f"{row['core']:.0f}" if "core" in row else ""])
    page.table(head, rows)
    if charts.can_draw() and even:
        charts.bars(folder, "break-even", "HSMs for as many pages as without", "HSMs", head[1:],
                    [(NAMES[key], [abs(row[c]) if c in row else None for c in CELLS] + [row.get("core")])
                     for key, row in even.items()], log=True)
        page.figure("break-even", "How many HSMs do the work of software")


# -- the rest ------------------------------------------------------------------------------------------


def add_others(page, results):
    rows = []
    for (kind, hsms, key, cell), figures in results.cells.items():
        if kind in ("nginx", "haproxy"):
            rows.append([f"{KINDS[kind]}, {hsms} HSMs, {NAMES[key]}", CELLS[cell][3], number(figures["transaction_rate"]),
                         number(figures["response_time"]), f"{figures['failed_transactions']:.0f}"])
    if rows:
        page.heading("nginx and HAProxy with the same keys")
        page.text("A worker of nginx waits for its key, so nginx has 16 here; "
                  "HAProxy (`ssl-mode-async`) does its other work meanwhile.")
        page.table(["", "load", "pages/s", "mean s", "failed"], rows)


def write(results, folder):
    """The report's files."""
    page = Page("A cluster of SmartCard-HSMs behind web servers")
    page.text("Written by `./dev demo hsm`. Cards are virtual, as slow as real ones; everything else is what would run with real "
              "ones. Rows with 2016 are those of Remy van Elst's cluster of three Raspberry Pi 3 with a Nitrokey HSM each "
              "(raymii.org, 1 August 2016). Rates of paced users and those of HSMs compare; those without HSM are of other machines.")
    page.points(results.conditions)
    add_scaling(page, results, folder)
    add_break_even(page, results, folder)
    for key in ("rsa1024", "rsa2048", "p256", "rsa4096", "rsa8192"):
        if any(where[2] == key for where in results.cells):
            add_key(page, results, key, folder)
    add_others(page, results)
    if results.notes:
        page.heading("What does not work, and what to know")
        page.points(results.notes)
    if not charts.can_draw():
        page.text("Charts: python3-matplotlib is not installed.")
    return page.save(folder, "report")
