#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whoever changes the record of what was done is found out, with the place; who did nothing is not accused."""
import concurrent.futures
import glob
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess

from scenario import expect, run
from lab import BIN, KeyServer, Lab, set_option, wait_until

OPTIONS = {("audit", "segment"): "1M", ("audit", "checkpoint"): "100ms", ("audit", "witness"): "1s"}


class Audits(Lab):
    def __enter__(self):
        super().__enter__()
        self.pg = self.postgresql()
        store = "postgresql:" + self.pg.conninfo
        self.first = KeyServer(self, "kms1", store, options={**OPTIONS, ("server", "name"): "kms1"})
        self.second = KeyServer(self, "kms2", store, join=self.first,
                                options={**OPTIONS, ("server", "name"): "kms2"})
        self.first.keyfleet("key", "create", "www")
        self.first.keyfleet("key", "create", "other")
        for _ in range(3):  # three segments with signatures
            self.sign(self.first, 6)
            self.first.process.stop()
            self.first.start()
        self.sign(self.first, 6)
        self.sign(self.second, 6)
        return self

    def sign(self, server, times):
        """Three at a time, so that records of several loops stand between each other."""
        def one(number):
            server.keyfleet("key", "csr", "www", "--subject", f"CN=n{number}")
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            list(pool.map(one, range(times)))

    def folder(self, server):
        return os.path.join(server.dir, "audit")

    def verify(self, server, *args, folder=None):
        done = server.keyfleet("audit", "verify", folder or self.folder(server), *args, check=False)
        expect(done.returncode in (0, 1), f"status {done.returncode}: {done.stderr}")
        return done

    def is_whole(self, server, *args, folder=None):
        done = self.verify(server, *args, folder=folder)
        expect(done.returncode == 0 and not done.stdout, done.stdout + done.stderr)
        return done.stderr

    def finds(self, server, pattern, *args, folder=None):
        done = self.verify(server, *args, folder=folder)
        expect(done.returncode == 1, f"nothing was found: {done.stderr}")
        expect(re.search(pattern, done.stdout), f"`{pattern}` is not in: {done.stdout}")
        return done.stdout

    def copy(self, server, name):
        """The segments as somebody with leave to write them has them, in a folder of his own."""
        there = self.path("copy-" + name)
        shutil.rmtree(there, ignore_errors=True)
        shutil.copytree(self.folder(server), there)
        return there

    def wait_for_checkpoint(self, server):
        """All that was done until now is signed, and the others have seen it."""
        wait_until("the checkpoint", lambda: "not signed yet" not in self.verify(server).stderr)


def segments(folder):
    return sorted(glob.glob(folder + "/audit-*.log"))


def read(path):
    return open(path, "rb").read().rstrip(b"\0").decode()


def edit(folder, change, segment=1):
    """change() gets the lines of a segment, and gives them back."""
    path = segments(folder)[segment]
    lines = change(read(path).splitlines(keepends=True))
    open(path, "w").write("".join(lines))
    return os.path.basename(path), lines


def signatures(lines):
    return [i for i, line in enumerate(lines) if "operation=Sign" in line]


def claim_what_nobody_touched_is_whole(lab):
    lab.is_whole(lab.first)
    lab.is_whole(lab.second)
    lab.is_whole(lab.first, "--witness", lab.folder(lab.second))
    lab.first.keyfleet("audit", "verify", lab.folder(lab.first), "--master-key", lab.first.dir + "/master.key")


def claim_a_changed_record_is_found(lab):
    there = lab.copy(lab.first, "changed")

    def change(lines):
        at = signatures(lines)[2]
        change.line = at + 1
        lines[at] = lines[at].replace("client=admin", "client=adm1n")
        return lines
    file, _ = edit(there, change)
    found = lab.finds(lab.first, rf"(?m)^{re.escape(file)}:{change.line}: loop \d+: record \d+ was changed$", folder=there)
    expect(len(found.splitlines()) == 1, found)


