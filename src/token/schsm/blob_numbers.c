/* SPDX-License-Identifier: Apache-2.0 */
#include "token/schsm/blob_numbers.h"
#include "crypt/numbers.h"
#include <openssl/core_names.h>
#include <openssl/rand.h>

enum { RANDOM_SIZE = 8, NUMBER_MAX = 512, RSA_N = 3, RSA_CRT_N = 7, EC_N = 7 };

/* ---- read and write ---- */

struct slice numbers_take(struct numbers *r, size_t n)
{
	if (r->failed || n > r->rest.n) {
		r->failed = true;
		return (struct slice){ NULL, 0 };
	}
	struct slice s = { r->rest.p, n };
	r->rest = (struct slice){ r->rest.p + n, r->rest.n - n };
	return s;
}

static size_t take_u16(struct numbers *r)
{
	struct slice s = numbers_take(r, 2);
	return r->failed ? 0 : (size_t)s.p[0] << 8 | s.p[1];
}

struct slice numbers_next(struct numbers *r) { return numbers_take(r, take_u16(r)); }

static void put_u16(struct buf *to, size_t v)
{
	buf_add_u8(to, (uint8_t)(v >> 8));
	buf_add_u8(to, (uint8_t)v);
}

void numbers_put(struct buf *to, struct slice number)
{
	put_u16(to, number.n);
	buf_add_slice(to, number);
}

kf_err numbers_begin(size_t size, struct buf *to)
{
	uint8_t random[RANDOM_SIZE];
	if (RAND_bytes(random, sizeof(random)) != 1)
		return ossl_fail(CRYPTO, "no random bytes");
	buf_add(to, random, sizeof(random));
	put_u16(to, size);
	return buf_err(to);
}

size_t numbers_skip_begin(struct numbers *r)
{
	numbers_take(r, RANDOM_SIZE);
	return take_u16(r);
}

/* ---- from a key ---- */

static kf_err put_number(
	const EVP_PKEY *pkey, const char *name, size_t size, struct buf *to)
{
	autobuf number = buf_new(NUMBER_MAX);
	KF_TRY(numbers_get(pkey, name, size, &number));
	numbers_put(to, buf_slice(&number));
	return buf_err(to);
}

/* With the primes: cards sign several times faster then. */
static kf_err put_rsa(const EVP_PKEY *pkey, struct buf *to)
{
	static const char *const halves[] = { OSSL_PKEY_PARAM_RSA_EXPONENT1,
		OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_FACTOR1,
		OSSL_PKEY_PARAM_RSA_COEFFICIENT1, OSSL_PKEY_PARAM_RSA_FACTOR2 };
	CLEANUP(ossl_bn_freep) BIGNUM *third = NULL;
	size_t bits = (size_t)EVP_PKEY_get_bits(pkey);
	if (bits < NUMBERS_RSA_BITS_MIN || bits > NUMBERS_RSA_BITS_MAX || bits % 256 ||
		EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_FACTOR3, &third))
		return ossl_fail(KEY_FORMAT,
			"cards take RSA keys of two primes and 1024 to 4096 bits");
	KF_TRY(numbers_begin(bits, to));
	for (size_t i = 0; i < sizeof(halves) / sizeof(halves[0]); i++)
		KF_TRY(put_number(pkey, halves[i], bits / 16, to));
	KF_TRY(put_number(pkey, OSSL_PKEY_PARAM_RSA_N, bits / 8, to));
	return put_number(pkey, OSSL_PKEY_PARAM_RSA_E, 0, to);
}

static const struct curve *curve_of(const EVP_PKEY *pkey)
{
	char name[64] = "";
	if (!EVP_PKEY_get_utf8_string_param(
		    pkey, OSSL_PKEY_PARAM_GROUP_NAME, name, sizeof(name), NULL))
		return NULL;
	return curve_by_name(name);
}

static kf_err put_point(const EVP_PKEY *pkey, size_t size, struct buf *to)
{
	autobuf point = buf_new(NUMBER_MAX);
	buf_add_u8(&point, 0x04);
	KF_TRY(numbers_get(pkey, OSSL_PKEY_PARAM_EC_PUB_X, size, &point));
	KF_TRY(numbers_get(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, size, &point));
	numbers_put(to, buf_slice(&point));
	return buf_err(to);
}

