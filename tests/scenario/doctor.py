#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""keyfleet doctor on set-ups that are broken on purpose: it names this cause and no other, its remedy heals,
and the texts that stock servers print are explained.  What is well is the control before and after."""
import base64
import contextlib
import json
import os
import pwd
import re
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading

import faketime
from faketime import clock
from scenario import expect, run, skip
from lab import BIN, LIB, ROOT, Agent, Apache, HAProxy, Key, KeyServer, Lab, LabError, Nginx, Process, as_user, fetch, \
    accepts, free_port, set_option, wait_until

TOOL = os.path.join(BIN, "keyfleet")
# What depends on the machine that runs the test, not on the set-up.
OF_THE_MACHINE = {"clock-synchronised", "agent-memory", "keyserver-memory", "keyserver-files", "agent-descriptors"}
IS_ROOT = os.geteuid() == 0


def ghost(name):
    """A process that has ended, of which only the name is left."""
    pid = os.fork()
    if not pid:
        with open("/proc/self/comm", "w") as f:
            f.write(name)
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


class Clinic(Lab):
    """A healthy web host: key server, agent, nginx with one reference."""

    def __enter__(self):
        super().__enter__()
        ghost("keyfleetd")  # older than the server, for which it is not taken
        self.server = KeyServer(self, "kms")
        self.key = self.server.create_key("www", "ec:P-256")
        self.agent = Agent(self, "web1", [self.server])
        self.cnf = self.openssl_conf(self.agent.socket)
        self.nginx = Nginx(self, "www1", [self.key], self.cnf)
        self.id = self.key_id("www")
        return self

    def key_id(self, name):
        rows = self.server.keyfleet_json("key", "show", name)
        return next(r["value"] for r in rows if r["name"] == "Unique Identifier")

    def doctor(self, *args, env=None):
        """(exit status, findings)"""
        clean = {k: v for k, v in os.environ.items() if k != "OPENSSL_CONF"}
        done = subprocess.run([TOOL, "--json", "doctor", *args], capture_output=True, text=True, timeout=120,
                              cwd=self.dir, env={**clean, **(env or {})})
        expect(done.returncode in (0, 1, 2), f"doctor ended with {done.returncode}: {done.stderr}")
        expect(done.stdout, done.stderr)
        return done.returncode, json.loads(done.stdout)

    def web_host(self, *more, web=None, env=None):
        return self.doctor("--web", "nginx:" + (web or self.nginx).file, "--agent-config", self.agent.conf,
                           "--openssl-conf", self.cnf, *more, env=env)

    def key_host(self, *more, conf=None):
        return self.doctor("--server-config", conf or os.path.join(self.server.dir, "keyfleetd.conf"), *more)

    @contextlib.contextmanager
    def changed(self, path, text=None, mode=None):
        """A file is something else for a while."""
        was, was_mode = open(path).read(), os.stat(path).st_mode
        if text is not None:
            with open(path, "w") as f:
                f.write(text)
        if mode is not None:
            os.chmod(path, mode)
        try:
            yield
        finally:
            with open(path, "w") as f:
                f.write(was)
            os.chmod(path, was_mode)


def sick(findings, but=()):
    """{id: finding} of what is wrong with the set-up."""
    return {f["id"]: f for f in findings if f["state"] in ("WARN", "FAIL") and f["id"] not in OF_THE_MACHINE | set(but)}


def only(result, name, *words, but=("handshake", "listener"), state="FAIL"):
    """Exactly this is wrong (besides handshakes, which fail in consequence); returns its finding."""
    status, findings = result
    found = sick(findings, but)
    expect(list(found) == [name], f"not only {name}: {found}")
    for word in words:
        expect(word in found[name]["what"] + " " + found[name]["where"] + " " + found[name]["remedy"],
               f"{word!r} is not in {found[name]}")
    expect(found[name]["state"] == state, f"{found[name]}")
    expect(status == (2 if state == "FAIL" else status), f"exit status {status}")
    expect(found[name]["remedy"], "no remedy")
    return found[name]


def well(result, *ids):
    """Nothing is wrong, and these were looked at."""
    status, findings = result
    expect(not sick(findings), f"not well: {sick(findings)}")
    fine = {f["id"] for f in findings if f["state"] == "OK"}
    for name in ids:
        expect(name in fine, f"{name} was not looked at: {sorted(fine)}")
    machine = [f for f in findings if f["state"] == "WARN"]
    expect(status == (1 if machine else 0), f"exit status {status}")


def line_of(path, part):
    return next(i for i, line in enumerate(open(path), 1) if part in line)


# -- the control -----------------------------------------------------------------------------------------


def claim_a_healthy_web_host_is_well_and_its_milliseconds_are_accounted_for(lab):
    status, findings = lab.web_host()
    well((status, findings), "provider-loaded", "provider-default", "pair-matches", "agent-allows", "key-active",
         "handshake", "listener", "listener-serves", "client-enrolled")
    stages = {f["what"].strip(): float(f["ms"]) for f in findings if f["state"] == "STAGE"}
    expect(stages["handshake, both ends"] > 0 and stages["key operation"] > 0, f"{stages}")
    expect(stages["provider, agent and back"] > 0 and stages["network and key server's front"] > 0, f"{stages}")
    expect(all(f["where"].startswith(("measured", "inferred")) or f["remedy"].startswith(("measured", "inferred"))
               for f in findings if f["state"] == "STAGE"), "a figure without saying how it is known")


def claim_a_healthy_key_server_is_well(lab):
    well(lab.key_host(), "keyserver-config", "keyserver-runs", "keyserver-pair", "keyserver-role", "master-key",
         "store-there", "audit-space", "keyserver-secret")


def claim_people_get_places_remedies_and_a_summary_and_no_secret(lab):
    done = lab.run([TOOL, "doctor", "--server-config", os.path.join(lab.server.dir, "keyfleetd.conf")], check=False)
    expect(re.search(r"^\d+ failed, \d+ warnings, \d+ fine, \d+ not seen", done.stdout.splitlines()[-1]), done.stdout)
    for name in ("master.key", "server.key"):
        for line in open(os.path.join(lab.server.dir, name)):
            if len(line) > 20 and not line.startswith(("-----", "#")):
                expect(line.strip()[-16:] not in done.stdout + done.stderr, f"{name} was printed")


def claim_credentials_of_units_are_not_seen_and_not_missed(lab):
    conf = lab.write("credential.conf", re.sub(r"(?m)^key = .*", "key = credential:web1.key", open(lab.agent.conf).read()))
    status, findings = lab.doctor("--agent-config", conf)
    unseen = {f["id"] for f in findings if f["state"] == "UNSEEN"}
    expect(not sick(findings, ("agent-runs",)) and {"agent-config", "client-enrolled"} <= unseen, f"{findings}")
    conf = os.path.join(lab.server.dir, "keyfleetd.conf")
    with lab.changed(conf):
        set_option(conf, "tls", "key", "credential:server.key")
        set_option(conf, "store", "master_key", "credential:master.key")
        findings = lab.key_host()[1]
    unseen = {f["id"] for f in findings if f["state"] == "UNSEEN"}
    expect(not sick(findings) and {"keyserver-config", "master-key", "keyserver-pair"} <= unseen, f"{findings}")


def claim_a_thousand_references_are_looked_at_in_one_go_and_told_in_a_line(lab):
    pair = f"ssl_certificate {lab.key.certificate}; ssl_certificate_key "
    names = [shutil.copy(lab.key.key, lab.path(f"many-{i}.ref")) for i in range(1000)]
    servers = "\n".join(f"server {{ listen 127.0.0.1:1{i % 10} ssl; server_name s{i}.example.org; {pair}{name}; }}"
                        for i, name in enumerate(names))
    conf = lab.write("many.nginx", f"env OPENSSL_CONF;\nevents {{}} http {{\n{servers}\n}}\n")
    done = lab.run([TOOL, "doctor", "--web", "nginx:" + conf, "--agent-config", lab.agent.conf, "--openssl-conf", lab.cnf,
                    "--no-handshake"], check=False)
    line = [row for row in done.stdout.splitlines() if "certificates and references belong together" in row]
    expect(len(line) == 1 and " and 999 more)" in line[0], f"{line} of {done.stdout[:2000]} {done.stderr}")
    for name in names:
        os.unlink(name)


def claim_without_root_it_says_what_it_cannot_see_and_accuses_nobody(lab):
    if not IS_ROOT:
        skip("every other claim is made so")
    done = lab.run(as_user("nobody", [TOOL, "--json", "doctor", "--web", "nginx:" + lab.nginx.file, "--agent-config",
                                      lab.agent.conf, "--openssl-conf", lab.cnf]), check=False)
    findings = json.loads(done.stdout)
    expect(not sick(findings), f"{sick(findings)}")
    unseen = {f["id"] for f in findings if f["state"] == "UNSEEN"}
    expect({"provider-loaded", "agent-config", "client-enrolled"} <= unseen, f"{unseen}")


def claim_nothing_is_changed(lab):
    def state():
        """What the daemons themselves do not write."""
        return {path: (os.stat(path).st_mtime_ns, os.stat(path).st_mode)
                for folder, _, names in os.walk(lab.dir) for path in (os.path.join(folder, name) for name in names)
                if path.endswith((".conf", ".cnf", ".pem", ".key", ".ref", ".csr"))}
    before = state()
    lab.key_host()
    lab.web_host()
    expect(state() == before, "a file was touched")


def claim_the_defaults_that_the_doctor_knows_are_keyfleetds(lab):
    source = open(os.path.join(ROOT, "src/cli/doctor_keyserver.c")).read()
    known = re.findall(r'X\((\w+), (\w+), "([^"]*)"\)', source)
    expect(len(known) >= 10, f"{known}")
    text = lab.run([os.path.join(BIN, "keyfleetd"), "--options"]).stdout
    for section, key, value in known:
        part = text.split(f"[{section}]")[1].split("\n[")[0]
        option = part.split(f"\n  {key} = ")[1].split("\n  ")[1] if f"\n  {key} = " in part else ""
        expect(f"default {value}" in part.split(f"\n  {key} = ")[1].split("\n")[1], f"{section}.{key}: {option}")


def claim_remedies_name_commands_and_options_that_exist(lab):
    help_text = lab.run([TOOL, "--help"]).stdout
    commands = [line[2:18].strip() for line in help_text.splitlines() if re.match(r"  [a-z]", line)]
    texts = lab.run([TOOL, "doctor", "--checks"]).stdout + open(os.path.join(ROOT, "src/cli/doctor_text.def")).read()
    found = 0
    for words in re.findall(r"keyfleet ((?:[a-z][a-z-]+|--[a-z-]+|[A-Z]+|\{\d\}|>|\.|/\S+)(?: (?:[a-z][a-z-]+|--[a-z-]+|[A-Z]+|"
                            r"\{\d\}|>|\.|/\S+))*)", texts):
        if words.split()[0] in ("on", "says", "doctor", "compares", "is", "reports", "knows", "here", "it"):
            continue
        names = [c for c in commands if (words + " ").startswith(c + " ")]
        if not names:
            expect(words.split()[0] not in {c.split()[0] for c in commands} | {"key", "client", "grant"} or
                   re.match(r"(key|client|grant)$", words), f"keyfleet {words}: no such command")
            continue
        found += 1
        known = lab.run([TOOL, *names[0].split(), "--help"]).stdout
        for option in re.findall(r"--[a-z-]+", words.split(" keyfleet")[0]):
            expect(option in known, f"keyfleet {words}: no option {option}")
    expect(found > 20, f"only {found} commands were found in remedies")


def claim_no_module_of_another_user_is_loaded_as_root(lab):
    """A process that calls itself nginx, with its own OPENSSL_CONF, must not make root run its code."""
    if not IS_ROOT or not shutil.which("cc"):
        skip("needs root and a compiler")
    mode = os.stat(lab.dir).st_mode
    os.chmod(lab.dir, 0o755)
    folder, trace = lab.path("stranger"), lab.path("stranger", "trace")
    os.makedirs(folder)
    source = lab.write("stranger/m.c", f'#include <fcntl.h>\n__attribute__((constructor)) static void loaded(void) '
                       f'{{ open("{trace}", O_CREAT | O_WRONLY, 0600); }} int OSSL_provider_init(void) {{ return 0; }}\n')
    module = lab.path("stranger", "keyfleet.so")
    lab.run(["cc", "-shared", "-fPIC", "-o", module, source])
    conf = lab.write("stranger/openssl.cnf", re.sub(r"module = .*", f"module = {module}", open(lab.cnf).read()))
    web = lab.write("stranger/nginx.conf", f"events {{}} http {{ server {{ listen 127.0.0.1:1 ssl; ssl_certificate "
                    f"{lab.key.certificate}; ssl_certificate_key {lab.key.key}; }} }}\n")
    for name in ("", "openssl.cnf", "keyfleet.so"):
        os.chown(lab.path("stranger", name), pwd.getpwnam("nobody").pw_uid, -1)
    shutil.copy(shutil.which("tail"), lab.path("stranger", "nginx"))
    process = Process(lab, "stranger", as_user("nobody", [lab.path("stranger", "nginx"), "-f", web]), env={"OPENSSL_CONF": conf})
    try:
        wait_until("the stranger", lambda: open(f"/proc/{process.pid}/comm").read() == "nginx\n")
        findings = lab.doctor("--web", "nginx:" + web, "--agent-config", lab.agent.conf)[1]
    finally:
        process.stop()
        os.chmod(lab.dir, mode)
    expect(not os.path.exists(trace), "the stranger's module ran as root")
    unseen = [f for f in findings if f["id"] == "provider-module"]
    expect(len(unseen) == 1 and unseen[0]["state"] == "UNSEEN" and "not loaded as root" in unseen[0]["what"], f"{findings}")


def claim_keys_in_engines_variables_and_the_text_itself_are_not_shown_and_accused(lab):
    secret = "".join(open(os.path.join(lab.server.dir, "server.key")).read().splitlines())
    pairs = [("/x/$ssl_server_name.pem", "/x/$ssl_server_name.key"), (lab.key.certificate, "engine:pkcs11:x"),
             (lab.key.certificate, f"data:{secret}")]
    servers = "".join(f'server {{ listen 127.0.0.1:1 ssl; ssl_certificate "{c}"; ssl_certificate_key "{k}"; }}' for c, k in pairs)
    conf = lab.write("elsewhere.nginx", f"events {{}} http {{ {servers} }}\n")
    status, findings = lab.doctor("--web", "nginx:" + conf, "--agent-config", lab.agent.conf, "--openssl-conf", lab.cnf)
    expect(not sick(findings), f"{sick(findings)}")
    unseen = " ".join(f["what"] for f in findings if f["state"] == "UNSEEN")
    for word in ("variable", "engine", "in the configuration itself"):
        expect(word in unseen, f"{word} is not in {unseen}")
    expect(secret[40:60] not in json.dumps(findings), "a private key was printed")


def nginx_with(lab, name, *servers):
    """A running nginx; each server is what stands before its pair."""
    pair = f"ssl_certificate {lab.key.certificate}; ssl_certificate_key {lab.key.key};"
    conf = lab.write(name, f"env OPENSSL_CONF; {'user www-data;' if IS_ROOT else ''} daemon off; pid {lab.path(name + '.pid')};\n"
                     f"error_log {lab.path(name + '.error')}; events {{ worker_connections 512; }}\n"
                     f"http {{ access_log off; {''.join(f'server {{ {s} {pair} }}' for s in servers)} }}\n")
    process = Process(lab, name, ["nginx", "-c", conf], env={"OPENSSL_CONF": lab.cnf})
    port = re.search(r"127\.0\.0\.1:(\d+)", servers[0])[1]
    wait_until(name, lambda: process.must_run() and accepts(int(port)))
    return conf, process


def claim_listeners_behind_a_balancer_and_with_names_that_nobody_asks_for_are_well(lab):
    conf, process = nginx_with(
        lab, "doors", f"listen 127.0.0.1:{free_port()} ssl proxy_protocol; server_name a.example.org;",
        f"listen unix:{lab.path('door')} ssl; listen 127.0.0.1:{free_port()} ssl; server_name .example.org;",
        f"listen 127.0.0.1:{free_port()} ssl; server_name _;")
    link = lab.path("doors.link")
    os.symlink(conf, link)
    try:
        result = lab.doctor("--web", "nginx:" + link, "--agent-config", lab.agent.conf, "--openssl-conf", lab.cnf)
    finally:
        process.stop()
    well(result, "web-running", "listener", "listener-serves")
    visits = [f for f in result[1] if f["state"] == "STAGE" and "running server" in f["what"]]
    expect(len(visits) == 3, f"{visits}")


def claim_facts_in_remedies_are_one_word_of_a_shell(lab):
    folder = lab.path("a b; it's $(x)")
    os.makedirs(folder)
    reference = os.path.join(folder, "www.ref")
    with open(reference, "w") as f:
        f.write("no reference\n")
    conf = lab.write("blanks.nginx", f'env OPENSSL_CONF; events {{}} http {{ server {{ listen 127.0.0.1:1 ssl; ssl_certificate '
                     f'{lab.key.certificate}; ssl_certificate_key "{reference}"; }} }}\n')
    found = sick(lab.doctor("--web", "nginx:" + conf, "--agent-config", lab.agent.conf, "--openssl-conf", lab.cnf)[1])
    remedy = found["reference-read"]["remedy"]
    expect(shlex.split(remedy)[-1] == reference, remedy)


def claim_paths_of_any_bytes_give_json_and_no_commands_for_the_terminal(lab):
    conf = lab.path("bytes.nginx")
    with open(conf, "wb") as f:
        f.write(b"http { server { listen 1 ssl; ssl_certificate /\xff\xc2\x9b31m\x1b[0m\xc3\xa9; ssl_certificate_key /x; } }")
    args = ("doctor", "--web", "nginx:" + conf, "--agent-config", lab.agent.conf, "--openssl-conf", lab.cnf)
    told = json.loads(subprocess.run([TOOL, "--json", *args], stdout=subprocess.PIPE, timeout=60).stdout.decode())
    expect(any("/\ufffd\x9b31m\x1b[0m\u00e9" in f["what"] for f in told), f"{told}")
    shown = subprocess.run([TOOL, *args], stdout=subprocess.PIPE, timeout=60).stdout
    expect("/???31m?[0m\u00e9".encode() in shown and b"\x1b" not in shown and b"\x9b" not in shown, f"{shown}")


def claim_an_agent_that_stands_still_is_named_and_does_not_hold_the_doctor_up(lab):
    names = [shutil.copy(lab.key.key, lab.path(f"still-{i}.ref")) for i in range(6)]
    servers = "".join(f"server {{ listen 127.0.0.1:1 ssl; ssl_certificate {lab.key.certificate}; ssl_certificate_key {n}; }}"
                      for n in names)
    conf = lab.write("still.nginx", f"env OPENSSL_CONF; events {{}} http {{ {servers} }}\n")
    lab.agent.process.signal(signal.SIGSTOP)
    try:
        findings = lab.doctor("--web", "nginx:" + conf, "--agent-config", lab.agent.conf, "--openssl-conf", lab.cnf)[1]
    finally:
        lab.agent.process.signal(signal.SIGCONT)
    expect(list(sick(findings, ("agent-config", "web-running"))) == ["agent-answers"], f"{findings}")
    trials = [f["state"] for f in findings if f["id"] == "handshake"]
    expect(trials == ["UNSEEN"], f"{trials}")


# -- the provider ----------------------------------------------------------------------------------------


def claim_a_server_that_was_started_without_OPENSSL_CONF_is_named(lab):
    local = lab.local_key("local", "ec")
    web = Nginx(lab, "blind", [local], None)
    text = open(web.file).read()
    with open(web.file, "w") as f:
        f.write(text.replace(local.key, lab.key.key).replace(local.certificate, lab.key.certificate))
    result = lab.doctor("--web", "nginx:" + web.file, "--agent-config", lab.agent.conf)
    found = only(result, "provider-env", str(web.process.pid), "OPENSSL_CONF",
                 but=("handshake", "listener", "listener-serves"))
    expect("systemctl edit nginx" in found["remedy"], found["remedy"])
    web.process.stop()
    web.env = {"OPENSSL_CONF": lab.cnf}
    web.start_process(web.process.argv)
    well(lab.web_host(web=web), "provider-loaded")
    web.process.stop()


def claim_a_missing_default_provider_is_named(lab):
    broken = open(lab.cnf).read().replace("default = default_sect\n", "")
    with lab.changed(lab.cnf, broken):
        found = only(lab.web_host(), "provider-default", "default = default_sect",
                     f"{lab.cnf}:{line_of(lab.cnf, 'keyfleet = keyfleet_sect')}")
        heal = re.search(r"add to \[(\w+)\]:  (default = default_sect)", found["remedy"])
        lab.write("openssl.cnf", broken.replace(f"[{heal[1]}]\n", f"[{heal[1]}]\n{heal[2]}\n"))
        well(lab.web_host(), "provider-default")


def claim_a_provider_that_is_not_activated_is_named(lab):
    broken = open(lab.cnf).read()
    at = broken.rindex("activate = 1")
    with lab.changed(lab.cnf, broken[:at]):
        only(lab.web_host(), "provider-active", "keyfleet_sect", "activate = 1")


def claim_a_wrong_module_path_is_named(lab):
    with lab.changed(lab.cnf, open(lab.cnf).read().replace("/keyfleet.so", "/nowhere.so")):
        only(lab.web_host(), "provider-module", "nowhere.so", "there is no such file",
             f"{lab.cnf}:{line_of(lab.cnf, 'module')}")
    other = lab.write("text.so", "no module\n")
    with lab.changed(lab.cnf, re.sub(r"module = .*", "module = " + other, open(lab.cnf).read())):
        only(lab.web_host(), "provider-module", "text.so")
    well(lab.web_host(), "provider-module")


def claim_numbers_that_are_none_are_named(lab):
    with lab.changed(lab.cnf, open(lab.cnf).read().replace("[keyfleet_sect]\n", "[keyfleet_sect]\nagent-uid = www\n")):
        only(lab.web_host(), "provider-numbers", "agent-uid = www")


# -- certificates and references ---------------------------------------------------------------------------


def newer(pem):
    """The same reference with another version in it."""
    der = bytearray(base64.b64decode("".join(line for line in pem.splitlines() if "-----" not in line)))
    at = der.index(b"\x02\x01\x00")
    der[at + 2] = 1
    body = "\n".join(re.findall(".{1,64}", base64.b64encode(bytes(der)).decode()))
    return f"-----BEGIN KEYFLEET KEY REFERENCE-----\n{body}\n-----END KEYFLEET KEY REFERENCE-----\n"


def claim_a_reference_of_a_newer_version_is_named(lab):
    with lab.changed(lab.key.key, newer(open(lab.key.key).read())):
        found = only(lab.web_host(), "reference-version", lab.key.key, "newer")
        expect("keyfleet key ref NAME > " + lab.key.key in found["remedy"], found["remedy"])
        lab.write("www.ref", lab.server.keyfleet("key", "ref", "www").stdout)
        well(lab.web_host(), "pair-matches")


def claim_a_damaged_reference_is_named(lab):
    with lab.changed(lab.key.key, open(lab.key.key).read()[:100]):
        only(lab.web_host(), "reference-read", lab.key.key)


def claim_a_reference_of_another_key_is_named(lab):
    lab.server.keyfleet("key", "create", "other", "--type", "rsa:2048")
    with lab.changed(lab.key.key, lab.server.keyfleet("key", "ref", "other").stdout):
        # nginx -t finds nothing wrong with an RSA reference beside an ECDSA certificate.
        tested = lab.run(["nginx", "-t", "-c", lab.nginx.file], env={"OPENSSL_CONF": lab.cnf}, check=False)
        expect(tested.returncode == 0, tested.stderr)
        only(lab.web_host(), "pair-matches", lab.key.key, lab.key.certificate,
             f"{lab.nginx.file}:{line_of(lab.nginx.file, 'ssl_certificate_key')}")
        lab.write("www.ref", lab.server.keyfleet("key", "ref", "www").stdout)
        well(lab.web_host(), "pair-matches")


def certify(lab, name, offset):
    """The certificate of www with other dates."""
    lab.run(["openssl", "x509", "-req", "-in", "www.csr", "-CA", "webca.pem", "-CAkey", "webca.key", "-days", "20",
             "-extfile", "leaf.ext", "-out", name], env=clock(offset))
    return open(lab.path(name)).read()


def claim_certificates_that_have_expired_are_not_yet_valid_or_end_soon_are_told_apart(lab):
    for when, name, word in (("-30d", "pair-valid", "has expired on"), ("+9d", "pair-valid", "is not valid before"),
                             ("-17d", "pair-expires", "expires")):
        with lab.changed(lab.key.certificate, certify(lab, "aged.pem", when)):
            only(lab.web_host(), name, word, but=("listener-serves",),
                 state="WARN" if name == "pair-expires" else "FAIL")


def claim_a_server_that_was_not_reloaded_after_a_renewal_is_named(lab):
    with lab.changed(lab.key.certificate, certify(lab, "renewed.pem", "-1 days")):
        only(lab.web_host(), "listener-serves", "another certificate", "reload", state="WARN")
        lab.nginx.process.signal(signal.SIGHUP)
        wait_until("the reload", lambda: not sick(lab.web_host()[1]))
    lab.nginx.process.signal(signal.SIGHUP)
    wait_until("the reload", lambda: not sick(lab.web_host()[1]))


# -- keys and grants ---------------------------------------------------------------------------------------


def served_with(lab, name):
    """nginx with a reference of its own; its key is used from now on."""
    key = lab.server.create_key(name, "ec:P-256")
    return Nginx(lab, name, [key], lab.cnf), lab.key_id(name)


def claim_a_key_that_is_not_active_is_named_with_its_state(lab):
    web, key = served_with(lab, "revoked")
    well(lab.web_host(web=web), "key-active")
    lab.server.keyfleet("key", "revoke", "revoked", "--reason", "superseded")
    only(lab.web_host(web=web), "key-active", key, "Deactivated")
    lab.server.keyfleet("key", "destroy", "revoked", "--yes")
    only(lab.web_host(web=web), "key-active", key, "Destroyed")
    web.process.stop()
    lab.local_key("early", "ec")
    os.chmod(lab.path("early.key"), 0o600)
    lab.server.keyfleet("key", "import", "early", lab.path("early.key"), "--inactive")
    reference = lab.write("early.ref", lab.server.keyfleet("key", "ref", "early").stdout)
    web = Nginx(lab, "early", [Key(lab.path("early.pem"), reference)], lab.cnf)
    found = only(lab.web_host(web=web), "key-active", lab.key_id("early"), "Pre-Active")
    lab.server.keyfleet(*re.search(r"keyfleet (key activate \S+)", found["remedy"])[1].split())
    well(lab.web_host(web=web), "key-active", "handshake")
    web.process.stop()


def claim_a_missing_grant_is_named_and_the_remedy_grants_it(lab):
    grants = lab.server.keyfleet_json("grant", "list")
    mine = next(g for g in grants if "web1" in g.values())
    grant = next(v for k, v in mine.items() if k in ("id", "grant"))
    lab.server.keyfleet("grant", "remove", grant)
    # Administrators are told why.
    only(lab.web_host("--config", lab.server.conf), "key-granted", lab.id, "policy: ")
    found = only(lab.web_host(), "key-granted", lab.id, "web1")
    expect("policy:" not in found["what"], found["what"])
    words = re.search(r"keyfleet (grant add .*)", found["remedy"])[1].split()
    lab.server.keyfleet(*words)
    well(lab.web_host(), "key-active")
    lab.server.keyfleet("grant", "add", "web1", "*", "sign", "--tls-only")


# -- the agent ---------------------------------------------------------------------------------------------


def claim_an_agent_that_does_not_run_is_named(lab):
    with lab.changed(lab.cnf, open(lab.cnf).read().replace(lab.agent.socket, "@nobody-is-there")):
        only(lab.web_host(), "agent-runs", "@nobody-is-there", "systemctl enable --now", but=())
    lab.agent.process.stop()  # the name stays, as systemd would keep it
    try:
        only(lab.web_host("--no-handshake"), "agent-answers", lab.agent.socket)
    finally:
        lab.agent.start()
    well(lab.web_host(), "agent-answers")


def claim_a_squatter_on_the_agents_name_is_named_with_his_process(lab):
    if not IS_ROOT:
        skip("needs root to be somebody else")
    name = f"@{os.path.basename(lab.dir)}-squatter"
    code = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.bind('\\0' + sys.argv[1][1:])\ns.listen(9)\n" \
           "print('ready', flush=True)\nsys.stdin.read()\n"
    squatter = subprocess.Popen(as_user("nobody", [sys.executable, "-c", code, name]), stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)
    expect(squatter.stdout.readline() == "ready\n", "the squatter did not start")
    try:
        with lab.changed(lab.cnf, open(lab.cnf).read().replace(lab.agent.socket, name)):
            only(lab.web_host(), "agent-owner", name, "nobody", "sends nothing")
    finally:
        squatter.communicate("")


def own_agent(lab, name, sockets, user=None):
    """An agent of web1 that makes its sockets itself, perhaps as somebody else."""
    text = re.sub(r"sockets = .*", "sockets = " + sockets, open(lab.agent.conf).read())
    conf = lab.write(name + ".conf", text)
    if user:
        key = lab.path(name + ".key")
        shutil.copy(lab.path("web1.key"), key)
        shutil.copy(os.path.join(lab.server.dir, "ca.pem"), lab.path(name + "-ca.pem"))
        who = pwd.getpwnam(user)
        os.chown(key, who.pw_uid, who.pw_gid)
        os.chmod(key, 0o600)
        lab.write(name + ".conf", re.sub(r"(?m)^ca = .*", f"ca = {lab.path(name + '-ca.pem')}",
                                         text.replace(lab.path("web1.key"), key)))
    process = Process(lab, name, [os.path.join(BIN, "keyfleet-agent"), "--config", conf], user=user)
    wait_until("the agent", lambda: process.must_run() and "event=ready" in open(process.log).read())
    return process, conf


def claim_an_agent_of_another_user_is_named_and_the_remedy_trusts_him(lab):
    if not IS_ROOT:
        skip("needs root to be somebody else")
    name = f"@{os.path.basename(lab.dir)}-own"
    process, conf = own_agent(lab, "own", "unix:" + name, "www-data")

    def look():
        return lab.doctor("--web", "nginx:" + lab.nginx.file, "--agent-config", conf, "--openssl-conf", lab.cnf)
    with lab.changed(lab.cnf, open(lab.cnf).read().replace(lab.agent.socket, name)):
        found = only(look(), "agent-owner", "www-data", str(process.pid))
        heal = re.search(r"agent-uid = \d+", found["remedy"])[0]
        lab.write("openssl.cnf", open(lab.cnf).read().replace("[keyfleet_sect]\n", f"[keyfleet_sect]\n{heal}\n"))
        well(look(), "agent-owner", "handshake")
    process.stop()


def claim_a_socket_in_a_tmp_that_the_unit_does_not_see_is_named(lab):
    if not IS_ROOT or lab.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/var/tmp"], check=False).returncode:
        skip("needs a mount namespace")
    path = f"/var/tmp/{os.path.basename(lab.dir)}.sock"
    process, conf = own_agent(lab, "tmp", "unix:" + path)
    with lab.changed(lab.cnf, open(lab.cnf).read().replace(lab.agent.socket, path)):
        web = Nginx(lab, "private", [lab.key], lab.cnf)
        look = "--web", "nginx:" + web.file, "--agent-config", conf, "--openssl-conf", lab.cnf
        well(lab.doctor(*look), "agent-runs", "handshake")
        web.process.stop()
        web.start_process(["unshare", "-m", "sh", "-c", f"mount -t tmpfs none /var/tmp && exec nginx -c {web.file}"])
        only(lab.doctor(*look), "private-tmp", "PrivateTmp", path)
        web.process.stop()
    process.stop()


def claim_limits_of_the_daemons_are_looked_at(lab):
    if not IS_ROOT:
        skip("needs root to raise limits")
    agent, server = lab.agent.process.pid, lab.server.process.pid
    def names(findings):
        return {f["id"] for f in findings if f["state"] == "WARN"}
    for pid, limit, name, look in (
            (agent, resource.RLIMIT_MEMLOCK, "agent-memory", lab.web_host),
            (agent, resource.RLIMIT_NOFILE, "agent-descriptors", lab.web_host),
            (server, resource.RLIMIT_MEMLOCK, "keyserver-memory", lab.key_host),
            (server, resource.RLIMIT_NOFILE, "keyserver-files", lab.key_host)):
        before = names(look()[1])
        was = resource.prlimit(pid, limit)
        resource.prlimit(pid, limit, (1024, was[1]))
        lowered = names(look()[1])
        resource.prlimit(pid, limit, was)
        expect(name in lowered, f"{name}: {lowered}")
        enough = was[0] == resource.RLIM_INFINITY or name != "agent-memory" and was[0] >= 32 << 20
        expect(not enough or name not in before, f"{name} with {was}")


def claim_a_user_whom_the_agent_does_not_serve_is_named_and_the_remedy_lets_him(lab):
    if not IS_ROOT:
        skip("needs root: workers are somebody else")
    text = open(lab.agent.conf).read()

    def reload():
        before = open(lab.agent.process.log).read().count("was read again")
        lab.agent.process.signal(signal.SIGHUP)
        wait_until("a reload", lambda: open(lab.agent.process.log).read().count("was read again") > before)
    with lab.changed(lab.agent.conf, text.replace("www-data", "daemon")):
        reload()
        found = only(lab.web_host(), "agent-allows", "www-data", lab.id, lab.agent.conf)
        heal, then = found["remedy"].split(" && ")
        expect(then == "systemctl reload keyfleet-agent", found["remedy"])
        lab.run(["sh", "-c", heal])
        reload()
        well(lab.web_host(), "agent-allows", "handshake")
    reload()


def claim_an_agent_conf_with_a_mistake_is_named_with_its_line(lab):
    with lab.changed(lab.agent.conf, open(lab.agent.conf).read() + "nonsense = 1\n"):
        only(lab.web_host(), "agent-config", "nonsense", f"{lab.agent.conf}:")


def claim_an_agents_key_that_others_can_read_is_named(lab):
    key = lab.path("web1.key")
    with lab.changed(key, mode=0o644):
        found = only(lab.web_host(), "agent-secret", key, "0644", but=("agent-config",))
        lab.run(["sh", "-c", found["remedy"]])
        well(lab.web_host(), "agent-secret")


# -- the way to the key servers ----------------------------------------------------------------------------


def network(lab, name, expected, *words, but=(), state="FAIL", **options):
    """agent.conf with other settings in [client]."""
    text = open(lab.agent.conf).read()
    for key, value in options.items():
        text = re.sub(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
    conf = lab.write(name + ".conf", text)
    result = lab.doctor("--agent-config", conf)
    return only(result, expected, *words, but=("agent-config", *but), state=state)


def claim_each_step_on_the_way_to_a_key_server_is_told_apart(lab):
    network(lab, "port", "server-reachable", "refused", servers=f"127.0.0.1:{free_port()}")
    network(lab, "dns", "server-name", "no-such-host.invalid", servers="no-such-host.invalid:5696")
    network(lab, "host", "server-host", "keys.example.org", server_name="keys.example.org")
    network(lab, "ca", "server-authority", lab.web_ca(), ca=lab.web_ca())
    with socket.socket() as plain:
        plain.bind(("127.0.0.1", 0))
        plain.listen()

        def answer():
            with contextlib.suppress(OSError):
                peer = plain.accept()[0]
                peer.recv(1)
                peer.sendall(b"HTTP/1.0 400 no\r\n\r\n")
                peer.close()
        thread = threading.Thread(target=answer)
        thread.start()
        network(lab, "tls", "server-tls", "TLS failed", servers=f"127.0.0.1:{plain.getsockname()[1]}")
        thread.join()


def issued(lab, name, usage, offset=None, days=30):
    """A certificate of the key servers' authority that nobody enrolled."""
    ca = os.path.join(lab.server.dir, "ca")
    lab.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
             name + ".key", "-out", name + ".csr", "-subj", "/CN=" + name])
    lab.write(name + ".ext", f"extendedKeyUsage={usage}\n")
    lab.run(["openssl", "x509", "-req", "-in", name + ".csr", "-CA", ca + "/ca.pem", "-CAkey", ca + "/ca.key", "-days",
             str(days), "-extfile", name + ".ext", "-out", name + ".pem"], env=clock(offset) if offset else None)
    os.chmod(lab.path(name + ".key"), 0o600)
    return {"certificate": lab.path(name + ".pem"), "key": lab.path(name + ".key")}


