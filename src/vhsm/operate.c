/* SPDX-License-Identifier: Apache-2.0
 *
 * operate: the commands that use a key.
 */
#include "vhsm/card.h"
#include "vhsm/dkek.h"
#include <openssl/core_names.h>

static sw_t status_of(kf_err e)
{
	if (kf_ok(e))
		return SW_OK;
	if (kf_is(e, KF_E_BAD_PARAMETERS))
		return SW_ALGORITHM;
	bool is_data = kf_is(e, KF_E_INVALID_FIELD) || kf_is(e, KF_E_MALFORMED) ||
		       kf_is(e, KF_E_SHORT) || kf_is(e, KF_E_DENIED);
	return is_data ? SW_DATA : SW_INTERNAL;
}

typedef kf_err key_fn(
	const struct key *k, uint8_t algo, struct slice data, struct buf *to);

static sw_t use(struct card *c, const struct apdu *a, key_fn *fn, struct buf *to)
{
	sw_t status;
	struct key *k = card_key(c, a->p1, &status);
	if (!k)
		return status;
	if (a->data.n == 0)
		return SW_LENGTH;
	status = card_use(c, k, a->p2);
	return status == SW_OK ? status_of(fn(k, a->p2, a->data, to)) : status;
}

sw_t cmd_sign(struct card *c, const struct apdu *a, struct buf *to)
{
	sw_t status = use(c, a, key_sign, to);
	c->signatures += status == SW_OK;
	return status;
}

sw_t cmd_decipher(struct card *c, const struct apdu *a, struct buf *to)
{
	return use(c, a, key_decipher, to);
}

sw_t cmd_cipher(struct card *c, const struct apdu *a, struct buf *to)
{
	return use(c, a, key_cipher, to);
}

/* d + scalar mod n, which makes a new key of another reference. */
static kf_err derive(const struct key *k, struct slice scalar, struct key **ret)
{
	autobuf d = buf_new(256), sum = buf_new(256);
	size_t size = key_size(k);
	BN_CTX *ctx = BN_CTX_secure_new();
	CLEANUP(curve_group_freep) EC_GROUP *group = curve_group(k->curve);
	KF_TRY(key_number(k, OSSL_PKEY_PARAM_PRIV_KEY, size, &d));
	CLEANUP(ossl_bn_freep)
	BIGNUM *a = BN_bin2bn(d.p, (int)d.n, NULL),
	       *b = BN_bin2bn(scalar.p, (int)scalar.n, NULL);
	uint8_t *at = buf_reserve(&sum, size);
	bool good = ctx && group && a && b && at &&
		    BN_mod_add(a, a, b, EC_GROUP_get0_order(group), ctx) &&
		    BN_bn2binpad(a, at, (int)size) > 0;
	BN_CTX_free(ctx);
	if (!good)
		return ossl_fail(CRYPTO, "a key cannot be derived");
	buf_commit(&sum, size);
	return key_from_ec(k->curve, buf_slice(&sum), ret);
}

sw_t cmd_derive_ec(struct card *c, const struct apdu *a, struct buf *to)
{
	(void)to;
	sw_t status;
	CLEANUP(key_freep) struct key *derived = NULL;
	struct key *k = card_key(c, a->p1, &status);
	if (!k)
		return status;
	if (a->p2 == 0 || a->p2 == a->p1)
		return SW_P1P2;
	if (k->kind != KEY_EC || a->data.n < 2 || a->data.p[0] != ALGO_DERIVE_EC ||
		a->data.n - 1 > key_size(k))
		return SW_DATA;
	status = card_use(c, k, ALGO_DERIVE_EC);
	if (status == SW_OK)
		status = status_of(derive(
			k, (struct slice){ a->data.p + 1, a->data.n - 1 }, &derived));
	if (status == SW_OK)
		card_put_key(c, a->p2, &derived);
	return status;
}

static sw_t domain_of(struct card *c, uint8_t id, const struct domain **ret)
{
	if (c->n_domains == 0)
		return SW_INS;
	if (id >= c->n_domains || !c->domains[id].exists)
		return SW_NO_REFERENCE;
	*ret = &c->domains[id];
	return (*ret)->outstanding ? SW_CONDITIONS : SW_OK;
}

sw_t cmd_wrap(struct card *c, const struct apdu *a, struct buf *to)
{
	sw_t status;
	const struct domain *d;
	struct key *k = card_key(c, a->p1, &status);
	if (!k)
		return status;
	if (a->p2 != ALGO_WRAP)
		return SW_P1P2;
	status = domain_of(c, k->domain, &d);
	if (status != SW_OK)
		return status;
	/* A copy elsewhere would count anew; the device key never leaves. */
	if (!key_allows(k, ALGO_WRAP) || k->uses != KEY_USES_UNLIMITED || a->p1 == 0)
		return SW_CONDITIONS;
	return status_of(dkek_wrap(d->kek, k, to));
}

/* The domain whose key the blob was made under. */
static sw_t unwrap(struct card *c, struct slice blob, struct key **ret)
{
	const struct domain *d;
	sw_t status = domain_of(c, 0, &d);
	for (uint8_t i = 0; i < c->n_domains; i++) {
		if (domain_of(c, i, &d) != SW_OK)
			continue;
		status = status_of(dkek_unwrap(d->kek, blob, ret));
		if (status != SW_OK)
			continue;
		(*ret)->domain = i;
		return SW_OK;
	}
	return status;
}

/* The blob comes in the command, or was written to a file before. */
sw_t cmd_unwrap(struct card *c, const struct apdu *a, struct buf *to)
{
	(void)to;
	CLEANUP(key_freep) struct key *k = NULL;
	if (!c->is_logged_in)
		return SW_NOT_LOGGED_IN;
	if (a->p1 == 0 || a->p2 != ALGO_UNWRAP)
		return SW_P1P2;
	struct ef *f = file_find(c, FID_TRANSFER);
	if (a->data.n == 0 && !f)
		return SW_DATA;
	sw_t status = unwrap(c, a->data.n ? a->data : buf_slice(&f->data), &k);
	file_delete(c, FID_TRANSFER);
	if (status == SW_OK)
		card_put_key(c, a->p1, &k);
	return status;
}
