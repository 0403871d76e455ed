/* SPDX-License-Identifier: Apache-2.0 */
#include "token/schsm/cvc.h"
#include "base/tlv.h"
#include "crypt/curve.h"
#include "crypt/ossl.h"
#include "token/token.h"
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/param_build.h>
#include <string.h>

enum {
	TAG_REQUEST = 0x67,
	TAG_CERTIFICATE = 0x7f21,
	TAG_BODY = 0x7f4e,
	TAG_KEY = 0x7f49,
	TAG_SIGNATURE = 0x5f37,
	TAG_VERSION = 0x5f29,
	TAG_ISSUER = 0x42,
	TAG_HOLDER = 0x5f20,
	TAG_OID = 0x06,
	TAG_BITS = 0x02,
	TAG_USES = 0x90,
	TAG_ALGORITHMS = 0x91,
	CVC_MAX = 4096,
	HOLDER_MAX = 16,
	NUMBER_MAX = 1024, /* bytes of a modulus or exponent, whoever tells it */
};

/* id-TA-RSA-v1-5-SHA-256 and id-TA-ECDSA-SHA-256 */
#define OID_RSA SLICE_LIT("\x04\x00\x7f\x00\x07\x02\x02\x02\x01\x02")
#define OID_EC  SLICE_LIT("\x04\x00\x7f\x00\x07\x02\x02\x02\x02\x03")
/* Firmware before version 2 wants an issuer; every other takes one.  As OpenSC has it. */
#define ISSUER SLICE_LIT("UTCA00001")

static inline void builder_freep(OSSL_PARAM_BLD **b) { OSSL_PARAM_BLD_free(*b); }
static inline void ecdsa_sig_freep(ECDSA_SIG **s) { ECDSA_SIG_free(*s); }
static inline void params_freep(OSSL_PARAM **p) { OSSL_PARAM_free(*p); }

/* ---- parse ---- */

static struct slice body_of(struct slice file)
{
	struct tlv t;
	if (!tlv_next(&file, &t))
		return (struct slice){ NULL, 0 };
	struct slice certificate = t.tag == TAG_REQUEST
					   ? tlv_find(t.value, TAG_CERTIFICATE)
				   : t.tag == TAG_CERTIFICATE ? t.value
							      : (struct slice){ NULL, 0 };
	return tlv_find(certificate, TAG_BODY);
}

bool cvc_is(struct slice file) { return body_of(file).n > 0; }

kf_err cvc_holder(struct slice file, struct slice *ret)
{
	struct slice holder = tlv_find(body_of(file), TAG_HOLDER);
	if (holder.n == 0 || holder.n > HOLDER_MAX)
		return kf_fail(MALFORMED, "a card verifiable certificate has no holder");
	*ret = holder;
	return KF_OK;
}

static kf_err make(const char *type, OSSL_PARAM_BLD *build, struct pubkey **ret)
{
	CLEANUP(params_freep) OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
		EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		return ossl_fail(MALFORMED, "the card tells a public key that is none");
	return pubkey_of_pkey(pkey, ret);
}

static kf_err make_rsa(struct slice key, struct pubkey **ret)
{
	struct slice modulus = tlv_find(key, 0x81), exponent = tlv_find(key, 0x82);
	if (!modulus.n || !exponent.n || modulus.n > NUMBER_MAX ||
		exponent.n > NUMBER_MAX)
		return kf_fail(MALFORMED, "a number of an RSA key is missing");
	CLEANUP(ossl_bn_freep)
	BIGNUM *n = BN_bin2bn(modulus.p, (int)modulus.n, NULL),
	       *e = BN_bin2bn(exponent.p, (int)exponent.n, NULL);
	CLEANUP(builder_freep) OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	if (!n || !e || !build ||
		!OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) ||
		!OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e))
		return ossl_fail(NOMEM, "no memory for a public key");
	return make("RSA", build, ret);
}

static kf_err make_ec(struct slice key, struct pubkey **ret)
{
	struct slice p = tlv_find(key, 0x81), n = tlv_find(key, 0x85),
		     point = tlv_find(key, 0x86);
	if (!p.n || !n.n || !point.n)
		return kf_fail(MALFORMED, "a number of an EC key is missing");
	const struct curve *curve = curve_by_numbers(p, n);
	if (!curve)
		return kf_fail(KEY_FORMAT, "the key's curve is not known");
	CLEANUP(builder_freep) OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	if (!build ||
		!OSSL_PARAM_BLD_push_utf8_string(
			build, OSSL_PKEY_PARAM_GROUP_NAME, curve->name, 0) ||
		!OSSL_PARAM_BLD_push_octet_string(
			build, OSSL_PKEY_PARAM_PUB_KEY, point.p, point.n))
		return ossl_fail(NOMEM, "no memory for a public key");
	return make("EC", build, ret);
}

