/* SPDX-License-Identifier: Apache-2.0
 *
 * decrypt: RSA decryption, for TLS 1.2 key exchange above all.  Padding is checked in the key server
 * alone: what comes back for a bad one is random there (RFC 5246 7.4.7.1), so that this process has
 * nothing to leak.
 */
#include "provider/sign.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_MAX = 256, PREMASTER_SIZE = 48 };

struct decrypt_context {
	const struct provider *provider;
	struct key *key;
	int padding;
	const struct hash *hash, *mask_hash;
	unsigned client_version, negotiated_version;
	size_t label_n;
	uint8_t label[LABEL_MAX];
};

static void *new_context(void *provctx)
{
	struct decrypt_context *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->provider = provctx;
	c->padding = RSA_PKCS1_PADDING;
	return c;
}

static void free_context(void *ctx)
{
	struct decrypt_context *c = ctx;
	if (!c)
		return;
	key_free(c->key);
	free(c);
}

static void *dup_context(void *ctx)
{
	const struct decrypt_context *from = ctx;
	struct decrypt_context *to = malloc(sizeof(*to));
	if (!to)
		return NULL;
	*to = *from;
	to->key = from->key ? key_share(from->key) : NULL;
	return to;
}

static int result(const struct decrypt_context *c, kf_err e)
{
	return remote_raised(c->provider, c->key, e);
}

/* ---- parameters ---- */

static kf_err get_hash(const OSSL_PARAM *p, const struct hash **ret)
{
	char name[64], *text = name;
	if (!OSSL_PARAM_get_utf8_string(p, &text, sizeof(name)) || !hash_by_name(name))
		return kf_fail(BAD_PARAMETERS, "digest is not supported by key servers");
	*ret = hash_by_name(name);
	return KF_OK;
}

static kf_err get_label(struct decrypt_context *c, const OSSL_PARAM *p)
{
	void *to = c->label;
	if (!OSSL_PARAM_get_octet_string(p, &to, sizeof(c->label), &c->label_n))
		return kf_fail(BAD_PARAMETERS, "label for OAEP is too long");
	return KF_OK;
}

static kf_err get_version(const OSSL_PARAM *p, unsigned *ret)
{
	if (!OSSL_PARAM_get_uint(p, ret) || *ret > UINT16_MAX)
		return kf_fail(BAD_PARAMETERS, "TLS version");
	return KF_OK;
}

static kf_err set_one(struct decrypt_context *c, const OSSL_PARAM *p)
{
	if (!strcmp(p->key, OSSL_ASYM_CIPHER_PARAM_PAD_MODE))
		return options_get_padding(p, &c->padding);
	if (!strcmp(p->key, OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST))
		return get_hash(p, &c->hash);
	if (!strcmp(p->key, OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST))
		return get_hash(p, &c->mask_hash);
	if (!strcmp(p->key, OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL))
		return get_label(c, p);
	if (!strcmp(p->key, OSSL_ASYM_CIPHER_PARAM_TLS_CLIENT_VERSION))
		return get_version(p, &c->client_version);
	if (!strcmp(p->key, OSSL_ASYM_CIPHER_PARAM_TLS_NEGOTIATED_VERSION))
		return get_version(p, &c->negotiated_version);
	return KF_OK;
}

static int set_params(void *ctx, const OSSL_PARAM params[])
{
	for (const OSSL_PARAM *p = params; p && p->key; p++) {
		kf_err e = set_one(ctx, p);
		if (!kf_ok(e))
			return result(ctx, e);
	}
	return 1;
}

static const OSSL_PARAM *settable(void *ctx, void *provctx)
{
	(void)ctx, (void)provctx;
	static const OSSL_PARAM table[] = {
		OSSL_PARAM_utf8_string(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL, NULL, 0),
		OSSL_PARAM_uint(OSSL_ASYM_CIPHER_PARAM_TLS_CLIENT_VERSION, NULL),
		OSSL_PARAM_uint(OSSL_ASYM_CIPHER_PARAM_TLS_NEGOTIATED_VERSION, NULL),
		OSSL_PARAM_END,
	};
	return table;
}

