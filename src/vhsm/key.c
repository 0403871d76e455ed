/* SPDX-License-Identifier: Apache-2.0 */
#include "vhsm/key.h"
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum { RSA_BITS_MIN = 1024, RSA_BITS_MAX = 4096 };

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
	if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX || bits % 256 || exponent.n > 8)
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

/* Squares y, which is some number to the power of k / 2^twos, until it is 1; the root of 1 before
 * that divides n unless it is -1.  False when it never is: then k is no multiple of n's exponent. */
static bool square_to_one(
	BIGNUM *y, int twos, const BIGNUM *n, BIGNUM *factor, BN_CTX *ctx)
{
	if (!BN_one(factor))
		return false;
	for (int i = 0; i < twos && !BN_is_one(y); i++)
		if (!BN_copy(factor, y) || !BN_mod_sqr(y, y, n, ctx))
			return false;
	return BN_is_one(y) && BN_sub_word(factor, 1) && BN_gcd(factor, factor, n, ctx);
}

/* A factor of n from k = d * e - 1 (NIST SP 800-56B, appendix C): every second number gives one. */
static bool find_factor(const BIGNUM *n, const BIGNUM *k, BIGNUM *p, BN_CTX *ctx)
{
	CLEANUP(ossl_bn_freep) BIGNUM *r = BN_new(), *g = BN_new(), *y = BN_new();
	int twos = 0;
	while (!BN_is_bit_set(k, twos))
		twos++;
	if (!r || !g || !y || !BN_rshift(r, k, twos))
		return false;
	for (int i = 0; i < 100; i++) {
		if (!BN_rand_range(g, n) || BN_is_zero(g) ||
			!BN_mod_exp(y, g, r, n, ctx) ||
			!square_to_one(y, twos, n, p, ctx))
			return false;
		if (!BN_is_one(p) && BN_cmp(p, n) != 0)
			return true;
	}
	return false;
}

struct rsa_numbers {
	BIGNUM *n, *e, *d, *p, *q, *dp, *dq, *qi;
};

static void rsa_numbers_free(struct rsa_numbers *r)
{
	BIGNUM *all[] = { r->n, r->e, r->d, r->p, r->q, r->dp, r->dq, r->qi };
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		BN_clear_free(all[i]);
}

/* The CRT parts, without which OpenSSL would sign three times slower. */
static bool complete(struct rsa_numbers *r, BN_CTX *ctx)
{
	CLEANUP(ossl_bn_freep) BIGNUM *k = BN_new(), *one_less = BN_new();
	r->p = BN_new(), r->q = BN_new(), r->dp = BN_new(), r->dq = BN_new();
	if (!k || !one_less || !r->p || !r->q || !r->dp || !r->dq)
		return false;
	if (!BN_mul(k, r->d, r->e, ctx) || !BN_sub_word(k, 1) || BN_is_zero(k) ||
		BN_is_odd(k) || !find_factor(r->n, k, r->p, ctx))
		return false;
	if (!BN_div(r->q, NULL, r->n, r->p, ctx))
		return false;
	if (BN_cmp(r->p, r->q) < 0)
		BN_swap(r->p, r->q);
	r->qi = BN_mod_inverse(NULL, r->q, r->p, ctx);
	return r->qi && BN_sub(one_less, r->p, BN_value_one()) &&
	       BN_mod(r->dp, r->d, one_less, ctx) &&
	       BN_sub(one_less, r->q, BN_value_one()) &&
	       BN_mod(r->dq, r->d, one_less, ctx);
}

static bool build(const char *type, OSSL_PARAM_BLD *bld, EVP_PKEY **ret)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	bool good = params && ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
		    EVP_PKEY_fromdata(ctx, ret, EVP_PKEY_KEYPAIR, params) == 1;
	OSSL_PARAM_free(params);
	return good;
}

static bool build_rsa(const struct rsa_numbers *r, EVP_PKEY **ret)
{
	const struct {
		const char *name;
		const BIGNUM *value;
	} parts[] = { { OSSL_PKEY_PARAM_RSA_N, r->n }, { OSSL_PKEY_PARAM_RSA_E, r->e },
		{ OSSL_PKEY_PARAM_RSA_D, r->d }, { OSSL_PKEY_PARAM_RSA_FACTOR1, r->p },
		{ OSSL_PKEY_PARAM_RSA_FACTOR2, r->q },
		{ OSSL_PKEY_PARAM_RSA_EXPONENT1, r->dp },
		{ OSSL_PKEY_PARAM_RSA_EXPONENT2, r->dq },
		{ OSSL_PKEY_PARAM_RSA_COEFFICIENT1, r->qi } };
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	bool good = bld != NULL;
	for (size_t i = 0; good && i < sizeof(parts) / sizeof(parts[0]); i++)
		good = OSSL_PARAM_BLD_push_BN(bld, parts[i].name, parts[i].value) == 1;
	good = good && build("RSA", bld, ret);
	OSSL_PARAM_BLD_free(bld);
	return good;
}