def claim_every_byte_of_a_record_and_of_a_checkpoint_counts(lab):
    there = lab.copy(lab.first, "bytes")
    path = segments(there)[1]
    whole = open(path, "rb").read()
    lines = whole.split(b"\n")
    starts = [sum(len(line) + 1 for line in lines[:i]) for i in range(len(lines))]
    sign = next(i for i, line in enumerate(lines) if b"operation=Sign" in line)
    checkpoint = max(i for i, line in enumerate(lines) if b"event=checkpoint" in line)
    for line, step in ((sign, 23), (checkpoint, 61)):
        for at in range(starts[line], starts[line] + len(lines[line]), step):
            open(path, "wb").write(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
            lab.finds(lab.first, re.escape(os.path.basename(path)), folder=there)
    open(path, "wb").write(whole)
    lab.is_whole(lab.first, folder=there)


def claim_a_removed_record_is_found(lab):
    there = lab.copy(lab.first, "removed")

    def remove(lines):
        remove.line = signatures(lines)[2] + 1
        return lines[:remove.line - 1] + lines[remove.line:]
    file, _ = edit(there, remove)
    lab.finds(lab.first, rf"{re.escape(file)}:\d+: loop \d+: record \d+ is missing before this line", folder=there)


def claim_a_record_that_was_added_is_found(lab):
    for what in ("repeated", "invented"):
        there = lab.copy(lab.first, what)

        def add(lines):
            add.line = signatures(lines)[2] + 2
            more = lines[add.line - 2]
            if what == "invented":
                more = re.sub(r"sequence=(\d+)", lambda m: f"sequence={int(m[1]) + 1}", more)
            return lines[:add.line - 1] + [more] + lines[add.line - 1:]
        file, _ = edit(there, add)
        lab.finds(lab.first, rf"{re.escape(file)}:{add.line}: loop \d+: record", folder=there)


def two_to_swap(lines, is_same_loop):
    """Places of two records, next to each other if they are of two loops; None: there are none."""
    loop = [re.search(r" loop=(\d+) ", line) for line in lines]
    for a in range(len(lines) - 1):
        for b in range(a + 1, len(lines) if is_same_loop else a + 2):
            if loop[a] and loop[b] and (loop[a][1] == loop[b][1]) == is_same_loop:
                return a, b
    return None


def claim_swapped_records_are_found(lab):
    """Also of two loops, whose own chains do not know of each other."""
    for is_same_loop in (True, False):
        there = lab.copy(lab.first, "swapped")
        found = [(i, two) for i, path in enumerate(segments(there))
                 if (two := two_to_swap(read(path).splitlines(keepends=True), is_same_loop))]
        expect(found, "no two records to swap")
        segment, (a, b) = found[0]

        def swap(lines):
            lines[a], lines[b] = lines[b], lines[a]
            return lines
        file, _ = edit(there, swap, segment)
        lab.finds(lab.first, re.escape(file) + (r":\d+: loop" if is_same_loop else ":.* order "), folder=there)


def forge(lines, origin):
    """All chain values again, as anybody can who has read docs/audit.md; but for the signatures."""
    heads = {}
    order = None
    done = []
    for line in lines:
        text, _, end = line.rstrip("\n").rpartition(" chain=")
        found = re.search(r" loop=(\d+) ", text)
        chain = found[1] if found else "journal"
        if not found and " signature=" in end:
            previous = heads.get(chain)
            if order is not None:
                text = re.sub(r"order=[0-9a-f]+", "order=" + order.hexdigest(), text)
                text = re.sub(r"previous=[0-9a-f]+", "previous=" + previous.hex(), text)
                text = re.sub(r"(\d+):(\d+):[0-9a-f]{64}", lambda m: f"{m[1]}:{m[2]}:{heads[m[1]].hex()}", text)
            else:
                previous = bytes.fromhex(re.search(r"previous=([0-9a-f]+)", text)[1])
            for m in re.finditer(r"(\d+):\d+:([0-9a-f]{64})", text):
                heads[m[1]] = bytes.fromhex(m[2])
            value, signature = hashlib.sha256(previous + text.encode()).digest(), end.split("=")[1]
            heads[chain] = hashlib.sha256(value + bytes.fromhex(signature)).digest()
            done.append(f"{text} chain={value.hex()} signature={signature}\n")
            order = hashlib.sha256()
            continue
        heads[chain] = hashlib.sha256(heads[chain] + text.encode()).digest()
        order.update(heads[chain][:8])
        done.append(f"{text} chain={heads[chain][:8].hex()}\n")
    return done


def claim_a_change_with_all_values_computed_again_is_found_by_the_signature(lab):
    there = lab.copy(lab.first, "forged")
    original = read(segments(there)[1]).splitlines(keepends=True)
    expect(forge(original, None) == original, "the test does not compute the documented values")

    def change(lines):
        at = signatures(lines)[2]
        change.line = at + 1
        lines[at] = lines[at].replace("client=admin", "client=adm1n")
        return forge(lines, None)
    file, lines = edit(there, change)
    found = lab.finds(lab.first, rf"(?m)^{re.escape(file)}:\d+: checkpoint \d+ is not signed by the server's key", folder=there)
    line, since = re.search(rf"{re.escape(file)}:(\d+): checkpoint \d+ is not signed.*from line (\d+) on", found).groups()
    expect(int(since) <= change.line <= int(line), f"line {change.line}: {found}")
    expect("event=checkpoint" in lines[int(line) - 1] or "event=stop" in lines[int(line) - 1], "not the next checkpoint")


def claim_a_removed_segment_is_found(lab):
    for at, pattern in ((1, r"segment 2 is missing"), (0, r"segments up to 1 are missing")):
        there = lab.copy(lab.first, "segment")
        os.unlink(segments(there)[at])
        lab.finds(lab.first, pattern, folder=there)
    there = lab.copy(lab.first, "emptied")
    open(segments(there)[1], "w").close()
    lab.finds(lab.first, r"segment 2 is missing, or nothing is left of it", folder=there)


def claim_exchanged_segments_are_found(lab):
    there = lab.copy(lab.first, "exchanged")
    one, two = segments(there)[1:3]
    os.rename(one, one + ".x")
    os.rename(two, one)
    os.rename(one + ".x", two)
    found = lab.finds(lab.first, re.escape(os.path.basename(one)) + ":1: this is segment 3 under the name of another", folder=there)
    expect(re.search(re.escape(os.path.basename(two)) + ":1: this is segment 2", found), found)


def claim_a_segment_of_another_server_is_found(lab):
    there = lab.copy(lab.first, "foreign")
    shutil.copy(segments(lab.folder(lab.second))[0], segments(there)[1])
    found = lab.finds(lab.first, re.escape(os.path.basename(segments(there)[1])) + r":1: the segment is of another server's audit \(kms2\)",
                      folder=there)
    expect("segment 2 is missing" in found, found)


def claim_a_log_of_another_server_in_the_place_of_all_is_found_by_its_origin(lab):
    """It is whole in itself."""
    origin = re.search(r"origin=(\w+)", head(lab.first))[1]
    lab.is_whole(lab.first, "--origin", origin)
    lab.is_whole(lab.first, folder=lab.folder(lab.second))
    lab.finds(lab.first, "these are other chains than those asked for", "--origin", origin, folder=lab.folder(lab.second))
    done = lab.first.keyfleet("audit", "verify", lab.folder(lab.first), "--origin", "x", check=False)
    expect(done.returncode not in (0, 1) or "32 hexadecimal digits" in done.stderr, done.stderr)


def last_seen(lab, server, witness):
    """The newest checkpoint of the server that the other one has on record, as number."""
    origin = re.search(r"origin=([0-9a-f]{32})", read(segments(lab.folder(server))[0]))[1]
    text = "".join(read(path) for path in segments(lab.folder(witness)))
    return max((int(n) for n in re.findall(rf"event=witness number=\d+ origin={origin} server=\S+ seen=(\d+)", text)), default=0)


def head(server):
    return server.keyfleet("audit", "head").stdout


def number(line):
    return int(re.search(r"number=(\d+)", line)[1])


def newest_with_records(folder):
    """Number of the newest checkpoint that has new records: a later one is not worth a line of the witness."""
    text = "".join(read(path) for path in segments(folder))
    return max(int(n) for n in re.findall(r"event=checkpoint number=(\d+) \S+ \S+ heads=\d", text))


def claim_an_end_that_is_cut_off_is_found_by_the_other_key_server(lab):
    lab.sign(lab.first, 3)
    lab.wait_for_checkpoint(lab.first)
    newest = newest_with_records(lab.folder(lab.first))
    wait_until("the witness", lambda: last_seen(lab, lab.first, lab.second) >= newest, 30)
    lab.wait_for_checkpoint(lab.second)
    lab.is_whole(lab.first, "--witness", lab.folder(lab.second))

    there = lab.copy(lab.first, "cut")
    lines = read(segments(there)[-1]).splitlines(keepends=True)
    last = max(i for i, line in enumerate(lines) if "event=checkpoint" in line and number(line) < newest)
    open(segments(there)[-1], "w").write("".join(lines[:last + 1]))
    lab.is_whole(lab.first, folder=there)  # for itself it is
    seen = last_seen(lab, lab.first, lab.second)
    lab.finds(lab.first, rf"the end is missing: a witness has seen checkpoint {seen}", "--witness", lab.folder(lab.second), folder=there)

    os.unlink(segments(there)[-1])
    lab.finds(lab.first, "the end is missing", "--witness", lab.folder(lab.second), folder=there)


def claim_a_head_that_was_kept_is_a_witness(lab):
    kept = lab.write("heads", "nothing of importance\n" + head(lab.first))
    lab.sign(lab.first, 2)
    lab.wait_for_checkpoint(lab.first)
    said = lab.is_whole(lab.first, "--witness", kept)
    expect(" 1 seen by witnesses" in said, said)
    there = lab.copy(lab.first, "kept")
    os.unlink(segments(there)[-1])
    lab.finds(lab.first, "the end is missing", "--witness", kept, folder=there)

    said = lab.is_whole(lab.second, "--witness", lab.write("elsewhere", re.sub("server=kms1", "server=kms2", open(kept).read())))
    expect("1 checkpoints by the name of this server, which witnesses have seen, are of other chains" in said, said)
    for what, instead in (("number=\\d+", "number=999999"), ("chain=..", "chain=00")):  # slander
        said = lab.is_whole(lab.first, "--witness", lab.write("slander", re.sub(what, instead, open(kept).read())))
        expect("is not signed by the server: left out" in said, said)


def claim_a_directory_put_back_to_an_older_state_is_noticed_at_the_start(lab):
    """By the file beside it; without that, by what the database knows."""
    server = KeyServer(lab, "kms3", "postgresql:" + lab.pg.conninfo, join=lab.first, options=OPTIONS)
    there = lab.copy(server, "old")
    lab.sign(server, 3)
    lab.wait_for_checkpoint(server)
    for has_seen in (True, False):
        server.process.stop()
        shutil.rmtree(lab.folder(server))
        shutil.copytree(there, lab.folder(server))
        if not has_seen:
            os.unlink(lab.folder(server) + ".seen")
        server.start()
        what = "what this server has written" if has_seen else "what the database knows"
        wait_until("the alarm", lambda: "older than " + what in server.process.tail(60))
        status = {row["name"]: row["value"] for row in server.keyfleet_json("status")}
        expect(status["audit.intact"] == "0", "the server says that its audit is intact")
        wait_until("the line", lambda: "event=alarm" in read(segments(lab.folder(server))[-1]))
        lab.wait_for_checkpoint(server)
        lab.finds(server, "the server itself found: the audit segments are older than " + what)
    server.process.stop()


def fill_up(path, upto):
    """Cut behind its first checkpoint and filled up again with lines that anybody can compute."""
    lines = read(path).splitlines(keepends=True)
    lines = lines[:next(i for i, line in enumerate(lines) if "event=checkpoint" in line) + 1]
    chain, signature = re.search(r" chain=(\w+) signature=(\w+)$", lines[-1]).groups()
    value = hashlib.sha256(bytes.fromhex(chain + signature)).digest()
    for number in range(int(re.search(r" number=(\d+)", lines[-1])[1]) + 1, upto + 1):
        text = f"time=2026-11-21T13:18:50.087909Z event=note number={number} detail=x"
        value = hashlib.sha256(value + text.encode()).digest()
        lines.append(f"{text} chain={value[:8].hex()}\n")
    open(path, "w").write("".join(lines))


def claim_an_end_that_was_cut_off_and_filled_up_is_noticed_at_the_start(lab):
    server = KeyServer(lab, "kms7", "postgresql:" + lab.pg.conninfo, join=lab.first, options=OPTIONS)
    for has_seen, what in ((True, "this server has written"), (False, "the database knows of this server")):
        lab.sign(server, 3)
        newest = segments(lab.folder(server))[-1]
        wait_until("a checkpoint of them", lambda: read(newest).count("event=checkpoint") >= 2)
        server.process.stop()
        fill_up(newest, 3 + int(re.findall(r" number=(\d+)", read(newest))[-1]))
        if not has_seen:
            os.unlink(lab.folder(server) + ".seen")
        server.start()
        wait_until("the alarm", lambda: re.search(rf"checkpoint \d+ is not the one that {what}", server.process.tail(60)))
    server.process.stop()


def claim_what_was_changed_while_the_server_was_down_is_noticed_at_the_start(lab):
    server = KeyServer(lab, "kms4", options=OPTIONS)
    server.keyfleet("key", "create", "www")
    lab.sign(server, 1)
    server.process.stop()
    edit(lab.folder(server), lambda lines: [line.replace("client=admin", "client=adm1n") for line in lines], segment=-1)
    for _ in range(2):  # once is enough
        server.start()
        said = server.process.tail(40)
        expect(said.count("audit was tampered with") == 1, said)
        lab.finds(server, r"record \d+ was changed")
        server.process.stop()


def claim_a_server_under_load_may_be_verified_and_killed(lab):
    server = KeyServer(lab, "kms6", options=OPTIONS)
    server.keyfleet("key", "create", "www")
    key = server.keyfleet_json("key", "list")[0]["id"]
    with subprocess.Popen([os.path.join(BIN, "keyfleet"), "--config", server.conf, "bench", "sign", "--key", key,
                           "--connections", "4", "--depth", "8", "--seconds", "4"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as load:
        wait_until("three segments", lambda: lab.is_whole(server) and len(segments(lab.folder(server))) >= 3, 60)
        server.kill()
        load.wait()
    server.start()
    lab.is_whole(server)
    server.process.stop()


def claim_a_killed_server_goes_on_with_its_chains(lab):
    server = lab.first
    for _ in range(3):
        lab.sign(server, 2)
        server.kill()
        server.start()
    lab.is_whole(server)
    text = "".join(read(path) for path in segments(lab.folder(server)))
    for loop in {m for m in re.findall(r" loop=(\d+) ", text)}:
        found = [int(n) for n in re.findall(rf" loop={loop} sequence=(\d+) ", text)]
        expect(found == list(range(1, len(found) + 1)), f"loop {loop}: {found}")


def claim_segments_of_an_older_keyfleet_are_left_alone_and_not_mistaken(lab):
    server = KeyServer(lab, "kms5", options=OPTIONS)
    server.process.stop()
    shutil.rmtree(lab.folder(server))
    os.unlink(lab.folder(server) + ".seen")
    os.mkdir(lab.folder(server))
    old = lab.folder(server) + "/audit-0000000001.log"
    with open(old, "w") as f:
        f.write("time=2026-11-01T00:00:00.000000Z event=start detail=x\n"
                "time=2026-11-01T00:00:00.000001Z loop=0 sequence=1 connection=1 phase=allowed client=web1 operation=Sign "
                "object=1 rule=admin mechanism=-\n")
    server.start()
    expect("tampered" not in server.process.tail(40), server.process.tail(40))
    said = lab.is_whole(server)
    expect("1 segments from before there were chains: not verified" in said, said)
    server.process.stop()
    server.start()
    shutil.copy(old, segments(lab.folder(server))[1])  # the plain form in the place of one with chains
    lab.finds(server, "segments before segment 3 are not what it was written behind")
    server.process.stop()


def claim_a_torn_end_accuses_nobody(lab):
    server = lab.first
    server.kill()
    with open(segments(lab.folder(server))[-1], "r+b") as f:
        end = len(f.read().rstrip(b"\0"))
        f.seek(end)
        f.write(b"time=2026-11-21T15:25:43.88")
    server.start()
    lab.is_whole(server)


def claim_a_full_disk_stops_signing_and_spoils_nothing(lab):
    server = lab.first
    server.process.stop()
    for file in glob.glob(lab.folder(server) + "/spare.log"):
        os.unlink(file)
    server.start()
    pid = server.process.pid
    sizes = resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        done = server.keyfleet("key", "csr", "www", "--subject", "CN=full", check=False)
        expect(done.returncode != 0, "it was signed without a record")
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, sizes)
    wait_until("signatures", lambda: server.keyfleet("key", "csr", "www", "--subject", "CN=room", check=False).returncode == 0)
    lab.wait_for_checkpoint(server)
    lab.is_whole(server)


def claim_another_master_key_signs_from_now_on(lab):
    server = lab.first
    lab.keyfleet("master-key", "add", server.dir + "/master.key", "--id", "next")
    shutil.copy(server.dir + "/master.key", lab.second.dir + "/master.key")
    for s in (lab.second, server):
        os.kill(s.process.pid, signal.SIGHUP)
    wait_until("the new key", lambda: " event=key " in read(segments(lab.folder(server))[-1]))
    lab.sign(server, 2)
    server.process.stop()
    server.start()
    lab.is_whole(server)  # audit.pub has the first key only; the journal names the next
    public = lab.keyfleet("audit", "key", server.dir + "/master.key").stdout.splitlines()
    expect(len(public) == 2 and public[1] == open(server.dir + "/audit.pub").read().strip(), public)
    lab.write(server.dir + "/audit.pub", "\n".join(public) + "\n")
    lab.is_whole(server)
    stranger = lab.path("stranger.key")
    lab.write("stranger.key", "x = " + "ab" * 32 + "\n", 0o600)
    lab.finds(server, "signed with a key that is not trusted", "--master-key", stranger)


def claim_the_server_deletes_by_age_and_size_and_says_so(lab):
    server = lab.first
    config = server.dir + "/keyfleetd.conf"
    before = len(segments(lab.folder(server)))
    expect(before > 4, before)
    server.process.stop()
    for path in segments(lab.folder(server))[:3]:
        os.utime(path, (0, 0))  # what a file system says counts for nothing
    set_option(config, "audit", "keep", "30d")
    server.start()
    lab.sign(server, 3)
    expect(len(segments(lab.folder(server))) == before + 1, "a date of a file was believed")

    server.process.stop()
    set_option(config, "audit", "keep", "1s")
    server.start()
    wait_until("deletion", lambda: not os.path.exists(lab.folder(server) + "/audit-0000000003.log"))
    lab.sign(server, 1)
    said = lab.is_whole(server)
    expect(re.search(r"segments up to \d+ were deleted by the server", said), said)
    there = lab.copy(server, "more")
    os.unlink(segments(there)[0])
    lab.finds(server, r"segments up to \d+ are missing, and the server has not deleted them", folder=there)

    server.process.stop()
    set_option(config, "audit", "keep", "0")
    set_option(config, "audit", "keep_size", "1")
    server.start()
    wait_until("deletion", lambda: len(segments(lab.folder(server))) == 2)
    lab.sign(server, 1)
    lab.is_whole(server)


def claim_a_copy_of_the_lines_goes_to_syslog_and_to_the_journal(lab):
    server = lab.second
    for kind, form in (("syslog", r"<86>\w{3} [ \d]\d \d\d:\d\d:\d\d keyfleetd-audit\[\d+\]: time=.* chain=[0-9a-f]{16}$"),
                       ("journal", r"^PRIORITY=6\nSYSLOG_IDENTIFIER=keyfleetd-audit\nMESSAGE=time=.* chain=[0-9a-f]{16}\n$")):
        path = lab.path(kind + ".sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(path)
            s.settimeout(20)
            server.process.stop()
            for key, value in (("export", kind), ("export_socket", path)):
                set_option(server.dir + "/keyfleetd.conf", "audit", key, value)
            server.start()
            lab.sign(server, 1)
            got = ""
            while "operation=Sign" not in got:
                got = s.recv(65536).decode()
            expect(re.search(form, got), got)
    os.unlink(path)  # nobody listens any more: signing goes on, the loss is counted
    lab.sign(server, 2)

    def lost():
        return int({row["name"]: row["value"] for row in server.keyfleet_json("status")}["audit.export-lost"])
    wait_until("the count of lost lines", lost, 30)


def claim_search_tells_which_hosts_used_a_key(lab):
    server = lab.second
    lab.sign(server, 3)
    rows = server.keyfleet_json("audit", "search", lab.folder(server), "--key", "www", "--op", "sign", "--since", "1h", "--hosts")
    text = "".join(read(path) for path in segments(lab.folder(server)))
    lines = [line for line in text.splitlines() if "operation=Sign" in line]
    expect([row["client"] for row in rows] == ["admin"] and int(rows[0]["allowed"]) == len(lines) > 0, rows)
    expect(rows[0]["last"] == re.search(r"time=(\S+)", lines[-1])[1], rows)
    there = lab.copy(server, "dates")
    for path in segments(there):
        os.utime(path, (0, 0))  # hides nothing
    expect(server.keyfleet_json("audit", "search", there, "--op", "sign", "--since", "1h", "--hosts") == rows, "a date of a file was believed")
    found = server.keyfleet_json("audit", "search", lab.folder(server), "--op", "Sign")
    expect(len(found) == len(lines) and found[0]["mechanism"] == "ECDSA_SHA256", found[:1])
    none = server.keyfleet_json("audit", "search", lab.folder(server), "--op", "Sign", "--until", "2020-01-01")
    expect(none == [], none)
    other = server.keyfleet_json("audit", "search", lab.folder(server), "--key", "other", "--op", "Sign")
    expect(other == [], other)


def claim_tail_prints_the_newest_lines_and_goes_on(lab):
    server = lab.second
    lines = "".join(read(path) for path in segments(lab.folder(server))).splitlines()
    shown = server.keyfleet("audit", "tail", lab.folder(server), "-n", "7").stdout.splitlines()
    expect(len(shown) == 7 and shown[0] in lines, shown)
    program = os.path.join(BIN, "keyfleet")
    with subprocess.Popen([program, "audit", "tail", lab.folder(server), "-n", "1", "-f"], stdout=subprocess.PIPE, text=True) as tail:
        tail.stdout.readline()
        lab.sign(server, 1)
        server.process.stop()
        server.start()
        line = ""
        while "event=start" not in line:  # into the next segment
            line = tail.stdout.readline()
            expect(line, "tail has ended")
        tail.terminate()


def claim_what_somebody_wrote_into_a_file_does_not_command_the_terminal(lab):
    there = lab.copy(lab.second, "escapes")
    edit(there, lambda lines: [line.replace("client=admin", 'client="\x1b[2J\x07\x9b"') for line in lines], segment=0)
    for command in (("search", there, "--op", "Sign"), ("tail", there, "-n", "1000"), ("verify", there)):
        done = lab.second.keyfleet("audit", *command, check=False)
        expect(not set("\x1b\x07\x9b") & set(done.stdout + done.stderr), done.stdout[:500])


def claim_findings_are_for_programs_too(lab):
    there = lab.copy(lab.second, "json")
    edit(there, lambda lines: [line.replace("client=admin", "client=adm1n") for line in lines], segment=0)
    done = lab.second.keyfleet("--json", "audit", "verify", there, check=False)
    rows = json.loads(done.stdout)
    expect(done.returncode == 1 and rows and set(rows[0]) == {"file", "line", "finding"}, done.stdout)


if __name__ == "__main__":
    run(globals(), Audits("keyfleet-audit"))
