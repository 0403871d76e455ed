/* SPDX-License-Identifier: Apache-2.0
 *
 * refusal: PINs that tokens refused, or have not answered.  A token may come to several pools, one after another, whose
 * PINs may be the same: it costs one try.
 */
#include "pool/inside.h"
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

static bool is_same(const struct token_pin *a, const struct token_pin *b)
{
	return a->n == b->n && !CRYPTO_memcmp(a->bytes, b->bytes, a->n);
}

static struct pool_refusal *find(
	struct refusals *r, const char *serial, const struct token_pin *pin)
{
	for (size_t i = 0; i < r->n; i++)
		if (!strcmp(r->of[i].serial, serial) && is_same(r->of[i].pin, pin))
			return &r->of[i];
	return NULL;
}

/* A try that is gone since it was sent is this one: it stays refused, also when somebody gives the try back. */
static bool is_refused(struct pool_refusal *f, int tries)
{
	if (f && f->asked > tries)
		f->asked = 0;
	return f && !f->asked;
}

bool refusal_is_known(
	struct refusals *r, const char *serial, const struct token_pin *pin, int tries)
{
	pthread_mutex_lock(&r->lock);
	bool is = is_refused(find(r, serial, pin), tries);
	pthread_mutex_unlock(&r->lock);
	return is;
}

static void drop(struct refusals *r, size_t i)
{
	r->n--;
	memmove(&r->of[i], &r->of[i + 1], (r->n - i) * sizeof(r->of[i]));
}

/* The oldest goes, of those that are not being sent just now: should that token come back, it costs a try, as long as
 * more than two are left. */
static void make_room(struct refusals *r)
{
	size_t oldest = 0;
	while (oldest < r->n && r->of[oldest].asked)
		oldest++;
	drop(r, oldest < r->n ? oldest : 0);
}

static void add(
	struct refusals *r, const char *serial, const struct token_pin *pin, int asked)
{
	if (r->n == POOL_REFUSALS_MAX)
		make_room(r);
	struct pool_refusal *f = &r->of[r->n++];
	*f = (struct pool_refusal){ .pin = pin, .asked = asked };
	snprintf(f->serial, sizeof(f->serial), "%s", serial);
}

void refusal_note(
	struct refusals *r, const char *serial, const struct token_pin *pin, int asked)
{
	pthread_mutex_lock(&r->lock);
	struct pool_refusal *f = find(r, serial, pin);
	if (!f)
		add(r, serial, pin, asked);
	else if (f->asked)
		f->asked = asked; /* what was refused stays so */
	pthread_mutex_unlock(&r->lock);
}

void refusal_accepted(struct refusals *r, const char *serial, const struct token_pin *pin)
{
	pthread_mutex_lock(&r->lock);
	struct pool_refusal *f = find(r, serial, pin);
	if (f)
		drop(r, (size_t)(f - r->of));
	pthread_mutex_unlock(&r->lock);
}

void refusal_forget(struct refusals *r, const char *serial)
{
	pthread_mutex_lock(&r->lock);
	for (size_t i = r->n; i > 0; i--)
		if (!strcmp(r->of[i - 1].serial, serial))
			drop(r, i - 1);
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
