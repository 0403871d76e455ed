#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A client that we did not write: PyKMIP creates, locates, gets, signs, encrypts, derives and destroys.

It cannot read a wrapped key: it wants Key Value to be a structure even then."""
import os
import subprocess
import sys

from scenario import expect, run, skip
from lab import KeyServer, Lab

PYTHON = "/usr/bin/python3"  # Debian's own, for which its packages are

SCRIPT = """
import sys, ssl
from kmip.pie import client as pie, objects
from kmip.core import enums
host, port, cert, key, ca, version, what = sys.argv[1:8]
versions = {"1.0": enums.KMIPVersion.KMIP_1_0, "1.1": enums.KMIPVersion.KMIP_1_1, "1.2": enums.KMIPVersion.KMIP_1_2,
            "1.3": enums.KMIPVersion.KMIP_1_3, "1.4": enums.KMIPVersion.KMIP_1_4, "2.0": enums.KMIPVersion.KMIP_2_0}
c = pie.ProxyKmipClient(hostname=host, port=int(port), cert=cert, key=key, ca=ca, ssl_version="PROTOCOL_TLS",
                        kmip_version=versions[version])
sign = enums.CryptographicUsageMask.SIGN
verify = enums.CryptographicUsageMask.VERIFY
with c:
    if what == "symmetric":
        uid = c.create(enums.CryptographicAlgorithm.AES, 256, name="aes-" + version)
        k = c.get(uid)
        assert k.cryptographic_length == 256 and len(k.value) == 32, k
        n = objects.Name if hasattr(objects, "Name") else None
        from kmip.core.factories.attributes import AttributeFactory
        f = AttributeFactory()
        found = c.locate(attributes=[f.create_attribute(enums.AttributeType.NAME, "aes-" + version)])
        assert found == [uid], (found, uid)
        names = c.get_attribute_list(uid)
        assert "Cryptographic Algorithm" in names, names
        uid_, attrs = c.get_attributes(uid, ["Cryptographic Algorithm", "State"])
        assert uid_ == uid and len(attrs) == 2, attrs
        c.destroy(uid)
        try:
            c.get(uid)
        except Exception as e:
            print("gone:", e)
        else:
            raise SystemExit("a destroyed key was returned")
    elif what == "register":
        value = bytes(range(32))
        k = objects.SymmetricKey(enums.CryptographicAlgorithm.AES, 256, value, name="registered-" + version)
        uid = c.register(k)
        assert c.get(uid).value == value
        c.destroy(uid)
        s = objects.SecretData(b"hush", enums.SecretDataType.PASSWORD)
        uid = c.register(s)
        assert c.get(uid).value == b"hush"
        c.destroy(uid)
        o = objects.OpaqueObject(b"anything", enums.OpaqueDataType.NONE)
        uid = c.register(o)
        assert c.get(uid).value == b"anything"
        c.destroy(uid)
    elif what == "derive":
        import hashlib, hmac
        value = bytes(range(32))
        base = c.register(objects.SymmetricKey(enums.CryptographicAlgorithm.AES, 256, value,
                                               masks=[enums.CryptographicUsageMask.DERIVE_KEY],
                                               name="base-" + version))
        c.activate(base)
        hash = {"hashing_algorithm": enums.HashingAlgorithm.SHA_256}
        uid = c.derive_key(enums.ObjectType.SYMMETRIC_KEY, [base], enums.DerivationMethod.HMAC,
                           {"cryptographic_parameters": hash, "derivation_data": b"what for"},
                           cryptographic_length=128, cryptographic_algorithm=enums.CryptographicAlgorithm.AES)
        assert c.get(uid).value == hmac.new(value, b"what for", hashlib.sha256).digest()[:16]
        phrase = c.register(objects.SecretData(b"pass phrase", enums.SecretDataType.PASSWORD,
                                               masks=[enums.CryptographicUsageMask.DERIVE_KEY],
                                               name="phrase-" + version))
        c.activate(phrase)
        uid = c.derive_key(enums.ObjectType.SYMMETRIC_KEY, [phrase], enums.DerivationMethod.PBKDF2,
                           {"cryptographic_parameters": hash, "salt": b"salt", "iteration_count": 1000},
                           cryptographic_length=256, cryptographic_algorithm=enums.CryptographicAlgorithm.AES)
        assert c.get(uid).value == hashlib.pbkdf2_hmac("sha256", b"pass phrase", b"salt", 1000)
    elif what == "pair":
        public, private = c.create_key_pair(enums.CryptographicAlgorithm.RSA, 2048, public_usage_mask=[verify],
                                            private_usage_mask=[sign])
        c.activate(private)
        c.activate(public)
        parameters = {"padding_method": enums.PaddingMethod.PKCS1v15, "hashing_algorithm": enums.HashingAlgorithm.SHA_256,
                      "cryptographic_algorithm": enums.CryptographicAlgorithm.RSA}
        message = b"to be signed"
        signature = c.sign(message, uid=private, cryptographic_parameters=parameters)
        result = c.signature_verify(message, signature, uid=public, cryptographic_parameters=parameters)
        assert result == enums.ValidityIndicator.VALID, result
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import padding
        der = c.get(public).value
        try:
            k = serialization.load_der_public_key(der)
        except ValueError:
            from cryptography.hazmat.backends import default_backend
            k = serialization.load_der_public_key(der, default_backend())
        k.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        try:
            c.get(private)
        except Exception as e:
            print("kept:", e)
        else:
            raise SystemExit("a sensitive private key was returned")
        try:
            c.destroy(private)
        except Exception as e:
            print("active:", e)
        else:
            raise SystemExit("an active key was destroyed")
        for uid in (private, public):
            c.revoke(enums.RevocationReasonCode.CESSATION_OF_OPERATION, uid)
            c.destroy(uid)
    elif what == "encrypt":
        mask = [enums.CryptographicUsageMask.ENCRYPT, enums.CryptographicUsageMask.DECRYPT,
                enums.CryptographicUsageMask.MAC_GENERATE]
        uid = c.register(objects.SymmetricKey(enums.CryptographicAlgorithm.AES, 256, bytes(range(32)), masks=mask))
        c.activate(uid)
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
        from cryptography.hazmat.backends import default_backend
        import hashlib, hmac
        parameters = {"block_cipher_mode": enums.BlockCipherMode.CBC, "padding_method": enums.PaddingMethod.PKCS5,
                      "cryptographic_algorithm": enums.CryptographicAlgorithm.AES}
        for size in (0, 1, 5000, 300001):  # on the loop, on a worker
            text = bytes(i % 251 for i in range(size))
            sealed, iv = c.encrypt(text, uid=uid, cryptographic_parameters=parameters)
            assert len(iv) == 16 and len(sealed) == size // 16 * 16 + 16, (size, len(sealed))
            d = Cipher(algorithms.AES(bytes(range(32))), modes.CBC(iv), default_backend()).decryptor()
            pad = 16 - size % 16
            assert d.update(sealed) + d.finalize() == text + bytes([pad]) * pad
            assert c.decrypt(sealed, uid=uid, cryptographic_parameters=parameters, iv_counter_nonce=iv) == text
            uid_, code = c.mac(text or b"-", uid, enums.CryptographicAlgorithm.HMAC_SHA256)
            assert code == hmac.new(bytes(range(32)), text or b"-", hashlib.sha256).digest()
        try:
            c.decrypt(sealed[:-1], uid=uid, cryptographic_parameters=parameters, iv_counter_nonce=iv)
        except Exception as e:
            print("cut:", e)
        else:
            raise SystemExit("what was cut was decrypted")
        c.revoke(enums.RevocationReasonCode.CESSATION_OF_OPERATION, uid)
        c.destroy(uid)
