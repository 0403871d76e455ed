/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/kdf.h"
#include "base/mem.h"
#include "crypt/ossl.h"
#include <openssl/crypto.h>
#include <string.h>

enum { SCRATCH_MAX = 1 << 20, SHARED_MAX = 2048 };

static kf_err take(struct slice made, size_t n, struct buf *ret)
{
	if (!n || made.n < n)
		return kf_fail(DATA, "the method does not give so many bytes");
	buf_add(ret, made.p, n);
	return buf_err(ret);
}

static kf_err digest(const struct hash *hash, struct slice data, struct buf *ret)
{
	size_t n = 0;
	uint8_t *out = buf_reserve(ret, HASH_SIZE_MAX);
	if (!out)
		return buf_err(ret);
	if (!EVP_Q_digest(NULL, hash->openssl_name, NULL, data.p, data.n, out, &n))
		return ossl_fail(CRYPTO, "hash");
	buf_commit(ret, n);
	return KF_OK;
}

kf_err kdf_hash(const struct kdf *k, struct buf *ret)
{
	autobuf made = buf_new(HASH_SIZE_MAX);
	KF_TRY(digest(k->hash, k->key, &made));
	return take(buf_slice(&made), k->n, ret);
}

kf_err kdf_hmac(const struct kdf *k, struct buf *ret)
{
	autobuf made = buf_new(PRF_SIZE_MAX);
	KF_TRY(prf_hmac(k->hash, k->key, k->data, &made));
	return take(buf_slice(&made), k->n, ret);
}

static kf_err check_size(size_t n)
{
	return n && n <= KDF_SIZE_MAX
		       ? KF_OK
		       : kf_fail(DATA, "the method does not give so many bytes");
}

kf_err kdf_pbkdf2(const struct kdf *k, struct buf *ret)
{
	const uint64_t blocks = (k->n + k->hash->size - 1) / k->hash->size;

	KF_TRY(check_size(k->n));
	if (!k->iterations || k->iterations * blocks > k->iterations_max)
		return kf_fail(INVALID_FIELD, "no such Iteration Count");
	uint8_t *out = buf_reserve(ret, k->n);
	EVP_MD *md = EVP_MD_fetch(NULL, k->hash->openssl_name, NULL);
	const bool is_done =
		out && md &&
		PKCS5_PBKDF2_HMAC((const char *)k->key.p, (int)k->key.n, k->salt.p,
			(int)k->salt.n, (int)k->iterations, md, (int)k->n, out) == 1;
	EVP_MD_free(md);
	if (!is_done)
		return ossl_fail(CRYPTO, "PBKDF2");
	buf_commit(ret, k->n);
	return KF_OK;
}

/* --- what goes on until there are enough bytes --- */

static kf_err prf(
	const struct kdf *k, struct slice key, struct slice data, struct buf *ret)
{
	return k->hash ? prf_hmac(k->hash, key, data, ret) : prf_cmac(key, data, ret);
}

kf_err kdf_hkdf(const struct kdf *k, struct buf *ret)
{
	static const uint8_t zeros[HASH_SIZE_MAX];
	autobuf prk = buf_new(PRF_SIZE_MAX), in = buf_new(SCRATCH_MAX);
	autobuf t = buf_new(PRF_SIZE_MAX), made = buf_new(SCRATCH_MAX);
	const struct slice salt =
		k->salt.n ? k->salt : (struct slice){ zeros, k->hash->size };

	if (!k->n || k->n > 255 * k->hash->size)
		return kf_fail(DATA, "the method does not give so many bytes");
	KF_TRY(prf_hmac(k->hash, salt, k->key, &prk));
	for (unsigned i = 1; made.n < k->n; i++) {
		buf_clear(&in);
		buf_add_slice(&in, buf_slice(&t));
		buf_add_slice(&in, k->data);
		buf_add_u8(&in, (uint8_t)i);
		KF_TRY(buf_err(&in));
		buf_clear(&t);
		KF_TRY(prf_hmac(k->hash, buf_slice(&prk), buf_slice(&in), &t));
		buf_add_slice(&made, buf_slice(&t));
	}
	return take(buf_slice(&made), k->n, ret);
}

