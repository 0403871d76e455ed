/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/signer.h"
#include "crypt/ossl.h"
#include <stdlib.h>
#include <string.h>

struct signer {
	EVP_PKEY *key;
	uint8_t public[SIGNER_PUBLIC_SIZE];
};

kf_err signer_new(const uint8_t seed[SIGNER_SEED_SIZE], struct signer **ret)
{
	CLEANUP(signer_freep) struct signer *s = calloc(1, sizeof(*s));
	size_t n = sizeof(s->public);
	if (!s)
		return kf_fail(NOMEM, "signer");
	s->key = EVP_PKEY_new_raw_private_key_ex(
		NULL, "ED25519", NULL, seed, SIGNER_SEED_SIZE);
	if (!s->key || EVP_PKEY_get_raw_public_key(s->key, s->public, &n) != 1)
		return ossl_fail(CRYPTO, "Ed25519 key");
	*ret = s;
	s = NULL;
	return KF_OK;
}

void signer_free(struct signer *s)
{
	if (s)
		EVP_PKEY_free(s->key);
	free(s);
}

void signer_freep(struct signer **s)
{
	signer_free(*s);
	*s = NULL;
}

void signer_public(const struct signer *s, uint8_t ret[SIGNER_PUBLIC_SIZE])
{
	memcpy(ret, s->public, SIGNER_PUBLIC_SIZE);
}

kf_err signer_sign(
	const struct signer *s, struct slice data, uint8_t ret[SIGNER_SIGNATURE_SIZE])
{
	CLEANUP(ossl_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = SIGNER_SIGNATURE_SIZE;
	if (!ctx ||
		EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, s->key, NULL) != 1 ||
		EVP_DigestSign(ctx, ret, &n, data.p, data.n) != 1)
		return ossl_fail(CRYPTO, "Ed25519 signature");
	return KF_OK;
}

kf_err signer_check(const uint8_t public[SIGNER_PUBLIC_SIZE], struct slice data,
	const uint8_t signature[SIGNER_SIGNATURE_SIZE])
{
	CLEANUP(ossl_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	CLEANUP(ossl_pkey_freep)
	EVP_PKEY *key = EVP_PKEY_new_raw_public_key_ex(
		NULL, "ED25519", NULL, public, SIGNER_PUBLIC_SIZE);
	if (!ctx || !key ||
		EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL, key, NULL) != 1)
		return ossl_fail(CRYPTO, "Ed25519 key");
	if (EVP_DigestVerify(ctx, signature, SIGNER_SIGNATURE_SIZE, data.p, data.n) != 1)
		return ossl_fail(TAMPERED, "signature is wrong");
	return KF_OK;
}
