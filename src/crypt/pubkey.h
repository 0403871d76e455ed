/* SPDX-License-Identifier: Apache-2.0
 *
 * pubkey: a parsed SubjectPublicKeyInfo.  Immutable once made, so threads may share it; whoever
 * made it frees it.  Only the algorithms of alg.def exist here: anything else is KEY_FORMAT.
 */
#pragma once
#include "crypt/alg.h"

struct evp_pkey_st;
struct ossl_lib_ctx_st;

enum { KEY_ID_SIZE = 32, SPKI_MAX = 1024 };

struct pubkey;

/* A signature over data, or over its digest. */
struct signature {
	const struct mech *mech;
	int salt; /* PSS: SALT_AS_DIGEST or the exact length */
	bool is_digest;
	struct slice data, sig;
};

/* Trailing bytes, a point that is not on its curve and an RSA exponent that is even, 1 or longer
 * than 64 bits are refused. */
kf_err pubkey_parse(struct slice spki, struct pubkey **ret);
/* The same in a library context of the caller's (guests: one with the default provider only). */
kf_err pubkey_parse_in(
	struct ossl_lib_ctx_st *lib, struct slice spki, struct pubkey **ret);
kf_err pubkey_from_pem(
	struct slice pem, struct pubkey **ret); /* PUBLIC KEY or CERTIFICATE */
/* Takes its own reference, and makes an EC key encode its point uncompressed. */
kf_err pubkey_of_pkey(struct evp_pkey_st *pkey, struct pubkey **ret);
void pubkey_free(struct pubkey *k);
void pubkey_freep(struct pubkey **k);

const struct alg *pubkey_alg(const struct pubkey *k);
struct slice pubkey_spki(
	const struct pubkey *k); /* canonical DER, lives as long as the key */
struct evp_pkey_st *pubkey_pkey(const struct pubkey *k); /* borrowed */
void pubkey_id(const struct pubkey *k, uint8_t ret[KEY_ID_SIZE]);
void pubkey_to_pem(const struct pubkey *k, struct buf *ret);

/* key id = SHA-256 of the SubjectPublicKeyInfo's DER */
void spki_id(struct slice spki, uint8_t ret[KEY_ID_SIZE]);

/* CRYPTO if the signature is wrong, BAD_PARAMETERS if mechanism and key do not fit. */
kf_err pubkey_verify(const struct pubkey *k, const struct signature *s);

/* How RSA encrypts: OAEP, or PKCS#1 v1.5. */
struct rsa_padding {
	bool is_oaep;
	enum hash_id hash, mask_hash; /* OAEP */
	struct slice label;           /* OAEP: P Source */
};

/* Appends the ciphertext.  BAD_PARAMETERS unless it is an RSA key, DATA if there is too much. */
kf_err pubkey_encrypt(const struct pubkey *k, const struct rsa_padding *padding,
	struct slice plain, struct buf *ret);
