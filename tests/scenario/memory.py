#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The private keys are nowhere on the web host: not in the memory of web server and agent, not in a core dump, and
not readable in the key server's store."""
import glob
import os
import re
import subprocess

from scenario import expect, run, skip
from lab import Agent, Key, KeyServer, Lab, Nginx, fetch

WINDOW = 16  # bytes: long enough to be no accident


def secrets_of(pem_key):
    """The numbers that make the key: prime factors and exponents, in both byte orders."""
    text = subprocess.run(["openssl", "pkey", "-in", pem_key, "-text", "-noout"], capture_output=True, text=True,
                          check=True).stdout
    found, name = {}, None
    for line in text.splitlines():
        if line and not line.startswith(" "):
            name = line.split(":")[0]
            found[name] = ""
        elif name:
            found[name] += line.strip().replace(":", "")
    numbers = [bytes.fromhex(v) for k, v in found.items() if v and k in (
        "priv", "privateExponent", "prime1", "prime2", "exponent1", "exponent2", "coefficient")]
    return [piece for n in numbers for piece in (n.lstrip(b"\0"), n.lstrip(b"\0")[::-1])]


def mappings(pid):
    """[(start, end, flags)] of what a process can read."""
    found = []
    for line in open(f"/proc/{pid}/smaps"):
        span = re.match(r"([0-9a-f]+)-([0-9a-f]+) (....) .*", line)
        if span:
            found.append([int(span[1], 16), int(span[2], 16), []])
        elif line.startswith("VmFlags:"):
            found[-1][2] = line.split()[1:]
    return [m for m in found if "rd" in m[2]]


def memory_of(pid, wanted=lambda flags: True):
    """All that can be read of a process."""
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for start, end, flags in mappings(pid):
            if not wanted(flags):
                continue
            try:
                memory.seek(start)
                yield memory.read(end - start)
            except OSError:
                pass  # pages that even root may not read


def holds(pids, secrets, wanted=lambda flags: True):
    needles = [s[i:i + WINDOW] for s in secrets for i in (0, 8)]
    for pid in pids:
        for block in memory_of(pid, wanted):
            for needle in needles:
                if needle in block:
                    return pid
    return None


class Memory(Lab):
    def __enter__(self):
        super().__enter__()
        if os.geteuid() != 0:
            return self
        self.server = KeyServer(self, "kms")
        self.secrets = []
        self.keys = []
        for name, kind in (("rsa", "rsa"), ("ec", "ec")):
            local = self.local_key(name, kind)
            os.chmod(local.key, 0o600)
            self.server.keyfleet("key", "import", name, local.key)
            reference = self.write(name + ".ref", self.server.keyfleet("key", "ref", name).stdout)
            self.secrets += secrets_of(local.key)
            self.keys.append(Key(local.certificate, reference))
        self.agent = Agent(self, "agent", [self.server])
        self.nginx = Nginx(self, "nginx", self.keys, self.openssl_conf(self.agent.socket))
        for version in ("1.2", "1.3"):
            for sigalgs in ("ECDSA+SHA256", "RSA-PSS+SHA256"):
                fetch(self.nginx.port, self.web_ca(), version, sigalgs)
        return self


def need_root():
    if os.geteuid() != 0:
        skip("needs root to read other processes' memory")


def claim_the_search_finds_a_key_where_there_is_one(lab):
    """The control: a web server that holds its keys."""
    need_root()
    local = Nginx(lab, "nginx-local", [Key(lab.path("rsa.pem"), lab.path("rsa.key"))], None)
    fetch(local.port, lab.web_ca())
    expect(holds(local.process.family(), lab.secrets), "the search is blind")
    local.process.stop()


def claim_web_server_and_agent_hold_no_key(lab):
    need_root()
    for name, process in (("nginx", lab.nginx.process), ("the agent", lab.agent.process)):
        expect(not holds(process.family(), lab.secrets), f"{name} holds a private key")


def claim_core_dumps_of_the_web_server_hold_no_key(lab):
    need_root()
    if subprocess.run(["which", "gcore"], capture_output=True).returncode:
        skip("gcore is not installed")
    for pid in lab.nginx.process.family():
        lab.run(["gcore", "-o", lab.path("core"), str(pid)], check=False)
    cores = glob.glob(lab.path("core.*"))
    expect(cores, "no core dump was made")
    for core in cores:
        data = open(core, "rb").read()
        expect(not any(s[:WINDOW] in data for s in lab.secrets), f"{core} holds a private key")


def claim_the_key_server_forbids_core_dumps(lab):
    need_root()
    limits = open(f"/proc/{lab.server.process.pid}/limits").read()
    line = next(x for x in limits.splitlines() if x.startswith("Max core file size"))
    expect(line.split()[4] == "0", line)


def claim_the_key_server_holds_its_keys_in_locked_memory_alone(lab):
    """After it has used them.  Where the kernel has memfd_secret not even root reads those pages."""
    need_root()
    pid = lab.server.process.pid
    maps = open(f"/proc/{pid}/maps").read()
    expect("secretmem" in maps or holds([pid], lab.secrets, lambda flags: "lo" in flags and "dd" in flags),
           "the keys are in no locked memory that stays out of dumps")
    expect(not holds([pid], lab.secrets, lambda flags: "lo" not in flags), "memory that is not locked holds a private key")


def claim_no_key_is_left_in_the_form_it_came_in(lab):
    """Numbers in use are in this machine's byte order; those of a file, or of a message, are in the other."""
    need_root()
    encoded = lab.secrets[::2]
    expect(not holds([lab.server.process.pid], encoded), "a decoder has left a private key behind")


def claim_neither_store_nor_audit_nor_log_holds_a_key(lab):
    need_root()
    for where, _, names in os.walk(lab.server.dir):
        for name in names:
            data = open(os.path.join(where, name), "rb").read()
            expect(not any(s[:WINDOW] in data for s in lab.secrets), f"{name} holds a private key")


if __name__ == "__main__":
    run(globals(), Memory("keyfleet-memory"))