def claim_certificates_of_this_host_that_are_not_accepted_are_told_apart(lab):
    network(lab, "stranger", "client-enrolled", "stranger", "client add stranger", **issued(lab, "stranger", "clientAuth"))
    lab.server.keyfleet("client", "add", "gone", "--out", lab.dir)
    lab.server.keyfleet("client", "revoke", "gone")
    network(lab, "goneconf", "client-enrolled", "gone", certificate=lab.path("gone.pem"), key=lab.path("gone.key"))
    network(lab, "role", "client-role", "extended key usage", but=("client-refused", "client-enrolled", "server-tls"),
            **issued(lab, "roleless", "serverAuth"))
    lab.server.keyfleet("client", "add", "mixed", "--out", lab.dir)
    network(lab, "pair", "client-pair", "mixed.key", but=("client-refused", "client-enrolled", "server-tls"),
            certificate=lab.path("web1.pem"), key=lab.path("mixed.key"))
    if faketime.is_installed():
        network(lab, "old", "client-valid", "has expired on", but=("client-refused", "client-enrolled"),
                **issued(lab, "old", "clientAuth", "-60d"))
        network(lab, "young", "client-valid", "is not valid before", but=("client-refused", "client-enrolled"),
                **issued(lab, "young", "clientAuth", "+9d"))


