/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/keywrap.h"
#include "crypt/ossl.h"
#include "crypt/pubkey.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <string.h>

enum { BLOCK = 16, GCM_IV = 12, GCM_TAG = 16, GCM_TAG_MIN = 12 };

static void cipher_freep(EVP_CIPHER **c) { EVP_CIPHER_free(*c); }

static bool is_nist(enum keywrap_mode mode)
{
	return mode == KEYWRAP_NIST || mode == KEYWRAP_NIST_PADDED;
}

static kf_err find_cipher(const struct keywrap *k, EVP_CIPHER **ret)
{
	static const char *const names[][3] = {
		[KEYWRAP_NIST] = { "AES-128-WRAP", "AES-192-WRAP", "AES-256-WRAP" },
		[KEYWRAP_NIST_PADDED] = { "AES-128-WRAP-PAD", "AES-192-WRAP-PAD",
			"AES-256-WRAP-PAD" },
		[KEYWRAP_CBC] = { "AES-128-CBC", "AES-192-CBC", "AES-256-CBC" },
		[KEYWRAP_CBC_PADDED] = { "AES-128-CBC", "AES-192-CBC", "AES-256-CBC" },
		[KEYWRAP_GCM] = { "AES-128-GCM", "AES-192-GCM", "AES-256-GCM" },
	};
	if (k->key.n != 16 && k->key.n != 24 && k->key.n != 32)
		return kf_fail(BAD_PARAMETERS, "an AES key has 16, 24 or 32 bytes");
	*ret = EVP_CIPHER_fetch(NULL, names[k->mode][k->key.n / 8 - 2], NULL);
	return *ret ? KF_OK : ossl_fail(CRYPTO, "cipher for key wrapping");
}

static size_t iv_size_of(const struct keywrap *k)
{
	if (is_nist(k->mode))
		return 0;
	return k->mode != KEYWRAP_GCM ? BLOCK : k->iv_size ? k->iv_size : GCM_IV;
}

static size_t tag_size_of(const struct keywrap *k)
{
	if (k->mode != KEYWRAP_GCM)
		return 0;
	return k->tag_size ? k->tag_size : GCM_TAG;
}

kf_err keywrap_check(const struct keywrap *k, size_t plain_n)
{
	const size_t tag = tag_size_of(k), iv = iv_size_of(k);
	if (!plain_n || plain_n > KEYWRAP_MAX)
		return kf_fail(BAD_PARAMETERS, "key of an impossible size");
	if (k->mode == KEYWRAP_NIST && (plain_n < 16 || plain_n % 8))
		return kf_fail(BAD_PARAMETERS,
			"AES Key Wrap wants a multiple of 8 bytes, 16 at least");
	if (k->mode == KEYWRAP_CBC && plain_n % BLOCK)
		return kf_fail(BAD_PARAMETERS,
			"CBC without padding wants a multiple of 16 bytes");
	if (tag && (tag < GCM_TAG_MIN || tag > GCM_TAG))
		return kf_fail(BAD_PARAMETERS, "a tag has 12 to 16 bytes");
	if (iv && (iv < 8 || iv > KEYWRAP_IV_MAX))
		return kf_fail(BAD_PARAMETERS, "an IV has 8 to 64 bytes");
	return KF_OK;
}

