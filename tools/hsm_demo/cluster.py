# SPDX-License-Identifier: Apache-2.0
"""cluster: a key server whose keys are on SmartCard-HSMs, and the agent of its web hosts."""
import os

from cards import KEYS, PIN
from lab import LIB, Agent, Key, KeyServer, set_option, wait_until
from lanes import HANDSHAKES, Lane, certify_public, page
from web import CIPHERS, Apache, HAProxy, Nginx

PATIENCE_S = 100  # sixty visitors of one card wait 40 s
WEB_SERVERS = {"keyfleet": Apache, "nginx": Nginx, "haproxy": HAProxy}


class PatientAgent(Agent):
    def start(self, env=None):
        set_option(self.conf, "agent", "deadline", f"{PATIENCE_S}s")
        set_option(self.conf, "client", "timeout", f"{PATIENCE_S}s")
        super().start(env)


class Cluster:
    def __init__(self, lab, name, cards, count):
        self.lab, self.name, self.cards = lab, name, cards
        pin = lab.write(name + ".pin", PIN + "\n", 0o600)
        pool = {"driver": "smartcard-hsm", "socket": cards.pcscd.socket, "pin": pin}
        self.server = KeyServer(lab, name + "-kms", options={
            ("server", "legacy_rsa_1024"): "yes", **{("pool hsm", option): value for option, value in pool.items()}})
        wait_until(f"{count} tokens to serve", lambda: self.serving() == count, 60)
        self.agent = PatientAgent(lab, name + "-agent", [self.server])

    def serving(self):
        return sum(row["state"] == "serving" for row in self.server.keyfleet_json("token", "list"))

    def environment(self):
        """For web servers: loads the provider, and lets RSA-1024 be (HAProxy has no keyword for that)."""
        conf = self.lab.write(self.name + ".cnf", f"""openssl_conf = openssl_init
[openssl_init]
providers = provider_sect
ssl_conf = ssl_sect
[ssl_sect]
system_default = system_default_sect
[system_default_sect]
CipherString = {CIPHERS}
[provider_sect]
default = default_sect
keyfleet = keyfleet_sect
[default_sect]
activate = 1
[keyfleet_sect]
module = {LIB}/keyfleet.so
agent-socket = {self.agent.socket}
agent-uid = {os.geteuid()}
deadline-ms = {PATIENCE_S * 1000}
activate = 1
""")
        return {"OPENSSL_CONF": conf}

    def adopt(self, key):
        """An object for a key that the cards hold, its reference and a certificate for it."""
        self.server.keyfleet("key", "restore", self.cards.backups[key], "--all", "--name", key, "--pool", "hsm")
        reference = self.lab.write(f"{self.name}-{key}.ref", self.server.keyfleet("key", "ref", key).stdout)
        return Key(certify_public(self.lab, f"{self.name}-{key}.pem", self.cards.publics[key]), reference)

    def stop(self):
        for process in (self.agent.process, self.server.process):
            process.stop()


class PoolLane(Lane):
    """As many web servers as HSMs, as in 2016; but each uses all of them."""

    def __init__(self, lab, site, cards, kind, hsms, key):
        super().__init__(lab, site, kind, hsms, key)
        self.cards = cards.copy(self.name, hsms)
        self.cluster = Cluster(lab, self.name, self.cards, hsms)
        self.keys, self.env = [self.cluster.adopt(key)], self.cluster.environment()
        self.serve(WEB_SERVERS[kind], self.keys, self.env, hsms if kind == "keyfleet" else 1)
        for web in self.webs:
            for options in HANDSHAKES.values():
                page(lab, web.port, options=options)
                page(lab, web.port, path="/page.php", options=options)

    def end(self):
        self.stop()
        self.cluster.stop()
        self.cards.stop()
