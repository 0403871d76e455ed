/* SPDX-License-Identifier: Apache-2.0
 *
 * sign: one signature or verification in the making, as OpenSSL drives it.  One thread at a time.
 *
 *   sign.c      making signatures: data is kept, or hashed once it is too long to travel whole
 *   options.c   parameters: digest, padding, salt; AlgorithmIdentifier for certificates
 *   verify.c    checking signatures, with the public key, in this process
 */
#pragma once
#include "provider/remote.h"

struct sign_context {
	const struct provider *provider;
	struct key *key;
	const struct hash *hash;      /* NULL: not said */
	const struct hash *mask_hash; /* NULL: the same */
	int padding,
		salt; /* as in openssl/rsa.h: RSA_PKCS1_PADDING, RSA_PSS_SALTLEN_DIGEST */

	EVP_MD_CTX *md; /* of data that got too long; NULL before */
	size_t n;
	uint8_t data[REMOTE_DATA_MAX];

	EVP_PKEY_CTX *
		verify; /* in the provider's own context; owned unless verify_md is there */
	EVP_MD_CTX *verify_md;
};

/* options.c */
kf_err options_set(struct sign_context *c, const OSSL_PARAM params[]);
kf_err options_set_hash(
	struct sign_context *c, const char *name); /* "" and NULL: no change */
kf_err options_get(struct sign_context *c, OSSL_PARAM params[]);
const OSSL_PARAM *options_settable(void *ctx, void *provctx);
const OSSL_PARAM *options_gettable(void *ctx, void *provctx);
/* What to ask a key server for; data is left to the caller. */
kf_err options_resolve(const struct sign_context *c, struct remote_sign *ret);
/* Shared with decryption: integer or text. */
kf_err options_get_padding(const OSSL_PARAM *p, int *ret);

/* verify.c: functions of OSSL_DISPATCH */
int verify_init(void *ctx, void *key, const OSSL_PARAM params[]);
int verify(void *ctx, const unsigned char *sig, size_t sig_n, const unsigned char *data,
	size_t n);
int digest_verify_init(void *ctx, const char *hash, void *key, const OSSL_PARAM params[]);
int digest_verify_update(void *ctx, const unsigned char *data, size_t n);
int digest_verify_final(void *ctx, const unsigned char *sig, size_t sig_n);
int digest_verify(void *ctx, const unsigned char *sig, size_t sig_n,
	const unsigned char *data, size_t n);
void verify_clear(struct sign_context *c);
bool verify_copy(struct sign_context *to, const struct sign_context *from);

/* sign.c */
bool sign_take_key(
	struct sign_context *c, struct key *key); /* NULL: keep the one there is */
int sign_result(
	const struct sign_context *c, kf_err e); /* 1, or 0 with the error raised */
