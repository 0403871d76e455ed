#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the daemons owe a service manager: readiness, watchdog, credentials, a status that says whether to try again."""
import contextlib
import ctypes
import os
import re
import shutil
import socket

from scenario import expect, run, skip
from lab import BIN, ROOT, Agent, KeyServer, Lab, set_option, wait_until

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WAIT_EVERY_THREAD = 0x40000000  # __WALL
EPOLL = {"x86_64": ("232", "281", "441"), "aarch64": ("22", "441")}.get(os.uname().machine, ())  # epoll_*wait*
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


class Manager:
    """The socket that a service manager listens on."""

    def __init__(self, lab, name):
        self.path = lab.path(name)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(20)

    def next(self):
        return self.socket.recv(4096).decode()

    def hears(self, word, seconds):
        """Whether it comes within the time."""
        self.socket.settimeout(seconds)
        with contextlib.suppress(socket.timeout):
            while True:
                if word in self.next():
                    return True
        return False

    def forget(self):
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.socket.recv(4096)


@contextlib.contextmanager
def frozen(thread):
    """A thread that does not come round, while the others of its process go on."""
    if libc.ptrace(PTRACE_SEIZE, thread, None, None):
        skip("threads may not be stopped here")
    libc.ptrace(PTRACE_INTERRUPT, thread, None, None)
    os.waitpid(thread, WAIT_EVERY_THREAD)
    try:
        yield
    finally:
        libc.ptrace(PTRACE_DETACH, thread, None, None)


def claim_a_server_that_is_ready_says_so_and_feeds_the_watchdog(lab):
    lab.server = KeyServer(lab, "ks1", options={("server", "loops"): "2"})
    lab.server.process.stop()
    lab.manager = Manager(lab, "notify")
    lab.server.start(env={"NOTIFY_SOCKET": lab.manager.path, "WATCHDOG_USEC": "1000000"})
    expect(lab.manager.hears("READY=1", 20), "READY=1 did not come")
    expect(lab.manager.hears("WATCHDOG=1", 20), "WATCHDOG=1 did not come")


def waits_in_epoll(pid, thread):
    with contextlib.suppress(OSError):
        return open(f"/proc/{pid}/task/{thread}/syscall").read().split()[0] in EPOLL
    return False


def claim_a_loop_that_is_stuck_starves_the_watchdog(lab):
    pid = lab.server.process.pid
    loops = [t for t in map(int, os.listdir(f"/proc/{pid}/task")) if t != pid and waits_in_epoll(pid, t)]
    if not loops:
        skip("which thread is a loop cannot be seen here")
    with frozen(loops[0]):
        wait_until("the server to notice", lambda: "is stuck" in open(lab.server.process.log).read(), 30)
        lab.manager.forget()
        expect(not lab.manager.hears("WATCHDOG=1", 2), "the watchdog is fed all the same")
    lab.manager.forget()
    expect(lab.manager.hears("WATCHDOG=1", 20), "the watchdog stays starved when the loop goes on")


def claim_no_memory_of_a_daemon_is_dumped(lab):
    lab.agent = Agent(lab, "web1", [lab.server])
    for process in (lab.server.process, lab.agent.process):
        limits = open(f"/proc/{process.pid}/limits").read()
        expect(re.search(r"Max core file size +0 +0 ", limits), limits)


def claim_a_server_takes_its_secrets_as_credentials(lab):
    """Neither the master keys nor the TLS key lie in the daemon's folder."""
    lab.server.process.stop()
    os.mkdir(lab.path("credentials"), 0o700)
    conf = os.path.join(lab.server.dir, "keyfleetd.conf")
    for name, (section, option) in {"server.key": ("tls", "key"), "master.key": ("store", "master_key")}.items():
        shutil.move(os.path.join(lab.server.dir, name), lab.path("credentials", name))
        os.chmod(lab.path("credentials", name), 0o440)  # as systemd's access lists look
        set_option(conf, section, option, "credential:" + name)
    lab.server.start(env={"CREDENTIALS_DIRECTORY": lab.path("credentials")})
    lab.server.keyfleet("key", "create", "www", "--type", "ec:P-256")


def claim_a_server_without_its_credentials_says_what_is_missing(lab):
    done = lab.run([os.path.join(BIN, "keyfleetd"), "--check", "--config",
                    os.path.join(lab.server.dir, "keyfleetd.conf")], check=False)
    expect(done.returncode and "LoadCredential" in done.stderr, done.stderr)


def claim_an_agent_takes_its_key_as_a_credential(lab):
    lab.agent.process.stop()
    shutil.move(lab.path("web1.key"), lab.path("credentials", "agent.key"))
    set_option(lab.agent.conf, "client", "key", "credential:agent.key")
    os.environ["CREDENTIALS_DIRECTORY"] = lab.path("credentials")
    try:
        lab.agent.start()
    finally:
        del os.environ["CREDENTIALS_DIRECTORY"]


def status_of(lab, program, conf, *options):
    return lab.run([os.path.join(BIN, program), "--config", conf, *options], check=False, timeout=20).returncode


def claim_mistakes_in_a_file_have_a_status_that_units_do_not_restart_for(lab):
    """They do not go away by themselves; a certificate that is missing may."""
    for unit in ("keyfleetd", "keyfleet-agent"):
        text = open(os.path.join(ROOT, f"packaging/systemd/{unit}.service.in")).read()
        expect("\nRestartPreventExitStatus=78\n" in text, unit + " is restarted for ever")
    lab.agent.process.stop()
    lab.server.process.stop()
    for program, conf in (("keyfleet-agent", lab.agent.conf), ("keyfleetd", os.path.join(lab.server.dir, "keyfleetd.conf"))):
        wrong = lab.write(program + ".wrong", open(conf).read() + "\n[tpyo]\n")
        got = [status_of(lab, program, wrong), status_of(lab, program, wrong, "--check")]
        expect(got == [78, 1], f"{program}: {got}")
    rule = lab.write("rule.conf", open(lab.agent.conf).read() + "\n[allow else]\noperations = sing\n")
    expect(status_of(lab, "keyfleet-agent", rule) == 78, "an operation that does not exist")


def claim_what_a_file_names_may_come_later(lab):
    set_option(lab.agent.conf, "client", "key", lab.path("credentials", "agent.key"))
    os.rename(lab.path("web1.pem"), lab.path("later.pem"))
    expect(status_of(lab, "keyfleet-agent", lab.agent.conf) == 1, "a certificate that is not there yet is no mistake")
    os.rename(lab.path("later.pem"), lab.path("web1.pem"))


run(globals(), Lab("kf-service"))
