# SPDX-License-Identifier: Apache-2.0
"""probe: one token by its driver alone (tests/tools/token_probe.c), in a process that lives as long as we like.

    with Probe(lab, "pkcs11", "--module", M, "--token", "t1", "--pin-file", pin, env=environment) as token:
        token.ask("generate rsa:2048 www")
        expect(token.error("sign www ecdsa SHA256") == "BAD_PARAMETERS", "...")
"""
import os
import subprocess
import threading

PROGRAM = os.path.join(os.environ.get("BUILD", "build"), "tests", "token_probe")


class Probe:
    def __init__(self, lab, driver, *options, env=None, deadline=60):
        self.lab, self.deadline = lab, deadline
        self.child = subprocess.Popen(
            [PROGRAM, "--driver", driver, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, env={**os.environ, **(env or {})}, cwd=lab.dir, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Its exit status."""
        self.child.stdin.close()
        timer = threading.Timer(self.deadline, self.child.kill)
        timer.start()
        self.child.stdout.read()
        self.child.stdout.close()
        timer.cancel()
        return self.child.wait()

    def send(self, command):
        self.child.stdin.write(command + "\n")
        self.child.stdin.flush()

    def receive(self):
        """Lines of the answer, the last one "ok" or "error CODE: text"."""
        timer = threading.Timer(self.deadline, self.child.kill)
        timer.start()
        lines = []
        try:
            while not lines or (lines[-1] != "ok" and not lines[-1].startswith("error ")):
                line = self.child.stdout.readline()
                if not line:
                    raise AssertionError(f"the probe ended: {lines}")
                lines.append(line.rstrip("\n"))
        finally:
            timer.cancel()
        return lines

    def try_(self, command):
        self.send(command)
        return self.receive()

    def ask(self, command):
        """What it answers; fails unless that is well."""
        lines = self.try_(command)
        if lines[-1] != "ok":
            raise AssertionError(f"{command}: {lines[-1]}")
        return lines[:-1]

    def error(self, command):
        """The code of its error, or "" if there was none."""
        last = self.try_(command)[-1]
        return "" if last == "ok" else last.split()[1].rstrip(":")

    def facts(self):
        return dict(line.split(" ", 1) for line in self.ask("facts"))

    def keys(self):
        """label: line"""
        return {line.split('label="')[1].split('"')[0]: line for line in self.ask("list")}