def claim_clocks_that_differ_are_told(lab):
    if b"AddressSanitizer" in open(TOOL, "rb").read():
        skip("a sanitizer that faketime does not go with")
    done = lab.run([TOOL, "--json", "doctor", "--agent-config", lab.agent.conf], check=False, env=clock("+90s"))
    found = sick(json.loads(done.stdout))
    expect("clock-agrees" in found and "behind" in found["clock-agrees"]["what"], f"{found}")


# -- settings of web servers -------------------------------------------------------------------------------


def claim_an_nginx_that_would_lose_OPENSSL_CONF_at_an_upgrade_is_named(lab):
    with lab.changed(lab.nginx.file, open(lab.nginx.file).read().replace("env OPENSSL_CONF;\n", "\n")):
        only(lab.web_host(), "nginx-upgrade", "env OPENSSL_CONF;", "USR2", state="WARN")
    well(lab.web_host(), "nginx-upgrade")


def claim_workers_without_descriptors_enough_are_named(lab):
    pid = lab.nginx.process.pid
    was = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (1024, was[1]))
    try:
        only(lab.web_host(), "worker-descriptors", "1024", "4096", "worker_connections",
             f"{lab.nginx.file}:{line_of(lab.nginx.file, 'worker_connections')}", state="WARN")
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, was)


