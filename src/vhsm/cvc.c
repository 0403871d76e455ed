/* SPDX-License-Identifier: Apache-2.0 */
#include "vhsm/cvc.h"
#include "base/tlv.h"
#include <openssl/core_names.h>

enum { CVC_MAX = 4096 };
enum { TAG_CVC = 0x7f21, TAG_BODY = 0x7f4e, TAG_KEY = 0x7f49, TAG_SIGNATURE = 0x5f37 };
enum { TAG_VERSION = 0x5f29, TAG_ISSUER = 0x42, TAG_HOLDER = 0x5f20, TAG_REQUEST = 0x67 };

static kf_err put_rsa(const struct key *k, struct buf *to)
{
	autobuf n = buf_new(CVC_MAX), e = buf_new(CVC_MAX);
	KF_TRY(key_number(k, OSSL_PKEY_PARAM_RSA_N, key_size(k), &n));
	KF_TRY(key_number(k, OSSL_PKEY_PARAM_RSA_E, 0, &e));
	tlv_add(to, 0x06, CVC_OID_RSA);
	tlv_add(to, 0x81, buf_slice(&n));
	tlv_add(to, 0x82, buf_slice(&e));
	return buf_err(to);
}

static kf_err put_ec(const struct key *k, struct buf *to)
{
	CLEANUP(curve_numbers_free) struct curve_numbers c;
	autobuf q = buf_new(CVC_MAX);
	KF_TRY(curve_get_numbers(k->curve, &c));
	KF_TRY(key_point(k, &q));
	tlv_add(to, 0x06, CVC_OID_EC);
	tlv_add(to, 0x81, buf_slice(&c.p));
	tlv_add(to, 0x82, buf_slice(&c.a));
	tlv_add(to, 0x83, buf_slice(&c.b));
	tlv_add(to, 0x84, buf_slice(&c.g));
	tlv_add(to, 0x85, buf_slice(&c.n));
	tlv_add(to, 0x86, buf_slice(&q));
	tlv_add_byte(to, 0x87, 1); /* the cofactor of all our curves */
	return buf_err(to);
}

static kf_err put_signature(const struct key *k, struct slice what, struct buf *to)
{
	autobuf signature = buf_new(CVC_MAX);
	if (k->kind == KEY_EC)
		KF_TRY(key_sign_plain(k, what, &signature));
	if (k->kind == KEY_RSA)
		KF_TRY(key_sign(k, ALGO_PKCS1 | 3, what, &signature));
	tlv_add(to, TAG_SIGNATURE, buf_slice(&signature));
	return buf_err(to);
}

kf_err cvc_put(const struct cvc *what, struct buf *to)
{
	autobuf key = buf_new(CVC_MAX), body = buf_new(CVC_MAX), all = buf_new(CVC_MAX);
	KF_TRY(what->key->kind == KEY_RSA ? put_rsa(what->key, &key)
					  : put_ec(what->key, &key));
	tlv_add_byte(&body, TAG_VERSION, 0);
	tlv_add(&body, TAG_ISSUER, slice_of(what->issuer));
	tlv_add(&body, TAG_KEY, buf_slice(&key));
	tlv_add(&body, TAG_HOLDER, what->holder);
	KF_TRY(buf_err(&body));
	tlv_add(&all, TAG_BODY, buf_slice(&body));
	KF_TRY(put_signature(what->signer, buf_slice(&all), &all));
	tlv_add(to, TAG_CVC, buf_slice(&all));
	return buf_err(to);
}

kf_err cvc_put_request(const struct cvc *what, const char *outer,
	const struct key *device, struct buf *to)
{
	autobuf all = buf_new(CVC_MAX);
	KF_TRY(cvc_put(what, &all));
	tlv_add(&all, TAG_ISSUER, slice_of(outer));
	KF_TRY(put_signature(device, buf_slice(&all), &all));
	tlv_add(to, TAG_REQUEST, buf_slice(&all));
	return buf_err(to);
}