static kf_err put_ec(const EVP_PKEY *pkey, struct buf *to)
{
	const struct curve *curve = curve_of(pkey);
	if (!curve)
		return ossl_fail(KEY_FORMAT, "cards do not know the curve of this key");
	CLEANUP(curve_numbers_free) struct curve_numbers c;
	KF_TRY(curve_get_numbers(curve, &c));
	KF_TRY(numbers_begin(curve->bits, to));
	numbers_put(to, buf_slice(&c.a));
	numbers_put(to, buf_slice(&c.b));
	numbers_put(to, buf_slice(&c.p));
	numbers_put(to, buf_slice(&c.n));
	numbers_put(to, buf_slice(&c.g));
	KF_TRY(put_number(pkey, OSSL_PKEY_PARAM_PRIV_KEY, curve_size(curve), to));
	return put_point(pkey, curve_size(curve), to);
}

kf_err numbers_of_key(const EVP_PKEY *pkey, enum blob_kind *ret_kind, struct buf *to)
{
	if (EVP_PKEY_is_a(pkey, "RSA")) {
		*ret_kind = BLOB_RSA_CRT;
		return put_rsa(pkey, to);
	}
	if (EVP_PKEY_is_a(pkey, "EC")) {
		*ret_kind = BLOB_EC;
		return put_ec(pkey, to);
	}
	return kf_fail(KEY_FORMAT, "cards take RSA and EC keys");
}

/* ---- to a key ---- */

static kf_err take_all(struct numbers *r, struct slice *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		v[i] = numbers_next(r);
		if (r->failed || v[i].n > NUMBER_MAX)
			return kf_fail(
				MALFORMED, "a number of a key blob is cut or too long");
	}
	return KF_OK;
}

static bool has_number(const EVP_PKEY *pkey, const char *name, struct slice want)
{
	autobuf b = buf_new(NUMBER_MAX);
	return kf_ok(numbers_get(pkey, name, want.n, &b)) &&
	       slice_eq(buf_slice(&b), want);
}

/* d, n, e */
static kf_err to_rsa(struct numbers *r, EVP_PKEY **ret)
{
	struct slice v[RSA_N];
	KF_TRY(take_all(r, v, RSA_N));
	return numbers_rsa(v[1], v[2], v[0], ret);
}

/* dP, dQ, p, qInv, q, n, e: the modulus must be that of the primes. */
static kf_err to_rsa_crt(struct numbers *r, EVP_PKEY **ret)
{
	struct slice v[RSA_CRT_N];
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	KF_TRY(take_all(r, v, RSA_CRT_N));
	KF_TRY(numbers_rsa_primes(v[2], v[4], v[6], &pkey));
	if (!has_number(pkey, OSSL_PKEY_PARAM_RSA_N, v[5]))
		return ossl_fail(INVALID_FIELD, "the numbers of a key blob contradict");
	*ret = pkey;
	pkey = NULL;
	return KF_OK;
}

/* a, b, p, n, G, d, Q: the public point must be that of the private one. */
static kf_err to_ec(struct numbers *r, EVP_PKEY **ret)
{
	struct slice v[EC_N];
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	KF_TRY(take_all(r, v, EC_N));
	const struct curve *curve = curve_by_numbers(v[2], v[3]);
	if (!curve)
		return kf_fail(
			INVALID_FIELD, "a key blob names a curve that is not known");
	KF_TRY(numbers_ec(curve, v[5], &pkey));
	size_t size = curve_size(curve);
	if (v[6].n != 1 + 2 * size || v[6].p[0] != 0x04 ||
		!has_number(pkey, OSSL_PKEY_PARAM_EC_PUB_X,
			(struct slice){ v[6].p + 1, size }) ||
		!has_number(pkey, OSSL_PKEY_PARAM_EC_PUB_Y,
			(struct slice){ v[6].p + 1 + size, size }))
		return ossl_fail(INVALID_FIELD, "the numbers of a key blob contradict");
	*ret = pkey;
	pkey = NULL;
	return KF_OK;
}

kf_err numbers_to_key(enum blob_kind kind, struct numbers *r, EVP_PKEY **ret)
{
	switch (kind) {
	case BLOB_RSA: return to_rsa(r, ret);
	case BLOB_RSA_CRT: return to_rsa_crt(r, ret);
	case BLOB_EC: return to_ec(r, ret);
	case BLOB_AES: break;
	}
	return kf_fail(UNSUPPORTED, "a key blob of a kind that is not known");
}