def claim_drop_ins_that_shut_the_agent_out_are_named(lab):
    folder = lab.path("units", "nginx.service.d")
    os.makedirs(folder)
    drop_in = lab.write("units/nginx.service.d/own.conf", "[Service]\nPrivateNetwork=yes\n")
    only(lab.web_host("--units", lab.path("units")), "unit-limits", drop_in + ":2", "PrivateNetwork", state="WARN")
    lab.write("units/nginx.service.d/own.conf", "[Service]\nPrivateTmp=yes\n")
    well(lab.web_host("--units", lab.path("units")))


def claim_private_keys_that_are_left_are_named(lab):
    local = lab.local_key("left", "ec")
    web = Nginx(lab, "left", [local], lab.cnf)
    result = lab.web_host(web=web)
    found = sick(result[1])
    expect(set(found) == {"key-references", "private-key-mode"}, f"{found}")
    expect("keyfleet adopt nginx" in found["key-references"]["remedy"], f"{found}")
    web.process.stop()


def look_at(lab, kind, web, *more):
    return lab.doctor("--web", f"{kind}:{web.file}", "--agent-config", lab.agent.conf, *more)


def restarted(web, text=None, env=None):
    web.process.stop()
    if text:
        with open(web.file, "w") as f:
            f.write(text)
    if env is not None:
        web.env = env
    return web.start_process(web.process.argv)


