/* SPDX-License-Identifier: Apache-2.0
 *
 * generate: GENERATE KEY PAIR and GENERATE KEY.
 */
#include "base/tlv.h"
#include "vhsm/card.h"
#include "vhsm/cvc.h"
#include <stdio.h>
#include <string.h>

/* Restrictions that both commands know: 90 use counter, 91 algorithms, 92 key domain. */
static sw_t restrict_key(const struct card *c, struct slice data, struct key *k)
{
	struct slice uses = tlv_find(data, 0x90), algos = tlv_find(data, 0x91),
		     domain = tlv_find(data, 0x92);
	if ((uses.p && uses.n != 4) || algos.n > KEY_ALGOS_MAX ||
		(domain.p && domain.n != 1))
		return SW_DATA;
	if (uses.n)
		k->uses = (uint32_t)uses.p[0] << 24 | (uint32_t)uses.p[1] << 16 |
			  (uint32_t)uses.p[2] << 8 | uses.p[3];
	if (algos.n)
		memcpy(k->algos, algos.p, algos.n);
	k->n_algos = (uint8_t)algos.n;
	if (!domain.n)
		return SW_OK;
	k->domain = domain.p[0];
	bool is_there = k->domain < c->n_domains && c->domains[k->domain].exists;
	return is_there ? SW_OK : SW_NO_REFERENCE;
}

static sw_t may_generate(const struct card *c, uint8_t reference)
{
	if (!c->is_logged_in)
		return SW_NOT_LOGGED_IN;
	return reference == 0 ? SW_P1P2 : SW_OK;
}

static kf_err generate_rsa(struct slice public, struct key **ret)
{
	struct slice e = tlv_find(public, 0x82), bits = tlv_find(public, 0x02);
	if (e.n == 0 || bits.n != 2)
		return kf_fail(
			INVALID_FIELD, "exponent or length of an RSA key is missing");
	return key_generate_rsa((size_t)bits.p[0] << 8 | bits.p[1], e, ret);
}

static kf_err generate_ec(struct slice public, struct key **ret)
{
	struct slice p = tlv_find(public, 0x81), n = tlv_find(public, 0x85);
	const struct curve *curve = p.n && n.n ? curve_by_numbers(p, n) : NULL;
	if (!curve)
		return kf_fail(INVALID_FIELD, "no such curve");
	return key_generate_ec(curve, ret);
}

/* Whatever the hash: it is that of the request only. */
static bool is_like(struct slice oid, struct slice known)
{
	return oid.n == known.n && !memcmp(oid.p, known.p, known.n - 1);
}

static kf_err generate(struct slice public, struct key **ret)
{
	struct slice oid = tlv_find(public, 0x06);
	if (is_like(oid, CVC_OID_RSA))
		return generate_rsa(public, ret);
	if (is_like(oid, CVC_OID_EC))
		return generate_ec(public, ret);
	return kf_fail(INVALID_FIELD, "no such kind of key");
}

/* 67 { request }, which is also what CE.id holds until there is a certificate. */
static sw_t put_request(
	struct card *c, struct slice data, const struct key *k, struct buf *to)
{
	char device[24], issuer[24];
	struct slice given = tlv_find(data, 0x42), holder = tlv_find(data, 0x5f20);
	snprintf(device, sizeof(device), "%s00000", c->serial);
	if (!given.n || !kf_ok(slice_to_text(given, issuer, sizeof(issuer))))
		memcpy(issuer, device, sizeof(issuer));
	struct cvc what = { issuer, holder.n ? holder : slice_of(device), k, k };
	return kf_ok(cvc_put_request(&what, device, c->keys[0], to)) ? SW_OK
								     : SW_INTERNAL;
}

sw_t cmd_generate_key_pair(struct card *c, const struct apdu *a, struct buf *to)
{
	CLEANUP(key_freep) struct key *k = NULL;
	sw_t status = may_generate(c, a->p1);
	if (status != SW_OK)
		return status;
	struct slice public = tlv_find(a->data, 0x7f49),
		     holder = tlv_find(a->data, 0x5f20);
	if (!tlv_is_sound(a->data) || !public.n || holder.n > 16)
		return SW_DATA;
	if (!kf_ok(generate(public, &k)))
		return SW_DATA;
	status = restrict_key(c, a->data, k);
	if (status == SW_OK)
		status = put_request(c, a->data, k, to);
	if (status != SW_OK)
		return status;
	uint16_t certificate = (uint16_t)(FID_CERTIFICATE | a->p1);
	file_delete(c, certificate);
	status = file_write(c, certificate, 0, buf_slice(to));
	if (status == SW_OK)
		card_put_key(c, a->p1, &k);
	return status;
}

sw_t cmd_generate_key(struct card *c, const struct apdu *a, struct buf *to)
{
	(void)to;
	CLEANUP(key_freep) struct key *k = NULL;
	sw_t status = may_generate(c, a->p1);
	if (status != SW_OK)
		return status;
	if (a->p2 < 0xb0 || a->p2 > 0xb2)
		return SW_P1P2;
	if (!tlv_is_sound(a->data))
		return SW_DATA;
	if (!kf_ok(key_generate_aes(128 + 64 * (size_t)(a->p2 - 0xb0), &k)))
		return SW_INTERNAL;
	status = restrict_key(c, a->data, k);
	if (status == SW_OK)
		card_put_key(c, a->p1, &k);
	return status;
}
