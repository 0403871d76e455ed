/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/sign.h"
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

/* ---- OpenSSL passes the same thing as a number or as a word ---- */

struct word {
	const char *text;
	int value;
};

static const struct word paddings[] = {
	{ OSSL_PKEY_RSA_PAD_MODE_PKCSV15, RSA_PKCS1_PADDING },
	{ OSSL_PKEY_RSA_PAD_MODE_PSS, RSA_PKCS1_PSS_PADDING },
	{ OSSL_PKEY_RSA_PAD_MODE_OAEP, RSA_PKCS1_OAEP_PADDING },
	{ OSSL_PKEY_RSA_PAD_MODE_NONE, RSA_NO_PADDING },
	{ NULL, 0 },
};

static const struct word salts[] = {
	{ OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST, RSA_PSS_SALTLEN_DIGEST },
	{ OSSL_PKEY_RSA_PSS_SALT_LEN_MAX, RSA_PSS_SALTLEN_MAX },
	{ OSSL_PKEY_RSA_PSS_SALT_LEN_AUTO, RSA_PSS_SALTLEN_AUTO },
	{ NULL, 0 },
};

static kf_err get_text(const OSSL_PARAM *p, char *text, size_t size)
{
	return OSSL_PARAM_get_utf8_string(p, &text, size)
		       ? KF_OK
		       : kf_fail(BAD_PARAMETERS, "parameter is not a short text");
}

static kf_err get_word(const OSSL_PARAM *p, const struct word *words, int *ret)
{
	char text[32];
	if (p->data_type != OSSL_PARAM_UTF8_STRING)
		return OSSL_PARAM_get_int(p, ret)
			       ? KF_OK
			       : kf_fail(BAD_PARAMETERS, "parameter is not a number");
	KF_TRY(get_text(p, text, sizeof(text)));
	for (; words->text; words++) {
		if (!strcmp(words->text, text)) {
			*ret = words->value;
			return KF_OK;
		}
	}
	char *end;
	long n = strtol(text, &end, 10);
	if (end == text || *end || n < 0 || n > 4096)
		return kf_fail(BAD_PARAMETERS, "padding or salt length is not known");
	*ret = (int)n;
	return KF_OK;
}

kf_err options_get_padding(const OSSL_PARAM *p, int *ret)
{
	return get_word(p, paddings, ret);
}

static kf_err find_hash(const char *name, const struct hash **ret)
{
	const struct hash *hash = hash_by_name(name);
	if (!hash)
		return kf_fail(BAD_PARAMETERS, "digest is not supported by key servers");
	*ret = hash;
	return KF_OK;
}

static kf_err get_hash(const OSSL_PARAM *p, const struct hash **ret)
{
	char name[64];
	KF_TRY(get_text(p, name, sizeof(name)));
	return name[0] ? find_hash(name, ret) : KF_OK;
}

kf_err options_set_hash(struct sign_context *c, const char *name)
{
	return name && *name ? find_hash(name, &c->hash) : KF_OK;
}

/* ---- set ---- */

static kf_err set_here(struct sign_context *c, const OSSL_PARAM params[])
{
	const OSSL_PARAM *p =
		OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_DIGEST);
	if (p)
		KF_TRY(get_hash(p, &c->hash));
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
	if (p)
		KF_TRY(options_get_padding(p, &c->padding));
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN);
	if (p)
		KF_TRY(get_word(p, salts, &c->salt));
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_MGF1_DIGEST);
	if (p)
		KF_TRY(get_hash(p, &c->mask_hash));
	return KF_OK;
}

/* A verification hears of everything too, and is the judge of it. */
kf_err options_set(struct sign_context *c, const OSSL_PARAM params[])
{
	if (!params)
		return KF_OK;
	KF_TRY(set_here(c, params));
	if (c->verify && EVP_PKEY_CTX_set_params(c->verify, params) <= 0)
		return kf_fail(BAD_PARAMETERS, "parameters of the verification");
	return KF_OK;
}

const OSSL_PARAM *options_settable(void *ctx, void *provctx)
{
	(void)ctx, (void)provctx;
	static const OSSL_PARAM table[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PROPERTIES, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_PROPERTIES, NULL, 0),
		OSSL_PARAM_END,
	};
	return table;
}

/* ---- what it comes to ---- */