def serves(lab, web):
    """Apache opens its sockets, and reads its configuration, once for a trial."""
    with contextlib.suppress(LabError):
        return fetch(web.port, lab.web_ca())


def claim_apache_that_was_started_without_OPENSSL_CONF_is_named(lab):
    needs("apache2")
    local = lab.local_key("apache-local", "ec")
    web = Apache(lab, "apache1", [local], None)
    wait_until("apache", lambda: serves(lab, web))
    text = open(web.file).read().replace(local.key, lab.key.key).replace(local.certificate, lab.key.certificate)
    with open(web.file, "w") as f:
        f.write(text)
    only(look_at(lab, "apache", web), "provider-env", "apache2", "/etc/apache2/envvars", f"/proc/{web.process.pid}/environ",
         but=("listener-serves",))
    restarted(web, env={"OPENSSL_CONF": lab.cnf})
    wait_until("apache", lambda: serves(lab, web))
    # Its environment tells which openssl.cnf it reads.
    well(look_at(lab, "apache", web), "provider-named", "provider-loaded", "handshake", "listener-serves")
    with lab.changed(lab.cnf, open(lab.cnf).read().replace("keyfleet = keyfleet_sect\n", "")):
        web.process.stop()
        only(look_at(lab, "apache", web, "--openssl-conf", lab.cnf), "provider-named", lab.cnf, but=("web-running",))