/* Whatever the hash, which the last byte names: it is that of the request only. */
static bool is_like(struct slice oid, struct slice known)
{
	return oid.n == known.n && !memcmp(oid.p, known.p, known.n - 1);
}

kf_err cvc_public_key(struct slice file, struct pubkey **ret)
{
	struct slice key = tlv_find(body_of(file), TAG_KEY), oid = tlv_find(key, TAG_OID);
	if (!key.n)
		return kf_fail(MALFORMED, "a card verifiable certificate has no key");
	if (is_like(oid, OID_RSA))
		return make_rsa(key, ret);
	if (is_like(oid, OID_EC))
		return make_ec(key, ret);
	return kf_fail(KEY_FORMAT, "the key is of a kind that is not known");
}

/* ---- build ---- */

static void put_domain(const struct curve_numbers *c, struct buf *to)
{
	tlv_add(to, TAG_OID, OID_EC);
	tlv_add(to, 0x81, buf_slice(&c->p));
	tlv_add(to, 0x82, buf_slice(&c->a));
	tlv_add(to, 0x83, buf_slice(&c->b));
	tlv_add(to, 0x84, buf_slice(&c->g));
	tlv_add(to, 0x85, buf_slice(&c->n));
}

/* `point` is empty when the key is still to be made. */
static kf_err put_ec(const struct alg *alg, struct slice point, struct buf *to)
{
	const struct curve *curve = curve_by_name(alg->openssl_group);
	if (!curve)
		return kf_fail(UNSUPPORTED, "SmartCard-HSMs have no such curve");
	CLEANUP(curve_numbers_free) struct curve_numbers c = { 0 };
	KF_TRY(curve_get_numbers(curve, &c));
	put_domain(&c, to);
	if (point.n)
		tlv_add(to, 0x86, point);
	tlv_add_byte(to, 0x87, 1); /* the cofactor of all our curves */
	return buf_err(to);
}

static kf_err put_wish_rsa(const struct alg *alg, struct buf *to)
{
	const uint8_t bits[] = { (uint8_t)(alg->bits >> 8), (uint8_t)alg->bits };
	tlv_add(to, TAG_OID, OID_RSA);
	tlv_add(to, 0x82, SLICE_LIT("\x01\x00\x01"));
	tlv_add(to, TAG_BITS, (struct slice){ bits, sizeof(bits) });
	return buf_err(to);
}

static void put_limits(const struct cvc_wish *w, struct buf *to)
{
	const uint8_t uses[] = { (uint8_t)(w->uses >> 24), (uint8_t)(w->uses >> 16),
		(uint8_t)(w->uses >> 8), (uint8_t)w->uses };
	if (w->uses)
		tlv_add(to, TAG_USES, (struct slice){ uses, sizeof(uses) });
	if (w->algorithms.n)
		tlv_add(to, TAG_ALGORITHMS, w->algorithms);
}

kf_err cvc_put_wish(const struct cvc_wish *w, struct buf *ret)
{
	autobuf key = buf_new(CVC_MAX);
	if (w->alg->family == FAMILY_ED25519)
		return kf_fail(UNSUPPORTED, "SmartCard-HSMs have no Ed25519");
	KF_TRY(w->alg->family == FAMILY_RSA ? put_wish_rsa(w->alg, &key)
					    : put_ec(w->alg, (struct slice){ 0 }, &key));
	tlv_add_byte(ret, TAG_VERSION, 0);
	tlv_add(ret, TAG_ISSUER, ISSUER);
	tlv_add(ret, TAG_KEY, buf_slice(&key));
	tlv_add(ret, TAG_HOLDER, slice_of(w->holder));
	put_limits(w, ret);
	return buf_err(ret);
}

static kf_err put_number(const struct pubkey *key, const char *name, struct buf *to)
{
	CLEANUP(ossl_bn_freep) BIGNUM *number = NULL;
	if (EVP_PKEY_get_bn_param(pubkey_pkey(key), name, &number) != 1)
		return ossl_fail(KEY_FORMAT, "a public key has no such number");
	uint8_t *at = buf_reserve(to, (size_t)BN_num_bytes(number));
	if (at)
		buf_commit(to, (size_t)BN_bn2bin(number, at));
	return buf_err(to);
}

