#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tool keyfleet as people meet it: what goes wrong is told with file and remedy, lists are JSON."""
import fcntl
import hashlib
import json
import os
import pty
import re
import signal
import stat
import subprocess
import termios

from scenario import expect, run
from token_wire import Admin
from lab import BIN, KeyServer, Lab, wait_until
from ttlv import enum, find, int_, item, struct_, text

TOOL = os.path.join(BIN, "keyfleet")


class Commands(Lab):
    def __enter__(self):
        super().__enter__()
        self.server = KeyServer(self, "kms")
        return self

    def tool(self, *args, env=None):
        return subprocess.run([TOOL, *args], capture_output=True, text=True, timeout=60, cwd=self.dir, env=env)

    def fails(self, *args, why, status=1):
        done = self.tool(*args)
        expect(done.returncode == status, f"{args}: status {done.returncode}, {done.stderr}")
        expect(why in done.stderr, f"{args}: {why!r} is not in {done.stderr!r}")
        expect(not done.stderr.endswith("\n\n"), f"{args}: an empty line follows {done.stderr!r}")
        return done

    def admin(self, *args, **how):
        return self.fails("--config", os.path.join(self.server.dir, "client.conf"), *args, **how)

    def ok(self, *args):
        done = self.server.keyfleet(*args)
        return done.stdout


def claim_init_makes_nothing_of_wishes_that_keyfleetd_would_refuse(lab):
    for wish in ("nonsense", "unix:/x", "localhost:5696", "127.0.0.1:5696\nadmin = x", ""):
        lab.fails("init", "new", "--listen", wish, why="--listen is ADDRESS:PORT", status=2)
    lab.fails("init", "new", "--store", "mysql:", why="--store is sqlite or postgresql:", status=2)
    lab.fails("init", "new", "--store", 'postgresql:x"\n', why="double quote", status=2)
    expect(not os.path.exists(lab.path("new")), "a folder was left")


def claim_init_puts_secrets_in_private_places_only(lab):
    os.mkdir(lab.path("open"), 0o700)
    os.chmod(lab.path("open"), 0o777)
    lab.fails("init", "open", why="others can change files there")
    expect(os.listdir(lab.path("open")) == [], "files were left")
    expect(lab.tool("init", "made", "--listen", "127.0.0.1:0").returncode == 0, "init failed")
    for folder, _, names in os.walk(lab.path("made")):
        expect(stat.S_IMODE(os.stat(folder).st_mode) == 0o700, folder)
        for name in names:
            mode = stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode)
            is_secret = name.endswith(".key") or name == "keyfleetd.conf"
            expect(mode == (0o600 if is_secret else 0o644), f"{name} has mode {mode:o}")
    lab.fails("init", "made", why="exists already")


def claim_a_secret_named_as_the_configuration_is_not_printed(lab):
    for name in ("admin.key", "master.key", "server.key"):
        path = os.path.join(lab.server.dir, name)
        done = lab.fails("--config", path, "status", why=name)
        for line in open(path):
            if len(line) > 20 and not line.startswith(("-----", "#")):
                expect(line.strip()[-16:] not in done.stderr + done.stdout, f"{name} was printed")


def claim_lists_are_json_and_nothing_is_printed_after_a_failure(lab):
    lab.ok("key", "create", "www")
    for command in (["key", "list"], ["client", "list"], ["grant", "list"], ["status"], ["key", "show", "www"]):
        rows = json.loads(lab.ok("--json", *command))
        expect(isinstance(rows, list), f"{command} is no list")
        done = lab.fails("--config", lab.path("nofile"), *command, why="nofile")
        expect(done.stdout == "", f"{command} printed {done.stdout!r}")
    shown = {row["name"]: row["value"] for row in json.loads(lab.ok("--json", "key", "show", "www"))}
    expect(shown["Name.Name Value"] == "www" and shown["State"] == "Active", f"{shown}")
    expect(shown["Sensitive"] == "true" and shown["Cryptographic Length"] == "256", f"{shown}")


