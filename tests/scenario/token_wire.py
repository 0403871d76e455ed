# SPDX-License-Identifier: Apache-2.0
"""token_wire: an administrator who says to a key server what docs/wire.md has for tokens."""
import os

from ttlv import Wire, enum, find, int_, item, items_of, octets, reason, request, status, struct_, text

LIST, KEYS, ACTION, TRANSFER, ADOPT = 0x806B660A, 0x806B660B, 0x806B660C, 0x806B660D, 0x806B660E
INIT, DRAIN, RESUME, IDENTIFY, CHANGE_PIN, IMPORT_SHARE = 1, 2, 3, 4, 5, 6
CLONE, BACKUP, DELETE = 1, 2, 3
NAME, USAGE, UID = 0x420055, 0x42002C, 0x420094


class Refused(Exception):
    """The reason is args[0]."""


def facts(items):
    """Pairs as a dictionary; of a name that is there twice the last."""
    return {find([i], 0x540012).decode(): find([i], 0x540013).decode() for i in items if i[0] == 0x540011}


class Admin:
    def __init__(self, server, first=None):
        """`first`: the key server of the store in whose folder the administrator's files are."""
        where = (first or server).dir
        self.where = (server.port, os.path.join(where, "ca.pem"), os.path.join(where, "admin.pem"),
                      os.path.join(where, "admin.key"))

    def ask(self, code, payload, request_id=None):
        extension = b""
        if request_id:
            extension = struct_(0x420051, text(0x42009D, "keyfleet"), item(0x420026, 6, bytes(8)),
                                struct_(0x42009C, octets(0x540001, request_id)))
        with Wire(*self.where) as wire:
            wire.tls.settimeout(60)
            body = request(code, payload)
            if extension:  # behind the payload of the only item
                inner = struct_(0x42000F, enum(0x42005C, code), item(0x420079, 1, payload), extension)
                body = struct_(0x420078, struct_(0x420077, struct_(0x420069, int_(0x42006A, 2), int_(0x42006B, 1)),
                                                 int_(0x42000D, 1)), inner)
            answer = items_of(wire.ask(body))[0]
        if status(answer) != 0:
            raise Refused(reason(answer) & 0xFFFFFFFF, find(answer, 0x42007D))
        return find(answer, 0x42007C) or []

    def tokens(self):
        """By serial number."""
        found = self.ask(LIST, int_(0x540017, 0) + int_(0x42004F, 0))
        return {find(t, 0x540025).decode(): {"pool": find(t, 0x540024).decode(), **facts(t)}
                for tag, t in found if tag == 0x540023}

    def keys(self):
        """By label."""
        found = self.ask(KEYS, int_(0x540017, 0) + int_(0x42004F, 0))
        rows = [{"pool": find(k, 0x540024).decode(), "id": find(k, 0x54002E), **facts(k)}
                for tag, k in found if tag == 0x54002D]
        return {row["label"]: row for row in rows}

    def act(self, kind, serial, *more):
        """More fields, in the order of docs/wire.md."""
        return facts(self.ask(ACTION, int_(0x540026, kind) + text(0x540025, serial) + b"".join(more)))

    def init(self, serial, label, shares=1, force=False, tries=0, pin=b"648219"):
        return self.act(INIT, serial, octets(0x540027, pin), octets(0x540029, b"3537363231383830"),
                        text(0x54002A, label), int_(0x54002B, shares), int_(0x540031, tries) if tries else b"",
                        item(0x540034, 6, (1).to_bytes(8, "big")) if force else b"")

    def transfer(self, kind, uid, *serials):
        return self.ask(TRANSFER, int_(0x540026, kind) + text(UID, uid) + b"".join(text(0x540025, s) for s in serials))

    def adopt(self, pool, name, key_id=None, blob=None, copies=0, request_id=None):
        """The private key's identifier."""
        answer = self.ask(ADOPT, text(0x540024, pool) + (octets(0x54002E, key_id) if key_id else octets(0x54002F, blob))
                          + text(NAME, name) + (int_(0x540030, copies) if copies else b"")
                          + item(0x540033, 6, bytes(8)), request_id)
        return find(answer, 0x420066).decode()

    def get(self, uid):
        return self.ask(0x0A, text(UID, uid))

    def register_token_key(self, name):
        """What no client may: an object that says its key is on tokens."""
        block = struct_(0x420040, enum(0x420042, 0x806B6601), struct_(0x420045, octets(0x420043, bytes(80))))
        return self.ask(0x03, enum(0x420057, 4) + struct_(0x420125, struct_(0x420053, text(NAME, name),
                        enum(0x420054, 1)), int_(USAGE, 1)) + struct_(0x420064, block))

    def create(self, pool, name, copies=0, bits=None, request_id=None):
        """P-256, or RSA with so many bits."""
        kind = enum(0x420028, 4) + int_(0x42002A, bits) if bits else enum(0x420028, 6) + struct_(
            0x420029, enum(0x420075, 7))
        def own(key, value):
            return struct_(0x420008, text(0x42009D, "keyfleet"), text(0x42000A, key), text(0x42000B, value))
        answer = self.ask(0x02, struct_(0x420126, kind) + struct_(0x420127, struct_(0x420053, text(NAME, name), enum(0x420054, 1)), int_(USAGE, 1),
                                    item(0x420001, 9, (1).to_bytes(8, "big")), own("pool", pool),
                                    own("copies", str(copies)) if copies else b"")
                          + struct_(0x420128, int_(USAGE, 2), item(0x420001, 9, (1).to_bytes(8, "big"))), request_id)
        return find(answer, 0x420066).decode()
