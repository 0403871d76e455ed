#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a KMIP client does with keys that tokens hold is what it does with others: made, used, wrapping, replaced,
destroyed; only that nobody gets them.  On SmartCard-HSMs, and on tokens behind PKCS#11."""
import glob
import os
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from scenario import expect, run, skip
from pkcs11_token import SOFTHSM
from token_wire import IMPORT_SHARE, NAME, UID, USAGE, Admin, Refused
from hsm import Pcscd, VirtualCards, missing
from lab import KeyServer, Lab, wait_until
from ttlv import Wire, enum, find, int_, item, items_of, octets, reason, request, status, struct_, text

CREATE, REKEY, DERIVE, MAC, MAC_VERIFY = 0x01, 0x04, 0x05, 0x23, 0x24
CREATE_PAIR, REGISTER, REKEY_PAIR, GET, REVOKE, DESTROY = 0x02, 0x03, 0x1D, 0x0A, 0x13, 0x14
DECRYPT, ENCRYPT, SIGN, VERIFY, IMPORT, EXPORT = 0x20, 0x1F, 0x21, 0x22, 0x2A, 0x2B
RSA, AES = 4, 3
SIGNS, VERIFIES, ENCRYPTS, DECRYPTS, WRAPS, UNWRAPS = 1, 2, 4, 8, 0x10, 0x20
SHA256 = 6
ITEM_NOT_FOUND, FAILURE, DENIED, SENSITIVE, NOT_EXTRACTABLE, DESTROYED = 0x01, 0x0A, 0x0C, 0x16, 0x17, 0x36
PIN, SHARE = "648219", bytes(range(32))
NOW = item(0x420001, 9, (1).to_bytes(8, "big"))
OAEP = struct_(0x42002B, enum(0x42005F, 2), enum(0x420038, SHA256), enum(0x420028, RSA), enum(0x420101, 1),
               enum(0x420102, SHA256))
PKCS1 = struct_(0x42002B, enum(0x42005F, 8), enum(0x420028, RSA))
SIGNATURE = struct_(0x42002B, enum(0x42005F, 8), enum(0x420038, SHA256), enum(0x420028, RSA))