/* ---- the decryption ---- */

static int decrypt_init(void *ctx, void *key, const OSSL_PARAM params[])
{
	struct decrypt_context *c = ctx;
	if (key) {
		key_free(c->key);
		c->key = key_share(key);
	}
	if (!c->key || !key_id(c->key).n)
		return result(c, kf_fail(MISSING, "no key reference to decrypt with"));
	return set_params(c, params);
}

static kf_err resolve_padding(const struct decrypt_context *c, enum remote_padding *ret)
{
	switch (c->padding) {
	case RSA_PKCS1_PADDING: *ret = PADDING_PKCS1; return KF_OK;
	case RSA_PKCS1_OAEP_PADDING: *ret = PADDING_OAEP; return KF_OK;
	case RSA_PKCS1_WITH_TLS_PADDING: *ret = PADDING_TLS; return KF_OK;
	default: return kf_fail(BAD_PARAMETERS, "raw RSA is not done by key servers");
	}
}

/* libssl names the negotiated version only to excuse clients that send it by mistake. */
static kf_err decrypt_to(
	const struct decrypt_context *c, struct slice data, struct remote_result *ret)
{
	struct remote_decrypt q = { .key = c->key,
		.hash = c->hash ? c->hash : hash_get(HASH_SHA1),
		.label = { c->label, c->label_n },
		.client_version = (uint16_t)c->client_version,
		.negotiated_version =
			(uint16_t)(c->negotiated_version ? c->negotiated_version
							 : c->client_version),
		.data = data };
	q.mask_hash = c->mask_hash ? c->mask_hash : q.hash;
	KF_TRY(resolve_padding(c, &q.padding));
	if (q.padding == PADDING_TLS && !q.client_version)
		return kf_fail(BAD_PARAMETERS, "TLS key exchange without a version");
	return remote_decrypt(&q, ret);
}

static int decrypt(void *ctx, unsigned char *out, size_t *out_n, size_t size,
	const unsigned char *in, size_t n)
{
	struct decrypt_context *c = ctx;
	struct remote_result r = { out, size, 0 };
	if (!out) {
		*out_n = c->padding == RSA_PKCS1_WITH_TLS_PADDING ? PREMASTER_SIZE
								  : key_size(c->key);
		return 1;
	}
	kf_err e = decrypt_to(c, (struct slice){ in, n }, &r);
	if (kf_ok(e))
		*out_n = r.n;
	return result(c, e);
}

/* clang-format off */
static const OSSL_DISPATCH functions[] = {
	{ OSSL_FUNC_ASYM_CIPHER_NEWCTX, (dispatch_fn)new_context },
	{ OSSL_FUNC_ASYM_CIPHER_FREECTX, (dispatch_fn)free_context },
	{ OSSL_FUNC_ASYM_CIPHER_DUPCTX, (dispatch_fn)dup_context },
	{ OSSL_FUNC_ASYM_CIPHER_DECRYPT_INIT, (dispatch_fn)decrypt_init },
	{ OSSL_FUNC_ASYM_CIPHER_DECRYPT, (dispatch_fn)decrypt },
	{ OSSL_FUNC_ASYM_CIPHER_SET_CTX_PARAMS, (dispatch_fn)set_params },
	{ OSSL_FUNC_ASYM_CIPHER_SETTABLE_CTX_PARAMS, (dispatch_fn)settable },
	{ 0, NULL },
};

const OSSL_ALGORITHM decrypt_algorithms[] = {
	{ "RSA:rsaEncryption", "provider=keyfleet", functions, "decrypts in a key server" },
	{ NULL, NULL, NULL, NULL },
};
/* clang-format on */
