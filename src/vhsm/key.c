/* SPDX-License-Identifier: Apache-2.0 */
#include "vhsm/key.h"
#include "crypt/numbers.h"
#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

struct key *key_new(enum key_kind kind)
{
	struct key *k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	k->kind = kind;
	k->uses = KEY_USES_UNLIMITED;
	return k;
}

void key_free(struct key *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->pkey);
	explicit_bzero(k, sizeof(*k));
	free(k);
}

/* Wraps what OpenSSL made. */
static kf_err wrap(enum key_kind kind, EVP_PKEY **pkey, struct key **ret)
{
	struct key *k = key_new(kind);
	if (!k)
		return kf_fail(NOMEM, "no memory for a key");
	k->pkey = *pkey;
	*pkey = NULL;
	*ret = k;
	return KF_OK;
}

kf_err key_generate_rsa(size_t bits, struct slice exponent, struct key **ret)
{
	if (bits < NUMBERS_RSA_BITS_MIN || bits > NUMBERS_RSA_BITS_MAX || bits % 256 ||
		exponent.n > 8)
		return kf_fail(INVALID_FIELD, "RSA keys have 1024 to 4096 bits");
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	CLEANUP(ossl_bn_freep) BIGNUM *e = BN_bin2bn(exponent.p, (int)exponent.n, NULL);
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	if (!e || !BN_is_odd(e) || BN_is_one(e))
		return kf_fail(
			INVALID_FIELD, "the public exponent is an odd number above one");
	if (!ctx || EVP_PKEY_keygen_init(ctx) != 1 ||
		EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)bits) != 1 ||
		EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, e) != 1 ||
		EVP_PKEY_generate(ctx, &pkey) != 1)
		return ossl_fail(CRYPTO, "an RSA key cannot be generated");
	return wrap(KEY_RSA, &pkey, ret);
}

kf_err key_generate_ec(const struct curve *curve, struct key **ret)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = EVP_EC_gen(curve->name);
	if (!pkey)
		return ossl_fail(CRYPTO, "an EC key cannot be generated");
	KF_TRY(wrap(KEY_EC, &pkey, ret));
	(*ret)->curve = curve;
	return KF_OK;
}

kf_err key_generate_aes(size_t bits, struct key **ret)
{
	if (bits != 128 && bits != 192 && bits != 256)
		return kf_fail(INVALID_FIELD, "AES keys have 128, 192 or 256 bits");
	CLEANUP(key_freep) struct key *k = key_new(KEY_AES);
	if (!k || RAND_priv_bytes(k->aes, (int)(bits / 8)) != 1)
		return ossl_fail(CRYPTO, "an AES key cannot be generated");
	k->n_aes = bits / 8;
	*ret = k;
	k = NULL;
	return KF_OK;
}

kf_err key_from_rsa(struct slice n, struct slice e, struct slice d, struct key **ret)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	KF_TRY(numbers_rsa(n, e, d, &pkey));
	return wrap(KEY_RSA, &pkey, ret);
}

kf_err key_from_primes(struct slice p, struct slice q, struct slice e, struct key **ret)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	KF_TRY(numbers_rsa_primes(p, q, e, &pkey));
	return wrap(KEY_RSA, &pkey, ret);
}

kf_err key_from_ec(const struct curve *curve, struct slice scalar, struct key **ret)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	KF_TRY(numbers_ec(curve, scalar, &pkey));
	KF_TRY(wrap(KEY_EC, &pkey, ret));
	(*ret)->curve = curve;
	return KF_OK;
}

size_t key_bits(const struct key *k)
{
	return k->kind == KEY_AES  ? 8 * k->n_aes
	       : k->kind == KEY_EC ? k->curve->bits
				   : (size_t)EVP_PKEY_get_bits(k->pkey);
}

size_t key_size(const struct key *k) { return (key_bits(k) + 7) / 8; }

bool key_allows(const struct key *k, uint8_t algo)
{
	return k->n_algos == 0 || memchr(k->algos, algo, k->n_algos) != NULL;
}

kf_err key_number(const struct key *k, const char *name, size_t size, struct buf *to)
{
	return numbers_get(k->pkey, name, size, to);
}

kf_err key_point(const struct key *k, struct buf *to)
{
	size_t size = key_size(k);
	buf_add_u8(to, 0x04);
	KF_TRY(key_number(k, OSSL_PKEY_PARAM_EC_PUB_X, size, to));
	return key_number(k, OSSL_PKEY_PARAM_EC_PUB_Y, size, to);
}
