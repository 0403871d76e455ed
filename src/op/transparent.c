/* SPDX-License-Identifier: Apache-2.0 */
#include "op/transparent.h"
#include "crypt/keygen.h"
#include "crypt/numbers.h"
#include "crypt/point.h"
#include <openssl/core_names.h>
#include <string.h>

enum { NUMBER_MAX = 2048, POINT_MAX = 160 };

/* --- which format --- */

bool transparent_is(uint32_t format)
{
	return format >= KMIP_KEY_FORMAT_TYPE_TRANSPARENT_SYMMETRIC_KEY &&
	       format <= KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PUBLIC_KEY;
}

static bool is_ec_private(uint32_t f)
{
	return f == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECDSA_PRIVATE_KEY ||
	       f == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECDH_PRIVATE_KEY ||
	       f == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECMQV_PRIVATE_KEY ||
	       f == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PRIVATE_KEY;
}

static bool is_ec_public(uint32_t f)
{
	return f == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECDSA_PUBLIC_KEY ||
	       f == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECDH_PUBLIC_KEY ||
	       f == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECMQV_PUBLIC_KEY ||
	       f == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PUBLIC_KEY;
}

static kf_err unknown(void)
{
	return kf_fail(KEY_FORMAT, "the key is not available in this format");
}

/* --- reading --- */

static struct slice opt_number(struct ttlv_reader *r, enum ttlv_tag tag)
{
	struct slice n = { 0 };
	if (!ttlv_at(r, tag))
		return n;
	ttlv_get_bigint(r, tag, &n);
	if (ttlv_ok(r) && n.n && (n.p[0] & 0x80))
		ttlv_refuse(r, kf_fail(INVALID_FIELD, "a negative number in a key"));
	while (n.n && !n.p[0])
		n = (struct slice){ n.p + 1, n.n - 1 };
	return n;
}

struct rsa {
	struct slice n, d, e, p, q;
};

static kf_err read_rsa(const struct key_block *b, struct rsa *ret)
{
	struct ttlv_reader r = ttlv_read(b->material);
	struct rsa k = { 0 };

	ttlv_open(&r, TAG_KEY_MATERIAL);
	k.n = opt_number(&r, TAG_MODULUS);
	k.d = opt_number(&r, TAG_PRIVATE_EXPONENT);
	k.e = opt_number(&r, TAG_PUBLIC_EXPONENT);
	k.p = opt_number(&r, TAG_P);
	k.q = opt_number(&r, TAG_Q);
	(void)opt_number(&r, TAG_PRIME_EXPONENT_P);
	(void)opt_number(&r, TAG_PRIME_EXPONENT_Q);
	(void)opt_number(&r, TAG_CRT_COEFFICIENT);
	ttlv_close(&r);
	KF_TRY(ttlv_done(&r));
	if (!k.n.n || !k.e.n)
		return unknown();
	*ret = k;
	return KF_OK;
}

static kf_err rsa_to_pkcs8(const struct key_block *b, struct buf *ret)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	struct rsa k;

	KF_TRY(read_rsa(b, &k));
	if (k.d.n)
		KF_TRY(numbers_rsa(k.n, k.e, k.d, &pkey));
	else if (k.p.n && k.q.n)
		KF_TRY(numbers_rsa_primes(k.p, k.q, k.e, &pkey));
	else
		return unknown();
	return ossl_encode(pkey, EVP_PKEY_KEYPAIR, "PrivateKeyInfo", ret);
}

static kf_err rsa_to_spki(const struct key_block *b, struct buf *ret)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	uint8_t n[NUMBER_MAX], e[NUMBER_MAX];
	struct rsa k;

	KF_TRY(read_rsa(b, &k));
	if (k.n.n > sizeof(n) || k.e.n > sizeof(e))
		return unknown();
	for (size_t i = 0; i < k.n.n; i++) /* OpenSSL takes the machine's order */
		n[k.n.n - 1 - i] = k.n.p[i];
	for (size_t i = 0; i < k.e.n; i++)
		e[k.e.n - 1 - i] = k.e.p[i];
	OSSL_PARAM list[] = {
		OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_N, n, k.n.n),
		OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_E, e, k.e.n),
		OSSL_PARAM_construct_end(),
	};
	if (!ctx || EVP_PKEY_fromdata_init(ctx) <= 0 ||
		EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, list) <= 0)
		return ossl_fail(KEY_FORMAT, "these are not the numbers of a key");
	return ossl_put_spki(pkey, ret);
}

