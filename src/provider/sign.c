/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/sign.h"
#include <openssl/crypto.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

/* ---- contexts ---- */

static void *new_context(void *provctx, const char *properties)
{
	(void)properties;
	struct sign_context *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->provider = provctx;
	c->padding = RSA_PKCS1_PADDING;
	c->salt = RSA_PSS_SALTLEN_AUTO;
	return c;
}

/* What was to be signed may be anybody's secret. */
static void forget_data(struct sign_context *c)
{
	OPENSSL_cleanse(c->data, c->n);
	c->n = 0;
	EVP_MD_CTX_free(c->md);
	c->md = NULL;
}

static void free_context(void *ctx)
{
	struct sign_context *c = ctx;
	if (!c)
		return;
	forget_data(c);
	verify_clear(c);
	key_free(c->key);
	free(c);
}

static void *dup_context(void *ctx)
{
	const struct sign_context *from = ctx;
	struct sign_context *to = malloc(sizeof(*to));
	if (!to)
		return NULL;
	*to = *from;
	to->key = from->key ? key_share(from->key) : NULL;
	to->md = from->md ? EVP_MD_CTX_new() : NULL;
	bool ok = verify_copy(to, from);
	if (!ok || (from->md && (!to->md || !EVP_MD_CTX_copy_ex(to->md, from->md)))) {
		free_context(to);
		return NULL;
	}
	return to;
}

bool sign_take_key(struct sign_context *c, struct key *key)
{
	if (key) {
		key_free(c->key);
		c->key = key_share(key);
	}
	return c->key && key_public(c->key);
}

int sign_result(const struct sign_context *c, kf_err e)
{
	return remote_raised(c->provider, c->key, e);
}

/* ---- the signature ---- */

static kf_err sign_as(const struct sign_context *c, bool is_digest, struct slice data,
	struct remote_result *ret)
{
	struct remote_sign q;
	KF_TRY(options_resolve(c, &q));
	q.is_digest = is_digest;
	q.data = data;
	return remote_sign(&q, ret);
}

/* OpenSSL asks for the size first, with no room. */
static int give_size(const struct sign_context *c, size_t *ret_n)
{
	*ret_n = c->key ? key_size(c->key) : 0;
	return *ret_n > 0;
}

static int finish(
	struct sign_context *c, kf_err e, const struct remote_result *r, size_t *ret_n)
{
	if (kf_ok(e))
		*ret_n = r->n;
	return sign_result(c, e);
}

static int sign_init(void *ctx, void *key, const OSSL_PARAM params[])
{
	struct sign_context *c = ctx;
	forget_data(c);
	if (!sign_take_key(c, key))
		return sign_result(c, kf_fail(MISSING, "no key to sign with"));
	return sign_result(c, options_set(c, params));
}

/* ECDSA over a bare digest, without a word about which: its size tells, as it does to a verifier. */
static const struct hash *hash_of_size(size_t n)
{
	for (unsigned id = HASH_NONE + 1; id < HASH_COUNT; id++)
		if (hash_get(id)->size == n)
			return hash_get(id);
	return NULL;
}

static kf_err sign_digest(
	struct sign_context *c, struct slice digest, struct remote_result *ret)
{
	if (c->key && key_family(c->key) == FAMILY_ED25519)
		return sign_as(c, false, digest, ret);
	if (!c->hash && c->key && key_family(c->key) == FAMILY_EC)
		c->hash = hash_of_size(digest.n);
	if (c->hash && digest.n != c->hash->size)
		return kf_fail(BAD_PARAMETERS, "digest has the wrong size");
	return sign_as(c, true, digest, ret);
}

static int sign(void *ctx, unsigned char *sig, size_t *sig_n, size_t sig_size,
	const unsigned char *digest, size_t n)
{
	struct sign_context *c = ctx;
	struct remote_result r = { sig, sig_size, 0 };
	if (!sig)
		return give_size(c, sig_n);
	return finish(c, sign_digest(c, (struct slice){ digest, n }, &r), &r, sig_n);
}

/* ---- data that still has to be hashed ---- */

static kf_err start_digest(struct sign_context *c, const char *hash, struct key *key,
	const OSSL_PARAM params[])
{
	forget_data(c);
	if (!sign_take_key(c, key))
		return kf_fail(MISSING, "no key to sign with");
	bool is_ed25519 = key_family(c->key) == FAMILY_ED25519;
	if (is_ed25519 && hash && *hash)
		return kf_fail(BAD_PARAMETERS, "Ed25519 hashes by itself");
	c->hash = is_ed25519 ? NULL : hash_get(HASH_SHA256);
	KF_TRY(options_set_hash(c, hash));
	return options_set(c, params);
}

static int digest_sign_init(
	void *ctx, const char *hash, void *key, const OSSL_PARAM params[])
{
	return sign_result(ctx, start_digest(ctx, hash, key, params));
}

/* Too long to travel whole: what we have kept so far is hashed, and all that follows. */
static kf_err start_hashing(struct sign_context *c)
{
	if (!c->hash)
		return kf_fail(BAD_PARAMETERS, "signing needs a digest");
	EVP_MD *md = EVP_MD_fetch(c->provider->lib, c->hash->openssl_name, NULL);
	c->md = EVP_MD_CTX_new();
	bool ok = md && c->md && EVP_DigestInit_ex2(c->md, md, NULL) &&
		  EVP_DigestUpdate(c->md, c->data, c->n);
	EVP_MD_free(md);
	OPENSSL_cleanse(c->data, c->n);
	c->n = 0;
	return ok ? KF_OK : kf_fail(CRYPTO, "hashing data to be signed");
}