static kf_err put_rsa_key(const struct pubkey *key, struct buf *to)
{
	autobuf n = buf_new(CVC_MAX), e = buf_new(CVC_MAX);
	KF_TRY(put_number(key, OSSL_PKEY_PARAM_RSA_N, &n));
	KF_TRY(put_number(key, OSSL_PKEY_PARAM_RSA_E, &e));
	tlv_add(to, TAG_OID, OID_RSA);
	tlv_add(to, 0x81, buf_slice(&n));
	tlv_add(to, 0x82, buf_slice(&e));
	return buf_err(to);
}

static kf_err put_ec_key(const struct pubkey *key, struct buf *to)
{
	uint8_t point[256];
	size_t n = 0;
	if (EVP_PKEY_get_octet_string_param(pubkey_pkey(key), OSSL_PKEY_PARAM_PUB_KEY,
		    point, sizeof(point), &n) != 1)
		return ossl_fail(KEY_FORMAT, "a public key has no point");
	return put_ec(pubkey_alg(key), (struct slice){ point, n }, to);
}

static kf_err put_body(const struct pubkey *key, const char *holder, struct buf *ret)
{
	autobuf numbers = buf_new(CVC_MAX), body = buf_new(CVC_MAX);
	if (pubkey_alg(key)->family == FAMILY_ED25519)
		return kf_fail(UNSUPPORTED, "SmartCard-HSMs have no Ed25519");
	KF_TRY(pubkey_alg(key)->family == FAMILY_RSA ? put_rsa_key(key, &numbers)
						     : put_ec_key(key, &numbers));
	tlv_add_byte(&body, TAG_VERSION, 0);
	tlv_add(&body, TAG_ISSUER, slice_of(holder));
	tlv_add(&body, TAG_KEY, buf_slice(&numbers));
	tlv_add(&body, TAG_HOLDER, slice_of(holder));
	KF_TRY(buf_err(&body));
	tlv_add(ret, TAG_BODY, buf_slice(&body));
	return buf_err(ret);
}

static kf_err put_certificate(
	struct slice body, struct slice signature, const char *holder, struct buf *ret)
{
	autobuf all = buf_new(CVC_MAX);
	buf_add_slice(&all, body);
	tlv_add(&all, TAG_SIGNATURE, signature);
	KF_TRY(buf_err(&all));
	tlv_add(ret, TAG_CERTIFICATE, buf_slice(&all));
	tlv_add(ret, TAG_ISSUER, slice_of(holder));
	return buf_err(ret);
}

static kf_err put_vouched(
	struct slice certificate, struct slice signature, struct buf *ret)
{
	autobuf all = buf_new(CVC_MAX);
	buf_add_slice(&all, certificate);
	tlv_add(&all, TAG_SIGNATURE, signature);
	KF_TRY(buf_err(&all));
	tlv_add(ret, TAG_REQUEST, buf_slice(&all));
	return buf_err(ret);
}

/* As cards write them: r and s of the field's length. */
static kf_err put_plain(struct slice der, size_t size, struct buf *ret)
{
	const uint8_t *p = der.p;
	CLEANUP(ecdsa_sig_freep) ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &p, (long)der.n);
	uint8_t *at = s ? buf_reserve(ret, 2 * size) : NULL;
	if (!at || BN_bn2binpad(ECDSA_SIG_get0_r(s), at, (int)size) < 0 ||
		BN_bn2binpad(ECDSA_SIG_get0_s(s), at + size, (int)size) < 0)
		return ossl_fail(CRYPTO, "a signature cannot be written plainly");
	buf_commit(ret, 2 * size);
	return KF_OK;
}

static kf_err sign_plain(const struct cvc_prover *p, struct slice what, struct buf *ret)
{
	autobuf der = buf_new(JOB_SIG_MAX);
	const struct alg *alg = pubkey_alg(p->key);
	if (alg->family != FAMILY_EC)
		return p->sign(p->arg, what, ret);
	KF_TRY(p->sign(p->arg, what, &der));
	return put_plain(buf_slice(&der), (alg->bits + 7) / 8, ret);
}

kf_err cvc_prove(const struct cvc_prover *p, struct buf *ret)
{
	autobuf body = buf_new(CVC_MAX), certificate = buf_new(CVC_MAX),
		inner = buf_new(JOB_SIG_MAX), outer = buf_new(JOB_SIG_MAX);
	KF_TRY(put_body(p->key, p->holder, &body));
	KF_TRY(sign_plain(p, buf_slice(&body), &inner));
	KF_TRY(put_certificate(
		buf_slice(&body), buf_slice(&inner), p->holder, &certificate));
	KF_TRY(sign_plain(p, buf_slice(&certificate), &outer));
	return put_vouched(buf_slice(&certificate), buf_slice(&outer), ret);
}
