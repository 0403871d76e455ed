/* SPDX-License-Identifier: Apache-2.0 */
#include "vhsm/card.h"
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>

enum { PIN_USER = 0x81, PIN_SO = 0x88, PIN_MIN = 6 };

static void digest(const struct pin *p, struct slice value, uint8_t ret[static 32])
{
	autobuf all = buf_new(1024);
	buf_add(&all, p->salt, sizeof(p->salt));
	buf_add_slice(&all, value);
	SHA256(all.p, all.n, ret);
}

void pin_set(struct pin *p, struct slice value, uint8_t tries)
{
	*p = (struct pin){ .is_set = true, .tries = tries, .tries_max = tries };
	/* Without random bytes the salt is zero, which costs this card nothing. */
	(void)RAND_bytes(p->salt, sizeof(p->salt));
	digest(p, value, p->hash);
}

bool pin_is_fit(struct slice user_pin)
{
	return user_pin.n >= PIN_MIN && user_pin.n <= CARD_PIN_MAX;
}

sw_t pin_status(const struct pin *p)
{
	if (!p->is_set)
		return SW_NO_REFERENCE;
	if (p->tries == 0)
		return SW_BLOCKED;
	return (sw_t)(SW_TRIES | (p->tries > 15 ? 15 : p->tries));
}

sw_t pin_check(struct card *c, struct pin *p, struct slice value)
{
	uint8_t hash[32];
	if (!p->is_set)
		return SW_NO_REFERENCE;
	if (p->tries == 0)
		return SW_BLOCKED;
	digest(p, value, hash);
	bool is_right = CRYPTO_memcmp(hash, p->hash, sizeof(hash)) == 0;
	uint8_t tries = is_right ? p->tries_max : (uint8_t)(p->tries - 1);
	c->is_changed |= tries != p->tries;
	p->tries = tries;
	return is_right ? SW_OK : pin_status(p);
}

static struct pin *pin_of(struct card *c, uint8_t p2)
{
	return p2 == PIN_USER ? &c->user : p2 == PIN_SO ? &c->so : NULL;
}

sw_t cmd_verify(struct card *c, const struct apdu *a, struct buf *to)
{
	(void)to;
	struct pin *p = pin_of(c, a->p2);
	if (!p || a->p1)
		return p ? SW_P1P2 : SW_NO_REFERENCE;
	if (a->data.n == 0)
		return a->p2 == PIN_USER && c->is_logged_in ? SW_OK
		       : p->is_set && p->must_change        ? SW_USED_UP
							    : pin_status(p);
	if (a->p2 == PIN_USER && !pin_is_fit(a->data))
		return SW_DATA;
	if (p->must_change)
		return SW_USED_UP;
	sw_t status = pin_check(c, p, a->data);
	if (a->p2 == PIN_USER)
		c->is_logged_in = status == SW_OK;
	return status;
}

/* Old and new value in one; the old one is as long as its owner's PIN, so every split is tried, and
 * only one try is spent. */
static size_t split_of(const struct pin *p, struct slice both)
{
	uint8_t hash[32];
	for (size_t n = PIN_MIN; n <= CARD_PIN_MAX && n + PIN_MIN <= both.n; n++) {
		digest(p, (struct slice){ both.p, n }, hash);
		if (CRYPTO_memcmp(hash, p->hash, sizeof(hash)) == 0)
			return n;
	}
	return PIN_MIN;
}

sw_t cmd_change_pin(struct card *c, const struct apdu *a, struct buf *to)
{
	(void)to;
	struct pin *p = pin_of(c, a->p2);
	if (!p || !p->is_set)
		return SW_NO_REFERENCE;
	bool is_user = a->p2 == PIN_USER;
	if (is_user ? a->data.n < 2 * PIN_MIN : a->data.n != 2 * CARD_SO_PIN_SIZE)
		return SW_DATA;
	size_t n = is_user ? split_of(p, a->data) : CARD_SO_PIN_SIZE;
	struct slice old = { a->data.p, n }, new = { a->data.p + n, a->data.n - n };
	sw_t status = pin_check(c, p, old);
	if (status != SW_OK)
		return status;
	if (is_user && !pin_is_fit(new))
		return SW_DATA;
	pin_set(p, new, p->tries_max);
	c->is_changed = true;
	return SW_OK;
}

/* SO-PIN and a new user PIN; with P1 = 01 the SO-PIN alone, which gives back the tries. */
sw_t cmd_reset_retry_counter(struct card *c, const struct apdu *a, struct buf *to)
{
	(void)to;
	if (a->p2 != PIN_USER || !c->user.is_set)
		return SW_NO_REFERENCE;
	if (a->p1 > 1 || a->data.n < CARD_SO_PIN_SIZE ||
		(a->p1 == 1) != (a->data.n == CARD_SO_PIN_SIZE))
		return a->p1 > 1 ? SW_P1P2 : SW_LENGTH;
	struct slice so = { a->data.p, CARD_SO_PIN_SIZE };
	struct slice new = { so.p + so.n, a->data.n - so.n };
	if (a->p1 == 0 && !(c->options[1] & OPTION_SO_RESETS_PIN))
		return SW_CONDITIONS;
	if (a->p1 == 0 && !pin_is_fit(new))
		return SW_DATA;
	sw_t status = pin_check(c, &c->so, so);
	if (status != SW_OK)
		return status;
	if (a->p1 == 0)
		pin_set(&c->user, new, c->user.tries_max);
	c->user.tries = c->user.tries_max;
	c->is_changed = true;
	return SW_OK;
}