class Hsms(Lab):
    """One key server with the pools `cards` (two SmartCard-HSMs) and `soft` (two tokens of SoftHSM)."""

    def __enter__(self):
        super().__enter__()
        self.why_not = missing("softhsm2-util") or (None if SOFTHSM else "SoftHSM2 is not installed")
        if self.why_not:
            return self
        self.cards = VirtualCards(self, 2)
        self.pcscd = Pcscd(self, self.cards)
        os.makedirs(self.path("tokens"))
        environment = {"SOFTHSM2_CONF": self.write("softhsm2.conf", f"directories.tokendir = {self.path('tokens')}\n")}
        for label in ("s1", "s2"):
            self.run(["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "12345678"],
                     env=environment)
        pin = self.write("pin", PIN + "\n", 0o600)
        self.server = KeyServer(self, "keys")
        self.server.process.stop()
        with open(os.path.join(self.server.dir, "keyfleetd.conf"), "a") as f:
            f.write(f"\n[pool cards]\npin = {pin}\nsocket = {self.pcscd.socket}\n"
                    f"\n[pool soft]\ndriver = pkcs11\nmodule = {SOFTHSM}\npin = {pin}\ntokens = s1, s2\n")
        self.environment = environment
        self.server.start(env=environment)
        self.admin = Admin(self.server)
        for serial, token in self.admin.tokens().items():
            if token["pool"] == "cards":
                self.admin.init(serial, "card")
            self.admin.act(IMPORT_SHARE, serial, octets(0x54002C, SHARE))
        return self

    def connect(self):
        return Wire(*self.admin.where)

    def records(self, uid, operation):
        lines = []
        for name in sorted(glob.glob(os.path.join(self.server.dir, "audit", "*.log"))):
            with open(name, "rb") as f:
                lines += f.read().rstrip(b"\0").decode(errors="replace").splitlines()
        return [line for line in lines if f" object={uid} " in line and f" operation={operation} " in line]

    def restart(self):
        self.server.process.stop()
        self.server.start(env=self.environment)


def each_pool(claim):
    """The same on both kinds of tokens."""
    def both(lab):
        if lab.why_not:
            skip(lab.why_not)
        for pool in ("cards", "soft"):
            with lab.connect() as wire:
                wire.tls.settimeout(60)
                claim(lab, wire, pool)
    both.__name__ = claim.__name__
    return both


def own(name, value):
    return struct_(0x420008, text(0x42009D, "keyfleet"), text(0x42000A, name), text(0x42000B, value))


def named(name):
    return struct_(0x420053, text(NAME, name), enum(0x420054, 1))


def done(wire, code, payload, **more):
    answer = items_of(wire.ask(request(code, payload, **more)))[0]
    expect(status(answer) == 0, f"{code:#x}: {answer}")
    return find(answer, 0x42007C) or []


def refused(wire, code, payload, **more):
    """Its Result Reason."""
    answer = items_of(wire.ask(request(code, payload, **more)))[0]
    expect(status(answer) != 0, f"{code:#x} is answered: {answer}")
    return reason(answer)


def create_pair(wire, pool, name, private, public):
    """RSA; the identifiers of both halves."""
    made = done(wire, CREATE_PAIR, struct_(0x420126, enum(0x420028, RSA), int_(0x42002A, 2048), NOW, OAEP, PKCS1)
                + struct_(0x420127, named(name), int_(USAGE, private), own("pool", pool))
                + struct_(0x420128, named(name + ".pub"), int_(USAGE, public)))
    return find(made, 0x420066).decode(), find(made, 0x42006F).decode()


def public_key(wire, uid):
    return serialization.load_der_public_key(find(done(wire, GET, text(UID, uid) + enum(0x420042, 5)), 0x420043))


def make_pair(wire, pool, name):
    return create_pair(wire, pool, name, SIGNS | DECRYPTS | UNWRAPS, VERIFIES | ENCRYPTS | WRAPS)


def pairs(lab, wire, pool):
    """The same for all claims that leave it as it is."""
    made = lab.__dict__.setdefault("pairs", {})
    if pool not in made:
        made[pool] = make_pair(wire, pool, "pair-" + pool)
    return made[pool]


def retire(wire, uid):
    done(wire, REVOKE, text(UID, uid) + struct_(0x420081, enum(0x420082, 5)))
    done(wire, DESTROY, text(UID, uid))


# ---- pairs ----


@each_pool
def claim_it_signs_and_the_signature_is_right(lab, wire, pool):
    private, public = pairs(lab, wire, pool)
    made = find(done(wire, SIGN, text(UID, private) + SIGNATURE + octets(0x4200C2, b"words")), 0x4200C3)
    public_key(wire, public).verify(made, b"words", padding.PKCS1v15(), hashes.SHA256())
    verdict = done(wire, VERIFY, text(UID, public) + SIGNATURE + octets(0x4200C2, b"words") + octets(0x4200C3, made))
    expect(find(verdict, 0x42009B) == 1, verdict)


@each_pool
def claim_it_decrypts_what_its_public_half_encrypted(lab, wire, pool):
    private, public = pairs(lab, wire, pool)
    for parameters in (OAEP, PKCS1):
        sealed = find(done(wire, ENCRYPT, text(UID, public) + parameters + octets(0x4200C2, b"secret")), 0x4200C2)
        plain = find(done(wire, DECRYPT, text(UID, private) + parameters + octets(0x4200C2, sealed)), 0x4200C2)
        expect(plain == b"secret", plain)


@each_pool
def claim_wrong_padding_is_told_to_nobody(lab, wire, pool):
    private, public = pairs(lab, wire, pool)
    numbers = public_key(wire, public).public_numbers()
    foreign = pow(7, numbers.e, numbers.n).to_bytes(256, "big")
    payload = text(UID, private) + PKCS1 + octets(0x4200C2, foreign)
    one, two = (find(done(wire, DECRYPT, payload), 0x4200C2) for _ in range(2))
    expect(one == two, "what stands for bad padding changes from call to call")
    sealed = public_key(wire, public).encrypt(b"words", padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
    reasons = {refused(wire, DECRYPT, text(UID, private) + OAEP + octets(0x4200C2, data))
               for data in (foreign, sealed[:-1] + bytes([sealed[-1] ^ 1]), b"\xff" * 256, bytes(256))}
    expect(reasons == {FAILURE}, reasons)


def why_not_given(version):
    return {SENSITIVE, NOT_EXTRACTABLE} if version >= (1, 4) else {DENIED}


@each_pool
def claim_nobody_gets_it_in_any_version(lab, wire, pool):
    private, public = pairs(lab, wire, pool)
    wrapping = struct_(0x420047, enum(0x42009E, 1), struct_(0x420036, text(UID, public), OAEP_1_0))
    for version in ((1, 0), (1, 1), (1, 2), (1, 3), (1, 4), (2, 0), (2, 1)):
        told = refused(wire, GET, text(UID, private), version=version)
        expect(told in why_not_given(version), f"{version}: {told:#x}")
        told = refused(wire, GET, text(UID, private) + enum(0x420042, 3), version=version)
        expect(told in why_not_given(version), f"{version} as PKCS#1: {told:#x}")
        told = refused(wire, GET, text(UID, private) + wrapping, version=version)
        expect(told in why_not_given(version), f"{version} wrapped: {told:#x}")
        if version >= (1, 4):
            told = refused(wire, EXPORT, text(UID, private), version=version)
            expect(told in why_not_given(version), f"{version} exported: {told:#x}")


OAEP_1_0 = struct_(0x42002B, enum(0x42005F, 2), enum(0x420038, SHA256))


# ---- other keys wrapped by it ----


def register_plain(wire, name, key):
    block = struct_(0x420040, enum(0x420042, 1), struct_(0x420045, octets(0x420043, key)), enum(0x420028, AES),
                    int_(0x42002A, 8 * len(key)))
    made = done(wire, REGISTER, enum(0x420057, 2) + struct_(0x420125, named(name), int_(USAGE, ENCRYPTS | DECRYPTS), NOW)
                + struct_(0x42008F, block))
    return find(made, UID).decode()


def wrapped_under(wire, uid, public, encoding):
    """The whole Symmetric Key, wrapped."""
    how = struct_(0x420047, enum(0x42009E, 1), struct_(0x420036, text(UID, public), OAEP), encoding)
    return done(wire, GET, text(UID, uid) + how)


def block_of(answer):
    return find(answer, 0x420040)


def written(items):
    """Back into bytes what ttlv.parse() read of a wrapped Key Block."""
    kinds = {0x420042: enum, 0x420028: enum, 0x42009E: enum, 0x42005F: enum, 0x420038: enum, 0x420101: enum,
             0x420102: enum, 0x4200A3: enum, 0x42002A: int_, 0x420011: enum}
    return b"".join(struct_(tag, written(v)) if isinstance(v, list) else kinds[tag](tag, v) if tag in kinds
                    else item(tag, 7 if tag == UID else 8, v) for tag, v in items)


@each_pool
def claim_a_key_travels_under_its_public_half_and_comes_back(lab, wire, pool):
    private, public = pairs(lab, wire, pool)
    key = os.urandom(16)
    plain = register_plain(wire, "travels-" + pool, key)
    for encoding in (b"", enum(0x4200A3, 1)):
        block = block_of(wrapped_under(wire, plain, public, encoding))
        expect(key not in written(block), "it is there in the clear")
        back = done(wire, REGISTER, enum(0x420057, 2) + struct_(0x420125, int_(USAGE, ENCRYPTS), NOW)
                    + struct_(0x42008F, struct_(0x420040, written(block))))
        uid = find(back, UID).decode()
        given = done(wire, GET, text(UID, uid) + enum(0x4200F8, 1))
        expect(find(given, 0x420043) == key, "another key came out")
        imported = "imported-" + pool + str(len(encoding))
        done(wire, IMPORT, text(UID, imported) + enum(0x420057, 2) + enum(0x4200F8, 1)
             + struct_(0x420125, int_(USAGE, ENCRYPTS)) + struct_(0x42008F, struct_(0x420040, written(block))))
        expect(find(done(wire, GET, text(UID, imported)), 0x420043) == key, "another key was imported")


@each_pool
def claim_what_it_did_not_wrap_is_not_registered(lab, wire, pool):
    private, public = pairs(lab, wire, pool)
    plain = register_plain(wire, "spoilt-" + pool, os.urandom(16))
    block = block_of(wrapped_under(wire, plain, public, enum(0x4200A3, 1)))
    sealed = find(block, 0x420045)
    spoilt = [(tag, sealed[:99] + bytes([sealed[99] ^ 1]) + sealed[100:] if tag == 0x420045 else v) for tag, v in block]
    told = refused(wire, REGISTER, enum(0x420057, 2) + struct_(0x420125, int_(USAGE, ENCRYPTS), NOW)
                   + struct_(0x42008F, struct_(0x420040, written(spoilt))))
    expect(told == FAILURE, f"{told:#x}")


# ---- replaced, destroyed ----


def labels(lab):
    return set(lab.admin.keys())


@each_pool
def claim_a_pair_is_followed_by_another_on_the_same_tokens(lab, wire, pool):
    old, _ = make_pair(wire, pool, "follow-" + pool)
    made = done(wire, REKEY_PAIR, text(0x420066, old))
    new, public = find(made, 0x420066).decode(), find(made, 0x42006F).decode()
    expect(new != old, made)
    wait_until("both tokens", lambda: lab.admin.keys()["follow-" + pool + "-2"]["serving"] == "2")
    expect(lab.admin.keys()["follow-" + pool + "-2"]["pool"] == pool, "on other tokens")
    for uid in (old, new):
        done(wire, SIGN, text(UID, uid) + SIGNATURE + octets(0x4200C2, b"words"))
    sealed = find(done(wire, ENCRYPT, text(UID, public) + OAEP + octets(0x4200C2, b"secret")), 0x4200C2)
    expect(find(done(wire, DECRYPT, text(UID, new) + OAEP + octets(0x4200C2, sealed)), 0x4200C2) == b"secret", "lost")
    expect(refused(wire, GET, text(UID, new)) in (SENSITIVE, NOT_EXTRACTABLE), "given")


@each_pool
def claim_a_destroyed_key_disappears_from_its_tokens(lab, wire, pool):
    private, _ = make_pair(wire, pool, "gone-" + pool)
    expect("gone-" + pool in labels(lab), "it was never there")
    retire(wire, private)
    wait_until("the tokens to let it go", lambda: "gone-" + pool not in labels(lab))
    told = refused(wire, SIGN, text(UID, private) + SIGNATURE + octets(0x4200C2, b"words"))
    expect(told == DESTROYED, f"{told:#x}")
    told = refused(wire, GET, text(UID, private), version=(1, 4))
    expect(told == ITEM_NOT_FOUND, f"{told:#x}")


# ---- AES keys ----

ECB, CBC, CTR, CMAC, GCM, NIST_WRAP, PADDED_WRAP = 2, 1, 6, 7, 9, 0xD, 0xC
MACS, CHECKS = 0x80, 0x100
IV = bytes(range(16))


def mode(number, *more):
    return struct_(0x42002B, enum(0x420011, number), *more)


PKCS5 = enum(0x42005F, 3)


def make_aes(wire, pool, name, bits=256, usage=ENCRYPTS | DECRYPTS | MACS | CHECKS | WRAPS | UNWRAPS, *more):
    made = done(wire, CREATE, enum(0x420057, 2) + struct_(0x420125, enum(0x420028, AES), int_(0x42002A, bits), int_(USAGE, usage),
                mode(NIST_WRAP), named(name), NOW, own("pool", pool), *more))
    return find(made, UID).decode()


def secrets(lab, wire, pool):
    made = lab.__dict__.setdefault("secrets", {})
    if pool not in made:
        made[pool] = make_aes(wire, pool, "aes-" + pool)
    return made[pool]


def encrypt(wire, uid, parameters, data, iv=None):
    given = octets(0x42003D, iv) if iv else b""
    return find(done(wire, ENCRYPT, text(UID, uid) + parameters + octets(0x4200C2, data) + given), 0x4200C2)


def decrypt(wire, uid, parameters, data, iv=None):
    given = octets(0x42003D, iv) if iv else b""
    return find(done(wire, DECRYPT, text(UID, uid) + parameters + octets(0x4200C2, data) + given), 0x4200C2)


@each_pool
def claim_an_aes_key_is_made_on_all_tokens_and_nobody_gets_it(lab, wire, pool):
    uid = secrets(lab, wire, pool)
    row = lab.admin.keys()["aes-" + pool]
    expect(row["pool"] == pool and row["holders"].count(" ") == 1 and row["algorithm"] == "aes:256", row)
    expect(row["object"] == uid, row)
    for version in ((1, 0), (1, 3), (1, 4), (2, 0), (2, 1)):
        told = refused(wire, GET, text(UID, uid), version=version)
        expect(told in why_not_given(version), f"{version}: {told:#x}")
        if version >= (1, 4):
            told = refused(wire, EXPORT, text(UID, uid), version=version)
            expect(told in why_not_given(version), f"{version} exported: {told:#x}")


@each_pool
def claim_it_encrypts_and_decrypts_in_the_modes_that_tokens_have(lab, wire, pool):
    uid = secrets(lab, wire, pool)
    block = os.urandom(16)
    once = encrypt(wire, uid, mode(ECB), block)
    expect(len(once) == 16 and once != block, once)
    for size in (16, 48, 1008, 4000 // 16 * 16):
        data = os.urandom(size)
        sealed = encrypt(wire, uid, mode(CBC), data, IV)
        first = bytes(a ^ b for a, b in zip(data, IV))[:16]
        expect(sealed[:16] == encrypt(wire, uid, mode(ECB), first), "CBC begins with the vector added")
        expect(decrypt(wire, uid, mode(CBC), sealed, IV) == data, f"CBC with {size} bytes")
        if size <= 1024:
            expect(decrypt(wire, uid, mode(ECB), sealed)[:16] == first, "ECB decrypts each block by itself")
    for size in (1, 15, 16, 17, 33):
        data = os.urandom(size)
        sealed = encrypt(wire, uid, mode(CBC, PKCS5), data, IV)
        expect(len(sealed) == size // 16 * 16 + 16, "padded")
        expect(decrypt(wire, uid, mode(CBC, PKCS5), sealed, IV) == data, f"padded, {size} bytes")
        stream = encrypt(wire, uid, mode(CTR), data, IV)
        expect(decrypt(wire, uid, mode(CTR), stream, IV) == data and len(stream) == size, f"CTR, {size} bytes")
    expect(encrypt(wire, uid, mode(CTR), bytes(32), b"\xff" * 16)[16:] == encrypt(wire, uid, mode(ECB), bytes(16)),
           "the whole counter block counts")
    expect(decrypt(wire, uid, mode(NIST_WRAP), encrypt(wire, uid, mode(NIST_WRAP), data := os.urandom(24))) == data, "wrapped")


@each_pool
def claim_what_tokens_do_not_do_is_said_clearly(lab, wire, pool):
    uid = secrets(lab, wire, pool)
    told = refused(wire, ENCRYPT, text(UID, uid) + mode(GCM) + octets(0x4200C2, b"words"))
    expect(told == 0x08, f"{told:#x}")
    told = refused(wire, MAC, text(UID, uid) + struct_(0x42002B, enum(0x420038, SHA256)) + octets(0x4200C2, b"words"))
    expect(told == 0x08, f"{told:#x}")
    spoilt = bytearray(encrypt(wire, uid, mode(NIST_WRAP), bytes(16)))
    spoilt[3] ^= 1
    for _ in range(12):  # a token is not blamed for it
        told = refused(wire, DECRYPT, text(UID, uid) + mode(NIST_WRAP) + octets(0x4200C2, bytes(spoilt)))
        expect(told == FAILURE, f"{told:#x}")
    expect(all(t["state"] == "serving" for t in lab.admin.tokens().values()), lab.admin.tokens())


@each_pool
def claim_it_makes_and_checks_codes(lab, wire, pool):
    uid = secrets(lab, wire, pool)
    payload = text(UID, uid) + mode(CMAC) + octets(0x4200C2, b"words")
    made = find(done(wire, MAC, payload), 0x4200C6)
    expect(len(made) == 16 and made == find(done(wire, MAC, payload), 0x4200C6), made)
    for code, verdict in ((made, 1), (made[:-1] + bytes([made[-1] ^ 1]), 2)):
        found = find(done(wire, MAC_VERIFY, payload + octets(0x4200C6, code)), 0x42009B)
        expect(found == verdict, found)


@each_pool
def claim_its_uses_are_limited_like_those_of_others(lab, wire, pool):
    limits = struct_(0x420095, item(0x420097, 3, (2).to_bytes(8, "big")), enum(0x420098, 2))
    uid = make_aes(wire, pool, "twice-" + pool, 128, ENCRYPTS, limits)
    for _ in range(2):
        encrypt(wire, uid, mode(ECB), bytes(16))
    expect(refused(wire, ENCRYPT, text(UID, uid) + mode(ECB) + octets(0x4200C2, bytes(16))) == DENIED, "a third time")
    told = refused(wire, DECRYPT, text(UID, uid) + mode(ECB) + octets(0x4200C2, bytes(16)))
    expect(told not in (0, None), "its mask says nothing of decrypting")
    retire(wire, uid)


@each_pool
def claim_an_aes_key_is_known_again_after_a_start(lab, wire, pool):
    uid = secrets(lab, wire, pool)
    sealed = encrypt(wire, uid, mode(CBC), bytes(range(32)), IV)
    if pool == "soft":
        lab.restart()
        for each in ("cards", "soft"):
            wait_until(each, lambda: lab.admin.keys().get("aes-" + each, {}).get("serving") == "2")
    with lab.connect() as again:
        expect(decrypt(again, uid, mode(CBC), sealed, IV) == bytes(range(32)), "another key")


@each_pool
def claim_an_aes_key_is_replaced_and_destroyed(lab, wire, pool):
    old = make_aes(wire, pool, "old-" + pool)
    sealed = encrypt(wire, old, mode(ECB), bytes(16))
    new = find(done(wire, REKEY, text(UID, old)), UID).decode()
    expect(new != old and encrypt(wire, new, mode(ECB), bytes(16)) != sealed, "the same key")
    expect(decrypt(wire, old, mode(ECB), sealed) == bytes(16), "the old one is lost")
    expect(refused(wire, GET, text(UID, new)) in (SENSITIVE, NOT_EXTRACTABLE), "given")
    for uid in (old, new):
        retire(wire, uid)
    wait_until("the tokens to let them go", lambda: "old-" + pool not in labels(lab))
    expect(refused(wire, ENCRYPT, text(UID, new) + mode(ECB) + octets(0x4200C2, bytes(16))) == DESTROYED, "alive")


# ---- other keys wrapped by AES keys on tokens ----

PLAIN, KEK = 1, 1  # Encoding Option No Encoding; Wrapping Method Encrypt
MODES = (NIST_WRAP, PADDED_WRAP, CBC)
UNSUPPORTED, BAD_PARAMETERS, WRONG_MASK, UNAVAILABLE = 0x08, 0x24, 0x29, 0x44


def wrapping_key(lab, wire, pool):
    made = lab.__dict__.setdefault("wrapping", {})
    if pool not in made:
        made[pool] = make_aes(wire, pool, "kek-" + pool, 256, WRAPS | UNWRAPS, mode(PADDED_WRAP), mode(CBC, PKCS5), mode(GCM))
    return made[pool]


def specification(kek, parameters, *more):
    return struct_(0x420047, enum(0x42009E, KEK), struct_(0x420036, text(UID, kek), parameters), *more)


def blob_under(wire, uid, kek, parameters):
    """Key Block, and what is wrapped: the bare key."""
    block = block_of(done(wire, GET, text(UID, uid) + specification(kek, parameters, enum(0x4200A3, PLAIN))))
    return block, find(block, 0x420045)


def register_wrapped(block):
    return (enum(0x420057, 2) + struct_(0x420125, int_(USAGE, ENCRYPTS), NOW) + struct_(0x42008F, struct_(0x420040, written(block))))


def register_kek(wire, name, key, usage=WRAPS | UNWRAPS):
    """The same in software."""
    block = struct_(0x420040, enum(0x420042, 1), struct_(0x420045, octets(0x420043, key)), enum(0x420028, AES),
                    int_(0x42002A, 8 * len(key)))
    made = done(wire, REGISTER, enum(0x420057, 2) + struct_(0x420125, named(name), int_(USAGE, usage), mode(NIST_WRAP), NOW)
                + struct_(0x42008F, block))
    return find(made, UID).decode()


@each_pool
def claim_keys_leave_wrapped_by_an_aes_key_on_tokens_and_come_back(lab, wire, pool):
    kek = wrapping_key(lab, wire, pool)
    key = os.urandom(32)
    plain = register_plain(wire, "leaves-" + pool, key)
    for how in MODES:
        for version in ((1, 0), (1, 4), (2, 1)):
            given = struct_(0x42002B, enum(0x420011, how))
            block = block_of(done(wire, GET, text(UID, plain) + specification(kek, given), version=version))
            expect(key not in written(block), "it is there in the clear")
            back = find(done(wire, REGISTER, register_wrapped(block)), UID).decode()
            given = done(wire, GET, text(UID, back) + enum(0x4200F8, 1))
            expect(find(given, 0x420043) == key, f"another key came out: {how}, {version}")


def unwrapped(decipher, sealed):
    """RFC 3394, 2.2.2, with somebody else's block cipher."""
    check, half = sealed[:8], [sealed[i:i + 8] for i in range(8, len(sealed), 8)]
    for step in range(6 * len(half), 0, -1):
        at = (step - 1) % len(half)
        block = decipher((int.from_bytes(check, "big") ^ step).to_bytes(8, "big") + half[at])
        check, half[at] = block[:8], block[8:]
    expect(check == b"\xa6" * 8, "this is no AES Key Wrap")
    return b"".join(half)


@each_pool
def claim_what_a_token_wrapped_is_what_the_standard_says(lab, wire, pool):
    kek, key = secrets(lab, wire, pool), os.urandom(16)
    plain = register_plain(wire, "standard-" + pool, key)
    _, sealed = blob_under(wire, plain, kek, mode(NIST_WRAP))
    expect(unwrapped(lambda block: decrypt(wire, kek, mode(ECB), block), sealed) == key, "another key")


@each_pool
def claim_a_key_is_exported_and_imported_under_an_aes_key_on_tokens(lab, wire, pool):
    kek, key = wrapping_key(lab, wire, pool), os.urandom(16)
    plain = register_plain(wire, "exported-" + pool, key)
    given = done(wire, EXPORT, text(UID, plain) + specification(kek, mode(CBC)))
    block = block_of(given)
    expect(find(block, 0x42003D) and key not in written(block), block)
    done(wire, IMPORT, text(UID, "again-" + pool) + enum(0x420057, 2) + enum(0x4200F8, 1)
         + struct_(0x420125, int_(USAGE, ENCRYPTS)) + struct_(0x42008F, struct_(0x420040, written(block))))
    expect(find(done(wire, GET, text(UID, "again-" + pool)), 0x420043) == key, "another key was imported")


@each_pool
def claim_only_what_the_token_s_key_wrapped_comes_back(lab, wire, pool):
    kek = wrapping_key(lab, wire, pool)
    plain = register_plain(wire, "changed-" + pool, os.urandom(16))
    told = set()
    for how in MODES:
        block = block_of(done(wire, GET, text(UID, plain) + specification(kek, mode(how))))
        sealed = find(block, 0x420045)
        for at in (0, len(sealed) - 1):
            changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1:]
            answer = items_of(wire.ask(request(REGISTER, register_wrapped(
                [(tag, changed if tag == 0x420045 else v) for tag, v in block]))))[0]
            expect(status(answer) != 0, f"{how}: taken")
            told.add((reason(answer), find(answer, 0x42007D)))
    expect(len(told) == 1 and FAILURE in {why for why, _ in told}, told)
    expect(all(t["state"] == "serving" for t in lab.admin.tokens().values()), lab.admin.tokens())


@each_pool
def claim_keys_on_tokens_wrap_only_what_and_as_they_may(lab, wire, pool):
    kek = wrapping_key(lab, wire, pool)
    plain = register_plain(wire, "refused-" + pool, os.urandom(16))
    expect(refused(wire, GET, text(UID, plain) + specification(kek, mode(GCM))) == UNSUPPORTED, "GCM")
    told = refused(wire, GET, text(UID, plain) + specification(kek, mode(CTR)))
    expect(told == BAD_PARAMETERS, f"CTR is none of its parameters: {told:#x}")
    encrypts = make_aes(wire, pool, "encrypts-" + pool, 128, ENCRYPTS)
    told = refused(wire, GET, text(UID, plain) + specification(encrypts, mode(NIST_WRAP)))
    expect(told == WRONG_MASK, f"a key that does not wrap: {told:#x}")
    both = struct_(0x420047, enum(0x42009E, 3), struct_(0x420036, text(UID, kek), mode(CBC)),
                   struct_(0x42004E, text(UID, secrets(lab, wire, pool)), mode(NIST_WRAP)))
    expect(refused(wire, GET, text(UID, plain) + both) == UNSUPPORTED, "a MAC by a key on tokens")
    held, _ = pairs(lab, wire, pool)
    told = refused(wire, GET, text(UID, held) + specification(kek, mode(PADDED_WRAP)))
    expect(told in (SENSITIVE, NOT_EXTRACTABLE), f"{told:#x}")
    retire(wire, encrypts)
    told = refused(wire, GET, text(UID, plain) + specification(encrypts, mode(NIST_WRAP)))
    expect(told != FAILURE, f"{told:#x}")


@each_pool
def claim_each_wrapping_is_on_record_with_both_keys_and_the_token(lab, wire, pool):
    kek = wrapping_key(lab, wire, pool)
    plain = register_plain(wire, "recorded-" + pool, os.urandom(16))
    done(wire, GET, text(UID, plain) + specification(kek, mode(NIST_WRAP)))
    wait_until("the records", lambda: len(lab.records(plain, "Get")) == 2)
    allowed, made = lab.records(plain, "Get")
    expect("phase=allowed" in allowed and "phase=done" in made, lab.records(plain, "Get"))
    expect(f"with={kek}" in allowed and "AES_KEY_WRAP" in allowed, allowed)
    serials = [s for s, t in lab.admin.tokens().items() if t["pool"] == pool]
    expect(any(f"token={s}" in made for s in serials), made)


@each_pool
def claim_the_command_line_makes_wrapping_keys_and_exports_under_them(lab, wire, pool):
    kek = lab.server.keyfleet("key", "create", "cli-" + pool, "--type", "aes:256", "--pool", pool, "--wraps").stdout.split()[0]
    row = lab.admin.keys()["cli-" + pool]
    expect(row["object"] == kek and row["serving"] == "2", row)
    key, file = os.urandom(32), lab.path(f"export-{pool}.wrapped")
    plain = register_plain(wire, "exports-" + pool, key)
    lab.server.keyfleet("key", "export", "exports-" + pool, "--wrap-with", "cli-" + pool, "--out", file)
    block, sealed = blob_under(wire, plain, kek, mode(PADDED_WRAP))
    expect(open(file, "rb").read() == sealed and key not in sealed, "not what Get gives")
    back = find(done(wire, REGISTER, register_wrapped(block)), UID).decode()
    expect(find(done(wire, GET, text(UID, back) + enum(0x4200F8, 1)), 0x420043) == key, "another key came out")
    told = lab.server.keyfleet("key", "export", "exports-" + pool, "--wrap-with", "cli-" + pool, "--mode", "gcm", "--out", file + "2",
                               check=False)
    expect(told.returncode == 1 and not os.path.exists(file + "2"), told)


def claim_without_its_tokens_it_is_said_soon_that_nothing_is_wrapped(lab):
    if lab.why_not:
        skip(lab.why_not)
    with lab.connect() as wire:
        wire.tls.settimeout(60)
        kek = wrapping_key(lab, wire, "cards")
        plain = register_plain(wire, "waits", os.urandom(16))
        block = block_of(done(wire, GET, text(UID, plain) + specification(kek, mode(NIST_WRAP))))
        for card in ("1", "2"):
            lab.cards.tell("card", card, "unplug")
        wait_until("both cards to be gone", lambda: [t["state"] for t in lab.admin.tokens().values()
                                                     if t["pool"] == "cards"] == ["gone"] * 2)
        began = time.monotonic()
        for code, payload in ((GET, text(UID, plain) + specification(kek, mode(NIST_WRAP))), (REGISTER, register_wrapped(block))):
            told = refused(wire, code, payload)
            expect(told == UNAVAILABLE, f"{told:#x}")
        expect(time.monotonic() - began < 30, "it took too long")
        for card in ("1", "2"):
            lab.cards.tell("card", card, "replug")
        wait_until("both cards to serve", lambda: [t["state"] for t in lab.admin.tokens().values()] == ["serving"] * 4)
        done(wire, REGISTER, register_wrapped(block))


# ---- keys that agree ----

EC, P256, DERIVES = 6, 7, 0x200


def create_ec(wire, name, usage, *more):
    made = done(wire, CREATE_PAIR, struct_(0x420126, enum(0x420028, EC), struct_(0x420029, enum(0x420075, P256)), NOW)
                + struct_(0x420127, named(name), int_(USAGE, usage), *more) + struct_(0x420128, int_(USAGE, VERIFIES | DERIVES)))
    return find(made, 0x420066).decode(), find(made, 0x42006F).decode()


def agreed(wire, private, public):
    """What both have in common."""
    attributes = struct_(0x420125, int_(USAGE, ENCRYPTS), int_(0x42002A, 256), NOW)
    made = done(wire, DERIVE, enum(0x420057, 7) + text(UID, private) + text(UID, public) + enum(0x420031, 8)
                + struct_(0x420032) + attributes)
    return find(done(wire, GET, find_uid(made)), 0x420043)


def find_uid(made):
    return text(UID, find(made, UID).decode())


@each_pool
def claim_both_sides_agree_though_one_key_is_on_tokens(lab, wire, pool):
    held, held_public = create_ec(wire, "agrees-" + pool, SIGNS | DERIVES, own("pool", pool))
    other, other_public = create_ec(wire, "other-" + pool, SIGNS | DERIVES, item(0x420120, 6, bytes(8)))
    one, two = agreed(wire, held, other_public), agreed(wire, other, held_public)
    expect(one == two and len(one) == 32, "they do not agree")
    stays, _ = create_ec(wire, "only-signs-" + pool, SIGNS, own("pool", pool))
    refused(wire, DERIVE, enum(0x420057, 7) + text(UID, stays) + text(UID, other_public) + enum(0x420031, 8) + struct_(0x420032)
            + struct_(0x420125, int_(USAGE, ENCRYPTS), int_(0x42002A, 256), NOW))


if __name__ == "__main__":
    run(globals(), Hsms("hsm-kmip"))
