/* SPDX-License-Identifier: Apache-2.0 */
/* What libcrypto gives back to the heap while private keys come and go. */
#include "crypt/ossl.h"
#include "base/mem.h"
#include "crypt/keygen.h"
#include "crypt/numbers.h"
#include "keys.h"
#include "test.h"
#include <malloc.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <stdlib.h>

void __real_free(void *p);
void __wrap_free(void *p);

enum { NEEDLE = 16, SKIPPED = 8 };
static uint8_t needle[2][NEEDLE]; /* of a private number, in both orders of bytes */
static bool is_searching;
static unsigned found;

/* mem.c is linked so that this is its free(): whatever was to be wiped is by now. */
void __wrap_free(void *p)
{
	const size_t n = p && is_searching ? malloc_usable_size(p) : 0;
	found += n >= NEEDLE &&
		 (memmem(p, n, needle[0], NEEDLE) || memmem(p, n, needle[1], NEEDLE));
	__real_free(p);
}

static bool begin(void)
{
	static bool is_done;
	if (!is_done)
		is_done = CRYPTO_set_mem_functions(mem_library_malloc,
				  mem_library_realloc, mem_library_free) == 1 &&
			  kf_ok(crypt_init(1 << 16));
	found = 0;
	return is_done;
}

/* Its first bytes may be zeros, and are left out. */
static bool search_for(const EVP_PKEY *pkey, const char *name)
{
	autobuf number = buf_new(1024);
	if (!kf_ok(numbers_get(pkey, name, 0, &number)) || number.n < SKIPPED + NEEDLE)
		return false;
	for (size_t i = 0; i < NEEDLE; i++)
		needle[1][NEEDLE - 1 - i] = needle[0][i] = number.p[SKIPPED + i];
	return is_searching = true;
}

static unsigned end_search(void)
{
	is_searching = false;
	return found;
}

static EVP_PKEY *new_key(const char *curve)
{
	return curve ? EVP_EC_gen(curve) : EVP_RSA_gen(2048);
}

/* Into its canonical form and back. */
static unsigned left_by_codecs(const char *curve, const char *name)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *k = new_key(curve), *same = NULL;
	autobuf pkcs8 = buf_new(PKCS8_MAX);
	if (!k || !search_for(k, name) ||
		!kf_ok(ossl_encode(k, EVP_PKEY_KEYPAIR, "PrivateKeyInfo", &pkcs8)) ||
		!kf_ok(ossl_parse_private(buf_slice(&pkcs8), &same)))
		abort();
	return end_search();
}

TEST(the_search_sees_what_is_given_back)
{
	OK(begin());
	CLEANUP(ossl_pkey_freep) EVP_PKEY *k = new_key("P-256");
	OK(search_for(k, OSSL_PKEY_PARAM_PRIV_KEY));
	uint8_t *copy = mem_library_malloc(100, NULL, 0);
	memcpy(copy + 50, needle[0], NEEDLE);
	mem_library_free(copy, NULL, 0);
	EQ(end_search(), 1);
}

TEST(no_private_number_is_left_by_encoding_and_decoding)
{
	OK(begin());
	EQ(left_by_codecs("P-256", OSSL_PKEY_PARAM_PRIV_KEY), 0);
	EQ(left_by_codecs(NULL, OSSL_PKEY_PARAM_RSA_D), 0);
	EQ(left_by_codecs(NULL, OSSL_PKEY_PARAM_RSA_FACTOR1), 0);
}

static struct slice number(const EVP_PKEY *k, const char *name, struct buf *to)
{
	*to = buf_new(1024);
	if (!kf_ok(numbers_get(k, name, 0, to)))
		abort();
	return buf_slice(to);
}

TEST(no_private_number_is_left_by_making_an_ec_key_of_numbers)
{
	OK(begin());
	CLEANUP(ossl_pkey_freep) EVP_PKEY *k = new_key("P-256"), *same = NULL;
	autobuf d;
	number(k, OSSL_PKEY_PARAM_PRIV_KEY, &d);
	OK(search_for(k, OSSL_PKEY_PARAM_PRIV_KEY));
	OK(kf_ok(numbers_ec(curve_by_name("prime256v1"), buf_slice(&d), &same)));
	EQ(end_search(), 0);
}

TEST(no_private_number_is_left_by_making_an_rsa_key_of_numbers)
{
	static const char *const secrets[] = { OSSL_PKEY_PARAM_RSA_D,
		OSSL_PKEY_PARAM_RSA_FACTOR1, OSSL_PKEY_PARAM_RSA_FACTOR2,
		OSSL_PKEY_PARAM_RSA_EXPONENT1, OSSL_PKEY_PARAM_RSA_EXPONENT2,
		OSSL_PKEY_PARAM_RSA_COEFFICIENT1 };
	OK(begin());
	CLEANUP(ossl_pkey_freep) EVP_PKEY *k = new_key(NULL);
	autobuf n, e, d, p, q;
	number(k, OSSL_PKEY_PARAM_RSA_N, &n);
	number(k, OSSL_PKEY_PARAM_RSA_E, &e);
	number(k, OSSL_PKEY_PARAM_RSA_D, &d);
	number(k, OSSL_PKEY_PARAM_RSA_FACTOR1, &p);
	number(k, OSSL_PKEY_PARAM_RSA_FACTOR2, &q);
	for (size_t i = 0; i < sizeof(secrets) / sizeof(*secrets); i++) {
		CLEANUP(ossl_pkey_freep) EVP_PKEY *a = NULL, *b = NULL;
		OK(search_for(k, secrets[i]));
		OK(kf_ok(numbers_rsa(buf_slice(&n), buf_slice(&e), buf_slice(&d), &a)));
		OK(kf_ok(numbers_rsa_primes(
			buf_slice(&p), buf_slice(&q), buf_slice(&e), &b)));
		EQ(end_search(), 0);
	}
}
TEST_MAIN
