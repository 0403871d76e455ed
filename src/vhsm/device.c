/* SPDX-License-Identifier: Apache-2.0
 *
 * device: INITIALIZE DEVICE, and the key domains whose keys encryption keys come in shares.
 */
#include "base/tlv.h"
#include "vhsm/card.h"
#include "vhsm/dkek.h"
#include <openssl/rand.h>
#include <string.h>

enum { TRIES_DEFAULT = 3 };

struct setup {
	uint8_t options[2];
	struct slice pin, so_pin;
	uint8_t tries, domains;
	bool has_kek;
	uint8_t shares;
};

/* A longer PIN may be tried more often. */
static uint8_t tries_max(size_t pin_size)
{
	return pin_size <= 6 ? 3 : pin_size == 7 ? 5 : 10;
}

static void read_bytes(struct slice data, struct setup *s)
{
	struct slice v = tlv_find(data, 0x80);
	if (v.n == 2)
		memcpy(s->options, v.p, 2);
	v = tlv_find(data, 0x91);
	s->tries = v.n == 1 ? v.p[0] : TRIES_DEFAULT;
	v = tlv_find(data, 0x92);
	s->has_kek = v.n == 1;
	s->shares = v.n == 1 ? v.p[0] : 0;
	v = tlv_find(data, 0x97);
	s->domains = v.n == 1 ? v.p[0] : 0;
	s->pin = tlv_find(data, 0x81);
	s->so_pin = tlv_find(data, 0x82);
}

static sw_t read_setup(struct slice data, struct setup *ret)
{
	struct setup s = { 0 };
	if (!tlv_is_sound(data))
		return SW_DATA;
	read_bytes(data, &s);
	bool is_transport = s.options[1] & OPTION_TRANSPORT_PIN;
	if (!pin_is_fit(s.pin) || s.so_pin.n != CARD_SO_PIN_SIZE || s.tries == 0 ||
		(!is_transport && s.tries > tries_max(s.pin.n)) ||
		s.domains > CARD_DOMAINS)
		return SW_DATA;
	*ret = s;
	return SW_OK;
}

static sw_t put_domains(struct card *c, const struct setup *s)
{
	c->n_domains = s->domains ? s->domains : s->has_kek;
	if (!s->has_kek)
		return SW_OK;
	struct domain *d = &c->domains[0];
	*d = (struct domain){
		.exists = true, .shares = s->shares, .outstanding = s->shares
	};
	/* Without shares: random, so that keys can be wrapped for this card alone. */
	if (s->shares == 0 && RAND_priv_bytes(d->kek, sizeof(d->kek)) != 1)
		return SW_INTERNAL;
	return SW_OK;
}

/* EF.TokenInfo: { version, serial, manufacturer, label, flags }. */
static sw_t put_token_info(struct card *c)
{
	autobuf info = buf_new(256), file = buf_new(256);
	tlv_add_byte(&info, 0x02, 1);
	tlv_add(&info, 0x04, slice_of(c->serial));
	tlv_add(&info, 0x0c, SLICE_LIT("keyfleet"));
	tlv_add(&info, 0x80, SLICE_LIT("SmartCard-HSM"));
	tlv_add(&info, 0x03, SLICE_LIT("\x04\x30"));
	tlv_add(&file, 0x30, buf_slice(&info));
	return file_write(c, FID_TOKEN_INFO, 0, buf_slice(&file));
}

sw_t cmd_initialize(struct card *c, const struct apdu *a, struct buf *to)
{
	(void)to;
	struct setup s;
	sw_t status = read_setup(a->data, &s);
	if (status != SW_OK)
		return status;
	if (c->so.is_set) {
		status = pin_check(c, &c->so, s.so_pin);
		if (status != SW_OK)
			return status == SW_BLOCKED ? status : SW_CONDITIONS;
	}
	card_reset(c);
	card_erase(c);
	memcpy(c->options, s.options, sizeof(c->options));
	pin_set(&c->user, s.pin, s.tries);
	c->user.must_change = s.options[1] & OPTION_TRANSPORT_PIN;
	if (!c->so.is_set)
		pin_set(&c->so, s.so_pin, CARD_SO_TRIES);
	c->is_initialised = true;
	status = put_domains(c, &s);
	return status == SW_OK ? put_token_info(c) : status;
}

/* Total, outstanding, key check value: zeros until it is whole. */
static sw_t put_status(const struct domain *d, struct buf *to)
{
	uint8_t kcv[DKEK_KCV_SIZE] = { 0 };
	if (d->outstanding == 0)
		dkek_kcv(d->kek, kcv);
	buf_add_u8(to, d->shares);
	buf_add_u8(to, d->outstanding);
	buf_add(to, kcv, sizeof(kcv));
	return SW_OK;
}

static sw_t import_share(struct card *c, struct domain *d, struct slice share)
{
	if (share.n != DKEK_SIZE)
		return SW_LENGTH;
	if (d->outstanding == 0)
		return SW_CONDITIONS;
	for (size_t i = 0; i < DKEK_SIZE; i++)
		d->kek[i] ^= share.p[i];
	d->outstanding--;
	c->is_changed = true;
	return SW_OK;
}

static bool has_keys(const struct card *c, uint8_t domain)
{
	for (unsigned i = 1; i < CARD_KEYS; i++)
		if (c->keys[i] && c->keys[i]->domain == domain)
			return true;
	return false;
}

static sw_t create_domain(struct card *c, struct domain *d, struct slice data)
{
	if (!c->is_logged_in)
		return SW_NOT_LOGGED_IN;
	if (d->exists)
		return SW_CONDITIONS;
	if (data.n != 1 || data.p[0] == 0)
		return SW_DATA;
	*d = (struct domain){
		.exists = true, .shares = data.p[0], .outstanding = data.p[0]
	};
	c->is_changed = true;
	return SW_OK;
}

/* 03 removes the domain, 04 its key only: neither while keys depend on it. */
static sw_t delete_domain(struct card *c, uint8_t id, uint8_t how)
{
	struct domain *d = &c->domains[id];
	if (!c->is_logged_in)
		return SW_NOT_LOGGED_IN;
	if (has_keys(c, id))
		return SW_CONDITIONS;
	uint8_t shares = d->shares;
	explicit_bzero(d, sizeof(*d));
	if (how == 4)
		*d = (struct domain){
			.exists = true, .shares = shares, .outstanding = shares
		};
	c->is_changed = true;
	return SW_OK;
}

/* P1: 00 status or share, 01 create, 03 delete, 04 delete the key; P2: the domain. */
sw_t cmd_key_domain(struct card *c, const struct apdu *a, struct buf *to)
{
	if (c->n_domains == 0)
		return SW_INS; /* initialised without key domains, or not at all */
	if (a->p2 >= c->n_domains)
		return SW_P1P2;
	struct domain *d = &c->domains[a->p2];
	if (a->p1 == 1) {
		sw_t status = create_domain(c, d, a->data);
		return status == SW_OK ? put_status(d, to) : status;
	}
	if (!d->exists)
		return SW_NO_REFERENCE;
	if (a->p1 == 3 || a->p1 == 4)
		return delete_domain(c, a->p2, a->p1);
	if (a->p1 != 0)
		return SW_P1P2;
	sw_t status = a->data.n ? import_share(c, d, a->data) : SW_OK;
	return status == SW_OK ? put_status(d, to) : status;
}