/* What stands before the counter: nothing, K(i - 1), or A(i). */
static kf_err next_input(enum kdf_mode mode, const struct kdf *k, struct buf *previous)
{
	autobuf a = buf_new(PRF_SIZE_MAX);

	if (mode != KDF_DOUBLE_PIPELINE)
		return KF_OK;
	KF_TRY(prf(k, k->key, buf_slice(previous), &a));
	buf_clear(previous);
	buf_add_slice(previous, buf_slice(&a));
	return buf_err(previous);
}

static kf_err one_block(enum kdf_mode mode, const struct kdf *k, uint32_t i,
	struct buf *previous, struct buf *made)
{
	autobuf in = buf_new(SCRATCH_MAX), out = buf_new(PRF_SIZE_MAX);

	KF_TRY(next_input(mode, k, previous));
	if (mode != KDF_COUNTER)
		buf_add_slice(&in, buf_slice(previous));
	buf_add_u32(&in, i);
	buf_add_slice(&in, k->data);
	KF_TRY(buf_err(&in));
	KF_TRY(prf(k, k->key, buf_slice(&in), &out));
	if (mode == KDF_FEEDBACK) {
		buf_clear(previous);
		buf_add_slice(previous, buf_slice(&out));
	}
	buf_add_slice(made, buf_slice(&out));
	return buf_err(made);
}

kf_err kdf_sp800_108(enum kdf_mode mode, const struct kdf *k, struct buf *ret)
{
	autobuf previous = buf_new(SCRATCH_MAX), made = buf_new(SCRATCH_MAX);

	KF_TRY(check_size(k->n));
	buf_add_slice(&previous, mode == KDF_DOUBLE_PIPELINE ? k->data : k->salt);
	KF_TRY(buf_err(&previous));
	for (uint32_t i = 1; made.n < k->n; i++)
		KF_TRY(one_block(mode, k, i, &previous, &made));
	return take(buf_slice(&made), k->n, ret);
}

kf_err kdf_aws4(struct slice key, const struct slice *part, size_t parts, size_t n,
	struct buf *ret)
{
	autobuf k = buf_new(SCRATCH_MAX), next = buf_new(PRF_SIZE_MAX);

	buf_add_text(&k, "AWS4");
	buf_add_slice(&k, key);
	KF_TRY(buf_err(&k));
	for (size_t i = 0; i < parts; i++) {
		buf_clear(&next);
		KF_TRY(prf_hmac(hash_get(HASH_SHA256), buf_slice(&k), part[i], &next));
		buf_clear(&k);
		buf_add_slice(&k, buf_slice(&next));
	}
	return take(buf_slice(&k), n, ret);
}

/* --- key agreement --- */

static kf_err parse(
	struct slice pkcs8, struct slice spki, EVP_PKEY **own, EVP_PKEY **peer)
{
	const unsigned char *p = pkcs8.p, *q = spki.p;
	PKCS8_PRIV_KEY_INFO *info = NULL;

	mem_wipe_freed(true);
	info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long)pkcs8.n);
	*own = info ? EVP_PKCS82PKEY(info) : NULL;
	PKCS8_PRIV_KEY_INFO_free(info);
	mem_wipe_freed(false);
	*peer = d2i_PUBKEY(NULL, &q, (long)spki.n);
	if (!*own || !*peer)
		return ossl_fail(BAD_PARAMETERS, "keys that agree on nothing");
	return KF_OK;
}

kf_err kdf_agree(struct slice pkcs8, struct slice spki, size_t n, struct buf *ret)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *own = NULL;
	CLEANUP(ossl_pkey_freep) EVP_PKEY *peer = NULL;
	uint8_t shared[SHARED_MAX];
	size_t shared_n = sizeof(shared);

	KF_TRY(parse(pkcs8, spki, &own, &peer));
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
	/* set_peer checks the public key: a point that is not on the curve would tell about ours. */
	if (!ctx || EVP_PKEY_derive_init(ctx) <= 0 ||
		EVP_PKEY_derive_set_peer_ex(ctx, peer, 1) <= 0 ||
		EVP_PKEY_derive(ctx, shared, &shared_n) <= 0)
		return ossl_fail(BAD_PARAMETERS, "keys that agree on nothing");
	const kf_err err =
		take((struct slice){ shared, shared_n }, n ? n : shared_n, ret);
	OPENSSL_cleanse(shared, sizeof(shared));
	return err;
}