kf_err key_from_rsa(struct slice n, struct slice e, struct slice d, struct key **ret)
{
	if (n.n > RSA_BITS_MAX / 8 || e.n > 8 || d.n > RSA_BITS_MAX / 8)
		return kf_fail(INVALID_FIELD, "an RSA number is too long");
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	CLEANUP(rsa_numbers_free)
	struct rsa_numbers r = { .n = BN_bin2bn(n.p, (int)n.n, NULL),
		.e = BN_bin2bn(e.p, (int)e.n, NULL),
		.d = BN_bin2bn(d.p, (int)d.n, NULL) };
	if (!r.n || !r.e || !r.d || BN_num_bits(r.n) < RSA_BITS_MIN || !BN_is_odd(r.n) ||
		BN_is_zero(r.e) || BN_is_zero(r.d) || BN_cmp(r.d, r.n) >= 0)
		return kf_fail(INVALID_FIELD, "these numbers are no RSA key");
	BN_CTX *ctx = BN_CTX_secure_new();
	bool good = ctx && complete(&r, ctx) && build_rsa(&r, &pkey);
	BN_CTX_free(ctx);
	if (!good)
		return ossl_fail(INVALID_FIELD, "these numbers are no RSA key");
	return wrap(KEY_RSA, &pkey, ret);
}

static bool build_ec(
	const struct curve *curve, const BIGNUM *d, struct slice point, EVP_PKEY **ret)
{
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	bool good = bld &&
		    OSSL_PARAM_BLD_push_utf8_string(
			    bld, OSSL_PKEY_PARAM_GROUP_NAME, curve->name, 0) &&
		    OSSL_PARAM_BLD_push_octet_string(
			    bld, OSSL_PKEY_PARAM_PUB_KEY, point.p, point.n) &&
		    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, d) &&
		    build("EC", bld, ret);
	OSSL_PARAM_BLD_free(bld);
	return good;
}

kf_err key_from_ec(const struct curve *curve, struct slice scalar, struct key **ret)
{
	CLEANUP(curve_group_freep) EC_GROUP *group = curve_group(curve);
	CLEANUP(curve_point_freep) EC_POINT *q = group ? EC_POINT_new(group) : NULL;
	CLEANUP(ossl_bn_freep) BIGNUM *d = NULL;
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	autobuf point = buf_new(256);
	if (scalar.n > curve_size(curve) + 1)
		return kf_fail(
			INVALID_FIELD, "a private scalar is longer than its curve");
	d = BN_bin2bn(scalar.p, (int)scalar.n, NULL);
	if (!q || !d || BN_is_zero(d) || BN_cmp(d, EC_GROUP_get0_order(group)) >= 0)
		return ossl_fail(INVALID_FIELD, "this number is no private scalar");
	BN_set_flags(d, BN_FLG_CONSTTIME);
	if (EC_POINT_mul(group, q, d, NULL, NULL, NULL) != 1)
		return ossl_fail(CRYPTO, "a public point cannot be computed");
	KF_TRY(curve_put_point(group, q, &point));
	if (!build_ec(curve, d, buf_slice(&point), &pkey))
		return ossl_fail(CRYPTO, "an EC key cannot be built");
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
	CLEANUP(ossl_bn_freep) BIGNUM *bn = NULL;
	if (EVP_PKEY_get_bn_param(k->pkey, name, &bn) != 1)
		return ossl_fail(CRYPTO, "a key lacks one of its numbers");
	size_t n = size ? size : (size_t)BN_num_bytes(bn);
	uint8_t *at = buf_reserve(to, n);
	if (!at || BN_bn2binpad(bn, at, (int)n) < 0)
		return ossl_fail(CRYPTO, "a number of a key is too long");
	buf_commit(to, n);
	return KF_OK;
}

kf_err key_point(const struct key *k, struct buf *to)
{
	size_t size = key_size(k);
	buf_add_u8(to, 0x04);
	KF_TRY(key_number(k, OSSL_PKEY_PARAM_EC_PUB_X, size, to));
	return key_number(k, OSSL_PKEY_PARAM_EC_PUB_Y, size, to);
}