static kf_err add_data(struct sign_context *c, struct slice data)
{
	if (!c->md && data.n <= sizeof(c->data) - c->n) {
		if (data.n)
			memcpy(c->data + c->n, data.p, data.n);
		c->n += data.n;
		return KF_OK;
	}
	if (!c->md)
		KF_TRY(start_hashing(c));
	return EVP_DigestUpdate(c->md, data.p, data.n)
		       ? KF_OK
		       : kf_fail(CRYPTO, "hashing data to be signed");
}

static int digest_sign_update(void *ctx, const unsigned char *data, size_t n)
{
	return sign_result(ctx, add_data(ctx, (struct slice){ data, n }));
}

static kf_err sign_collected(struct sign_context *c, struct remote_result *ret)
{
	if (!c->md)
		return sign_as(c, false, (struct slice){ c->data, c->n }, ret);
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	if (!EVP_DigestFinal_ex(c->md, digest, &n))
		return kf_fail(CRYPTO, "hashing data to be signed");
	kf_err e = sign_as(c, true, (struct slice){ digest, n }, ret);
	OPENSSL_cleanse(digest, sizeof(digest));
	return e;
}

static int digest_sign_final(
	void *ctx, unsigned char *sig, size_t *sig_n, size_t sig_size)
{
	struct sign_context *c = ctx;
	struct remote_result r = { sig, sig_size, 0 };
	if (!sig)
		return give_size(c, sig_n);
	kf_err e = sign_collected(c, &r);
	forget_data(c);
	return finish(c, e, &r, sig_n);
}

/* The way of every TLS handshake: nothing was collected before, so nothing is copied. */
static kf_err sign_at_once(
	struct sign_context *c, struct slice data, struct remote_result *ret)
{
	bool is_ed25519 = key_family(c->key) == FAMILY_ED25519;
	bool is_first = !c->md && c->n == 0;
	if (is_first && (is_ed25519 || data.n <= REMOTE_DATA_MAX))
		return sign_as(c, false, data, ret);
	KF_TRY(add_data(c, data));
	return sign_collected(c, ret);
}

static int digest_sign(void *ctx, unsigned char *sig, size_t *sig_n, size_t sig_size,
	const unsigned char *data, size_t n)
{
	struct sign_context *c = ctx;
	struct remote_result r = { sig, sig_size, 0 };
	if (!sig || !c->key)
		return give_size(c, sig_n);
	kf_err e = sign_at_once(c, (struct slice){ data, n }, &r);
	forget_data(c);
	return finish(c, e, &r, sig_n);
}

static int set_params(void *ctx, const OSSL_PARAM params[])
{
	return sign_result(ctx, options_set(ctx, params));
}

static int get_params(void *ctx, OSSL_PARAM params[])
{
	return sign_result(ctx, options_get(ctx, params));
}

/* clang-format off */
#define COMMON                                                                           \
	{ OSSL_FUNC_SIGNATURE_NEWCTX, (dispatch_fn)new_context },                        \
	{ OSSL_FUNC_SIGNATURE_FREECTX, (dispatch_fn)free_context },                      \
	{ OSSL_FUNC_SIGNATURE_DUPCTX, (dispatch_fn)dup_context },                        \
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, (dispatch_fn)digest_sign_init },         \
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN, (dispatch_fn)digest_sign },                   \
	{ OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_INIT, (dispatch_fn)digest_verify_init },     \
	{ OSSL_FUNC_SIGNATURE_DIGEST_VERIFY, (dispatch_fn)digest_verify },               \
	{ OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, (dispatch_fn)get_params },                 \
	{ OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS, (dispatch_fn)options_gettable }

static const OSSL_DISPATCH hashing_functions[] = {
	COMMON,
	{ OSSL_FUNC_SIGNATURE_SIGN_INIT, (dispatch_fn)sign_init },
	{ OSSL_FUNC_SIGNATURE_SIGN, (dispatch_fn)sign },
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, (dispatch_fn)digest_sign_update },
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, (dispatch_fn)digest_sign_final },
	{ OSSL_FUNC_SIGNATURE_VERIFY_INIT, (dispatch_fn)verify_init },
	{ OSSL_FUNC_SIGNATURE_VERIFY, (dispatch_fn)verify },
	{ OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_UPDATE, (dispatch_fn)digest_verify_update },
	{ OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_FINAL, (dispatch_fn)digest_verify_final },
	{ OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, (dispatch_fn)set_params },
	{ OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, (dispatch_fn)options_settable },
	{ 0, NULL },
};

/* Ed25519 needs all data at once, and has no parameters. */
static const OSSL_DISPATCH whole_functions[] = {
	COMMON,
	{ 0, NULL },
};

#define PROPERTIES "provider=keyfleet"
const OSSL_ALGORITHM signature_algorithms[] = {
	{ "RSA:rsaEncryption", PROPERTIES, hashing_functions, "signs in a key server" },
	{ "ECDSA", PROPERTIES, hashing_functions, "signs in a key server" },
	{ "ED25519", PROPERTIES, whole_functions, "signs in a key server" },
	{ NULL, NULL, NULL, NULL },
};
/* clang-format on */