def claim_keys_of_all_kinds_are_listed_and_of_one(lab):
    lab.ok("key", "create", "kinds-pair")
    lab.ok("key", "create", "kinds-disk", "--type", "aes:256")
    lab.ok("key", "create", "kinds-codes", "--type", "hmac-sha256:256")
    lab.ok("key", "create", "kinds-seed", "--type", "aes:256", "--use", "derive")
    lab.ok("key", "derive", "kinds-secret", "--from", "kinds-seed", "--type", "secret:256")

    def listed(*options):
        rows = json.loads(lab.ok("--json", "key", "list", *options))
        return {(r["name"], r["kind"], r["type"]) for r in rows if r["name"].startswith("kinds-")}

    pair, disk = ("kinds-pair", "private", "ECDSA"), ("kinds-disk", "symmetric", "AES")
    codes = ("kinds-codes", "symmetric", "HMAC-SHA256")
    expect(listed() >= {pair, disk, codes, ("kinds-secret", "secret", "-")}, listed())
    expect(listed("--kind", "symmetric") >= {disk, codes} and pair not in listed("--kind", "symmetric"), "another kind")
    expect(listed("--kind", "private") == {pair} and listed("--kind", "split") == set(), "another kind")
    expect([r["kind"] for r in json.loads(lab.ok("--json", "key", "list", "--kind", "public"))][:1] == ["public"], "no public key")
    lab.admin("key", "list", "--kind", "odd", why="there is private", status=2)


def claim_codes_hashes_and_random_bytes_are_json_too(lab):
    def row(*words):
        rows = json.loads(lab.ok("--json", *words))
        expect(len(rows) == 1, rows)
        return rows[0]

    lab.ok("key", "create", "json-codes", "--type", "hmac-sha256:256")
    data = lab.write("json-data", "text")
    code = row("mac", "json-codes", "--in", data)
    expect(code["algorithm"] == "hmac-sha256" and re.fullmatch("[0-9a-f]{64}", code["mac"]), code)
    expect(row("mac", "json-codes", "--in", data, "--verify", code["mac"])["valid"] == "yes", "its own code")
    wrong = lab.server.keyfleet("--json", "mac", "json-codes", "--in", data, "--verify", "00" * 32, check=False)
    expect(wrong.returncode == 1 and json.loads(wrong.stdout)[0]["valid"] == "no", wrong)
    told = row("hash", "sha384", "--in", data)
    expect(told == {"algorithm": "sha384", "hash": hashlib.sha384(b"text").hexdigest()}, told)
    told = row("random", "24")
    expect(told["bytes"] == "24" and len(bytes.fromhex(told["random"])) == 24, told)


