#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""libkeyfleet as C programs use it, and `keyfleet` for data: encryption, codes, hashes and derived keys, at a real key server."""
import contextlib
import hashlib
import hmac
import os
import re
import signal
import stat
import subprocess

from scenario import expect, run, skip
from lab import BIN, KeyServer, Lab, wait_until

TOOL = os.path.join(BIN, "keyfleet")
PIECE = 256 << 10


class Sdk(Lab):
    def __enter__(self):
        super().__enter__()
        self.server = KeyServer(self, "kms")
        return self

    def tool(self, *args, data=b"", status=0):
        done = subprocess.run([TOOL, "--config", self.server.conf, *args], input=data, capture_output=True, timeout=60,
                              cwd=self.dir)
        expect(done.returncode == status, f"{args}: status {done.returncode}: {done.stderr.decode()}")
        return done

    def file(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()


def some(size):
    return hashlib.shake_128(b"data").digest(size)


def claim_programs_encrypt_and_make_codes(lab):
    done = subprocess.run([os.environ["SDK"], lab.server.conf], capture_output=True, text=True, timeout=60)
    bad = [line for line in done.stdout.splitlines() if line.startswith(("not ok", "#"))]
    expect(done.returncode == 0 and not bad, f"{bad} {done.stderr}")
    expect(done.stdout.count("\nok ") > 30, done.stdout)


def claim_files_of_any_size_come_back(lab):
    lab.tool("key", "create", "boxes", "--type", "aes:256")
    for size in (0, 5, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 77):
        lab.file("plain", some(size))
        lab.tool("encrypt", "boxes", "--in", "plain", "--out", "sealed")
        lab.tool("decrypt", "boxes", "--in", "sealed", "--out", "back")
        expect(lab.read("back") == some(size), f"{size} bytes came back otherwise")
        expect(lab.tool("decrypt", "boxes", data=lab.read("sealed")).stdout == some(size), f"{size} bytes by streams")
        for name in "sealed", "back":
            mode = stat.S_IMODE(os.stat(lab.path(name)).st_mode)
            expect(mode == 0o600, f"{name} has mode {mode:o}")


def claim_messages_that_are_too_long_are_told_with_the_option(lab):
    conf = os.path.join(os.path.dirname(lab.server.conf), "small.conf")
    with open(lab.server.conf) as old, open(conf, "w") as new:
        new.write(old.read().replace("[client]", "[client]\nmessage_max = 64K"))
    lab.file("plain", some(PIECE))
    for command in "encrypt", "decrypt":
        done = subprocess.run([TOOL, "--config", conf, command, "boxes", "--in", "plain"], capture_output=True, timeout=60,
                              cwd=lab.dir)
        expect(done.returncode == 1 and f"{conf}: message_max".encode() in done.stderr, done.stderr)


def claim_pieces_cannot_be_left_out_moved_cut_or_mixed(lab):
    def seal(size):
        return lab.tool("encrypt", "boxes", data=some(size)).stdout

    whole, header, piece = seal(3 * PIECE - 9), 36, PIECE + 28
    parts = [whole[header + i * piece:header + (i + 1) * piece] for i in range(3)]
    head, other = whole[:header], seal(3 * PIECE - 9)
    forged = {"the last left out": head + parts[0] + parts[1], "the first left out": head + parts[1] + parts[2],
              "moved": head + parts[1] + parts[0] + parts[2], "cut": whole[:-1], "cut to its header": head,
              "longer": whole + b"x", "another's header": other[:header] + whole[header:],
              "another's piece": head + parts[0] + other[header + piece:], "without header": whole[header:],
              "one piece as a message": parts[0]}
    for what, data in forged.items():
        lab.file("forged", data)
        done = lab.tool("decrypt", "boxes", "--in", "forged", "--out", "forgery", status=1)
        expect(b"forged: it is not genuine" in done.stderr or what == "cut to its header", f"{what}: {done.stderr}")
        expect(not os.path.exists(lab.path("forgery")), f"{what}: a file was left")
    expect(lab.tool("decrypt", "boxes", data=forged["cut"], status=1).stdout == some(2 * PIECE), "only genuine pieces")
    expect([n for n in os.listdir(lab.dir) if "keyfleet-new" in n] == [], "temporary files were left")


def claim_a_file_that_is_there_stays_until_the_new_one_is_whole(lab):
    lab.file("kept", b"old")
    lab.tool("decrypt", "boxes", "--in", "forged", "--out", "kept", status=1)
    expect(lab.read("kept") == b"old", "it was overwritten")
    os.symlink(lab.path("kept"), lab.path("link"))
    done = lab.tool("encrypt", "boxes", "--in", "plain", "--out", "link", status=1)
    expect(b"no plain file" in done.stderr and lab.read("kept") == b"old", f"a link was followed: {done.stderr}")
    done = lab.tool("encrypt", "boxes", "--in", "plain", "--out", "n" * 250, status=1)
    expect(b"the name is too long" in done.stderr, f"found out in the end: {done.stderr}")
    done = lab.tool("encrypt", "boxes", "--in", "missing", "--out", "new", status=1)
    expect(b"missing: there is no such file" in done.stderr, done.stderr)


def written(pid):
    """Bytes of its new file, which has no name yet, or not its own."""
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            name = os.readlink(f"/proc/{pid}/fd/{fd}")
            if ".killed.keyfleet-new" in name or name.endswith("(deleted)"):
                return os.stat(f"/proc/{pid}/fd/{fd}").st_size
    return 0


def claim_who_is_killed_leaves_no_plaintext(lab):
    sealed = lab.tool("encrypt", "boxes", data=some(4 * PIECE)).stdout
    child = subprocess.Popen([TOOL, "--config", lab.server.conf, "decrypt", "boxes", "--out", "killed"], cwd=lab.dir,
                             stdin=subprocess.PIPE)
    child.stdin.write(sealed[:3 * PIECE + 1000])
    child.stdin.flush()
    wait_until("a piece to be written", lambda: written(child.pid) >= PIECE)
    left = [n for n in os.listdir(lab.dir) if "killed" in n]
    child.kill()
    child.wait()
    if left:
        skip("this file system has no files without names")
    expect([n for n in os.listdir(lab.dir) if "killed" in n] == [], "a file was left")


def claim_long_data_have_codes_and_hashes(lab):
    lab.tool("key", "create", "codes", "--type", "hmac-sha256:256")
    for size in (0, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE):
        lab.file("plain", some(size))
        code = lab.tool("mac", "codes", "--in", "plain").stdout.decode().strip()
        expect(re.fullmatch(r"[0-9a-f]{64}", code), f"{code} is no code")
        lab.tool("mac", "codes", "--in", "plain", "--verify", code)
        lab.tool("mac", "codes", "--verify", code, data=some(size) + b"x", status=1)
        for name in "sha256", "sha3-512":
            got = lab.tool("hash", name, "--in", "plain").stdout.decode().strip()
            expect(got == hashlib.new(name.replace("-", "_"), some(size)).hexdigest(), f"{name} of {size} bytes")
    lab.tool("key", "create", "block", "--type", "aes:128", "--use", "mac,verify-mac")
    code = lab.tool("mac", "block", "--algorithm", "cmac", "--in", "plain").stdout.decode().strip()
    lab.tool("mac", "block", "--algorithm", "cmac", "--in", "plain", "--verify", code)
    lab.tool("mac", "codes", "--algorithm", "md5", status=2)
    lab.tool("mac", "codes", "--verify", "xyz", status=2)


def hkdf(secret, salt, info, size):
    prk, out, block = hmac.digest(salt or bytes(32), secret, "sha256"), b"", b""
    for i in range(1, 9):
        block = hmac.digest(prk, block + info + bytes([i]), "sha256")
        out += block
    return out[:size]


def code_of(lab, key, data=b"data"):
    return lab.tool("mac", key, data=data).stdout.decode().strip()


def claim_keys_are_derived_from_a_pass_phrase_that_is_not_kept(lab):
    lab.file("phrase", b"correct horse\n")
    os.chmod(lab.path("phrase"), 0o600)
    lab.tool("key", "derive", "from-phrase", "--password-file", "phrase", "--method", "pbkdf2", "--salt", "salt",
             "--iterations", "1000", "--type", "hmac-sha256:256")
    key = hashlib.pbkdf2_hmac("sha256", b"correct horse", b"salt", 1000, 32)
    expect(code_of(lab, "from-phrase") == hmac.digest(key, b"data", "sha256").hex(), "PBKDF2")
    shown = lab.tool("key", "show", "from-phrase").stdout.decode()
    base = re.search(r"Linked Object Identifier.*?([0-9a-f-]{36})", shown, re.S).group(1)
    expect("Destroyed" in lab.tool("key", "show", base).stdout.decode(), "the pass phrase is there still")
    # Nothing but PBKDF2 is slow enough for a pass phrase: it need not be said.
    lab.tool("key", "derive", "by-default", "--password-file", "phrase", "--salt", "salt", "--iterations", "1000", "--type",
             "hmac-sha256:256")
    expect(code_of(lab, "by-default") == code_of(lab, "from-phrase"), "another method than PBKDF2")
    lab.tool("key", "derive", "x", "--password-file", "phrase", status=2)
    for number in "1000x", "0", "-5", "99999999999":
        done = lab.tool("key", "derive", "x", "--password-file", "phrase", "--salt", "s", "--iterations", number, status=2)
        expect(b"--iterations" in done.stderr, done.stderr)
    os.chmod(lab.path("phrase"), 0o644)
    lab.tool("key", "derive", "x", "--password-file", "phrase", "--method", "pbkdf2", "--salt", "s", status=1)
    lab.tool("key", "derive", "x", "--from", "codes", "--method", "pbkdf2", status=2)


def claim_who_is_interrupted_leaves_no_pass_phrase(lab):
    os.chmod(lab.path("phrase"), 0o600)
    before = lab.server.recorded("Register"), lab.server.recorded("Destroy")
    child = subprocess.Popen([TOOL, "--config", lab.server.conf, "key", "derive", "long", "--password-file", "phrase", "--salt",
                              "salt", "--iterations", "2000000"], cwd=lab.dir, stdout=subprocess.PIPE)
    wait_until("the pass phrase to be registered", lambda: lab.server.recorded("Register") > before[0])
    child.send_signal(signal.SIGINT)
    expect(child.wait(60) in (-signal.SIGINT, 0), f"status {child.returncode}")  # 0: it was over
    expect(lab.server.recorded("Destroy") > before[1], "the pass phrase is there still")


def claim_keys_are_derived_from_keys(lab):
    base = hashlib.pbkdf2_hmac("sha256", b"correct horse", b"salt", 1000, 32)
    os.chmod(lab.path("phrase"), 0o600)
    lab.tool("key", "derive", "base", "--password-file", "phrase", "--method", "pbkdf2", "--salt", "salt",
             "--iterations", "1000", "--type", "secret:256", "--use", "derive")
    lab.tool("key", "derive", "hk", "--from", "base", "--type", "hmac-sha256:256", "--salt-hex", "0102", "--data", "info")
    expect(code_of(lab, "hk") == hmac.digest(hkdf(base, b"\1\2", b"info", 32), b"data", "sha256").hex(), "HKDF")
    lab.tool("key", "derive", "hm", "--from", "base", "--method", "hmac", "--hash", "sha512", "--type", "hmac-sha256:256",
             "--data-file", lab.file("label", b"label"))
    expect(code_of(lab, "hm") == hmac.digest(hmac.digest(base, b"label", "sha512")[:32], b"data", "sha256").hex(), "HMAC")
    lab.tool("key", "derive", "c", "--from", "base", "--method", "counter", "--hash", "SHA-256", "--data-hex", "00ff",
             "--type", "aes:128")
    lab.tool("encrypt", "c", data=b"x")
    lab.file("large", bytes(65537))
    done = lab.tool("key", "derive", "cut", "--from", "base", "--data-file", "large", status=1)
    expect(b"large: " in done.stderr, f"what is too long was cut: {done.stderr}")


def claim_two_sides_agree_on_one_secret(lab):
    for name in "alice", "bob":
        lab.tool("key", "create", name, "--type", "ec:P-256", "--use", "sign,agree")
    options = ("--method", "ecdh", "--type", "hmac-sha256:256")
    lab.tool("key", "derive", "ab", "--from", "alice", "--with", "bob", *options)
    lab.tool("key", "derive", "ba", "--from", "bob", "--with", "alice", *options)
    expect(code_of(lab, "ab") == code_of(lab, "ba"), "they do not agree")
    lab.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", lab.path("peer.key")])
    lab.run(["openssl", "pkey", "-in", lab.path("peer.key"), "-pubout", "-out", lab.path("peer.pem")])
    lab.tool("key", "derive", "ap", "--from", "alice", "--peer", "peer.pem", *options)
    lab.file("alice.csr", lab.tool("key", "csr", "alice").stdout)
    lab.run(["openssl", "req", "-in", lab.path("alice.csr"), "-pubkey", "-noout", "-out", lab.path("alice.pem")])
    lab.run(["openssl", "pkeyutl", "-derive", "-inkey", lab.path("peer.key"), "-peerkey", lab.path("alice.pem"), "-out",
             lab.path("shared")])
    expect(code_of(lab, "ap") == hmac.digest(lab.read("shared"), b"data", "sha256").hex(), "a stranger's key")
    lab.tool("key", "derive", "x", "--from", "alice", "--peer", "label", *options, status=1)


def claim_command_lines_are_checked_before_anything_is_sent(lab):
    for args, why in {("--from", "a", "--method", "scrypt"): b"the methods are", ("--from", "a", "--type", "rsa:2048"): b"is like",
                      ("--from", "a", "--use", "fly"): b"knows no `fly`", (): b"one of --from", ("--from", "a", "--hash", "x"):
                      b"not known", ("--from", "a", "--salt", "x", "--salt-hex", "00"): b"said twice",
                      ("--from", "a", "--method", "ecdh"): b"with somebody", ("--from", "a", "--iv-hex", "0x"): b"no bytes"}.items():
        done = lab.tool("key", "derive", "x", *args, status=2)
        expect(why in done.stderr, f"{args}: {done.stderr}")


if __name__ == "__main__":
    run(globals(), Sdk("sdk"))