static kf_err find_curve(uint32_t curve, const struct alg **ret)
{
	const struct alg *alg =
		curve ? alg_by_kmip(KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDSA, curve, 0) : NULL;
	if (!alg || alg->family != FAMILY_EC)
		return unknown();
	*ret = alg;
	return KF_OK;
}

static kf_err ec_to_pkcs8(const struct key_block *b, struct buf *ret)
{
	struct ttlv_reader r = ttlv_read(b->material);
	struct keypair pair = { 0 };
	const struct alg *alg = NULL;
	uint8_t scalar[POINT_MAX] = { 0 };
	uint32_t curve = 0;

	ttlv_open(&r, TAG_KEY_MATERIAL);
	ttlv_get_enum(&r, TAG_RECOMMENDED_CURVE, &curve);
	const struct slice d = opt_number(&r, TAG_D);
	ttlv_close(&r);
	KF_TRY(ttlv_done(&r));
	KF_TRY(find_curve(curve, &alg));
	const size_t size = (alg->bits + 7) / 8;
	if (d.n > size)
		return kf_fail(INVALID_FIELD, "D is not a scalar of this curve");
	if (d.n)
		memcpy(scalar + size - d.n, d.p, d.n);
	const kf_err err =
		keypair_from_format(KEY_RAW, (struct slice){ scalar, size }, alg, &pair);
	OPENSSL_cleanse(scalar, sizeof(scalar));
	if (kf_ok(err))
		buf_add_slice(ret, buf_slice(&pair.pkcs8));
	keypair_free(&pair);
	KF_TRY(err);
	return buf_err(ret);
}

static kf_err ec_to_spki(const struct key_block *b, struct buf *ret)
{
	struct ttlv_reader r = ttlv_read(b->material);
	autobuf point = buf_new(POINT_SIZE_MAX);
	const struct alg *alg = NULL;
	struct slice q = { 0 };
	uint32_t curve = 0;

	ttlv_open(&r, TAG_KEY_MATERIAL);
	ttlv_get_enum(&r, TAG_RECOMMENDED_CURVE, &curve);
	ttlv_get_bytes(&r, TAG_Q_STRING, &q);
	ttlv_close(&r);
	KF_TRY(ttlv_done(&r));
	KF_TRY(find_curve(curve, &alg));
	KF_TRY(point_convert(alg, q, POINT_UNCOMPRESSED, &point));
	return public_from_format(KEY_RAW, buf_slice(&point), alg, ret);
}

kf_err transparent_to_pkcs8(const struct key_block *b, struct buf *ret)
{
	if (b->format == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_RSA_PRIVATE_KEY)
		return rsa_to_pkcs8(b, ret);
	return is_ec_private(b->format) ? ec_to_pkcs8(b, ret) : unknown();
}

kf_err transparent_to_spki(const struct key_block *b, struct buf *ret)
{
	if (b->format == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_RSA_PUBLIC_KEY)
		return rsa_to_spki(b, ret);
	return is_ec_public(b->format) ? ec_to_spki(b, ret) : unknown();
}

/* --- writing --- */

static kf_err put_number(
	struct ttlv_writer *w, enum ttlv_tag tag, const EVP_PKEY *pkey, const char *name)
{
	autobuf n = buf_new(NUMBER_MAX), whole = buf_new(NUMBER_MAX + 16);
	static const uint8_t zeros[8];

	KF_TRY(numbers_get(pkey, name, 0, &n));
	const size_t bits = n.n && (n.p[0] & 0x80) ? 1 : 0; /* it is not negative */
	buf_add(&whole, zeros, bits + (8 - (n.n + bits) % 8) % 8);
	buf_add_slice(&whole, buf_slice(&n));
	KF_TRY(buf_err(&whole));
	ttlv_put_bigint(w, tag, buf_slice(&whole));
	return KF_OK;
}

struct field {
	enum ttlv_tag tag;
	const char *name;
};

static kf_err put_fields(
	const EVP_PKEY *pkey, const struct field *field, size_t n, struct ttlv_writer *w)
{
	for (size_t i = 0; i < n; i++)
		KF_TRY(put_number(w, field[i].tag, pkey, field[i].name));
	return KF_OK;
}