/* A context for sealing or opening.  GCM learns the length of its IV before the key. */
static kf_err begin(
	const struct keywrap *k, struct slice iv, bool is_sealing, EVP_CIPHER_CTX **ret)
{
	CLEANUP(cipher_freep) EVP_CIPHER *cipher = NULL;
	size_t iv_n = iv.n;
	OSSL_PARAM list[] = {
		OSSL_PARAM_construct_size_t(OSSL_CIPHER_PARAM_AEAD_IVLEN, &iv_n),
		OSSL_PARAM_construct_end(),
	};

	KF_TRY(find_cipher(k, &cipher));
	CLEANUP(ossl_cipher_ctx_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	if (!ctx)
		return ossl_fail(NOMEM, "key wrapping");
	EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	if (!EVP_CipherInit_ex2(ctx, cipher, NULL, NULL, is_sealing,
		    k->mode == KEYWRAP_GCM ? list : NULL) ||
		!EVP_CipherInit_ex2(
			ctx, NULL, k->key.p, iv.n ? iv.p : NULL, is_sealing, NULL) ||
		!EVP_CIPHER_CTX_set_padding(ctx, k->mode == KEYWRAP_CBC_PADDED))
		return ossl_fail(CRYPTO, "key wrapping");
	*ret = ctx;
	ctx = NULL;
	return KF_OK;
}

static kf_err run(EVP_CIPHER_CTX *ctx, struct slice in, struct buf *ret)
{
	uint8_t *out = buf_reserve(ret, in.n + 4 * BLOCK);
	int n = 0, last = 0;

	if (!out)
		return buf_err(ret);
	if (EVP_CipherUpdate(ctx, out, &n, in.p, (int)in.n) != 1 || n < 0 ||
		EVP_CipherFinal_ex(ctx, out + n, &last) != 1) {
		OPENSSL_cleanse(out, in.n + 4 * BLOCK);
		return ossl_fail(CRYPTO, "the wrapped key is not authentic");
	}
	buf_commit(ret, (size_t)n + (size_t)last);
	return KF_OK;
}

/* --- sealing --- */

static kf_err make_iv(const struct keywrap *k, uint8_t iv[KEYWRAP_IV_MAX], struct buf *to)
{
	const size_t n = iv_size_of(k);
	if (n && RAND_bytes(iv, (int)n) != 1)
		return ossl_fail(CRYPTO, "random numbers");
	buf_add(to, iv, n);
	return buf_err(to);
}

static kf_err put_tag(const struct keywrap *k, EVP_CIPHER_CTX *ctx, struct buf *ret)
{
	uint8_t tag[GCM_TAG];
	const size_t n = tag_size_of(k);
	if (!n)
		return KF_OK;
	if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, (int)n, tag) != 1)
		return ossl_fail(CRYPTO, "tag of a wrapped key");
	buf_add(ret, tag, n);
	return buf_err(ret);
}

kf_err keywrap_seal(
	const struct keywrap *k, struct slice plain, struct buf *iv, struct buf *ret)
{
	CLEANUP(ossl_cipher_ctx_freep) EVP_CIPHER_CTX *ctx = NULL;
	uint8_t random[KEYWRAP_IV_MAX] = { 0 };

	KF_TRY(keywrap_check(k, plain.n));
	KF_TRY(make_iv(k, random, iv));
	KF_TRY(begin(k, (struct slice){ random, iv_size_of(k) }, true, &ctx));
	KF_TRY(run(ctx, plain, ret));
	return put_tag(k, ctx, ret);
}

/* --- opening --- */

kf_err keywrap_check_sealed(const struct keywrap *k, struct slice iv, struct slice sealed)
{
	const size_t overhead = is_nist(k->mode) ? 8 : tag_size_of(k);
	const bool is_block = k->mode == KEYWRAP_CBC || k->mode == KEYWRAP_CBC_PADDED;

	if (is_nist(k->mode) ? iv.n != 0
		: is_block   ? iv.n != BLOCK
			     : iv.n < 8 || iv.n > KEYWRAP_IV_MAX)
		return kf_fail(BAD_PARAMETERS, "the IV does not fit the mode");
	if (sealed.n <= overhead || sealed.n > KEYWRAP_MAX ||
		(is_nist(k->mode) && sealed.n % 8) || (is_block && sealed.n % BLOCK))
		return kf_fail(CRYPTO, "a wrapped key of an impossible length");
	return KF_OK;
}

static kf_err expect_tag(
	const struct keywrap *k, EVP_CIPHER_CTX *ctx, struct slice *sealed)
{
	uint8_t tag[GCM_TAG];
	const size_t n = tag_size_of(k);
	if (!n)
		return KF_OK;
	if (n < GCM_TAG_MIN || n > GCM_TAG)
		return kf_fail(BAD_PARAMETERS, "a tag has 12 to 16 bytes");
	sealed->n -= n;
	memcpy(tag, sealed->p + sealed->n, n);
	if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)n, tag) != 1)
		return ossl_fail(CRYPTO, "tag of a wrapped key");
	return KF_OK;
}

kf_err keywrap_open(
	const struct keywrap *k, struct slice iv, struct slice sealed, struct buf *ret)
{
	CLEANUP(ossl_cipher_ctx_freep) EVP_CIPHER_CTX *ctx = NULL;

	KF_TRY(keywrap_check_sealed(k, iv, sealed));
	KF_TRY(begin(k, iv, false, &ctx));
	KF_TRY(expect_tag(k, ctx, &sealed));
	return run(ctx, sealed, ret);
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
