/* SPDX-License-Identifier: Apache-2.0
 *
 * key: a key of the card, and what is computed with it.  Pure: knows no files and no PINs.
 */
#pragma once
#include "crypt/curve.h"
#include "crypt/ossl.h"

/* As key blobs have it. */
enum key_kind { KEY_RSA = 5, KEY_RSA_CRT = 6, KEY_EC = 12, KEY_AES = 15 };

/* Algorithm identifiers of SIGN, DECIPHER, CIPHER, WRAP. */
enum {
	ALGO_CBC_ENCRYPT = 0x10,
	ALGO_CBC_DECRYPT = 0x11,
	ALGO_CMAC = 0x18,
	ALGO_RSA_RAW = 0x20,
	ALGO_RSA_DECRYPT = 0x21,
	ALGO_RSA_DECRYPT_PKCS1 = 0x22,
	ALGO_RSA_DECRYPT_OAEP = 0x23,
	ALGO_PKCS1 = 0x30, /* 31, 33, 34, 35: and hash on the card */
	ALGO_PSS = 0x40,   /* 41, 43, 44, 45 */
	ALGO_ECDSA = 0x70, /* 71 to 75 */
	ALGO_ECDH = 0x80,
	ALGO_WRAP = 0x92,
	ALGO_UNWRAP = 0x93,
	ALGO_DERIVE_EC = 0x98,
	ALGO_DERIVE_AES = 0x99,
};

enum { KEY_ALGOS_MAX = 32, KEY_AES_MAX = 32 };
#define KEY_USES_UNLIMITED UINT32_MAX

struct key {
	enum key_kind kind; /* never KEY_RSA_CRT: that is a form of blob only */
	uint8_t domain;
	uint32_t uses;                         /* what is left of the use counter */
	uint8_t algos[KEY_ALGOS_MAX], n_algos; /* allowed; none: all */
	EVP_PKEY *pkey;                        /* RSA, EC */
	const struct curve *curve;             /* EC */
	uint8_t aes[KEY_AES_MAX];
	size_t n_aes;
};

struct key *key_new(enum key_kind kind); /* NULL: no memory */
void key_free(struct key *k);
static inline void key_freep(struct key **k) { key_free(*k); }

kf_err key_generate_rsa(size_t bits, struct slice exponent, struct key **ret);
kf_err key_generate_ec(const struct curve *curve, struct key **ret);
kf_err key_generate_aes(size_t bits, struct key **ret);
/* From numbers; the CRT parts of an RSA key are computed. */
kf_err key_from_rsa(struct slice n, struct slice e, struct slice d, struct key **ret);
kf_err key_from_primes(struct slice p, struct slice q, struct slice e, struct key **ret);
kf_err key_from_ec(const struct curve *curve, struct slice scalar, struct key **ret);

size_t key_bits(const struct key *k);
size_t key_size(const struct key *k); /* of modulus, field or AES key, in bytes */
bool key_allows(const struct key *k, uint8_t algo);

/* One number of the key, as long as `size` (0: no leading zeros); name is OSSL_PKEY_PARAM_. */
kf_err key_number(const struct key *k, const char *name, size_t size, struct buf *to);
kf_err key_point(const struct key *k, struct buf *to); /* 04 x y */

/* BAD_PARAMETERS when algorithm and key do not fit, INVALID_FIELD when the data do not. */
kf_err key_sign(const struct key *k, uint8_t algo, struct slice data, struct buf *to);
kf_err key_decipher(const struct key *k, uint8_t algo, struct slice data, struct buf *to);
kf_err key_cipher(const struct key *k, uint8_t algo, struct slice data, struct buf *to);
/* ECDSA with SHA-256, as r and s of the field's length: what certificates of cards hold. */
kf_err key_sign_plain(const struct key *k, struct slice data, struct buf *to);
