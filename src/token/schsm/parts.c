/* SPDX-License-Identifier: Apache-2.0
 *
 * parts: passwords of shares in parts.  Numbers modulo a prime of up to 64 bits.
 */
#include "crypt/ossl.h"
#include "token/schsm/share.h"
#include <openssl/crypto.h>
#include <openssl/rand.h>

/* The largest one below 2^64. */
static const uint64_t our_prime = 0xffffffffffffffc5;

__extension__ typedef unsigned __int128 wide;

static uint64_t add(uint64_t a, uint64_t b, uint64_t p)
{
	return (uint64_t)(((wide)a + b) % p);
}

static uint64_t times(uint64_t a, uint64_t b, uint64_t p)
{
	return (uint64_t)((wide)a * b % p);
}

static uint64_t minus(uint64_t a, uint64_t b, uint64_t p) { return add(a, p - b, p); }

/* By Fermat: a^(p-2). */
static uint64_t inverse(uint64_t a, uint64_t p)
{
	uint64_t r = 1;
	for (uint64_t e = p - 2; e; e >>= 1, a = times(a, a, p))
		if (e & 1)
			r = times(r, a, p);
	return r;
}

/* ---- make ---- */

/* Other tools read the password as a number: without its highest bit it might lose a byte. */
static kf_err draw(bool is_password, uint64_t *ret)
{
	uint64_t v;
	do {
		if (RAND_bytes((uint8_t *)&v, sizeof(v)) != 1)
			return ossl_fail(CRYPTO, "no random bytes");
		if (is_password)
			v |= (uint64_t)1 << 63;
	} while (v >= our_prime);
	*ret = v;
	return KF_OK;
}

static uint64_t polynomial(const uint64_t *coefficient, unsigned n, uint64_t x)
{
	uint64_t y = 0;
	for (unsigned i = n; i > 0; i--)
		y = add(times(y, x, our_prime), coefficient[i - 1], our_prime);
	return y;
}

static void put_password(uint64_t v, uint8_t *ret)
{
	for (int i = PARTS_PASSWORD_SIZE - 1; i >= 0; i--, v >>= 8)
		ret[i] = (uint8_t)v;
}

kf_err parts_make(unsigned threshold, unsigned total,
	uint8_t ret_password[static PARTS_PASSWORD_SIZE], struct part *ret)
{
	uint64_t coefficient[PARTS_MAX];
	kf_err err = KF_OK;
	if (threshold < PARTS_MIN || threshold > total || total > PARTS_MAX)
		return kf_fail(INVALID_FIELD, "a password is made of 2 to 9 parts, and "
					      "needs 2 or more of them");
	for (unsigned i = 0; i < threshold && kf_ok(err); i++)
		err = draw(i == 0, &coefficient[i]);
	for (unsigned i = 0; i < total && kf_ok(err); i++)
		ret[i] = (struct part){
			.prime = our_prime,
			.value = polynomial(coefficient, threshold, i + 1),
			.id = i + 1,
		};
	if (kf_ok(err))
		put_password(coefficient[0], ret_password);
	OPENSSL_cleanse(coefficient, sizeof(coefficient));
	return err;
}

/* ---- join ---- */

static bool is_prime(uint64_t p)
{
	uint8_t bytes[8];
	put_password(p, bytes);
	CLEANUP(ossl_bn_freep) BIGNUM *n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	return p > 2 && n && BN_check_prime(n, NULL, NULL) == 1;
}

static kf_err check(const struct part *part, size_t n)
{
	if (n < PARTS_MIN || !is_prime(part[0].prime))
		return kf_fail(BAD_PARAMETERS,
			"the prime of the parts is none: a digit is wrong");
	for (size_t i = 0; i < n; i++) {
		if (part[i].prime != part[0].prime)
			return kf_fail(BAD_PARAMETERS,
				"these parts belong to different passwords");
		if (part[i].id == 0 || part[i].id >= part[i].prime ||
			part[i].value >= part[i].prime)
			return kf_fail(BAD_PARAMETERS,
				"a part is larger than its prime: a digit is wrong");
		for (size_t j = 0; j < i; j++)
			if (part[i].id == part[j].id)
				return kf_fail(
					BAD_PARAMETERS, "the same part was given twice");
	}
	return KF_OK;
}

/* Lagrange's factor of part i at x = 0. */
static uint64_t factor(const struct part *part, size_t n, size_t i)
{
	uint64_t p = part[0].prime, above = 1, below = 1;
	for (size_t j = 0; j < n; j++) {
		if (j == i)
			continue;
		above = times(above, part[j].id, p);
		below = times(below, minus(part[j].id, part[i].id, p), p);
	}
	return times(above, inverse(below, p), p);
}

kf_err parts_join(const struct part *part, size_t n,
	uint8_t ret_password[static PARTS_PASSWORD_SIZE], size_t *ret_n)
{
	uint8_t all[PARTS_PASSWORD_SIZE];
	uint64_t v = 0;
	KF_TRY(check(part, n));
	for (size_t i = 0; i < n; i++)
		v = add(v, times(part[i].value, factor(part, n, i), part[0].prime),
			part[0].prime);
	put_password(v, all);
	size_t skip = 0;
	while (skip < sizeof(all) - 1 && all[skip] == 0)
		skip++;
	for (size_t i = skip; i < sizeof(all); i++)
		ret_password[i - skip] = all[i];
	*ret_n = sizeof(all) - skip;
	OPENSSL_cleanse(all, sizeof(all));
	OPENSSL_cleanse(&v, sizeof(v));
	return KF_OK;
}

static int digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

kf_err part_number(struct slice text, uint64_t *ret)
{
	uint64_t v = 0;
	unsigned digits = 0;
	for (size_t i = 0; i < text.n; i++) {
		int d = digit(text.p[i]);
		if (d < 0 && (text.p[i] == ':' || text.p[i] == ' '))
			continue;
		if (d < 0 || ++digits > 16)
			return kf_fail(INVALID_FIELD,
				"a number of a part has up to 16 hexadecimal digits");
		v = v << 4 | (unsigned)d;
	}
	if (digits == 0)
		return kf_fail(INVALID_FIELD, "a number of a part is missing");
	*ret = v;
	return KF_OK;
}
