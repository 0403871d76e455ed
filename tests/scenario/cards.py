# SPDX-License-Identifier: Apache-2.0
"""cards: a key server with virtual SmartCard-HSMs in its pool `main`."""
import os

from hsm import Pcscd, VirtualCards, missing
from lab import KeyServer, Lab
from token_wire import Admin

PIN = "648219"


class Cards(Lab):
    """why_not says why there are none; else set_up() has been called, which calls insert()."""

    def __enter__(self):
        super().__enter__()
        self.why_not = missing()
        if not self.why_not:
            self.set_up()
        return self

    def insert(self, n, **server):
        self.cards = VirtualCards(self, n)
        self.pcscd = Pcscd(self, self.cards)
        self.pin = self.write("pin", PIN + "\n", 0o600)
        self.server = KeyServer(self, "keys", **server)
        self.server.process.stop()
        self.pool(self.server, "main")
        self.server.start()
        self.admin = Admin(self.server)

    def pool(self, server, name, **options):
        lines = {"pin": self.pin, "socket": self.pcscd.socket, **options}
        with open(os.path.join(server.dir, "keyfleetd.conf"), "a") as f:
            f.write(f"\n[pool {name}]\n" + "".join(f"{k} = {v}\n" for k, v in lines.items()))