class Haproxy:
    """HAProxy with the provider's keywords and environment."""

    def __init__(self, lab):
        needs("haproxy")
        self.lab = lab
        self.web = HAProxy(lab, "haproxy1", [lab.key], lab.cnf)
        self.plain = open(self.web.file).read()
        self.agent = {"KEYFLEET_AGENT_SOCKET": lab.agent.socket}

    def look(self):
        return look_at(self.lab, "haproxy", self.web)

    def restart(self, providers=None, text=None, env=None):
        lines = (f"    ssl-provider-path {LIB}", "    ssl-provider default", "    ssl-provider keyfleet")
        lines = lines if providers is None else providers
        return restarted(self.web, (text or self.plain).replace("global\n", "global\n" + "".join(
            line + "\n" for line in lines)), self.agent if env is None else env)

    def rewrite(self, text):
        with open(self.web.file, "w") as f:
            f.write(text)


def claim_haproxys_own_keywords_are_looked_at(lab):
    h = Haproxy(lab)
    well(h.look(), "provider-loaded", "haproxy-async", "haproxy-timeout", "handshake", "listener-serves")
    h.restart()
    good = open(h.web.file).read()
    well(h.look(), "haproxy-provider", "haproxy-path", "handshake", "listener-serves")
    h.rewrite(good.replace("    ssl-provider keyfleet\n", ""))
    found = only(h.look(), "haproxy-provider", "No Private Key found", but=("handshake",))
    add = re.findall(r"ssl-provider (?:default|keyfleet)", found["remedy"])
    h.rewrite(good.replace("    ssl-provider default\n    ssl-provider keyfleet\n", "".join(f"    {a}\n" for a in add)))
    well(h.look(), "haproxy-provider")
    h.rewrite(good.replace(f"ssl-provider-path {LIB}", "ssl-provider-path /nowhere"))
    only(h.look(), "haproxy-path", "/nowhere", f"{h.web.file}:{line_of(h.web.file, '/nowhere')}")
    h.rewrite(good.replace("    ssl-provider default\n", ""))
    only(h.look(), "haproxy-default", f"{h.web.file}:{line_of(h.web.file, 'keyfleet')}", state="WARN")
    h.rewrite(good)
    well(h.look(), "haproxy-provider")
    h.web.process.stop()


def claim_haproxys_timeouts_and_waiting_threads_are_named(lab):
    h = Haproxy(lab)
    good = h.plain
    h.rewrite(good.replace("timeout client 10s", "timeout client 100ms"))
    found = only(h.look(), "haproxy-timeout", "100 ms", "2000 ms",
                 f"{h.web.file}:{line_of(h.web.file, 'timeout client')}", state="WARN")
    h.rewrite(good.replace("timeout client 10s", re.search(r"timeout client \S+", found["remedy"])[0]))
    well(h.look(), "haproxy-timeout")
    h.rewrite(good.replace("ssl-mode-async", ""))
    only(h.look(), "haproxy-async", "ssl-mode-async", state="WARN")
    h.web.process.stop()


def claim_a_path_socket_that_haproxys_chroot_hides_is_named(lab):
    if not IS_ROOT:
        skip("needs root to change the root")
    h = Haproxy(lab)
    path = lab.path("guest.sock")
    process, conf = own_agent(lab, "guest", "unix:" + path + ", unix:@" + os.path.basename(lab.dir) + "-guest")
    look = "--web", "haproxy:" + h.web.file, "--agent-config", conf
    h.restart(env={"KEYFLEET_AGENT_SOCKET": path})
    found = only(lab.doctor(*look), "chroot-socket", path, "/var/lib/haproxy")
    expect("agent-socket = @" in found["remedy"], found["remedy"])
    h.restart(env={"KEYFLEET_AGENT_SOCKET": "@" + os.path.basename(lab.dir) + "-guest"})
    well(lab.doctor(*look), "listener-serves", "handshake")
    h.web.process.stop()
    process.stop()


def claim_a_healthy_stunnel_is_well(lab):
    needs("stunnel")
    conf = lab.write("healthy.stunnel", stunnel_text(lab.key, free_port()))
    stunnel = Process(lab, "stunnel1", ["stunnel", conf], env={"OPENSSL_CONF": lab.cnf})
    wait_until("stunnel", lambda: stunnel.must_run() and "Configuration successful" in open(stunnel.log).read())
    well(lab.doctor("--web", "stunnel:" + conf, "--agent-config", lab.agent.conf), "provider-named", "provider-loaded",
         "pair-matches", "handshake", "listener-serves")
    stunnel.stop()


# -- a key server ------------------------------------------------------------------------------------------


def claim_a_key_servers_secrets_that_others_can_read_are_named(lab):
    for name in ("master.key", "server.key"):
        with lab.changed(os.path.join(lab.server.dir, name), mode=0o640):
            found = only(lab.key_host(), "keyserver-secret", name, "0640", but=("keyserver-config", "master-key"))
            lab.run(["sh", "-c", found["remedy"]])
            well(lab.key_host(), "keyserver-secret")


def claim_a_damaged_master_key_is_named_with_its_line(lab):
    master = os.path.join(lab.server.dir, "master.key")
    with lab.changed(master, "# mine\n2026-11 = nonsense\n"):
        only(lab.key_host(), "master-key", f"{master}:2", but=("keyserver-config",))
    well(lab.key_host(), "master-key")


def claim_a_key_server_that_does_not_run_is_named(lab):
    copy = os.path.join(lab.dir, "asleep")
    lab.keyfleet("init", copy, "--listen", f"127.0.0.1:{free_port()}")
    found = sick(lab.key_host(conf=os.path.join(copy, "keyfleetd.conf"))[1])
    expect(set(found) == {"keyserver-runs", "store-there"}, f"{found}")


def claim_a_certificate_and_a_key_of_different_servers_are_named(lab):
    other = os.path.join(lab.dir, "otherkey")
    lab.keyfleet("init", other, "--listen", "127.0.0.1:0")
    with lab.changed(os.path.join(lab.server.dir, "server.key"), open(os.path.join(other, "server.key")).read()):
        only(lab.key_host(), "keyserver-pair", "server.key", but=("keyserver-config",))


def claim_a_client_certificate_in_a_key_servers_place_is_named(lab):
    lab.server.keyfleet("client", "add", "posing", "--out", lab.dir)
    with lab.changed(os.path.join(lab.server.dir, "server.pem"), open(lab.path("posing.pem")).read()), \
            lab.changed(os.path.join(lab.server.dir, "server.key"), open(lab.path("posing.key")).read()):
        only(lab.key_host(), "keyserver-role", "clients refuse it", but=("keyserver-config",))


