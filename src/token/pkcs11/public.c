/* SPDX-License-Identifier: Apache-2.0
 *
 * public: what it makes is a SubjectPublicKeyInfo, which pubkey_parse() then believes or not.
 */
#include "token/pkcs11/public.h"
#include "crypt/ossl.h"

enum { DER_MAX = 8192, INTEGER = 2, BIT_STRING = 3, OCTET_STRING = 4, SEQUENCE = 0x30 };

static void put(struct buf *b, uint8_t tag, struct slice s)
{
	buf_add_u8(b, tag);
	if (s.n > 0xff)
		buf_add_u8(b, 0x82);
	else if (s.n > 0x7f)
		buf_add_u8(b, 0x81);
	if (s.n > 0xff)
		buf_add_u8(b, (uint8_t)(s.n >> 8));
	buf_add_u8(b, (uint8_t)s.n);
	buf_add_slice(b, s);
}

static void put_integer(struct buf *b, struct slice s)
{
	autobuf positive = buf_new(DER_MAX);
	while (s.n && !*s.p) {
		s.p++;
		s.n--;
	}
	if (!s.n || *s.p & 0x80)
		buf_add_u8(&positive, 0);
	buf_add_slice(&positive, s);
	put(b, INTEGER, buf_slice(&positive));
}

static kf_err parse(struct slice algorithm, struct slice key, struct pubkey **ret)
{
	autobuf bits = buf_new(DER_MAX), both = buf_new(DER_MAX), spki = buf_new(DER_MAX);
	buf_add_u8(&bits, 0);
	buf_add_slice(&bits, key);
	put(&both, SEQUENCE, algorithm);
	put(&both, BIT_STRING, buf_slice(&bits));
	put(&spki, SEQUENCE, buf_slice(&both));
	KF_TRY(buf_err(&bits));
	KF_TRY(buf_err(&both));
	KF_TRY(buf_err(&spki));
	return pubkey_parse(buf_slice(&spki), ret);
}

kf_err p11_public_of_rsa(struct slice modulus, struct slice exponent, struct pubkey **ret)
{
	static const uint8_t rsa[] = { 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1,
		5, 0 };
	autobuf numbers = buf_new(DER_MAX), key = buf_new(DER_MAX);
	put_integer(&numbers, modulus);
	put_integer(&numbers, exponent);
	put(&key, SEQUENCE, buf_slice(&numbers));
	KF_TRY(buf_err(&numbers));
	KF_TRY(buf_err(&key));
	return parse((struct slice){ rsa, sizeof(rsa) }, buf_slice(&key), ret);
}

/* Content of a string that fills s, if it is one. */
static bool open_string(struct slice s, uint8_t tag, struct slice *ret)
{
	size_t head = 2;
	if (s.n < 2 || s.p[0] != tag)
		return false;
	size_t n = s.p[1];
	if (n == 0x81 && s.n > 2) {
		n = s.p[2];
		head = 3;
	}
	if (n != s.n - head)
		return false;
	*ret = (struct slice){ s.p + head, n };
	return true;
}

/* A bare point may look like a string too, if rarely: the curve decides. */
kf_err p11_public_of_ec(struct slice params, struct slice point, struct pubkey **ret)
{
	static const uint8_t ec[] = { 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1 };
	autobuf algorithm = buf_new(DER_MAX);
	struct slice inner;
	buf_add(&algorithm, ec, sizeof(ec));
	buf_add_slice(&algorithm, params);
	KF_TRY(buf_err(&algorithm));
	if (open_string(point, OCTET_STRING, &inner) &&
		kf_ok(parse(buf_slice(&algorithm), inner, ret)))
		return KF_OK;
	return parse(buf_slice(&algorithm), point, ret);
}

kf_err p11_public_of_ed25519(struct slice point, struct pubkey **ret)
{
	static const uint8_t ed25519[] = { 6, 3, 0x2b, 0x65, 0x70 };
	struct slice inner = point;
	if (point.n != 32 && !open_string(point, OCTET_STRING, &inner) &&
		open_string(point, BIT_STRING, &inner) && inner.n) {
		inner.p++; /* the count of unused bits */
		inner.n--;
	}
	return parse((struct slice){ ed25519, sizeof(ed25519) }, inner, ret);
}

kf_err p11_public_of_certificate(struct slice der, struct pubkey **ret)
{
	const uint8_t *p = der.p;
	CLEANUP(ossl_x509_freep) X509 *x = d2i_X509(NULL, &p, (long)der.n);
	EVP_PKEY *pkey = x ? X509_get0_pubkey(x) : NULL;
	if (!pkey)
		return ossl_fail(KEY_FORMAT, "a certificate cannot be read");
	return pubkey_of_pkey(pkey, ret);
}