def claim_a_pair_is_on_the_curve_that_was_asked_for(lab):
    curves = ["prime256v1", "secp384r1", "secp521r1", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1", "secp256k1"]

    def curve_of(name):
        request = lab.write("curve.csr", lab.ok("key", "csr", name, "--names", "www.example"))
        return re.search(r"ASN1 OID: (\S+)", lab.server.lab.run(["openssl", "req", "-noout", "-text", "-in", request]).stdout)[1]

    for curve in curves:
        lab.ok("key", "create", "on-" + curve, "--type", curve)
        expect(curve_of("on-" + curve) == curve, f"{curve}: {curve_of('on-' + curve)}")
    lab.ok("key", "create", "on-edwards", "--type", "ed25519")
    lab.ok("key", "rotate", "on-brainpoolP256r1")
    expect(curve_of("on-brainpoolP256r1-2") == "brainpoolP256r1", "another curve after the rotation")


def claim_attributes_of_a_key_are_changed_by_name(lab):
    lab.ok("key", "create", "set-me")
    lab.ok("key", "set", "set-me", "Contact-Information=ops", "object-group=web", "object-group=old", "x-rack=7",
           "usage-limits=9 objects", "deactivation-date=2099-01-31T12:00:00Z", "application-specific-information=tape:1")
    shown = lab.ok("key", "show", "set-me")
    for line in ('Contact Information = Text "ops"', 'Object Group = Text "web"', 'Object Group = Text "old"',
                 'Attribute Value = Text "7"', "Usage Limits Total = Long 9", "Deactivation Date = Date 2099-01-31T12:00:00Z",
                 'Application Data = Text "1"'):
        expect(line in shown, f"{line} is missing in {shown}")
    lab.ok("key", "set", "set-me", "--remove", "object-group=old", "--remove", "x-rack", "contact-information=dba", "name=second")
    shown = lab.ok("key", "show", "second")
    expect('"old"' not in shown and '"7"' not in shown and '"web"' in shown and '"dba"' in shown, shown)
    lab.admin("key", "set", "set-me", "state=Active", why="server")
    lab.admin("key", "set", "set-me", "sensitive=false", why="permission denied")
    lab.admin("key", "set", "set-me", "no-such=1", why="no such attribute", status=2)
    lab.admin("key", "set", "set-me", "deactivation-date=tomorrow", why="deactivation-date")
    lab.admin("key", "set", "set-me", "comment", why="NAME=VALUE", status=2)


def claim_names_that_cannot_be_shown_are_refused(lab):
    for name in ("", "a\033[31mb", "a\nb", "x" * 256):
        lab.admin("key", "create", name, why="without control characters", status=2)
    lab.ok("key", "create", "once")
    lab.admin("key", "create", "once", why="once: ")


def claim_a_client_is_renewed_only_while_it_is_let_in(lab):
    lab.admin("client", "renew", "nobody", why="nobody: no such client")
    lab.ok("client", "add", "web")
    lab.ok("client", "renew", "web")
    lab.ok("client", "revoke", "web")
    before = open(os.path.join(lab.server.dir, "web.pem")).read()
    lab.admin("client", "renew", "web", why="it was revoked")
    expect(open(os.path.join(lab.server.dir, "web.pem")).read() == before, "the certificate was replaced")


def claim_an_owner_who_is_not_there_leaves_all_as_it_was(lab):
    """A renewal that got as far as the files would leave a key without its certificate."""
    lab.ok("client", "add", "owned")
    files = [os.path.join(lab.server.dir, "owned" + e) for e in (".pem", ".key")]
    before, let_in = [open(f).read() for f in files], lab.ok("client", "list")
    for how in (("client", "renew", "owned"), ("client", "add", "other")):
        lab.admin(*how, "--owner", "no-such-user", why="no-such-user: this host has no such user")
    expect([open(f).read() for f in files] == before, "files were replaced")
    expect(lab.ok("client", "list") == let_in, "a certificate was let in")
    lab.admin("client", "add", "other", "--csr", files[0], "--owner", "root", why="--owner is for the key file", status=2)


def claim_what_failed_without_a_server_can_be_repeated(lab):
    lab.ok("client", "add", "steady")
    folder, files = lab.server.dir, ("steady.pem", "steady.key")
    before = [open(os.path.join(folder, f)).read() for f in files]
    lab.server.kill()
    done = lab.admin("client", "add", "late", why="keyfleet")
    expect("late" not in "".join(os.listdir(folder)), f"files were left: {done.stderr}")
    lab.admin("client", "renew", "steady", why="keyfleet")
    expect([open(os.path.join(folder, f)).read() for f in files] == before, "the files of before are gone")
    lab.server.start()
    lab.ok("client", "add", "late")
    os.rename(os.path.join(folder, "late.key"), lab.path("late.key"))
    lab.admin("client", "add", "late", why="late.pem")
    expect(not os.path.exists(os.path.join(folder, "late.key")), "a key without a certificate was left")


def claim_who_has_no_configuration_is_told_where_they_come_from(lab):
    lab.fails("--config", "nowhere.conf", "status", why="`keyfleet init /etc/keyfleet` makes one")
    lab.write("wrong.conf", "[client]\n")
    done = lab.fails("--config", "wrong.conf", "status", why="wrong.conf")
    expect("keyfleet init" not in done.stderr, done.stderr)


def claim_nobody_to_ask_is_told_with_the_address(lab):
    lab.tool("init", "unborn", "--listen", "127.0.0.1:0")
    lab.fails("--config", "unborn/client.conf", "status", why="unborn/address")


def claim_quiet_commands_tell_why_they_failed(lab):
    lab.fails("--quiet", "init", "kms", why="exists already")
    expect(lab.server.keyfleet("--quiet", "backup", lab.path("quiet")).stderr == "", "a note of success")


def claim_a_bench_makes_keys_and_finds_them_by_names_at_random(lab):
    def bench(what, *more, key="bench-"):
        return "--json", "bench", what, "--key", key, "--seconds", "0.2", "--connections", "2", *more
    row = json.loads(lab.ok(*bench("create")))[0]
    expect(int(row["done"]) > 2 and row["failed"] == "0", row)
    row = json.loads(lab.ok(*bench("locate", "--of", "3")))[0]
    expect(int(row["done"]) > 3 and row["failed"] == "0", row)
    lab.admin(*bench("locate", "--of", "100000000", key="nothing-"), why="nothing was found")


def claim_a_bench_that_measured_failures_only_fails(lab):
    done = lab.admin("--json", "bench", "sign", "--key", "none", "--seconds", "0.1", "--connections", "1",
                     why="first failure: no such object")
    expect(json.loads(done.stdout)[0]["done"] == "0", done.stdout)
    lab.fails("--config", "nofile", "bench", "echo-server", why="nofile: cannot be read")


def claim_a_backup_is_private_and_never_overwrites(lab):
    path = lab.path("copy")
    lab.ok("backup", path)
    before = open(path, "rb").read()
    expect(stat.S_IMODE(os.stat(path).st_mode) == 0o600 and os.stat(path).st_nlink == 1, "mode or links")
    lab.admin("backup", path, why="never overwrites")
    os.symlink(lab.path("elsewhere"), lab.path("link"))
    lab.admin("backup", lab.path("link"), why="never overwrites")
    expect(open(path, "rb").read() == before and not os.path.exists(lab.path("elsewhere")), "something was written")
    expect(not [name for name in os.listdir(lab.dir) if name.startswith("copy.")], "a temporary file was left")


def claim_files_are_named_with_the_reason(lab):
    lab.admin("backup", "/nowhere/b", why="/nowhere/b: there is no such file or folder")
    master = os.path.join(lab.server.dir, "master.key")
    lab.fails("restore", "nofile", "--master-key", master, "--verify", why="nofile: there is no such file")
    lab.fails("restore", os.path.join(lab.server.dir, "ca.pem"), "--master-key", master, "--verify",
              why="ca.pem: file is no keyfleet backup")
    lab.admin("key", "import", "x", "nofile", why="nofile")
    lab.admin("client", "add", "x", "--ca-dir", "/nowhere", why="/nowhere/ca.pem")
    lab.fails("decode", "nofile", why="nofile")


def claim_the_tool_leaves_no_core_dump(lab):
    tool = subprocess.Popen([TOOL, "decode"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    limits = f"/proc/{tool.pid}/limits"
    wait_until("the limit", lambda: re.search(r"Max core file size +0 +0 ", open(limits).read()))
    tool.communicate(b"")


def claim_half_of_a_command_is_answered_with_its_other_halves(lab):
    for words in (["key"], ["key", "fly"], ["client"], ["grant", "nothing"]):
        done = lab.fails(*words, why="usage: keyfleet", status=2)
        expect(f"  {words[0]} " in done.stderr and "  bench" not in done.stderr, done.stderr)
    lab.fails("fly", why="unknown command: fly", status=2)
    expect("  key create" in lab.tool("key", "--help").stdout, "key --help")


def claim_bash_completes_commands_and_options(lab):
    script = lab.write("completion.bash", lab.tool("completion").stdout)

    def complete(*words):
        line = " ".join(f"'{w}'" for w in words)
        done = subprocess.run(
            ["bash", "-c", f". {script}; COMP_WORDS=(keyfleet {line}); COMP_CWORD={len(words)}; _keyfleet; "
                           "echo \"${COMPREPLY[@]}\""], capture_output=True, text=True, cwd="/proc/self/fdinfo")
        expect(done.returncode == 0 and not done.stderr, done.stderr)
        return done.stdout.split()

    expect("key" in complete("k") and "status" in complete("st"), "first words")
    expect("create" in complete("key", "cr"), "second words")
    expect("create" in complete("--config", "x.conf", "--json", "key", "cr"), "behind global options")
    expect("--type" in complete("key", "create", "www", "--t"), "options")
    expect("--listen" in complete("init", "x", "--l"), "options of commands of one word")


def echoes(fd):
    return bool(termios.tcgetattr(fd)[3] & termios.ECHO)


def ask_at_a_terminal(lab, typed):
    """Imports an encrypted key at a terminal of its own: (exit status, does the terminal show what is typed?)"""
    key = lab.path("encrypted.pem")
    lab.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-aes256", "-pass",
             "pass:open sesame", "-out", key])
    os.chmod(key, 0o600)
    master, slave = pty.openpty()
    done = subprocess.Popen([os.path.join(BIN, "keyfleet"), "--config", lab.server.conf, "key", "import",
                             "asked-" + str(len(typed)), key], stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            preexec_fn=own_terminal)
    wait_until("the terminal to be quiet", lambda: not echoes(slave))
    os.write(master, typed)
    done.wait(20)
    shown = echoes(slave)
    os.close(master)
    os.close(slave)
    return done.returncode, shown


def own_terminal():
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def claim_a_pass_phrase_is_not_shown_and_the_terminal_is_as_it_was(lab):
    expect(ask_at_a_terminal(lab, b"open sesame\n") == (0, True), "the right one")
    expect(ask_at_a_terminal(lab, b"wrong\n") == (1, True), "a wrong one")
    expect(ask_at_a_terminal(lab, b"half\x03") == (-signal.SIGINT, True), "Ctrl-C")
    expect(ask_at_a_terminal(lab, b"\x04") == (1, True), "Ctrl-D")


def claim_data_are_encrypted_and_decrypted_by_a_key_that_stays(lab):
    conf = os.path.join(lab.server.dir, "client.conf")
    lab.server.keyfleet("key", "create", "boxes", "--type", "aes:256")

    def through(command, data, check=True):
        done = subprocess.run([TOOL, "--config", conf, command, "boxes"], input=data, capture_output=True, timeout=60)
        expect(not check or done.returncode == 0, f"{command}: {done.stderr}")
        return done

    for size in (0, 5, 100000):
        text = bytes(i % 256 for i in range(size))
        sealed = through("encrypt", text).stdout
        expect(len(sealed) == size + 12 + 16, f"{size} bytes became {len(sealed)}")
        expect(through("decrypt", sealed).stdout == text, f"{size} bytes came back otherwise")
        changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
        bad = through("decrypt", changed, check=False)
        expect(bad.returncode == 1 and not bad.stdout, f"what was changed was decrypted: {bad}")
    expect(through("decrypt", b"short", check=False).returncode == 1, "too little was decrypted")
    expect(re.fullmatch(r"[0-9a-f]{32}\n", lab.server.keyfleet("random", "16").stdout), "16 random bytes")
    for size in "0", "16x", "", "-1", "99999999999999999999":
        lab.admin("random", size, why="BYTES", status=2)


def export(lab, name, *options):
    """The file."""
    out = lab.path(f"{name}{len(options)}.wrapped")
    rows = json.loads(lab.server.keyfleet("--json", "key", "export", name, "--wrap-with", "kek", "--out", out, *options).stdout)
    expect(rows[0]["iv_bytes"] == "0" and rows[0]["bytes"] == str(os.path.getsize(out)), rows)
    expect(stat.S_IMODE(os.stat(out).st_mode) == 0o600, "anybody may read it")
    return out


def claim_a_key_leaves_wrapped_and_openssl_opens_it_with_the_wrapping_key(lab):
    def create(*words):
        return lab.server.keyfleet("key", "create", *words).stdout.strip()

    def unwrapped(file, cipher, iv):
        done = subprocess.run(["openssl", "enc", "-d", "-" + cipher, "-iv", iv, "-K", kek.hex(), "-in", file],
                              capture_output=True, timeout=60)
        expect(done.returncode == 0, done.stderr)
        return done.stdout

    admin = Admin(lab.server)
    kek = find(admin.get(create("kek", "--type", "aes:256", "--wraps")), 0x420043)
    disk_id = create("disk", "--type", "aes-192")
    disk = find(admin.get(disk_id), 0x420043)
    lab.server.keyfleet("key", "create", "pair", "--type", "ec:P-256")
    expect(len(disk) == 24 and unwrapped(export(lab, "disk"), "id-aes256-wrap-pad", "A65959A6") == disk, "another key")
    expect(unwrapped(export(lab, "disk", "--mode", "nist"), "id-aes256-wrap", "A6A6A6A6A6A6A6A6") == disk, "another key")
    lab.admin("key", "export", "pair", "--wrap-with", "kek", "--out", lab.path("none.wrapped"), why="not extractable")
    out = lab.path("none.wrapped")
    lab.admin("key", "export", "disk", "--out", out, why="--wrap-with", status=2)
    lab.admin("key", "export", "disk", "--wrap-with", "kek", why="--out", status=2)
    # No key leaves, and no use of the wrapping key counts, for a file that cannot be written.
    def gets():
        """Of this key: those that were refused are written when there is time."""
        return len([line for line in lab.server.audit() if "operation=Get " in line and disk_id in line])

    before = gets()
    for place in "disk0.wrapped", "nowhere/disk.wrapped":
        lab.admin("key", "export", "disk", "--wrap-with", "kek", "--out", lab.path(place), why=place)
    expect(gets() == before > 0, "the key has left")
    lab.admin("key", "export", "disk", "--wrap-with", "kek", "--out", out, "--mode", "tr31", why="none of padded", status=2)
    lab.admin("key", "export", "disk", "--wrap-with", "disk", "--out", out, why="usage mask")
    lab.admin("key", "create", "no", "--type", "ec:P-256", "--wraps", why="--wraps is for keys of AES", status=2)
    lab.admin("key", "create", "no", "--type", "aes:512", why="there is rsa:2048", status=2)
    lab.admin("key", "create", "no", "--type", "aes:256", "--local", why="through a key server", status=2)
    expect(not os.path.exists(out), "a file of nothing")


def claim_a_key_that_left_wrapped_comes_back_and_does_what_it_did(lab):
    lab.ok("key", "create", "carrier", "--type", "aes:256", "--wraps")
    lab.ok("key", "create", "other-carrier", "--type", "aes:256", "--wraps")
    lab.ok("key", "create", "carried", "--type", "hmac-sha256:256")
    data, plain = lab.write("carried-data", "text"), ["key", "import"]
    code = lab.ok("mac", "carried", "--in", data)
    for mode in "padded", "nist":
        file = lab.path("carried." + mode)
        lab.ok("key", "export", "carried", "--wrap-with", "carrier", "--mode", mode, "--out", file)
        how = ["--wrapped-with", "carrier", "--type", "hmac-sha256:256", "--mode", mode]
        uid = lab.ok(*plain, "back-" + mode, file, *how).strip()
        expect(lab.ok("mac", "back-" + mode, "--in", data) == code, "another key came back")
        shown = lab.ok("key", "show", uid)
        expect("Sensitive = Boolean true" in shown and "State = Enumeration Active" in shown, shown)
        lab.ok("key", "export", "back-" + mode, "--wrap-with", "carrier", "--out", file + ".again")
        lab.admin(*plain, "no", file, "--wrapped-with", "other-carrier", *how[2:], why="cannot be done with these data")
        lab.admin(*plain, "no", file, *how[:2], "--type", "hmac-sha256:128", *how[4:], why="not allowed", status=2)
    changed = lab.path("carried.changed")
    sealed = bytearray(open(lab.path("carried.padded"), "rb").read())
    sealed[3] ^= 1
    open(changed, "wb").write(sealed)
    lab.admin(*plain, "no", changed, "--wrapped-with", "carrier", "--type", "hmac-sha256:256", why="cannot be done with these data")
    lab.ok(*plain, "idle", file, *how, "--inactive", "--use", "mac")
    expect("Pre-Active" in lab.ok("key", "show", "idle"), "it is active")
    lab.admin(*plain, "no", file, "--wrapped-with", "carried", "--type", "hmac-sha256:256", why="it is not for unwrapping")
    lab.admin(*plain, "no", lab.path("nofile"), *how, why="nofile")
    lab.admin(*plain, "no", file, "--wrapped-with", "carrier", why="--type", status=2)
    lab.admin(*plain, "no", file, "--wrapped-with", "carrier", "--type", "rsa:2048", why="there is aes:128", status=2)
    lab.admin(*plain, "no", file, "--type", "aes:256", why="--wrapped-with", status=2)
    lab.admin(*plain, "no", file, *how, "--pool", "main", why="--pool", status=2)
    expect("no" not in {r["name"] for r in json.loads(lab.ok("--json", "key", "list"))}, "something was kept")


def way_of(mode, *more):
    return struct_(0x42002B, enum(0x420011, mode), *more)


def named(name):
    return struct_(0x420053, text(0x420055, name), enum(0x420054, 1))


def claim_every_mode_and_a_pair_carries_a_key_there_and_back(lab):
    admin, now = Admin(lab.server), item(0x420001, 9, (1).to_bytes(8, "big"))
    ways = {"cbc": way_of(1, enum(0x42005F, 3)), "gcm": way_of(9), "nist": way_of(0x0D), "padded": way_of(0x0C)}
    for mode, way in ways.items():
        admin.ask(0x01, enum(0x420057, 2) + struct_(0x420125, enum(0x420028, 3), int_(0x42002A, 256), int_(0x42002C, 0x30), way,
                                                    named("by-" + mode), now))
    oaep = struct_(0x42002B, enum(0x42005F, 2), enum(0x420038, 6))
    admin.ask(0x02, struct_(0x420126, enum(0x420028, 4), int_(0x42002A, 2048), now)
              + struct_(0x420127, int_(0x42002C, 0x20), oaep, named("by-pair"))
              + struct_(0x420128, int_(0x42002C, 0x10), oaep, named("by-pair.pub")))
    lab.ok("key", "create", "traveller", "--type", "hmac-sha256:256")
    data = lab.write("travel-data", "text")
    code = lab.ok("mac", "traveller", "--in", data)
    for by in [*ways, "pair"]:
        file, mode = lab.path("travel." + by), ["--mode", by] if by in ("cbc", "gcm") else []
        lab.ok("key", "export", "traveller", "--wrap-with", "by-" + by, "--out", file, *mode)
        lab.ok("key", "import", "home-" + by, file, "--wrapped-with", "by-" + by, "--type", "hmac-sha256:256", *mode)
        expect(lab.ok("mac", "home-" + by, "--in", data) == code, f"another key came back by {by}")


def claim_who_asks_for_a_key_on_tokens_without_a_pool_is_told_what_makes_one(lab):
    for kind in "aes:256", "ec:P-256":
        lab.admin("key", "create", "nowhere", "--type", kind, "--pool", "none", why="[pool NAME]")


def claim_who_asks_for_a_certificate_without_an_authority_is_told_what_makes_one(lab):
    lab.ok("key", "create", "lonely")
    lab.admin("cert", "issue", "lonely", "--names", "localhost", why="[ca NAME]")


def claim_the_server_hashes_as_everybody_does(lab):
    conf = os.path.join(lab.server.dir, "client.conf")
    for name in "sha256", "sha384", "sha512", "sha3-256", "sha3-384", "sha3-512":
        done = subprocess.run([TOOL, "--config", conf, "hash", name], input=b"text", capture_output=True, timeout=60)
        expect(done.stdout.decode().strip() == hashlib.new(name.replace("-", "_"), b"text").hexdigest(), (name, done))
    lab.admin("hash", "md5", why="none of", status=2)


if __name__ == "__main__":
    run(globals(), Commands("command"))