def claim_what_pools_of_tokens_need_is_named(lab):
    conf = os.path.join(lab.server.dir, "keyfleetd.conf")
    text = open(conf).read()
    pin = lab.write("pool.pin", "123456\n")
    os.chmod(pin, 0o644)
    with lab.changed(conf, text + f"\n[pool a]\nsocket = {lab.path('no.comm')}\npin = {pin}\n"
                                  "\n[pool b]\ndriver = pkcs11\nmodule = /no/module.so\n"):
        findings = [f for f in lab.key_host()[1] if f["id"].startswith("pool-") and f["state"] == "FAIL"]
    told = sorted(f["id"] + " " + f["what"] for f in findings)
    expect(len(told) == 3 and "no.comm" in told[0] and "/no/module.so" in told[1] and "0644" in told[2], told)


def authority(lab, name, days, offset=None):
    """A self-signed certificate for the key `web-ca`."""
    lab.write("web-ca.ext", "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n"
              "subjectKeyIdentifier=hash\n")
    lab.run(["openssl", "x509", "-req", "-in", "web-ca.csr", "-CA", "ca-root.pem", "-CAkey", "ca-root.key", "-days",
             str(days), "-extfile", "web-ca.ext", "-out", name], env=clock(offset) if offset else None)
    return open(lab.path(name)).read() + open(lab.path("ca-root.pem")).read()


def claim_what_authorities_need_is_named(lab):
    conf = os.path.join(lab.server.dir, "keyfleetd.conf")
    lab.server.keyfleet("key", "create", "web-ca", "--use", "sign,certificate-sign,crl-sign")
    lab.write("web-ca.csr", lab.server.keyfleet("key", "csr", "web-ca", "--subject", "CN=web").stdout)
    lab.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
             "ca-root.key", "-out", "ca-root.pem", "-days", "900", "-subj", "/CN=root", "-addext",
             "keyUsage=critical,keyCertSign,cRLSign"])
    chain = lab.write("web-ca.pem", authority(lab, "a.pem", 400))
    text = open(conf).read() + f"\n[ca web]\ncertificate = {chain}\nkey = web-ca\nnames = .example.org\n"
    with lab.changed(conf, text):
        set_option(conf, "health", "listen", f"127.0.0.1:{free_port()}")
        well((0, [f for f in lab.key_host()[1] if f["state"] != "WARN"]), "ca-certificate", "ca-valid")
        unseen = [f for f in lab.key_host()[1] if f["id"] == "ca-key"]
        expect([f["state"] for f in unseen] == ["UNSEEN"], unseen)
        lab.server.process.stop()
        lab.server.start()
        well(lab.key_host(), "ca-certificate", "ca-valid", "ca-key")
        with lab.changed(chain, authority(lab, "b.pem", 20)):
            found = only(lab.key_host(), "ca-expires", "[ca web]", chain, " days", state="WARN")
            expect("keyfleet key csr web-ca" in found["remedy"], found)
        with lab.changed(chain, open(chain).read()[:-60]):
            only(lab.key_host(), "ca-certificate", "part of a certificate", f"{chain}:", but=("keyserver-config",))
        strange = open(lab.path("a.pem")).read() + open(os.path.join(lab.server.dir, "ca.pem")).read()
        with lab.changed(chain, strange):
            only(lab.key_host(), "ca-certificate", "has not signed the one before", but=("keyserver-config",))
        if faketime.is_installed():
            with lab.changed(chain, authority(lab, "c.pem", 20, "-30d")):
                only(lab.key_host(), "ca-valid", "has expired on")
        lab.server.keyfleet("key", "revoke", "web-ca")
        only(lab.key_host(), "ca-key", "[ca web]", "not active", "keyfleet key create NAME --use sign,certificate-sign")
        lab.server.keyfleet("key", "destroy", "web-ca", "--yes")
        only(lab.key_host(), "ca-key", "keyfleet key create NAME")
    lab.server.process.stop()
    lab.server.start()
    well(lab.key_host(), "keyserver-config")


def claim_a_disk_without_room_for_the_audit_log_is_named(lab):
    conf = os.path.join(lab.server.dir, "keyfleetd.conf")
    audit = os.path.join(lab.server.dir, "audit")
    script = f"mount -t tmpfs -o size=64m none {audit} && {TOOL} --json doctor --server-config {conf}"
    if not IS_ROOT or lab.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", audit], check=False).returncode:
        skip("needs a mount namespace")
    done = lab.run(["unshare", "-m", "sh", "-c", script], check=False)
    found = sick(json.loads(done.stdout))
    expect(set(found) == {"audit-space"}, f"{found}")


def claim_a_backup_that_is_missing_or_old_is_named(lab):
    conf = os.path.join(lab.server.dir, "keyfleetd.conf")
    lab.server.keyfleet("backup", lab.path("today.backup"))
    well(lab.key_host(), "backup-age")
    os.mkdir(lab.path("old-audit"))
    live = os.path.join(lab.server.dir, "audit")
    last = max(name for name in os.listdir(live) if name.startswith("audit-"))
    text = open(os.path.join(live, last), "rb").read().rstrip(b"\0")
    expect(b" operation=Backup " in text, "the audit log has no backup")
    for lines, word in ((text, "the last backup was made"), (text.replace(b"operation=Backup", b"operation=Status"),
                                                             "no backup is in the audit log")):
        with open(lab.path("old-audit", "audit-0000000001.log"), "wb") as f:
            f.write(re.sub(rb"time=\d{4}", b"time=2020", lines) + b"\0" * 8192)
        with lab.changed(conf):
            set_option(conf, "audit", "directory", lab.path("old-audit"))
            only(lab.key_host(), "backup-age", word, "keyfleet backup", but=("keyserver-config",), state="WARN")


def claim_a_store_of_a_newer_keyfleet_is_named(lab):
    import sqlite3
    with contextlib.closing(sqlite3.connect(lab.path("newer.db"))) as db:
        db.execute("create table schema_version (version bigint primary key, at bigint not null)")
        db.execute("insert into schema_version values (99, 0)")
        db.commit()
    conf = os.path.join(lab.server.dir, "keyfleetd.conf")
    was = open(conf).read()
    with lab.changed(conf):
        set_option(conf, "store", "location", "sqlite:" + lab.path("newer.db"))
        only(lab.key_host(), "store-schema", "99", but=("keyserver-config",))
        with open(conf, "w") as f:
            f.write(was)


def claim_a_database_that_is_away_or_may_forget_is_named(lab):
    try:
        pg = lab.postgresql()
    except LabError as why:
        skip(str(why))
    conf = os.path.join(lab.server.dir, "keyfleetd.conf")
    with lab.changed(conf):
        set_option(conf, "store", "location", '"postgresql:' + pg.conninfo + '"')
        well(lab.key_host(), "store-database", "store-durable")
        with lab.changed(conf):
            set_option(conf, "store", "location", '"postgresql:' + pg.conninfo + ' options=-csynchronous_commit=off"')
            only(lab.key_host(), "store-durable", "synchronous_commit", "off", state="WARN")
        pg.stop()
        only(lab.key_host(), "store-database", but=("keyserver-config",))


# -- what servers print ------------------------------------------------------------------------------------


def explained(lab, text):
    done = lab.run([TOOL, "--json", "doctor", "--log", "-"], check=False, stdin=text)
    return done.returncode, json.loads(done.stdout)


def explains(lab, text, word, remedy):
    status, rows = explained(lab, text)
    expect(status == 2 and rows, f"nothing was recognised: {text}")
    expect(any(word in r["cause"] and remedy in r["remedy"] for r in rows), f"{word!r} is not told of {rows}")


def tested(lab, *argv, conf=None):
    """What a stock server prints of its configuration."""
    env = {k: v for k, v in os.environ.items() if k != "OPENSSL_CONF"}
    if conf:
        env["OPENSSL_CONF"] = conf
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, cwd=lab.dir, env=env)
    expect(done.returncode, f"{argv} found nothing wrong")
    return done.stdout + done.stderr