print("ok")
"""


class Peers(Lab):
    def __enter__(self):
        super().__enter__()
        self.server = KeyServer(self, "kms")
        self.write("peer.py", SCRIPT)
        return self

    def pykmip(self, version, what):
        if subprocess.run([PYTHON, "-c", "import kmip"], capture_output=True).returncode:
            skip("python3-pykmip is not installed")
        d = self.server.dir
        done = subprocess.run([PYTHON, "-W", "ignore", self.path("peer.py"), "127.0.0.1", str(self.server.port),
                               d + "/admin.pem", d + "/admin.key", d + "/ca.pem", version, what], capture_output=True,
                              text=True, timeout=60, env={**os.environ, "PYTHONPATH": ""})
        expect(done.returncode == 0, f"{version} {what}: {done.stdout}{done.stderr[-2000:]}")


VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4", "2.0")


def claim_symmetric_keys_are_created_located_got_and_destroyed(lab):
    for version in VERSIONS:
        lab.pykmip(version, "symmetric")


def claim_objects_are_registered_and_come_back_as_they_were(lab):
    for version in VERSIONS:
        lab.pykmip(version, "register")


def claim_a_key_pair_signs_and_never_leaves(lab):
    for version in ("1.2", "1.4", "2.0"):
        lab.pykmip(version, "pair")


def claim_what_a_key_encrypts_others_decrypt(lab):
    for version in ("1.2", "1.4", "2.0"):
        lab.pykmip(version, "encrypt")


def claim_keys_are_derived_as_python_derives_them(lab):
    for version in ("1.0", "1.4", "2.0"):
        lab.pykmip(version, "derive")


if __name__ == "__main__":
    run(globals(), Peers("keyfleet-pykmip"))
