# SPDX-License-Identifier: Apache-2.0
"""machine: Debian machines of a test, each a bare Debian in a folder of its own with its services.

A machine is an overlay over what debootstrap makes, in a mount and PID namespace of its own: whatever ends, all of it
ends.  All machines of a test share one network that is not the host's: what listens there, abstract sockets too,
meets nobody else's.  No systemd can run in it; `systemctl` is service-manager's.
"""
import contextlib
import ctypes
import glob
import os
import re
import shutil
import subprocess
import sys

from lab import LabError

TOOLS = os.path.dirname(os.path.abspath(__file__))
CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
libc = ctypes.CDLL(None, use_errno=True)

INIT = """
import ctypes, os, signal, subprocess, sys
root, base, upper, work, tools = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(1, signal.SIGKILL)  # with the test, however that ends
def mount(source, target, kind, options=None):
    subprocess.run(["mount", *(["-t", kind] if kind else []), *(["-o", options] if options else []), source, target],
                   check=True)
assert libc.unshare(0x20020000) == 0, "namespaces"
child = os.fork()
if child:
    print(child, flush=True)
    os.waitpid(child, 0)
    sys.exit()
libc.prctl(1, signal.SIGKILL)
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
mount("overlay", root, "overlay", f"lowerdir={base},upperdir={upper},workdir={work}")
mount("proc", root + "/proc", "proc")
mount("/dev", root + "/dev", None, "bind")
mount("/sys", root + "/sys", None, "bind,ro")
mount("none", root + "/run", "tmpfs", "mode=0755")
for folder in ("/run/systemd/system", "/run/lock"):
    os.makedirs(root + folder, exist_ok=True)
print("ready", flush=True)
os.execv(sys.executable, [sys.executable, tools + "/service-manager", root])
"""


def network_of_our_own():
    """For this process and all machines that it starts; returns a descriptor of the one it left."""
    before = os.open("/proc/self/ns/net", os.O_RDONLY)
    if libc.unshare(CLONE_NEWNET):
        raise LabError("no network namespace: root is needed")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    return before


def mirror():
    """Where this machine's own apt gets Debian from, and what it calls its suite."""
    for path in ["/etc/apt/sources.list", *glob.glob("/etc/apt/sources.list.d/*")]:
        with contextlib.suppress(OSError):
            text = re.sub(r"(?m)^\s*#.*\n?", "", open(path).read())
            for block in text.split("\n\n"):
                uris, suites = re.search(r"(?m)^URIs:\s*(\S+)", block), re.search(r"(?m)^Suites:\s*(\S+)", block)
                if uris and suites and re.fullmatch(r"[a-z]+", suites[1]) and uris[1].rstrip("/").endswith("debian"):
                    return uris[1]
            found = re.search(r"(?m)^deb\s+(?:\[.*?\]\s+)?(\S+/debian/?)\s+[a-z]+\s", text)
            if found:
                return found[1]
    raise LabError("this machine's apt has no Debian mirror")


def debian(lab, suite, original_network):
    """A bare Debian, made by debootstrap; $KEYFLEET_CHROOTS is where it is kept for next time."""
    kept = os.environ.get("KEYFLEET_CHROOTS")
    base = os.path.join(kept, "keyfleet-chroot-" + suite) if kept else lab.path("debian-" + suite)
    if not os.path.exists(base + "/etc/debian_version"):
        lab.run(["nsenter", f"--net=/proc/{os.getpid()}/fd/{original_network}", "debootstrap", suite, base, mirror()],
                timeout=900)
    return base


class Machine:
    def __init__(self, lab, name, base, original_network):
        self.lab, self.name, self.network = lab, name, original_network
        for part in ("", "-upper", "-work"):
            os.mkdir(lab.path(name + part))
        self.init = subprocess.Popen(
            [sys.executable, "-c", INIT, lab.path(name), base, lab.path(name + "-upper"), lab.path(name + "-work"), TOOLS],
            stdout=subprocess.PIPE, stderr=open(lab.path(name + ".log"), "w"), text=True)
        self.pid = int(self.init.stdout.readline() or 0)
        if self.init.stdout.readline() != "ready\n":
            raise LabError(f"{name} does not start: " + open(lab.path(name + ".log")).read())
        self.root = f"/proc/{self.pid}/root{lab.path(name)}"
        shutil.copy(TOOLS + "/systemctl", self.root + "/usr/local/bin/systemctl")
        for file in ("/etc/resolv.conf", "/etc/hosts"):
            shutil.copy(file, self.root + file)
        self.write("/etc/hostname", name + "\n")
        proxy = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=True).stdout
        self.write("/etc/apt/apt.conf.d/90host", f'DPkg::Path "{PATH}";\nDPkg::Use-Pty "false";\n' + "".join(
            l + "\n" for l in proxy.splitlines() if "::Proxy" in l))
        lab.processes.append(self)

    # What Lab asks of a process.
    def stop(self, _seconds=0):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, 9)
        self.init.wait()

    def tail(self, lines=6):
        with contextlib.suppress(OSError):
            return " | ".join(self.read("/var/log/units.log").splitlines()[-lines:])
        return ""

    def write(self, path, text, mode=0o644):
        os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
        with open(self.root + path, "w") as f:
            f.write(text)
        os.chmod(self.root + path, mode)

    def read(self, path):
        return open(self.root + path).read()

    def run(self, command, check=True, online=False, timeout=300):
        """A command of the machine's shell; online: in the network that leads to the mirror."""
        net = [f"--net=/proc/{os.getpid()}/fd/{self.network}"] if online else []
        done = subprocess.run(
            ["nsenter", f"--mount=/proc/{self.pid}/ns/mnt", f"--pid=/proc/{self.pid}/ns/pid", *net,
             "chroot", self.lab.path(self.name), "/bin/bash", "-c", command],
            env={"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
        if check and done.returncode:
            raise LabError(f"{self.name}: {command}: status {done.returncode}: {(done.stderr + done.stdout)[-1500:]}")
        return done

    def apt(self, *arguments):
        return self.run("apt-get -qq -y " + " ".join(arguments), online=True, timeout=900)
