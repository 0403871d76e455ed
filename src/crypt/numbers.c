/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/numbers.h"
#include "base/mem.h"
#include <openssl/core_names.h>
#include <openssl/param_build.h>

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
	CLEANUP(ossl_bn_freep)
	BIGNUM *r = BN_secure_new(), *g = BN_secure_new(), *y = BN_secure_new();
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

/* In memory that is locked and wiped, and so are the parameters that are made of it. */
static BIGNUM *secret_number(struct slice s)
{
	BIGNUM *n = BN_secure_new();
	if (n && BN_bin2bn(s.p, (int)s.n, n))
		return n;
	BN_clear_free(n);
	return NULL;
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
static bool add_crt(struct rsa_numbers *r, BN_CTX *ctx)
{
	CLEANUP(ossl_bn_freep) BIGNUM *one_less = BN_secure_new();
	r->dp = BN_secure_new(), r->dq = BN_secure_new(), r->qi = BN_secure_new();
	if (!one_less || !r->dp || !r->dq || !r->qi)
		return false;
	if (BN_cmp(r->p, r->q) < 0)
		BN_swap(r->p, r->q);
	return BN_mod_inverse(r->qi, r->q, r->p, ctx) &&
	       BN_sub(one_less, r->p, BN_value_one()) &&
	       BN_mod(r->dp, r->d, one_less, ctx) &&
	       BN_sub(one_less, r->q, BN_value_one()) &&
	       BN_mod(r->dq, r->d, one_less, ctx);
}

/* The rest from n, e and d. */
static bool complete(struct rsa_numbers *r, BN_CTX *ctx)
{
	CLEANUP(ossl_bn_freep) BIGNUM *k = BN_secure_new();
	r->p = BN_secure_new(), r->q = BN_secure_new();
	if (!k || !r->p || !r->q)
		return false;
	if (!BN_mul(k, r->d, r->e, ctx) || !BN_sub_word(k, 1) || BN_is_zero(k) ||
		BN_is_odd(k) || !find_factor(r->n, k, r->p, ctx))
		return false;
	return BN_div(r->q, NULL, r->n, r->p, ctx) && add_crt(r, ctx);
}

static bool build(const char *type, OSSL_PARAM_BLD *bld, EVP_PKEY **ret)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
	mem_wipe_freed(true); /* drafts of the provider's */
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	bool good = params && ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
		    EVP_PKEY_fromdata(ctx, ret, EVP_PKEY_KEYPAIR, params) == 1;
	mem_wipe_freed(false);
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

static kf_err finish_rsa(struct rsa_numbers *r, bool good, EVP_PKEY **ret)
{
	if (!good || !build_rsa(r, ret))
		return ossl_fail(INVALID_FIELD, "these numbers are no RSA key");
	return KF_OK;
}

kf_err numbers_rsa(struct slice n, struct slice e, struct slice d, EVP_PKEY **ret)
{
	if (n.n > NUMBERS_RSA_BITS_MAX / 8 || e.n > 8 || d.n > NUMBERS_RSA_BITS_MAX / 8)
		return kf_fail(INVALID_FIELD, "an RSA number is too long");
	CLEANUP(rsa_numbers_free)
	struct rsa_numbers r = { .n = BN_bin2bn(n.p, (int)n.n, NULL),
		.e = BN_bin2bn(e.p, (int)e.n, NULL),
		.d = secret_number(d) };
	if (!r.n || !r.e || !r.d || BN_num_bits(r.n) < NUMBERS_RSA_BITS_MIN ||
		!BN_is_odd(r.n) || BN_is_zero(r.e) || BN_is_zero(r.d) ||
		BN_cmp(r.d, r.n) >= 0)
		return kf_fail(INVALID_FIELD, "these numbers are no RSA key");
	BN_CTX *ctx = BN_CTX_secure_new();
	bool good = ctx && complete(&r, ctx);
	BN_CTX_free(ctx);
	return finish_rsa(&r, good, ret);
}

/* n = p q; d is the inverse of e. */
static bool from_primes(struct rsa_numbers *r, BN_CTX *ctx)
{
	CLEANUP(ossl_bn_freep) BIGNUM *phi = BN_secure_new(), *q1 = BN_secure_new();
	r->n = BN_new(), r->d = BN_secure_new();
	if (!phi || !q1 || !r->n || !r->d || !BN_mul(r->n, r->p, r->q, ctx) ||
		BN_num_bits(r->n) < NUMBERS_RSA_BITS_MIN || !BN_is_odd(r->n) ||
		!BN_sub(phi, r->p, BN_value_one()) || !BN_sub(q1, r->q, BN_value_one()) ||
		!BN_mul(phi, phi, q1, ctx))
		return false;
	return BN_mod_inverse(r->d, r->e, phi, ctx) && add_crt(r, ctx);
}

kf_err numbers_rsa_primes(struct slice p, struct slice q, struct slice e, EVP_PKEY **ret)
{
	if (p.n > NUMBERS_RSA_BITS_MAX / 8 || q.n > NUMBERS_RSA_BITS_MAX / 8 || e.n > 8)
		return kf_fail(INVALID_FIELD, "an RSA number is too long");
	CLEANUP(rsa_numbers_free)
	struct rsa_numbers r = { .p = secret_number(p),
		.q = secret_number(q),
		.e = BN_bin2bn(e.p, (int)e.n, NULL) };
	if (!r.p || !r.q || !r.e || BN_num_bits(r.p) < 2 || BN_num_bits(r.q) < 2 ||
		BN_num_bits(r.e) < 2)
		return kf_fail(INVALID_FIELD, "these numbers are no RSA key");
	BN_CTX *ctx = BN_CTX_secure_new();
	bool good =
		ctx && from_primes(&r, ctx) && BN_num_bits(r.n) <= NUMBERS_RSA_BITS_MAX;
	BN_CTX_free(ctx);
	return finish_rsa(&r, good, ret);
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

kf_err numbers_ec(const struct curve *curve, struct slice scalar, EVP_PKEY **ret)
{
	CLEANUP(curve_group_freep) EC_GROUP *group = curve_group(curve);
	CLEANUP(curve_point_freep) EC_POINT *q = group ? EC_POINT_new(group) : NULL;
	CLEANUP(ossl_bn_freep) BIGNUM *d = NULL;
	autobuf point = buf_new(256);
	if (scalar.n > curve_size(curve) + 1)
		return kf_fail(
			INVALID_FIELD, "a private scalar is longer than its curve");
	d = secret_number(scalar);
	if (!q || !d || BN_is_zero(d) || BN_cmp(d, EC_GROUP_get0_order(group)) >= 0)
		return ossl_fail(INVALID_FIELD, "this number is no private scalar");
	BN_set_flags(d, BN_FLG_CONSTTIME);
	if (EC_POINT_mul(group, q, d, NULL, NULL, NULL) != 1)
		return ossl_fail(CRYPTO, "a public point cannot be computed");
	KF_TRY(curve_put_point(group, q, &point));
	if (!build_ec(curve, d, buf_slice(&point), ret))
		return ossl_fail(CRYPTO, "an EC key cannot be built");
	return KF_OK;
}

kf_err numbers_get(const EVP_PKEY *pkey, const char *name, size_t size, struct buf *to)
{
	CLEANUP(ossl_bn_freep) BIGNUM *bn = NULL;
	if (EVP_PKEY_get_bn_param(pkey, name, &bn) != 1)
		return ossl_fail(CRYPTO, "a key lacks one of its numbers");
	size_t n = size ? size : (size_t)BN_num_bytes(bn);
	uint8_t *at = buf_reserve(to, n);
	if (!at || BN_bn2binpad(bn, at, (int)n) < 0)
		return ossl_fail(CRYPTO, "a number of a key is too long");
	buf_commit(to, n);
	return KF_OK;
}
