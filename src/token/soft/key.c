/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/keygen.h"
#include "token/soft/soft.h"
#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

const struct token_ops soft_token = {
	.name = "soft",
	.open = soft_open,
	.close = soft_close,
	.sign = soft_sign,
	.decrypt = soft_decrypt,
	.free_key = soft_key_retire,
};

static void key_free(struct soft_key *k)
{
	EVP_PKEY_free(k->pkey); /* clears the private numbers */
	buf_free(&k->spki);
	OPENSSL_secure_clear_free(k, sizeof(*k));
}

static void key_freep(struct soft_key **k)
{
	if (*k)
		key_free(*k);
}

void soft_key_hold(struct soft_key *key)
{
	atomic_fetch_add_explicit(&key->holds, 1, memory_order_relaxed);
}

void soft_key_drop(struct soft_key *key)
{
	if (key && atomic_fetch_sub_explicit(&key->holds, 1, memory_order_acq_rel) == 1)
		key_free(key);
}

void soft_key_retire(struct token_key *key)
{
	struct soft_key *k = soft_key_of(key);
	atomic_store_explicit(&k->is_retired, true, memory_order_relaxed);
	soft_key_drop(k);
}

/* Implicit rejection derives from SHA-256(d), d as long as the modulus. */
static kf_err prepare_rejection(struct soft_key *k)
{
	uint8_t d[JOB_CIPHER_MAX];
	int size = EVP_PKEY_get_size(k->pkey);
	CLEANUP(ossl_bn_freep) BIGNUM *number = BN_secure_new();
	if (!number || size > (int)sizeof(d) ||
		!EVP_PKEY_get_bn_param(k->pkey, OSSL_PKEY_PARAM_RSA_D, &number) ||
		BN_bn2binpad(number, d, size) != size)
		return ossl_fail(NOMEM, "private exponent");
	SHA256(d, (size_t)size, k->reject);
	OPENSSL_cleanse(d, sizeof(d));
	return KF_OK;
}

static kf_err fill(struct soft_key *k, struct slice pkcs8)
{
	atomic_init(&k->base.refs, 1);
	atomic_init(&k->holds, 1);
	atomic_init(&k->is_retired, false);
	k->base.ops = &soft_token;
	k->spki = buf_new(SPKI_MAX);
	KF_TRY(ossl_parse_private(pkcs8, &k->pkey));
	k->base.alg = ossl_alg_of(k->pkey);
	if (!k->base.alg)
		return kf_fail(KEY_FORMAT, "keys of this algorithm are not supported");
	KF_TRY(ossl_put_spki(k->pkey, &k->spki));
	spki_id(buf_slice(&k->spki), k->base.id);
	return k->base.alg->family == FAMILY_RSA ? prepare_rejection(k) : KF_OK;
}

kf_err soft_key_new(struct slice pkcs8, struct token_key **ret)
{
	/* The rest is for what OpenSSL needs while it signs. */
	if (crypt_room() < crypt_heap_size() / 8)
		return kf_fail(NOMEM, "memory for keys is used up");
	CLEANUP(key_freep) struct soft_key *k = OPENSSL_secure_zalloc(sizeof(*k));
	if (!k)
		return ossl_fail(NOMEM, "memory for keys is used up");
	KF_TRY(fill(k, pkcs8));
	*ret = &k->base;
	k = NULL;
	return KF_OK;
}

void soft_key_set_reject(struct token_key *key, const uint8_t secret[32])
{
	static_assert(REJECT_SECRET_SIZE == 32, "as the caller's");
	memcpy(soft_key_of(key)->reject, secret, REJECT_SECRET_SIZE);
}

struct slice soft_key_spki(const struct token_key *key)
{
	return buf_slice(&((const struct soft_key *)key)->spki);
}
