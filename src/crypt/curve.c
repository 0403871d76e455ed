/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/curve.h"
#include <openssl/objects.h>
#include <string.h>

enum { POINT_MAX = 1 + 2 * 66 };

static const struct curve curves[] = {
#define X(name, bits) { name, bits },
#include "crypt/curve.def"
#undef X
};
enum { CURVES = sizeof(curves) / sizeof(curves[0]) };

const struct curve *curve_by_name(const char *name)
{
	for (size_t i = 0; i < CURVES; i++)
		if (!strcmp(curves[i].name, name))
			return &curves[i];
	return NULL;
}

EC_GROUP *curve_group(const struct curve *c)
{
	return EC_GROUP_new_by_curve_name(OBJ_sn2nid(c->name));
}

static struct slice without_zeros(struct slice s)
{
	for (; s.n > 0 && s.p[0] == 0; s.n--)
		s.p++;
	return s;
}

static bool is_number(const BIGNUM *bn, struct slice bytes)
{
	CLEANUP(ossl_bn_freep) BIGNUM *other = BN_bin2bn(bytes.p, (int)bytes.n, NULL);
	return other && BN_cmp(bn, other) == 0;
}

static bool has_numbers(const struct curve *c, struct slice p, struct slice n)
{
	CLEANUP(curve_group_freep) EC_GROUP *group = curve_group(c);
	CLEANUP(ossl_bn_freep) BIGNUM *prime = BN_new();
	return group && prime && EC_GROUP_get_curve(group, prime, NULL, NULL, NULL) &&
	       is_number(prime, p) && is_number(EC_GROUP_get0_order(group), n);
}

const struct curve *curve_by_numbers(struct slice p, struct slice n)
{
	p = without_zeros(p);
	n = without_zeros(n);
	if (n.n > POINT_MAX)
		return NULL;
	for (size_t i = 0; i < CURVES; i++)
		if (curve_size(&curves[i]) == p.n && has_numbers(&curves[i], p, n))
			return &curves[i];
	ERR_clear_error();
	return NULL;
}

kf_err curve_put_point(const EC_GROUP *group, const EC_POINT *point, struct buf *to)
{
	uint8_t bytes[POINT_MAX];
	size_t n = EC_POINT_point2oct(
		group, point, POINT_CONVERSION_UNCOMPRESSED, bytes, sizeof(bytes), NULL);
	if (n == 0)
		return ossl_fail(CRYPTO, "a point cannot be encoded");
	buf_add(to, bytes, n);
	return buf_err(to);
}

static bool put_number(const BIGNUM *bn, size_t size, struct buf *to)
{
	uint8_t *at = buf_reserve(to, size);
	if (!at || BN_bn2binpad(bn, at, (int)size) < 0)
		return false;
	buf_commit(to, size);
	return true;
}

kf_err curve_get_numbers(const struct curve *c, struct curve_numbers *ret)
{
	CLEANUP(curve_group_freep) EC_GROUP *group = curve_group(c);
	CLEANUP(ossl_bn_freep) BIGNUM *p = BN_new(), *a = BN_new(), *b = BN_new();
	*ret = (struct curve_numbers){ buf_new(POINT_MAX), buf_new(POINT_MAX),
		buf_new(POINT_MAX), buf_new(POINT_MAX), buf_new(POINT_MAX) };
	size_t size = curve_size(c);
	if (!group || !p || !a || !b || !EC_GROUP_get_curve(group, p, a, b, NULL) ||
		!put_number(p, size, &ret->p) || !put_number(a, size, &ret->a) ||
		!put_number(b, size, &ret->b) ||
		!put_number(EC_GROUP_get0_order(group), size, &ret->n))
		return ossl_fail(CRYPTO, "the numbers of a curve cannot be had");
	return curve_put_point(group, EC_GROUP_get0_generator(group), &ret->g);
}

void curve_numbers_free(struct curve_numbers *c)
{
	buf_free(&c->p);
	buf_free(&c->a);
	buf_free(&c->b);
	buf_free(&c->g);
	buf_free(&c->n);
}
