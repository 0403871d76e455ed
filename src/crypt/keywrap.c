/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/keywrap.h"
#include "crypt/cipher.h"
#include "crypt/ossl.h"
#include "crypt/pubkey.h"
#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <string.h>

enum { GCM_TAG_MIN = 12, IV_MIN = 8, DRAFT_MAX = KEYWRAP_MAX + 64 };

/* What the modes are is in cipher.def; here, which of them wrap keys, and how. */
static const struct {
	enum cipher_mode mode;
	enum padding padding;
} ways[] = {
	[KEYWRAP_NIST] = { MODE_NISTKEYWRAP, PADDING_NONE },
	[KEYWRAP_NIST_PADDED] = { MODE_AESKEYWRAPPADDING, PADDING_NONE },
	[KEYWRAP_CBC] = { MODE_CBC, PADDING_NONE },
	[KEYWRAP_CBC_PADDED] = { MODE_CBC, PADDING_PKCS5 },
	[KEYWRAP_GCM] = { MODE_GCM, PADDING_NONE },
};

/* Keys of every length have the same IVs and tags. */
static const struct cipher_info *row_of(const struct keywrap *k)
{
	const struct cipher_info *c = NULL;
	for (size_t i = 0; (c = cipher_each(i)); i++)
		if (c->algorithm == CIPHER_AES && c->mode == ways[k->mode].mode)
			break;
	assert(c);
	return c;
}

static size_t tag_size_of(const struct keywrap *k)
{
	if (!cipher_has_tag(row_of(k)))
		return 0;
	return k->tag_size ? k->tag_size : CIPHER_TAG_MAX;
}

static size_t iv_size_of(const struct keywrap *k)
{
	const struct cipher_info *c = row_of(k);
	return cipher_has_tag(c) && k->iv_size ? k->iv_size : c->iv_random;
}

/* Short nonces collide, and short tags are guessed: both are narrower than for data. */
static kf_err check_sizes(const struct keywrap *k, size_t iv_n)
{
	const struct cipher_info *c = row_of(k);
	const size_t tag_n = tag_size_of(k);

	if (tag_n && (tag_n < GCM_TAG_MIN || tag_n > CIPHER_TAG_MAX))
		return kf_fail(BAD_PARAMETERS, "a tag has 12 to 16 bytes");
	if (cipher_has_tag(c) ? iv_n < IV_MIN || iv_n > KEYWRAP_IV_MAX
			      : iv_n != c->iv_max)
		return kf_fail(BAD_PARAMETERS, "the IV does not fit the mode");
	return KF_OK;
}

static kf_err prepare(
	const struct keywrap *k, struct slice iv, bool opens, struct cipher_setup *ret)
{
	*ret = (struct cipher_setup){ .padding = ways[k->mode].padding,
		.decrypts = opens,
		.key = k->key,
		.iv = iv,
		.tag_n = tag_size_of(k) };
	return cipher_find(CIPHER_AES, ways[k->mode].mode, k->key.n, &ret->info);
}

/* One message, all of it; nothing of one that fails. */
static kf_err run(const struct cipher_setup *s, struct slice in, struct slice tag,
	struct buf *ret, uint8_t ret_tag[CIPHER_TAG_MAX])
{
	autobuf draft = buf_new(DRAFT_MAX);
	struct cipher c = { 0 };
	kf_err err = cipher_begin(&c, s);

	if (kf_ok(err))
		err = cipher_last(&c, in, tag, &draft, ret_tag);
	cipher_end(&c);
	KF_TRY(err);
	buf_add_slice(ret, buf_slice(&draft));
	return buf_err(ret);
}

/* --- sealing --- */

static size_t most_of(const struct keywrap *k)
{
	return row_of(k)->kind == CIPHER_WRAP ? KEYWRAP_NIST_MAX : KEYWRAP_MAX;
}

kf_err keywrap_check(const struct keywrap *k, size_t plain_n)
{
	if (!plain_n || plain_n > most_of(k))
		return kf_fail(BAD_PARAMETERS, "key of an impossible size");
	if (k->mode == KEYWRAP_NIST && (plain_n < 16 || plain_n % 8))
		return kf_fail(BAD_PARAMETERS,
			"AES Key Wrap wants a multiple of 8 bytes, 16 at least");
	if (k->mode == KEYWRAP_CBC && plain_n % CIPHER_BLOCK_MAX)
		return kf_fail(BAD_PARAMETERS,
			"CBC without padding wants a multiple of 16 bytes");
	return check_sizes(k, iv_size_of(k));
}

