/* SPDX-License-Identifier: Apache-2.0
 *
 * refusal: PINs that tokens refused.  A token may come to several pools, one after another, whose PINs may be
 * the same: it costs one try.
 */
#include "pool/inside.h"
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

static bool is_same(const struct token_pin *a, const struct token_pin *b)
{
	return a->n == b->n && !CRYPTO_memcmp(a->bytes, b->bytes, a->n);
}

static bool is_known(
	const struct refusals *r, const char *serial, const struct token_pin *pin)
{
	for (size_t i = 0; i < r->n; i++)
		if (!strcmp(r->of[i].serial, serial) && is_same(r->of[i].pin, pin))
			return true;
	return false;
}

bool refusal_is_known(struct refusals *r, const char *serial, const struct token_pin *pin)
{
	pthread_mutex_lock(&r->lock);
	bool is = is_known(r, serial, pin);
	pthread_mutex_unlock(&r->lock);
	return is;
}

void refusal_note(struct refusals *r, const char *serial, const struct token_pin *pin)
{
	pthread_mutex_lock(&r->lock);
	if (r->n < CARDS_MAX && !is_known(r, serial, pin)) {
		struct pool_refusal *new = &r->of[r->n++];
		snprintf(new->serial, sizeof(new->serial), "%s", serial);
		new->pin = pin;
	}
	pthread_mutex_unlock(&r->lock);
}

void refusal_forget(struct refusals *r, const char *serial)
{
	pthread_mutex_lock(&r->lock);
	for (size_t i = r->n; i > 0; i--)
		if (!strcmp(r->of[i - 1].serial, serial))
			r->of[i - 1] = r->of[--r->n];
	pthread_mutex_unlock(&r->lock);
}

size_t pools_refusals(struct pools *p, struct pool_refusal *ret, size_t n)
{
	struct refusals *r = &p->refusals;
	pthread_mutex_lock(&r->lock);
	size_t found = r->n;
	for (size_t i = 0; i < found && i < n; i++)
		ret[i] = r->of[i];
	pthread_mutex_unlock(&r->lock);
	return found;
}
