#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who edits the store gets refusals, not keys; who loses it has a backup."""
import os
import resource
import shutil
import signal
import sqlite3
import subprocess

from scenario import expect, run
from lab import BIN, KeyServer, Lab, LabError, wait_until


class Stores(Lab):
    def __enter__(self):
        super().__enter__()
        self.server = KeyServer(self, "kms")
        self.server.keyfleet("key", "create", "one")
        self.server.keyfleet("key", "create", "two")
        self.server.process.stop()
        return self

    def copy_of_the_server(self, name):
        """The stopped server's folder, to be spoilt."""
        there = self.path(name)
        shutil.copytree(self.server.dir, there)
        return there

    def starts(self, folder):
        """(whether it becomes ready, what it says)"""
        with open(self.path("start.log"), "w+") as log:
            child = subprocess.Popen([os.path.join(BIN, "keyfleetd"), "--config", folder + "/keyfleetd.conf"],
                                     stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL)
            line = child.stdout.readline()
            answer = None
            if line:
                answer = self.keyfleet("--config", folder + "/client.conf", "key", "list", check=False).stdout
                child.terminate()
            child.wait(20)
            log.seek(0)
            return answer, log.read()

    def edit(self, folder, *statements):
        db = sqlite3.connect(folder + "/keyfleet.db")
        for statement in statements:
            db.execute(statement)
        db.commit()
        db.close()


def claim_a_second_server_on_the_same_file_is_refused(lab):
    lab.server.start()
    done = lab.run([os.path.join(BIN, "keyfleetd"), "--config", lab.server.dir + "/keyfleetd.conf"], check=False)
    lab.server.process.stop()
    expect(done.returncode != 0, "two servers on one file")
    expect("another" in done.stderr or "use" in done.stderr, done.stderr)


def claim_a_wrong_master_key_is_named(lab):
    there = lab.copy_of_the_server("wrong-master")
    lines = open(there + "/master.key").read().splitlines()
    key = lines[-1].split("=", 1)
    lines[-1] = key[0] + "= " + "ab" * 32
    open(there + "/master.key", "w").write("\n".join(lines) + "\n")
    answer, said = lab.starts(there)
    expect(answer is None, "it started with a wrong master key")
    expect("master key" in said, said)


def claim_a_missing_master_key_is_named(lab):
    there = lab.copy_of_the_server("no-master")
    os.unlink(there + "/master.key")
    answer, said = lab.starts(there)
    expect(answer is None and "master.key" in said, said)


def claim_swapped_keys_are_refused(lab):
    there = lab.copy_of_the_server("swapped")
    db = sqlite3.connect(there + "/keyfleet.db")
    rows = db.execute("select id, sealed from object where type = 4").fetchall()
    expect(len(rows) == 2, rows)
    db.execute("update object set sealed = ? where id = ?", (rows[1][1], rows[0][0]))
    db.execute("update object set sealed = ? where id = ?", (rows[0][1], rows[1][0]))
    db.commit()
    db.close()
    answer, said = lab.starts(there)
    expect(answer is None or not any(row[0] in answer for row in rows), "a swapped key is served: " + str(answer))


def claim_a_removed_row_is_noticed(lab):
    there = lab.copy_of_the_server("removed")
    lab.edit(there, "delete from object where type = 4 and id = (select min(id) from object where type = 4)")
    answer, said = lab.starts(there)
    expect(answer is None, "it opened a store that lacks a row")
    expect("backup" in said or "changed outside" in said, said)


def claim_a_row_that_was_rolled_back_is_noticed(lab):
    there = lab.copy_of_the_server("rolled-back")
    db = sqlite3.connect(there + "/keyfleet.db")
    before = db.execute("select * from object").fetchall()
    columns = [c[1] for c in db.execute("pragma table_info(object)")]
    db.close()
    server = lab.server
    kept = server.dir
    server.dir = there
    server.start()
    server.keyfleet("key", "revoke", "one")
    server.process.stop()
    server.dir = kept
    db = sqlite3.connect(there + "/keyfleet.db")
    for row in before:
        db.execute(f"update object set {', '.join(c + ' = ?' for c in columns)} where id = ?",
                   (*row, row[columns.index("id")]))
    db.commit()
    db.close()
    answer, said = lab.starts(there)
    expect(answer is None, "a revoked key came back to life: " + str(answer))


