/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/point.h"
#include "crypt/curve.h"
#include <openssl/objects.h>
#include <string.h>

static void spki_freep(X509_PUBKEY **k) { X509_PUBKEY_free(*k); }

bool point_is(struct slice point, enum point_form form)
{
	return point.n && (point.p[0] & ~1u) == (unsigned)form;
}

kf_err point_convert(
	const struct alg *alg, struct slice point, enum point_form form, struct buf *ret)
{
	CLEANUP(curve_group_freep)
	EC_GROUP *group = EC_GROUP_new_by_curve_name(OBJ_sn2nid(alg->openssl_group));
	CLEANUP(curve_point_freep) EC_POINT *p = group ? EC_POINT_new(group) : NULL;
	uint8_t bytes[POINT_SIZE_MAX];
	size_t n = 0;

	if (p && EC_POINT_oct2point(group, p, point.p, point.n, NULL) == 1)
		n = EC_POINT_point2oct(group, p, (point_conversion_form_t)form, bytes,
			sizeof(bytes), NULL);
	if (n < 2) /* one byte is the point at infinity */
		return ossl_fail(INVALID_FIELD, "not a point of this curve");
	buf_add(ret, bytes, n);
	return buf_err(ret);
}

kf_err point_of_spki(struct slice spki, struct buf *ret)
{
	const unsigned char *p = spki.p, *point = NULL;
	CLEANUP(spki_freep) X509_PUBKEY *k = d2i_X509_PUBKEY(NULL, &p, (long)spki.n);
	ASN1_OBJECT *type = NULL;
	int n = 0;

	if (!k || !X509_PUBKEY_get0_param(&type, &point, &n, NULL, k) || n <= 0 ||
		OBJ_obj2nid(type) != NID_X9_62_id_ecPublicKey)
		return ossl_fail(KEY_FORMAT, "not a public key of an elliptic curve");
	ERR_clear_error(); /* a key that libcrypto cannot use has a point all the same */
	buf_add(ret, point, (size_t)n);
	return buf_err(ret);
}

/* The algorithm is that of the curve, the key the point as it stands. */
static bool fill(X509_PUBKEY *k, const struct alg *alg, struct slice point)
{
	uint8_t *copy = OPENSSL_memdup(point.p, point.n);

	if (copy && X509_PUBKEY_set0_param(k, OBJ_nid2obj(NID_X9_62_id_ecPublicKey),
			    V_ASN1_OBJECT, OBJ_nid2obj(OBJ_sn2nid(alg->openssl_group)),
			    copy, (int)point.n))
		return true;
	OPENSSL_free(copy);
	return false;
}

kf_err point_to_spki(const struct alg *alg, struct slice point, struct buf *ret)
{
	CLEANUP(spki_freep) X509_PUBKEY *k = X509_PUBKEY_new();
	unsigned char *der = NULL;
	int n = -1;

	if (k && fill(k, alg, point))
		n = i2d_X509_PUBKEY(k, &der);
	if (n <= 0)
		return ossl_fail(CRYPTO, "a public key cannot be encoded");
	buf_add(ret, der, (size_t)n);
	OPENSSL_free(der);
	return buf_err(ret);
}
