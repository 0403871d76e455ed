/* SPDX-License-Identifier: Apache-2.0
 *
 * keygen: key pairs come into being here: generated, or imported from any usual format.
 * The private half is a PKCS#8 DER in a buf that wipes itself.  Slow: for workers and tools.
 */
#pragma once
#include "crypt/pubkey.h"

enum { PKCS8_MAX = 16384 };

/* Numbers of KMIP Key Format Type. */
enum key_format {
	KEY_RAW = 1, /* EC: the scalar or the point, in any form; Ed25519: its 32 bytes */
	KEY_PKCS1 = 3, /* RSAPrivateKey, RSAPublicKey */
	KEY_PKCS8 = 4,
	KEY_X509 = 5, /* SubjectPublicKeyInfo */
	KEY_EC_PRIVATE = 6,
};

struct keypair {
	const struct alg *alg;
	struct buf pkcs8,
		spki; /* the canonical forms: what the store keeps, what key ids are made of */
};

/* Copies the pass phrase and returns its length, or -1 to give up.  Asked once. */
typedef int passphrase_fn(void *arg, char *into, int size);

/* Once, before threads: OpenSSL keeps the numbers of private keys in locked memory of this size
 * (rounded up to a power of two).  NOMEM with a remedy if it cannot be locked. */
kf_err crypt_init(size_t secure_heap);
/* Bytes of it that are free, SIZE_MAX if it was not made.  Thread-safe. */
size_t crypt_room(void);
size_t crypt_heap_size(void); /* 0 if it was not made */

void keypair_free(struct keypair *k);
kf_err keypair_generate(const struct alg *alg, struct keypair *ret);
/* PEM or DER; PKCS#8 (also encrypted), PKCS#1 or SEC1.  The key is checked: the halves belong
 * together and the numbers are consistent.  ask may be NULL. */
kf_err keypair_import(
	struct slice file, passphrase_fn *ask, void *arg, struct keypair *ret);
/* What Register brings.  alg may be NULL unless the format is KEY_RAW of an EC key. */
kf_err keypair_from_format(enum key_format format, struct slice bytes,
	const struct alg *alg, struct keypair *ret);

/* KEY_FORMAT if the algorithm has no such format. */
kf_err private_to_format(struct slice pkcs8, enum key_format format, struct buf *ret);
kf_err public_to_format(struct slice spki, enum key_format format, struct buf *ret);
kf_err public_from_format(enum key_format format, struct slice bytes,
	const struct alg *alg, struct buf *ret_spki);
kf_err private_to_pem(struct slice pkcs8, struct buf *ret);
