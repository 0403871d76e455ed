# SPDX-License-Identifier: Apache-2.0
"""siege: the load of the cluster of 2016: 5, 10 and 20 users who wait up to 5 s between two pages, and 60 who do not
wait, on a static page; 10 and 20 users on a page by PHP.  Every connection is new, so every page is a handshake."""
import json
import os
import re
import subprocess

from lab import LabError

# name, users, paced, page, what siege was told then
CELLS = {
    "5": (5, True, "/", "siege -c5 -d5"),
    "10": (10, True, "/", "siege -c10 -d5"),
    "20": (20, True, "/", "siege -c20 -d5"),
    "60": (60, False, "/", "siege -c60 -b"),
    "php10": (10, True, "/page.php", "siege -c10 -d5, PHP"),
    "php20": (20, True, "/page.php", "siege -c20 -d5, PHP"),
}
PACED = [name for name, cell in CELLS.items() if cell[1]]
SETTINGS = """verbose = false
color = off
show-logfile = false
logging = false
protocol = HTTP/1.1
connection = close
timeout = 120
limit = 255
parser = true
cache = false
failures = 1000000
accept-encoding =
"""
TRIES = 4
FIGURES = ("transactions", "availability", "elapsed_time", "response_time", "transaction_rate", "concurrency",
           "failed_transactions", "longest_transaction", "shortest_transaction")


def install(lab):
    """siege writes to $HOME whatever it is told."""
    os.makedirs(lab.path("siege"), exist_ok=True)
    lab.write("siege/rc", SETTINGS)
    lab.write("siege/openssl.cnf", "openssl_conf = i\n[i]\nssl_conf = s\n[s]\nsystem_default = d\n[d]\n"
              "CipherString = DEFAULT@SECLEVEL=0\n")


def run(lab, port, cell, seconds):
    """One run: siege's figures."""
    users, paced, page, _ = CELLS[cell]
    url = f"https://localhost:{port}{page}"
    for _ in range(TRIES):
        figures = once(lab, [f"-c{users}", f"-t{seconds}S", "-d5" if paced else "-b", url], seconds + 20)
        if figures:
            return figures
    raise LabError(f"siege hung {TRIES} times")


def run_counted(lab, port, cell, seconds):
    """The same for as many pages as about so many seconds take: what siege does when its time is up, ending threads
    wherever they are, hangs it every other time when they are busy with TLS rather than waiting."""
    users, _, page, _ = CELLS[cell]
    url = f"https://localhost:{port}{page}"
    first = once(lab, [f"-c{users}", "-b", "-r1", url], 300)
    pages = max(1, round((first or {"transaction_rate": 0})["transaction_rate"] * seconds / users))
    figures = once(lab, [f"-c{users}", "-b", f"-r{pages}", url], 300)
    if not figures:
        raise LabError("siege hung")
    return figures


def once(lab, arguments, patience):
    """None: it hung, and was ended."""
    with subprocess.Popen(["siege", "-R", lab.path("siege/rc"), "-q", "--json-output", *arguments], text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=lab.path("siege"),
                          env={**os.environ, "HOME": lab.path("siege"), "OPENSSL_CONF": lab.path("siege/openssl.cnf")}) as child:
        try:
            output, errors = child.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            child.kill()
            return None
        except BaseException:
            child.kill()
            raise
    found = re.search(r"\{.*\}", output, re.DOTALL)
    if not found:
        raise LabError(f"siege printed no figures: {output[-300:]} {errors[-300:]}")
    figures = json.loads(found[0])
    return {name: float(figures[name]) for name in FIGURES}


def best(runs):
    """The best of them, as in 2016; failures of all of them count."""
    chosen = dict(max(runs, key=lambda r: (r["transaction_rate"], -r["response_time"])))
    chosen["failed_transactions"] = sum(r["failed_transactions"] for r in runs)
    return chosen