static kf_err put_rsa(const EVP_PKEY *pkey, bool is_private, struct ttlv_writer *w)
{
	static const struct field all[] = {
		{ TAG_MODULUS, OSSL_PKEY_PARAM_RSA_N },
		{ TAG_PRIVATE_EXPONENT, OSSL_PKEY_PARAM_RSA_D },
		{ TAG_PUBLIC_EXPONENT, OSSL_PKEY_PARAM_RSA_E },
		{ TAG_P, OSSL_PKEY_PARAM_RSA_FACTOR1 },
		{ TAG_Q, OSSL_PKEY_PARAM_RSA_FACTOR2 },
		{ TAG_PRIME_EXPONENT_P, OSSL_PKEY_PARAM_RSA_EXPONENT1 },
		{ TAG_PRIME_EXPONENT_Q, OSSL_PKEY_PARAM_RSA_EXPONENT2 },
		{ TAG_CRT_COEFFICIENT, OSSL_PKEY_PARAM_RSA_COEFFICIENT1 },
	};
	static const struct field half[] = {
		{ TAG_MODULUS, OSSL_PKEY_PARAM_RSA_N },
		{ TAG_PUBLIC_EXPONENT, OSSL_PKEY_PARAM_RSA_E },
	};
	return is_private ? put_fields(pkey, all, 8, w) : put_fields(pkey, half, 2, w);
}

static kf_err put_point(const EVP_PKEY *pkey, struct ttlv_writer *w)
{
	uint8_t point[POINT_MAX];
	size_t n = 0;
	if (!EVP_PKEY_get_octet_string_param(
		    pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &n))
		return ossl_fail(KEY_FORMAT, "this key has no such format");
	ttlv_put_bytes(w, TAG_Q_STRING, (struct slice){ point, n });
	return KF_OK;
}

static kf_err put_ec(const EVP_PKEY *pkey, const struct alg *alg, bool is_private,
	struct ttlv_writer *w)
{
	ttlv_put_enum(w, TAG_RECOMMENDED_CURVE, alg->kmip_curve);
	return is_private ? put_number(w, TAG_D, pkey, OSSL_PKEY_PARAM_PRIV_KEY)
			  : put_point(pkey, w);
}

static kf_err put(const EVP_PKEY *pkey, bool is_private, bool wants_ec, struct buf *ret)
{
	const struct alg *alg = ossl_alg_of(pkey);
	struct ttlv_writer w = ttlv_write(ret, 0);

	if (!alg || alg->family != (wants_ec ? FAMILY_EC : FAMILY_RSA))
		return unknown();
	ttlv_begin(&w, TAG_KEY_MATERIAL);
	if (wants_ec)
		KF_TRY(put_ec(pkey, alg, is_private, &w));
	else
		KF_TRY(put_rsa(pkey, is_private, &w));
	ttlv_end(&w);
	return ttlv_written(&w);
}

kf_err transparent_of_pkcs8(struct slice pkcs8, uint32_t format, struct buf *ret)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	const bool is_rsa = format == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_RSA_PRIVATE_KEY;

	if (!is_rsa && !is_ec_private(format))
		return unknown();
	KF_TRY(ossl_parse_private(pkcs8, &pkey));
	return put(pkey, true, !is_rsa, ret);
}

kf_err transparent_of_spki(struct slice spki, uint32_t format, struct buf *ret)
{
	CLEANUP(pubkey_freep) struct pubkey *key = NULL;
	const bool is_rsa = format == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_RSA_PUBLIC_KEY;

	if (!is_rsa && !is_ec_public(format))
		return unknown();
	KF_TRY(pubkey_parse(spki, &key));
	return put(pubkey_pkey(key), false, !is_rsa, ret);
}

kf_err transparent_of_point(const struct alg *alg, struct slice point, struct buf *ret)
{
	struct ttlv_writer w = ttlv_write(ret, 0);
	ttlv_begin(&w, TAG_KEY_MATERIAL);
	ttlv_put_enum(&w, TAG_RECOMMENDED_CURVE, alg->kmip_curve);
	ttlv_put_bytes(&w, TAG_Q_STRING, point);
	ttlv_end(&w);
	return ttlv_written(&w);
}

kf_err transparent_of_secret(struct slice bytes, struct buf *ret)
{
	struct ttlv_writer w = ttlv_write(ret, 0);
	ttlv_begin(&w, TAG_KEY_MATERIAL);
	ttlv_put_bytes(&w, TAG_KEY, bytes);
	ttlv_end(&w);
	return ttlv_written(&w);
}
