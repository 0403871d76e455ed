#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench_locate [--objects N] [--json FILE] [--only catalog|names|creates|start]...: what a catalog of N objects (1000000) costs.

First in one process, without a network (bench-catalog); then as clients see it over TLS: Locate by names at random beside
the same with 1,000 objects, durable Creates of 16 clients beside the bare store with 16 writers, in turns, and how long
a key server reads its store at the start, by all processors and by one.
"""
import argparse
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import BIN, KeyServer, Lab, LabError  # noqa: E402

FEW, CLIENTS, TURNS = 1000, 16, 4


def bench_catalog(lab, *args):
    out = lab.path("catalog.json")
    lab.run([os.path.join(BIN, "bench-catalog"), *args, "--json", out], timeout=3600)
    return {row["name"]: row["value"] for row in json.load(open(out))}


class Filled(KeyServer):
    """A key server whose store had `objects` objects before it started."""

    def __init__(self, lab, name, objects, location=None, cpu=None):
        self.objects, self.location = objects, location
        super().__init__(lab, name, store=location or "sqlite", cpu=cpu)

    @property
    def master_key(self):
        return os.path.join(self.dir, "master.key")

    def start(self, *args, **more):
        self.location = self.location or f"sqlite:{self.dir}/keyfleet.db"
        bench_catalog(self.lab, "--fill", "--objects", str(self.objects), "--location", self.location, "--master-key",
                      self.master_key)
        super().start(*args, **more)

    def _wait_ready(self, fd, seconds=600):
        super()._wait_ready(fd, seconds)

    def bench(self, *args, prefix=()):
        pin = [] if self.cpu is None else ["taskset", "-c", "1"]
        done = self.lab.run([*prefix, *pin, os.path.join(BIN, "keyfleet"), "--json", "--config", self.conf, "bench",
                             *args, "--pid", str(self.process.pid)])
        row = json.loads(done.stdout)[0]
        if int(row["failed"]):
            raise LabError(f"bench {' '.join(args)}: {row['failed']} failed: {done.stderr.strip()}")
        return row


class Report:
    def __init__(self):
        self.rows = []

    def add(self, name, value, unit, reference, goal):
        """goal > 0: the ratio is at least that; < 0: at most."""
        ratio = value / reference
        met = ratio >= goal if goal > 0 else ratio <= -goal
        self.rows.append({"name": name, "value": value, "unit": unit, "reference": reference, "ratio": round(ratio, 4),
                          "goal": goal, "met": met})
        print(f"{name:26} {value:14.2f} {unit:18} {ratio:7.2f} x {reference:.2f}  {'>=' if goal > 0 else '<='} "
              f"{abs(goal)}{'' if met else '  MISSED'}", flush=True)


def mean(values):
    return sum(values) / len(values)


def names(lab, objects, report):
    """Locate by names at random, one client that waits for each answer, and the processor time of the server."""
    servers = Filled(lab, "few", FEW, cpu=0), Filled(lab, "many", objects, cpu=0)
    took, work = ([], []), ([], [])
    for _ in range(TURNS):
        for i, server in enumerate(servers):
            row = server.bench("locate", "--key", "disk-", "--of", str(server.objects), "--connections", "1",
                               "--seconds", "1")
            took[i].append(float(row["p50_us"]))
            work[i].append(1e6 / float(row["per_server_cpu_second"]))
    report.add("tls_locate_by_name", mean(took[1]), "us p50; of 1000", mean(took[0]), -1.5)
    report.add("tls_locate_by_name_work", mean(work[1]), "us CPU; of 1000", mean(work[0]), -1.5)
    for server in servers:
        server.process.stop()


# The clients stand for other machines: they do not interrupt the threads that they wait for.
AS_OTHERS = ("chrt", "--batch", "0")


def creates(lab, name, server, bare, report):
    """In turns, both on the same disk, and as many in either store; the turn counts whose ratio is the median."""
    turns = []
    for turn in range(2 * TURNS + 1):
        row = server.bench("create", "--key", f"turn-{turn}-", "--connections", str(CLIENTS), "--seconds", "1",
                           prefix=AS_OTHERS)
        put = bench_catalog(lab, "--put", "--objects", str(row["done"]), "--location", bare)["put"]
        turns.append((float(row["per_second"]) / put, float(row["per_second"]), put))
    _, rate, put = sorted(turns)[TURNS]
    report.add(name, rate, "/s, 16 clients", put, 0.8)
    server.process.stop()


def creates_sqlite(lab, report):
    bare = f"sqlite:{lab.path('bare.db')}"
    bench_catalog(lab, "--fill", "--objects", str(FEW), "--location", bare)
    creates(lab, "tls_create_sqlite", Filled(lab, "create", FEW), bare, report)


def creates_postgresql(lab, report):
    database = lab.postgresql()
    for name in "bare", "served":
        lab.run([f"{database.bin}/createdb", "-h", database.base, "-U", "postgres", name])
    bare, served = (f"postgresql:host={database.base} dbname={name} user=postgres" for name in ("bare", "served"))
    bench_catalog(lab, "--fill", "--objects", str(FEW), "--location", bare)
    creates(lab, "tls_create_postgresql", Filled(lab, "create-pg", FEW, served), bare, report)


def read_store(lab, location, pin):
    out = lab.path("there.json")
    lab.run([*pin, os.path.join(BIN, "bench-catalog"), "--there", "--location", location, "--json", out], timeout=3600)
    return {row["name"]: row["value"] for row in json.load(open(out))}


def start(lab, name, location, objects, report):
    """In turns; the best of each, for what else the machine does only adds."""
    bench_catalog(lab, "--fill", "--objects", str(objects), "--location", location)
    alone = ["taskset", "-c", "0"]
    both = [(read_store(lab, location, []), read_store(lab, location, alone)) for _ in range(TURNS)]
    best = min((many for many, _ in both), key=lambda row: row["load"])
    one = min(row["load"] for _, row in both)
    report.add(f"start_{name}", best["load"], "s; of one processor", one, -1 / 1.7 if name == "sqlite" else -1)
    report.add(f"start_{name}_work", best["load_work"], "s CPU; of one", min(row["load_work"] for _, row in both), -1.5)
    print(f"start_{name}_memory {best['memory']:14.0f} bytes an object")


def start_all(lab, objects, report):
    start(lab, "sqlite", f"sqlite:{lab.path('start.db')}", objects, report)
    database = lab.postgresql()
    location = f"postgresql:host={database.base} dbname=postgres user=postgres"
    start(lab, "postgresql", location, objects, report)


def catalog(lab, objects, report):
    out = lab.path("rows.json")
    done = subprocess.run([os.path.join(BIN, "bench-catalog"), "--objects", str(objects), "--json", out], check=False)
    if not os.path.exists(out):
        raise LabError(f"bench-catalog: status {done.returncode}")
    report.rows += json.load(open(out))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--objects", type=int, default=1000000)
    parser.add_argument("--json", metavar="FILE", help="write name, value, unit, reference, ratio, goal of each")
    parser.add_argument("--only", action="append", choices=["catalog", "names", "creates", "start"])
    options = parser.parse_args()
    wanted = options.only or ["catalog", "names", "creates", "start"]
    report = Report()
    with Lab("keyfleet-locate") as lab:
        if "catalog" in wanted:
            catalog(lab, options.objects, report)
        if "names" in wanted:
            names(lab, options.objects, report)
        if "creates" in wanted:
            creates_sqlite(lab, report)
            creates_postgresql(lab, report)
        if "start" in wanted:
            start_all(lab, options.objects, report)
    if options.json:
        with open(options.json, "w") as f:
            json.dump(report.rows, f, indent=1)
    return 0 if all(row["met"] for row in report.rows) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as why:
        sys.exit(f"bench_locate: {why}")
