#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./dev demo hsm [--quick] [--out DIR] [--seconds S] [--times N] [--rsa1024]: a cluster of SmartCard-HSMs behind one key.

Three virtual SmartCard-HSMs on a pcscd of their own, as slow as real ones: stock tools initialise them, make the DKEK
share and the keys; the keys are cloned; Apache, nginx and HAProxy serve pages with them; siege measures what the cluster
of 2016 was measured with, beside the same without HSM and with OpenSC's module.  The report goes to build/demo-hsm.
Ends with `demo: PASSED` or `demo: FAILED (why)`.
"""
import argparse
import concurrent.futures
import functools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
import hsm  # noqa: E402
import report  # noqa: E402
import siege  # noqa: E402
from cards import KEYS, TIMES, CardSet, Progress, install, opensc_module  # noqa: E402
from cluster import PoolLane  # noqa: E402
from lab import ROOT, Lab, LabError  # noqa: E402
from lanes import ENDING, LocalLane, OpenscLane, try_stock_servers  # noqa: E402
from web import PHP_FPM, Site  # noqa: E402

SOFTWARE_ONLY = ["rsa4096", "rsa8192"]
LEAST_SCALING = 2.7
SPEED = {"rsa1024": r"rsa 1024 bits", "rsa2048": r"rsa 2048 bits", "p256": r"nistp256\)"}


def say(text):
    print(text, flush=True)


def why_not():
    """What is missing for this demo; None: nothing."""
    if not PHP_FPM:
        return "php-fpm is not installed"
    if not opensc_module():
        return "opensc-pkcs11 is not installed"
    return hsm.missing("sc-hsm-tool", "pkcs11-tool", "opensc-tool", "siege", "apache2", "nginx", "haproxy")


class Demo:
    def __init__(self, lab, options):
        self.lab, self.options = lab, options
        self.keys = [k for k in options.keys if k != "rsa1024" or options.rsa1024]
        self.results = report.Results()
        self.problems = []

    # -- cards ---------------------------------------------------------------------------------------
    def make_cards(self):
        say("three virtual SmartCard-HSMs on a pcscd of their own: "
            + ", ".join(f"{name} {ms} ms" for name, ms in TIMES.items()))
        install(self.lab)
        self.cards = CardSet(self.lab, "hsm", 3)
        self.cards.initialise()
        say("  sc-hsm-tool --initialize: hsm1, hsm2, hsm3")
        self.share_dkek()
        values = {self.cards.check_value(card) for card in (1, 2, 3)}
        if len(values) != 1:
            raise LabError(f"the cards have different DKEKs: {values}")
        say(f"  key check value of the DKEK on all three: {values.pop()}")

    def share_dkek(self):
        if self.options.quick:
            for card in (1, 2, 3):
                self.cards.take_prepared_share(card)
            say("  a share that sc-hsm-tool made before (--quick)")
            return
        with Progress(say, "sc-hsm-tool --create-dkek-share (10,000,000 rounds)"):
            self.cards.make_share()
        with Progress(say, "sc-hsm-tool --import-dkek-share: hsm1, hsm2"):
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                for done in [pool.submit(self.cards.import_share, card) for card in (1, 2)]:
                    done.result()
        with Progress(say, "keyfleet dkek import: hsm3"):
            self.cards.import_share_by_keyfleet(3)

    def make_keys(self):
        say("\nkeys")
        self.cards.generate_all(self.keys)
        say(f"  pkcs11-tool --keypairgen on hsm1: {', '.join(KEYS[k][2] for k in self.keys)}")
        self.cards.clone_by_tool(2)
        say("  sc-hsm-tool --wrap-key, --unwrap-key: hsm2 has them too")
        self.cards.clone_by_keyfleet(3)
        say("  keyfleet key clone: hsm3 has them too")
        for key in self.keys:
            self.cards.back_up(key)
            for card in (1, 2, 3):
                self.cards.proves(key, card)
        say(f"  {3 * len(self.keys)} of {3 * len(self.keys)} signatures verify")

    # -- measurements --------------------------------------------------------------------------------
    def prepare(self):
        siege.install(self.lab)
        self.lab.web_ca()
        self.site = Site(self.lab)
        self.measure_core()

    def measure_core(self):
        """Signatures a second of one processor."""
        done = self.lab.run(["openssl", "speed", "-seconds", "1", "rsa1024", "rsa2048", "ecdsap256"])
        for key in self.keys:
            found = re.search(SPEED[key] + r" +\S+ +\S+ +([\d.]+)", done.stdout)
            if not found:
                raise LabError("openssl speed printed no figure for " + key)
            self.results.core[key] = float(found[1])

    def try_stock_servers(self):
        say("\nstock web servers with OpenSC's module")
        for line in try_stock_servers(self.lab, self.site, self.cards, self.keys[-1]):
            say("  " + line)
            self.results.notes.append("OpenSC's module, " + line)

    def side_by_side(self, plan, cells):
        """Lanes that wait for cards, or for users, most of the time."""
        few = threading.Semaphore(3)  # to begin is work, unlike to wait

        def whole(make, loads):
            try:
                with few:
                    lane = make()
                lane.run(self.results, loads, self.options.seconds, self.options.times)
                return lane
            except Exception as e:
                if not ENDING.is_set():
                    say(f"  {' '.join(str(a) for a in make.args if isinstance(a, (int, str)))}: {e}")
                raise
        lanes = []
        with concurrent.futures.ThreadPoolExecutor(len(plan)) as pool:
            try:
                for done in concurrent.futures.as_completed([pool.submit(whole, *step) for step in plan]):
                    lanes.append(done.result())
                    self.print_lane(lanes[-1], cells)
            except BaseException:
                ENDING.set()
                raise
        return lanes

    def print_lane(self, lane, cells):
        found = [self.results.cells.get((lane.kind, lane.hsms, lane.key, cell)) for cell in cells]
        failed = sum(f["failed_transactions"] for f in found if f)
        say(f"  {report.NAMES[lane.key]:8} {report.place(lane.kind, lane.hsms):24}"
            + "".join(f"{f['transaction_rate']:8.2f}" if f else " " * 8 for f in found) + f"   {failed:.0f} failed")

    def lanes(self):
        """What is measured: (how it is begun, on which loads)."""
        options, where = self.options, (self.lab, self.site)
        for key in self.keys:
            yield functools.partial(OpenscLane, *where, self.cards, key), options.cells
            for hsms in (1, 3) if options.quick else (1, 2, 3):
                yield functools.partial(PoolLane, *where, self.cards, "keyfleet", hsms, key), options.cells
            for kind in ("nginx", "haproxy"):
                yield functools.partial(PoolLane, *where, self.cards, kind, 3, key), ["5"] if options.quick else ["20", "60"]
        for key in self.software_keys():
            yield functools.partial(LocalLane, *where, key), [cell for cell in options.cells if cell in siege.PACED]

    def software_keys(self):
        return self.keys + ([] if self.options.quick else SOFTWARE_ONLY)

    def measure(self):
        cells = self.options.cells
        say(f"\nApache by HAProxy in TCP mode, nginx and HAProxy alone; all rows at the same time, each on cards of its own"
            f"\npages a second, best of {self.options.times}" + "".join(f"{cell:>8}" for cell in cells))
        lanes = self.side_by_side(list(self.lanes()), cells)
        for lane in lanes:
            if lane.hsms:
                lane.end()
        say("without HSM, 60 users, one key after the other")
        for lane in sorted((lane for lane in lanes if not lane.hsms), key=lambda lane: self.software_keys().index(lane.key)):
            lane.run(self.results, ["60"], max(2, self.options.seconds // 2), self.options.times)
            self.print_lane(lane, ["60"])
            lane.end()

    # -- what came out -------------------------------------------------------------------------------
    def conclude(self):
        options, results = self.options, self.results
        processors = len(os.sched_getaffinity(0))
        results.conditions = [
            f"{options.seconds} s a run, best of {options.times}; {processors} processors for cards, key servers, web servers and siege",
            "Card times: " + ", ".join(f"{name} {ms} ms" for name, ms in TIMES.items())
            + ": what the published figures of real cards give",
            "Every page is a connection of its own with a full handshake: no session is resumed, no ticket given",
        ]
        for key in self.keys:
            one, three = (results.rate("keyfleet", n, key, "60") for n in (1, 3))
            if three < LEAST_SCALING * one and not options.quick:
                self.problems.append(f"three HSMs make {three / one:.2f} times the pages of one with {report.NAMES[key]}")
        failed = results.failed()
        if failed:
            self.problems.append(f"{failed:.0f} failed pages")
        os.makedirs(options.out, exist_ok=True)
        files = report.write(results, options.out)
        with open(os.path.join(options.out, "results.json"), "w", encoding="utf-8") as f:
            json.dump(results.as_json(), f, indent=1)
        say("\nreport: " + ", ".join(os.path.relpath(name) for name in files))

    def run(self):
        self.make_cards()
        self.make_keys()
        self.prepare()
        self.try_stock_servers()
        self.measure()
        self.conclude()


def arguments():
    parser = argparse.ArgumentParser(prog="./dev demo hsm", description=__doc__.split("\n\n")[1])
    parser.add_argument("--quick", action="store_true", help="few and short runs, and a prepared DKEK share")
    parser.add_argument("--out", default=os.path.join(ROOT, "build", "demo-hsm"), help="folder of the report")
    parser.add_argument("--seconds", type=int, help="of a run (10; quick: 3)")
    parser.add_argument("--times", type=int, help="runs, of which the best counts (3; quick: 1)")
    parser.add_argument("--rsa1024", action=argparse.BooleanOptionalAction, default=True,
                        help="RSA-1024, which nobody should use: for comparison with 2016 only")
    parser.add_argument("--keys", nargs="+", choices=list(KEYS), default=list(KEYS), help="default: all three")
    options = parser.parse_args()
    options.seconds = options.seconds or (3 if options.quick else 10)
    options.times = options.times or (1 if options.quick else 3)
    options.cells = ["5", "60", "php10"] if options.quick else list(siege.CELLS)
    return options


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is stopped then, too
    why = why_not()
    began = time.monotonic()
    try:
        with Lab("keyfleet-hsm") as lab:
            demo = Demo(lab, options)
            try:
                if not why:
                    demo.run()
                    why = "; ".join(demo.problems)
            except (LabError, subprocess.SubprocessError, OSError, KeyError, ValueError) as e:
                why = str(e) or repr(e)
                for process in lab.processes:
                    if process.tail():
                        say(f"  {process.name}: {process.tail(4)}")
    except KeyboardInterrupt:
        why = "interrupted"
    say(f"{time.monotonic() - began:.0f} s")
    say(f"demo: FAILED ({why})" if why else "demo: PASSED")
    return 1 if why else 0


if __name__ == "__main__":
    sys.exit(main())
