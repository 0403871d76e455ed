/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/numbers.h"
#include "test.h"
#include <openssl/core_names.h>
#include <openssl/rsa.h>
#include <stdlib.h>

static EVP_PKEY *generate(const char *curve)
{
	EVP_PKEY *k = curve ? EVP_EC_gen(curve) : EVP_RSA_gen(1024);
	if (!k)
		abort();
	return k;
}

static struct slice number(const EVP_PKEY *k, const char *name, struct buf *to)
{
	*to = buf_new(1024);
	if (!kf_ok(numbers_get(k, name, 0, to)))
		abort();
	return buf_slice(to);
}

static bool is_whole(EVP_PKEY *k, const EVP_PKEY *want)
{
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k, NULL);
	return EVP_PKEY_eq(k, want) == 1 && EVP_PKEY_check(ctx) == 1;
}

TEST(an_rsa_key_comes_back_from_its_numbers)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *k = generate(NULL), *same = NULL;
	autobuf n, e, d;
	OK(kf_ok(numbers_rsa(number(k, OSSL_PKEY_PARAM_RSA_N, &n),
		number(k, OSSL_PKEY_PARAM_RSA_E, &e),
		number(k, OSSL_PKEY_PARAM_RSA_D, &d), &same)));
	OK(is_whole(same, k));
}

TEST(an_rsa_key_comes_back_from_its_primes_in_any_order)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *k = generate(NULL), *a = NULL, *b = NULL;
	autobuf e, p, q;
	number(k, OSSL_PKEY_PARAM_RSA_E, &e);
	number(k, OSSL_PKEY_PARAM_RSA_FACTOR1, &p);
	number(k, OSSL_PKEY_PARAM_RSA_FACTOR2, &q);
	OK(kf_ok(numbers_rsa_primes(buf_slice(&p), buf_slice(&q), buf_slice(&e), &a)));
	OK(kf_ok(numbers_rsa_primes(buf_slice(&q), buf_slice(&p), buf_slice(&e), &b)));
	OK(is_whole(a, k) && is_whole(b, k));
	CLEANUP(ossl_pkey_freep) EVP_PKEY *none = NULL;
	OK(!kf_ok(
		numbers_rsa_primes(buf_slice(&p), buf_slice(&p), buf_slice(&e), &none)));
	OK(!kf_ok(numbers_rsa_primes(
		buf_slice(&p), (struct slice){ NULL, 0 }, buf_slice(&e), &none)));
}

TEST(an_ec_key_comes_back_from_its_scalar_on_every_curve)
{
	static const char *const curves[] = {
#define X(name, bits) name,
#include "crypt/curve.def"
#undef X
	};
	for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++) {
		CLEANUP(ossl_pkey_freep) EVP_PKEY *k = generate(curves[i]), *same = NULL;
		autobuf d;
		OK(kf_ok(numbers_ec(curve_by_name(curves[i]),
			number(k, OSSL_PKEY_PARAM_PRIV_KEY, &d), &same)));
		OK(is_whole(same, k));
	}
}

TEST(numbers_that_are_no_key_are_refused)
{
	static const uint8_t zero[32], high[32] = { 0xff, 0xff, 0xff, 0xff, 0xff };
	CLEANUP(ossl_pkey_freep) EVP_PKEY *k = generate(NULL), *none = NULL;
	const struct curve *c = curve_by_name("prime256v1");
	autobuf n, e, d;
	number(k, OSSL_PKEY_PARAM_RSA_N, &n);
	number(k, OSSL_PKEY_PARAM_RSA_E, &e);
	number(k, OSSL_PKEY_PARAM_RSA_D, &d);
	d.p[d.n - 1] ^= 2;
	OK(!kf_ok(numbers_rsa(buf_slice(&n), buf_slice(&e), buf_slice(&d), &none)));
	OK(!kf_ok(numbers_rsa(
		buf_slice(&n), buf_slice(&e), (struct slice){ NULL, 0 }, &none)));
	OK(!kf_ok(numbers_ec(c, (struct slice){ zero, sizeof(zero) }, &none)));
	OK(!kf_ok(numbers_ec(c, (struct slice){ high, sizeof(high) }, &none)));
	OK(!kf_ok(numbers_ec(c, buf_slice(&n), &none)));
}

TEST_MAIN
