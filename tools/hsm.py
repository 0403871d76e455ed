# SPDX-License-Identifier: Apache-2.0
"""hsm: virtual SmartCard-HSMs and private pcscds for the lab: what demos and tests of tokens begin with.

    with Lab() as lab:
        cards = VirtualCards(lab, 3)
        pcscd = Pcscd(lab, cards)
        lab.run(["sc-hsm-tool", "--reader", "0"], env=pcscd.environment)
        cards.tell("card", "2", "unplug")
"""
import contextlib
import os
import shutil
import socket
import subprocess

from lab import BIN, LIB, Process, wait_until

PATH = os.environ["PATH"] + ":/usr/sbin"
DRIVER = os.path.join(LIB, "libifdvhsm.so")
READERS_MAX = 16  # of one pcscd: fixed when it is compiled
# A namespace of mounts, in which we are root.
PRIVATE = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]


def missing(*programs):
    """Why there can be no private pcscd here; None when there can."""
    for program in ("pcscd", "unshare", *programs):
        if not shutil.which(program, path=PATH):
            return f"{program} is not installed"
    if not os.path.exists(DRIVER):
        return "libifdvhsm.so was not built (libpcsclite-dev)"
    if subprocess.run([*PRIVATE, "mount", "-t", "tmpfs", "none", "/run"], capture_output=True, check=False).returncode:
        return "a private pcscd needs leave to make a mount namespace"
    return None


class VirtualCards:
    """One `vhsm` with blank cards, numbered from 1; `times` as its --time, such as "rsa2048=660,ec=240"."""

    def __init__(self, lab, count, name="vhsm", times=None):
        self.lab, self.count, self.name, self.times = lab, count, name, times
        self.socket = lab.path(name + ".sock")
        self.readers = lab.path(name + ".readers")
        self.starts = 0
        os.makedirs(self.readers, exist_ok=True)
        self.start()

    def start(self):
        self.starts += 1
        self.process = Process(self.lab, self.name, [
            os.path.join(BIN, "vhsm"), "--dir", self.lab.path(self.name + ".cards"), "--cards", str(self.count),
            "--socket", self.socket, "--readers", os.path.join(self.readers, "reader.conf"), "--driver", DRIVER,
            *(["--time", self.times] if self.times else [])])
        wait_until("vhsm", lambda: self.process.tail(1000).count("cards at") == self.starts)

    def tell(self, *words):
        """As `vhsm ctl`: "card", "2", "unplug"; its output."""
        return self.lab.run([os.path.join(BIN, "vhsm"), "ctl", self.socket, *words]).stdout


class Pcscd:
    """A pcscd that serves these cards to whoever has its environment, and that nobody else sees: its socket is
    handed over to it, and it has a /run of its own."""

    def __init__(self, lab, cards, name="pcscd"):
        self.lab, self.cards, self.name = lab, cards, name
        self.socket = lab.path(name + ".sock")
        self.environment = {"PCSCLITE_CSOCK_NAME": self.socket}
        self.start()

    def start(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.socket)
            listener.listen(64)
            self.process = Process(self.lab, self.name, [
                *PRIVATE, "sh", "-c",
                'mount -t tmpfs none /run && mkdir /run/pcscd && LISTEN_PID=$$ exec "$@"', "sh",
                shutil.which("pcscd", path=PATH), "--foreground", "--config", self.cards.readers], listener=listener)

    def reader(self, card):
        """The name of this card's reader, as pcscd makes it."""
        return f"vhsm {card} {card - 1:02X} 00"