def nginx_of(lab, key):
    return lab.write("printed.nginx", f"pid {lab.path('printed.pid')}; error_log stderr; events {{}} http {{ server {{ "
                     f"listen 127.0.0.1:{free_port()} ssl; ssl_certificate {key.certificate}; "
                     f"ssl_certificate_key {key.key}; }} }}\n")


def haproxy_of(lab, key, options=""):
    bundle = lab.write("printed.pem", open(key.certificate).read() + open(key.key).read(), 0o600)
    return lab.write("printed.cfg", f"global\n{options}\ndefaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n"
                     f"  timeout connect 5s\nfrontend www\n  bind 127.0.0.1:{free_port()} ssl crt {bundle}\n")


def apache_of(lab, key):
    return lab.write("printed.apache", f"""ServerRoot /etc/apache2
ServerName localhost
PidFile {lab.path("printed-apache.pid")}
DefaultRuntimeDir {lab.dir}
Mutex file:{lab.dir} default
ErrorLog /dev/stderr
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
SSLRandomSeed startup builtin
Listen 127.0.0.1:{free_port()}
<VirtualHost *:*>
SSLEngine on
SSLCertificateFile {key.certificate}
SSLCertificateKeyFile {key.key}
</VirtualHost>
""")


def stunnel_text(key, port):
    return f"foreground = yes\npid =\n[https]\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:1\n" \
           f"cert = {key.certificate}\nkey = {key.key}\n"


def stunnel_of(lab, key):
    return lab.write("printed.stunnel", stunnel_text(key, free_port()))


def needs(program):
    if not shutil.which(program):
        skip(f"{program} is not installed")


def claim_nginx_without_the_provider_is_explained(lab):
    text = tested(lab, "nginx", "-t", "-c", nginx_of(lab, lab.key))
    expect("DECODER routines::unsupported" in text, text)
    explains(lab, text, "provider is not loaded", "Environment=OPENSSL_CONF")


def claim_apache_without_the_provider_is_explained(lab):
    needs("apache2")
    text = tested(lab, "apache2", "-X", "-f", apache_of(lab, lab.key))
    expect("AH02564" in text and "encrypted (?) private key" in text, text)
    explains(lab, text, "provider is not loaded", "/etc/apache2/envvars")


def claim_haproxy_without_the_provider_is_explained(lab):
    needs("haproxy")
    text = tested(lab, "haproxy", "-c", "-f", haproxy_of(lab, lab.key))
    expect("No Private Key found" in text, text)
    explains(lab, text, "provider is not loaded", "ssl-provider keyfleet")
    text = tested(lab, "haproxy", "-c", "-f", haproxy_of(
        lab, lab.key, "  ssl-provider-path /nowhere\n  ssl-provider default\n  ssl-provider keyfleet"))
    explains(lab, text, "not where HAProxy looks", "ssl-provider-path")


def claim_stunnel_without_the_provider_is_explained(lab):
    needs("stunnel")
    explains(lab, tested(lab, "stunnel", stunnel_of(lab, lab.key)), "provider is not loaded", "systemctl edit stunnel")


def claim_pairs_that_do_not_belong_together_are_explained_for_each_server(lab):
    other = lab.server.create_key("second", "ec:P-256")
    wrong = Key(lab.key.certificate, other.key)
    text = tested(lab, "nginx", "-t", "-c", nginx_of(lab, wrong), conf=lab.cnf)
    expect("key values mismatch" in text, text)
    explains(lab, text, "do not belong together", "keyfleet key ref")
    for program, argv in (("apache2", lambda: ("apache2", "-X", "-f", apache_of(lab, wrong))),
                          ("haproxy", lambda: ("haproxy", "-c", "-f", haproxy_of(lab, wrong))),
                          ("stunnel", lambda: ("stunnel", stunnel_of(lab, wrong)))):
        if shutil.which(program):
            explains(lab, tested(lab, *argv(), conf=lab.cnf), "do not belong together", "keyfleet key ref")


def claim_a_missing_default_provider_is_explained_for_nginx_apache_and_stunnel(lab):
    conf = lab.write("alone.cnf", open(lab.cnf).read().replace("default = default_sect\n", ""))
    explains(lab, tested(lab, "nginx", "-t", "-c", nginx_of(lab, lab.key), conf=conf), "default provider", "default_sect")
    for program, argv in (("apache2", lambda: ("apache2", "-X", "-f", apache_of(lab, lab.key))),
                          ("stunnel", lambda: ("stunnel", stunnel_of(lab, lab.key)))):
        if shutil.which(program):
            explains(lab, tested(lab, *argv(), conf=conf), "default provider", "default_sect")


def claim_a_damaged_reference_is_explained(lab):
    with lab.changed(lab.key.key, open(lab.key.key).read().replace("M", "N", 1)):
        explains(lab, tested(lab, "nginx", "-t", "-c", nginx_of(lab, lab.key), conf=lab.cnf), "damaged", "keyfleet key ref")


def claim_a_binary_upgrade_of_nginx_that_loses_its_environment_is_explained(lab):
    error, pid_file = lab.path("upgrade.error"), lab.path("upgrade.pid")
    conf = lab.write("upgrade.nginx", f"pid {pid_file}; error_log {error} notice;\n"
                     f"events {{}} http {{ access_log off; server {{ listen 127.0.0.1:{free_port()} ssl; "
                     f"ssl_certificate {lab.key.certificate}; ssl_certificate_key {lab.key.key}; }} }}\n")
    # A child of somebody else takes no notice of USR2: it has to be a daemon.
    lab.run([shutil.which("nginx"), "-c", conf], env={"OPENSSL_CONF": lab.cnf})
    pid = int(wait_until("nginx", lambda: os.path.exists(pid_file) and open(pid_file).read().strip()))
    try:
        os.kill(pid, signal.SIGUSR2)
        wait_until("the new master's failure", lambda: "No supported data to decode" in open(error).read())
        rows = json.loads(lab.run([TOOL, "--json", "doctor", "--log", error], check=False).stdout)
        expect(any("USR2" in r["cause"] and "env OPENSSL_CONF;" in r["remedy"] for r in rows), f"{rows}")
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_until("its end", lambda: not os.path.exists(f"/proc/{pid}/maps") or not open(f"/proc/{pid}/maps").read())


def claim_the_engine_that_is_not_initialised_is_explained(lab):
    engine = "/usr/lib/x86_64-linux-gnu/engines-3/pkcs11.so"
    text = 'cannot load certificate key "engine:pkcs11:x": ENGINE_load_private_key() failed (SSL: error:13000075:engine ' \
           'routines::not initialised)'
    explains(lab, text, "engine pkcs11", "init = 1")
    if os.path.exists(engine):
        conf = lab.write("engine.cnf", f"openssl_conf = i\n[i]\nengines = e\n[e]\npkcs11 = p\n[p]\nengine_id = pkcs11\n"
                         f"dynamic_path = {engine}\n")
        text = tested(lab, "nginx", "-t", "-c", nginx_of(lab, Key(lab.key.certificate, '"engine:pkcs11:pkcs11:token=x"')),
                      conf=conf)
        explains(lab, text, "engine pkcs11", "section of the engine")


def claim_failures_of_running_handshakes_are_explained(lab):
    """What the error log of a running server says when the agent is away."""
    broken = lab.write("away.cnf", open(lab.cnf).read().replace(lab.agent.socket, "@nobody-at-all"))
    web = Nginx(lab, "away", [lab.key], broken)
    try:
        fetch(web.port, lab.web_ca())
        raise AssertionError("a handshake without an agent succeeded")
    except LabError:
        pass
    error = lab.path("away.error")
    wait_until("the error log", lambda: os.path.exists(error) and "keyfleet" in open(error).read())
    explains(lab, open(error).read(), "nobody listens", "keyfleet-agent.socket")
    web.process.stop()


def claim_a_log_without_anything_about_keys_has_nothing_to_explain(lab):
    status, rows = explained(lab, "GET / HTTP/1.1\n\x1b[31mred\n")
    expect(status == 0 and rows == [], f"{status} {rows}")


if __name__ == "__main__":
    run(globals(), Clinic("doctor"))
