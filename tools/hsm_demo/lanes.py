# SPDX-License-Identifier: Apache-2.0
"""lanes: web servers and what is behind them, measured one load after the other.

Virtual cards wait most of the time, so lanes with cards run side by side, each with copies of the same cards: a
matrix that took hours with real ones takes minutes.
"""
import os
import subprocess
import threading
import time

import siege
from cards import KEYS, TIMES
from lab import Key, LabError
from web import Apache, Balancer, HAProxy, Nginx, engine_environment, engine_uri

SETTLE_S = 120
ENDING = threading.Event()  # the demo was interrupted: nothing more is started
HANDSHAKES = {"TLS 1.3": ["--tlsv1.3"], "TLS 1.2": ["--tlsv1.2", "--tls-max", "1.2"]}


def certify_public(lab, name, public):
    """A certificate for a key that we do not have: neither do we sign a request with it."""
    lab.web_ca()
    lab.run(["openssl", "x509", "-new", "-force_pubkey", public, "-CA", "webca.pem", "-CAkey", "webca.key", "-subj",
             "/CN=localhost", "-days", "30", "-extfile", "leaf.ext", "-out", name])
    return lab.path(name)


def local_key(lab, key):
    """On the web host, as everybody has it."""
    options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if key == "p256" else ["-newkey", "rsa:" + key[3:]]
    lab.run(["openssl", "req", "-new", *options, "-nodes", "-keyout", f"local-{key}.key", "-out", f"local-{key}.csr",
             "-subj", "/CN=localhost"], timeout=300)
    os.chmod(lab.path(f"local-{key}.key"), 0o644)
    return Key(lab.certify(f"local-{key}.csr", f"local-{key}.pem"), lab.path(f"local-{key}.key"))


def page(lab, port, timeout=SETTLE_S, path="/", options=()):
    """Fetches one page over a connection of its own; seconds."""
    began = time.monotonic()
    done = subprocess.run(["curl", "-sS", "--fail", "--cacert", lab.web_ca(), "--ciphers", "DEFAULT@SECLEVEL=0", *options,
                           "--max-time", str(timeout), f"https://localhost:{port}{path}"], capture_output=True, text=True,
                          timeout=timeout + 10)
    if done.returncode:
        raise LabError(f"port {port}: {done.stderr.strip()}")
    return time.monotonic() - began


class Lane:
    """One row of the tables: `kind`, how many HSMs, which key."""

    def __init__(self, lab, site, kind, hsms, key):
        self.lab, self.site, self.kind, self.hsms, self.key = lab, site, kind, hsms, key
        self.name = f"{kind}{hsms or ''}-{key}"
        self.go_on()
        self.webs, self.cards = [], None
        self.service_s = TIMES["ec" if key == "p256" else key] / 1000 if hsms else 0.0

    @staticmethod
    def go_on():
        if ENDING.is_set():
            raise LabError("interrupted")

    def serve(self, make, keys, env, count=1):
        """`count` web servers behind HAProxy in TCP mode."""
        self.webs = [make(self.lab, f"{self.name}-{i + 1}", keys, env, self.site) for i in range(count)]
        self.balancer = Balancer(self.lab, f"{self.name}-balancer", self.webs)
        self.settle()

    def settle(self):
        """What a run left in queues is not the next one's: until a page takes as long as it does alone."""
        end = time.monotonic() + SETTLE_S
        while page(self.lab, self.balancer.port) > 1.5 * self.service_s + 0.2:
            self.go_on()
            if time.monotonic() > end:
                raise LabError(f"{self.name} does not come to rest")

    def measure(self, cell, seconds, times):
        runs = []
        for _ in range(times):
            self.go_on()
            go = siege.run if self.hsms or cell in siege.PACED else siege.run_counted
            runs.append(go(self.lab, self.balancer.port, cell, seconds))
            self.rest()
        return siege.best(runs)

    def rest(self):
        self.settle()

    def run(self, results, cells, seconds, times):
        for cell in cells:
            results.cells[self.kind, self.hsms, self.key, cell] = self.measure(cell, seconds, times)

    def end(self):
        self.stop()

    def stop(self):
        """The web servers."""
        for process in (self.balancer.process, *(web.process for web in self.webs)):
            process.kill()
            process.stop()


class LocalLane(Lane):
    def __init__(self, lab, site, key):
        super().__init__(lab, site, "local", 0, key)
        self.serve(Apache, [local_key(lab, key)], {})


class OpenscLane(Lane):
    """Apache as Debian has it, with OpenSSL's engine of libp11 and OpenSC's module."""

    def __init__(self, lab, site, cards, key, make=Apache):
        super().__init__(lab, site, "opensc", 1, key)
        self.cards, self.make = cards.copy(self.name, 1), make
        self.env = engine_environment(lab, self.cards)
        uri = ("engine:pkcs11:" if make is Nginx else "") + engine_uri(KEYS[key][1])
        self.keys = [Key(certify_public(lab, self.name + ".pem", cards.publics[key]), uri)]
        self.serve(make, self.keys, self.env)

    def rest(self):
        """Threads that wait for a card do not see that their visitor left; so a fresh start."""
        self.go_on()
        self.stop()
        self.serve(self.make, self.keys, self.env)

    def end(self):
        self.stop()
        self.cards.stop()


def try_stock_servers(lab, site, cards, key):
    """What Debian's web servers do with OpenSC's module; one line each."""
    once = cards.copy("opensc-stock", 1)
    env = engine_environment(lab, once)
    certificate = certify_public(lab, "opensc-stock.pem", cards.publics[key])
    for make, prefix in ((Apache, ""), (Nginx, "engine:pkcs11:")):
        web = make(lab, f"opensc-{make.__name__.lower()}", [Key(certificate, prefix + engine_uri(KEYS[key][1]))], env, site)
        took = page(lab, web.port)
        yield f"{make.__name__}: serves by OpenSSL's engine pkcs11 (libengine-pkcs11-openssl) and `{prefix}pkcs11:...` as " \
              f"its key; a page took {took:.2f} s. The PIN is in a file that it reads"
        web.process.stop(1)
    conf = lab.write("opensc.haproxy.cfg", "global\n    ssl-engine pkcs11\n")
    done = lab.run(["haproxy", "-c", "-f", conf], check=False, env=env)
    said = next((line[line.find("unknown"):] for line in (done.stderr + done.stdout).splitlines() if "ssl-engine" in line), "")
    if done.returncode == 0:
        raise LabError("HAProxy knows ssl-engine now: measure it")
    yield f"HAProxy: does not work; Debian builds it without engines, and a key is always a file (`{said}`)"
    once.stop()