kf_err keywrap_seal(
	const struct keywrap *k, struct slice plain, struct buf *iv, struct buf *ret)
{
	uint8_t random[KEYWRAP_IV_MAX], tag[CIPHER_TAG_MAX];
	const size_t n = iv_size_of(k);
	struct cipher_setup s;

	KF_TRY(keywrap_check(k, plain.n));
	if (n && RAND_bytes(random, (int)n) != 1)
		return ossl_fail(CRYPTO, "random numbers");
	KF_TRY(prepare(k, (struct slice){ random, n }, false, &s));
	buf_add_slice(iv, s.iv);
	KF_TRY(buf_err(iv));
	KF_TRY(run(&s, plain, (struct slice){ 0 }, ret, tag));
	buf_add(ret, tag, s.tag_n);
	return buf_err(ret);
}

/* --- opening --- */

kf_err keywrap_check_sealed(const struct keywrap *k, struct slice iv, struct slice sealed)
{
	const enum cipher_kind kind = row_of(k)->kind;
	const size_t unit = kind == CIPHER_WRAP ? 8 : kind == CIPHER_BLOCK ? 16 : 1;
	const size_t overhead = kind == CIPHER_WRAP ? 8 : tag_size_of(k);

	KF_TRY(check_sizes(k, iv.n));
	if (sealed.n <= overhead || sealed.n > most_of(k) + overhead || sealed.n % unit)
		return kf_fail(DATA, "a wrapped key of an impossible length");
	return KF_OK;
}

kf_err keywrap_open(
	const struct keywrap *k, struct slice iv, struct slice sealed, struct buf *ret)
{
	uint8_t none[CIPHER_TAG_MAX];
	struct cipher_setup s;

	KF_TRY(keywrap_check_sealed(k, iv, sealed));
	KF_TRY(prepare(k, iv, true, &s));
	const struct slice tag = { sealed.p + sealed.n - s.tag_n, s.tag_n };
	sealed.n -= s.tag_n;
	return run(&s, sealed, tag, ret, none);
}

/* --- RSA --- */

static kf_err set_oaep(EVP_PKEY_CTX *ctx, const struct keywrap_oaep *how)
{
	const struct hash *hash = hash_by_kmip(how->hash ? how->hash : 4);
	const struct hash *mask = how->mask_hash ? hash_by_kmip(how->mask_hash) : hash;
	char hash_name[16] = "", mask_name[16] = "";

	if (!hash || !mask)
		return kf_fail(BAD_PARAMETERS, "this hash is not for OAEP");
	strncpy(hash_name, hash->openssl_name, sizeof(hash_name) - 1);
	strncpy(mask_name, mask->openssl_name, sizeof(mask_name) - 1);
	char padding[] = OSSL_PKEY_RSA_PAD_MODE_OAEP;
	OSSL_PARAM list[] = {
		OSSL_PARAM_construct_utf8_string(
			OSSL_ASYM_CIPHER_PARAM_PAD_MODE, padding, 0),
		OSSL_PARAM_construct_utf8_string(
			OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST, hash_name, 0),
		OSSL_PARAM_construct_utf8_string(
			OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST, mask_name, 0),
		OSSL_PARAM_construct_octet_string(OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL,
			(void *)(uintptr_t)how->label.p, how->label.n),
		OSSL_PARAM_construct_end(),
	};
	if (!how->label.n)
		list[3] = OSSL_PARAM_construct_end();
	if (EVP_PKEY_encrypt_init_ex(ctx, list) <= 0)
		return ossl_fail(BAD_PARAMETERS, "parameters of OAEP");
	return KF_OK;
}

kf_err keywrap_seal_oaep(struct slice spki, const struct keywrap_oaep *how,
	struct slice plain, struct buf *ret)
{
	CLEANUP(pubkey_freep) struct pubkey *key = NULL;
	size_t n = 1024;

	KF_TRY(pubkey_parse(spki, &key));
	if (pubkey_alg(key)->family != FAMILY_RSA)
		return kf_fail(BAD_PARAMETERS, "only RSA keys have OAEP");
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pubkey_pkey(key), NULL);
	if (!ctx)
		return ossl_fail(NOMEM, "key wrapping");
	KF_TRY(set_oaep(ctx, how));
	uint8_t *out = buf_reserve(ret, n);
	if (!out)
		return buf_err(ret);
	if (EVP_PKEY_encrypt(ctx, out, &n, plain.p, plain.n) <= 0)
		return ossl_fail(CRYPTO, "the key is too long for this public key");
	buf_commit(ret, n);
	return KF_OK;
}
