# SPDX-License-Identifier: Apache-2.0
"""scenario: a claim is a function; run(globals()) runs all of a file in their order and speaks TAP.

A claim whose docstring is its name fails when it raises.  `skip("why")` leaves one out.
"""
import os
import signal
import sys
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))


class Skip(Exception):
    pass


def skip(why):
    raise Skip(why)


def expect(condition, why):
    if not condition:
        raise AssertionError(why)


def run(claims, lab):
    """Runs every function of `claims` whose name starts with `claim_`, each given the lab."""
    found = [f for name, f in claims.items() if name.startswith("claim_")]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is stopped then, too
    wanted = sys.argv[1:]
    bad = 0
    print(f"1..{len(found)}", flush=True)
    with lab:
        for number, claim in enumerate(found, 1):
            name = claim.__name__[len("claim_"):].replace("_", " ")
            if wanted and not any(w in name for w in wanted):
                print(f"ok {number} - {name} # SKIP not asked for", flush=True)
                continue
            try:
                claim(lab)
                print(f"ok {number} - {name}", flush=True)
            except Skip as why:
                print(f"ok {number} - {name} # SKIP {why}", flush=True)
            except Exception:
                bad += 1
                print(f"not ok {number} - {name}", flush=True)
                for line in traceback.format_exc().splitlines():
                    print("# " + line)
                for process in lab.processes:
                    if process.tail():
                        print(f"# {process.name}: {process.tail(6)}")
                sys.stdout.flush()
    for crash in getattr(lab, "crashed", ()):
        bad += 1
        print(f"# {crash}")
    sys.exit(1 if bad else 0)