def claim_the_master_key_is_changed_while_the_server_signs(lab):
    server = lab.server
    server.start()
    file = server.dir + "/master.key"
    before = open(file).read()
    os.chmod(file, 0o400)
    lab.keyfleet("master-key", "add", file, "--id", "second")
    after = open(file).read()
    expect(os.stat(file).st_mode & 0o777 == 0o400, "another mode")
    expect(set(before.splitlines()) < set(after.splitlines()), "the old lines are gone")
    expect([line for line in after.splitlines() if "=" in line][0].startswith("second = "), "it is not the first")
    done = lab.keyfleet("master-key", "add", file, "--id", "second", check=False)
    expect(done.returncode != 0 and open(file).read() == after, "two keys of one name")
    os.chmod(file, 0o600)

    os.kill(server.process.pid, signal.SIGHUP)
    wait_until("the rotation", lambda: {r["value"] for r in server.keyfleet_json("status")
                                        if r["name"] == "store.old-master-keys"} == {"0"} and masters(server) == {"second"})
    server.keyfleet("key", "csr", "one", "--subject", "CN=one")
    server.keyfleet("key", "create", "three")
    server.process.stop()

    lines = [line for line in after.splitlines() if "=" not in line or line.startswith("second = ")]
    open(file, "w").write("\n".join(lines) + "\n")
    server.start()
    for name in ("one", "three"):
        server.keyfleet("key", "csr", name, "--subject", "CN=" + name)
    server.process.stop()


def claim_a_disk_that_fails_stops_changes_and_not_signing(lab):
    server = lab.server
    server.start()
    pid = server.process.pid
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (600000, resource.RLIM_INFINITY))
    for number in range(300):
        done = server.keyfleet("key", "create", f"many{number}", check=False)
        if done.returncode:
            break
    expect(done.returncode, "the limit was not reached")
    server.keyfleet("key", "csr", "one", "--subject", "CN=one")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait_until("changes", lambda: server.keyfleet("key", "create", "afterwards", check=False).returncode == 0)
    server.keyfleet("key", "csr", f"many{number - 1}", "--subject", "CN=many")
    server.process.stop()


def masters(server):
    """What the store needs: of its rows, its head and its list."""
    db = sqlite3.connect(f"file:{server.dir}/keyfleet.db?mode=ro", uri=True)
    found = {row[0] for table in ("object", "client", "grant_", "head") for row in db.execute(f"select master from {table}")}
    found |= {row[0] for row in db.execute("select id from master")}
    db.close()
    return found


def claim_a_backup_restores_everything_elsewhere(lab):
    lab.server.start()
    file = lab.path("store.backup")
    lab.server.keyfleet("backup", file)
    before = lab.server.keyfleet("key", "list").stdout
    lab.server.process.stop()
    master = lab.server.dir + "/master.key"
    lab.keyfleet("restore", file, "--master-key", master, "--verify")
    there = lab.copy_of_the_server("restored")
    for name in os.listdir(there):
        if name.startswith("keyfleet.db") or name == "seen":
            os.unlink(os.path.join(there, name))
    lab.keyfleet("restore", file, "--master-key", master, "--store", f"sqlite:{there}/keyfleet.db")
    answer, said = lab.starts(there)
    expect(answer == before, f"{said}{answer}{before}")


def claim_a_spoilt_backup_restores_nothing(lab):
    whole = open(lab.path("store.backup"), "rb").read()
    master = lab.server.dir + "/master.key"
    for name, data in (("cut", whole[:-7]), ("flipped", whole[:len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1])
                                             + whole[len(whole) // 2 + 1:]), ("empty", b"")):
        path = lab.path("spoilt-" + name)
        open(path, "wb").write(data)
        there = lab.path(f"spoilt-{name}.db")
        done = lab.keyfleet("restore", path, "--master-key", master, "--store", "sqlite:" + there, check=False)
        expect(done.returncode != 0, f"a backup that was {name} was restored")


def claim_init_never_overwrites(lab):
    before = {f: open(os.path.join(lab.server.dir, f), "rb").read() for f in ("master.key", "server.key", "ca.pem")}
    done = lab.keyfleet("init", lab.server.dir, check=False)
    expect(done.returncode != 0 and "exists" in done.stderr, done.stderr)
    for name, was in before.items():
        expect(open(os.path.join(lab.server.dir, name), "rb").read() == was, name + " was changed")
    for name in ("server.key", "admin.key", "master.key", "ca/ca.key", "keyfleetd.conf"):
        mode = os.stat(os.path.join(lab.server.dir, name)).st_mode & 0o777
        expect(mode == 0o600, f"{name} has mode {mode:o}")


if __name__ == "__main__":
    run(globals(), Stores("keyfleet-store"))
