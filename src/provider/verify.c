/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/sign.h"
#include <openssl/core_names.h>

void verify_clear(struct sign_context *c)
{
	if (!c->verify_md)
		EVP_PKEY_CTX_free(c->verify);
	EVP_MD_CTX_free(c->verify_md);
	c->verify = NULL;
	c->verify_md = NULL;
}

bool verify_copy(struct sign_context *to, const struct sign_context *from)
{
	to->verify = NULL;
	to->verify_md = NULL;
	if (!from->verify_md) {
		to->verify = from->verify ? EVP_PKEY_CTX_dup(from->verify) : NULL;
		return !from->verify || to->verify;
	}
	to->verify_md = EVP_MD_CTX_new();
	if (!to->verify_md || !EVP_MD_CTX_copy_ex(to->verify_md, from->verify_md))
		return false;
	to->verify = EVP_MD_CTX_get_pkey_ctx(to->verify_md);
	return true;
}

static kf_err start(struct sign_context *c, struct key *key, const OSSL_PARAM params[])
{
	verify_clear(c);
	if (!sign_take_key(c, key))
		return kf_fail(MISSING, "no key to verify with");
	c->verify =
		EVP_PKEY_CTX_new_from_pkey(c->provider->lib, key_public(c->key), NULL);
	if (!c->verify || EVP_PKEY_verify_init(c->verify) <= 0)
		return kf_fail(CRYPTO, "starting a verification");
	return options_set(c, params);
}

int verify_init(void *ctx, void *key, const OSSL_PARAM params[])
{
	return sign_result(ctx, start(ctx, key, params));
}

int verify(void *ctx, const unsigned char *sig, size_t sig_n, const unsigned char *data,
	size_t n)
{
	struct sign_context *c = ctx;
	return c->verify && EVP_PKEY_verify(c->verify, sig, sig_n, data, n) == 1;
}

static kf_err start_digest(struct sign_context *c, const char *hash, struct key *key,
	const OSSL_PARAM params[])
{
	verify_clear(c);
	if (!sign_take_key(c, key))
		return kf_fail(MISSING, "no key to verify with");
	c->verify_md = EVP_MD_CTX_new();
	if (!c->verify_md || EVP_DigestVerifyInit_ex(c->verify_md, &c->verify,
				     hash && *hash ? hash : NULL, c->provider->lib, NULL,
				     key_public(c->key), NULL) <= 0)
		return kf_fail(CRYPTO, "starting a verification");
	KF_TRY(options_set_hash(c, hash));
	return options_set(c, params);
}

int digest_verify_init(void *ctx, const char *hash, void *key, const OSSL_PARAM params[])
{
	return sign_result(ctx, start_digest(ctx, hash, key, params));
}

int digest_verify_update(void *ctx, const unsigned char *data, size_t n)
{
	struct sign_context *c = ctx;
	return c->verify_md && EVP_DigestVerifyUpdate(c->verify_md, data, n) == 1;
}

int digest_verify_final(void *ctx, const unsigned char *sig, size_t sig_n)
{
	struct sign_context *c = ctx;
	return c->verify_md && EVP_DigestVerifyFinal(c->verify_md, sig, sig_n) == 1;
}

int digest_verify(void *ctx, const unsigned char *sig, size_t sig_n,
	const unsigned char *data, size_t n)
{
	struct sign_context *c = ctx;
	return c->verify_md && EVP_DigestVerify(c->verify_md, sig, sig_n, data, n) == 1;
}