/* RFC 8017 9.1.1: the encoded message holds hash, salt and two bytes. */
static kf_err resolve_salt(const struct sign_context *c, int *ret)
{
	int hash = (int)c->hash->size;
	int most = (EVP_PKEY_get_bits(key_public(c->key)) + 6) / 8 - hash - 2;
	int salt = c->salt;
	if (salt == RSA_PSS_SALTLEN_DIGEST)
		salt = hash;
	else if (salt == RSA_PSS_SALTLEN_MAX || salt == RSA_PSS_SALTLEN_AUTO)
		salt = most;
	else if (salt == -4) /* RSA_PSS_SALTLEN_AUTO_DIGEST_MAX, from OpenSSL 3.1 on */
		salt = most < hash ? most : hash;
	if (salt < 0 || salt > most)
		return kf_fail(BAD_PARAMETERS, "salt does not fit the RSA key");
	*ret = salt;
	return KF_OK;
}

static kf_err resolve_rsa(const struct sign_context *c, struct remote_sign *ret)
{
	ret->scheme = SCHEME_RSA_PKCS1;
	if (c->padding == RSA_PKCS1_PADDING)
		return KF_OK;
	if (c->padding != RSA_PKCS1_PSS_PADDING)
		return kf_fail(BAD_PARAMETERS, "padding is neither PKCS#1 v1.5 nor PSS");
	if (c->mask_hash && c->mask_hash != c->hash)
		return kf_fail(BAD_PARAMETERS, "PSS needs the same digest in its mask");
	ret->scheme = SCHEME_RSA_PSS;
	return resolve_salt(c, &ret->salt);
}

kf_err options_resolve(const struct sign_context *c, struct remote_sign *ret)
{
	if (!c->key || !key_id(c->key).n)
		return kf_fail(MISSING, "no key reference to sign with");
	enum alg_family family = key_family(c->key);
	*ret = (struct remote_sign){ .key = c->key, .hash = c->hash };
	if (family == FAMILY_ED25519) {
		ret->scheme = SCHEME_ED25519;
		return KF_OK;
	}
	if (!c->hash)
		return kf_fail(BAD_PARAMETERS, "signing needs a digest");
	ret->scheme = SCHEME_ECDSA;
	return family == FAMILY_EC ? KF_OK : resolve_rsa(c, ret);
}

/* ---- get ---- */

/* The default provider knows how an AlgorithmIdentifier is written: it is asked as if for a
 * verification with what was chosen here. */
static kf_err get_algorithm_id(struct sign_context *c, OSSL_PARAM *ret)
{
	OSSL_PARAM set[4], get[2] = { *ret, OSSL_PARAM_END }, *next = set;
	EVP_PKEY_CTX *ctx = NULL;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	if (key_family(c->key) == FAMILY_RSA)
		*next++ = OSSL_PARAM_construct_int(
			OSSL_SIGNATURE_PARAM_PAD_MODE, &c->padding);
	if (key_family(c->key) == FAMILY_RSA && c->padding == RSA_PKCS1_PSS_PADDING)
		*next++ = OSSL_PARAM_construct_int(
			OSSL_SIGNATURE_PARAM_PSS_SALTLEN, &c->salt);
	*next = OSSL_PARAM_construct_end();
	bool ok =
		md &&
		EVP_DigestVerifyInit_ex(md, &ctx, c->hash ? c->hash->openssl_name : NULL,
			c->provider->lib, NULL, key_public(c->key), set) > 0 &&
		EVP_PKEY_CTX_get_params(ctx, get) > 0;
	EVP_MD_CTX_free(md);
	ret->return_size = get[0].return_size;
	return ok ? KF_OK : kf_fail(CRYPTO, "AlgorithmIdentifier of the signature");
}

kf_err options_get(struct sign_context *c, OSSL_PARAM params[])
{
	OSSL_PARAM *p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_ALGORITHM_ID);
	if (p && c->key)
		KF_TRY(get_algorithm_id(c, p));
	p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_DIGEST);
	if (p && !OSSL_PARAM_set_utf8_string(p, c->hash ? c->hash->openssl_name : ""))
		return kf_fail(BAD_PARAMETERS, "name of the digest");
	p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
	if (p && p->data_type == OSSL_PARAM_UTF8_STRING) {
		bool is_pss = c->padding == RSA_PKCS1_PSS_PADDING;
		const char *text = is_pss ? OSSL_PKEY_RSA_PAD_MODE_PSS
					  : OSSL_PKEY_RSA_PAD_MODE_PKCSV15;
		if (!OSSL_PARAM_set_utf8_string(p, text))
			return kf_fail(BAD_PARAMETERS, "name of the padding");
	} else if (p && !OSSL_PARAM_set_int(p, c->padding)) {
		return kf_fail(BAD_PARAMETERS, "number of the padding");
	}
	return KF_OK;
}

const OSSL_PARAM *options_gettable(void *ctx, void *provctx)
{
	(void)ctx, (void)provctx;
	static const OSSL_PARAM table[] = {
		OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_END,
	};
	return table;
}
