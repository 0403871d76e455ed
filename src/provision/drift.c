/* SPDX-License-Identifier: Apache-2.0
 *
 * drift: what differs among the tokens of a pool that should be alike.
 */
#include "base/mem.h"
#include "provision/copy.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 4096 };

static void tell(const struct provision_drift *in, enum provision_drift_kind kind,
	const char *serial, const struct drift_key *key, const char *text)
{
	struct provision_drift_row row = { .kind = kind, .text = text };
	snprintf(row.serial, sizeof(row.serial), "%s", serial);
	if (key)
		snprintf(row.label, sizeof(row.label), "%s", key->label);
	if (key && key->id)
		memcpy(row.key_id, key->id, sizeof(row.key_id));
	in->row(in->arg, &row);
}

/* ---- rules for tokens ---- */

static bool is_alike(const struct drift_token *a, const struct drift_token *b)
{
	return a->has_kcv && b->has_kcv && !strcmp(a->pool, b->pool) &&
	       !memcmp(a->kcv, b->kcv, sizeof(a->kcv));
}

static void count_alike(struct drift_token *tokens, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = tokens[i].alike = 0; k < n; k++)
			tokens[i].alike += is_alike(&tokens[i], &tokens[k]);
}

/* The one whose check value most of this one's pool have, the first of several. */
static const struct drift_token *usual(
	const struct drift_token *tokens, size_t n, const struct drift_token *t)
{
	const struct drift_token *best = t;
	for (size_t i = 0; i < n; i++)
		if (!strcmp(tokens[i].pool, t->pool) &&
			(tokens[i].alike > best->alike ||
				(tokens[i].alike == best->alike && &tokens[i] < best)))
			best = &tokens[i];
	return best;
}

static void look_at_token(const struct provision_drift *in, const struct drift_token *t,
	const struct drift_token *best)
{
	if (!t->is_initialised)
		tell(in, DRIFT_BLANK, t->serial, NULL, "is not initialised");
	else if (t->shares_missing)
		tell(in, DRIFT_NO_DKEK, t->serial, NULL, "waits for DKEK shares");
	else if (t->wrapping == WRAPPING_NONE)
		tell(in, DRIFT_NO_DKEK, t->serial, NULL,
			"has no DKEK or wrapping key: no key can leave or enter it");
	else if (t->has_kcv && !is_alike(t, best))
		tell(in, DRIFT_OTHER_DKEK, t->serial, NULL,
			"has another DKEK than most of the pool");
	if (t->has_problems)
		tell(in, DRIFT_DAMAGED_KEY, t->serial, NULL,
			"holds keys that cannot be used: `keyfleet token info`");
}

void drift_of_tokens(
	const struct provision_drift *in, struct drift_token *tokens, size_t n)
{
	count_alike(tokens, n);
	for (size_t i = 0; i < n; i++)
		look_at_token(in, &tokens[i], usual(tokens, n, &tokens[i]));
}

/* ---- rules for keys ---- */

void drift_of_key(const struct provision_drift *in, const struct drift_key *key)
{
	for (size_t i = 0; key->is_destroyed && i < key->holders; i++)
		tell(in, DRIFT_UNKNOWN_KEY, key->holder[i], key,
			"holds a key that was destroyed and is not deleted yet");
	if (key->is_destroyed || !key->holders)
		return;
	if (key->is_unknown)
		tell(in, DRIFT_UNKNOWN_KEY, key->holder[0], key,
			"belongs to no object: `keyfleet key adopt`, then `key destroy` "
			"if nobody wants it");
	if (key->holders == 1 && key->missings)
		tell(in, DRIFT_ONLY_COPY, key->holder[0], key, "has the only copy");
	for (size_t i = 0; key->holders > 1 && i < key->missings; i++)
		tell(in, DRIFT_LACKS_KEY, key->missing[i], key,
			"lacks a key that others hold");
}

/* ---- tokens that are here ---- */

/* What is known of a pool. */
struct view {
	const struct provision *p;
	const struct provision_drift *in;
	struct drift_token token[POOL_TOKENS_MAX];
	size_t n;
};

static kf_err add_token(struct view *v, const char *serial)
{
	struct pool_token_status s;
	KF_TRY(each_status(v->p, serial, &s));
	struct drift_token *t = &v->token[v->n++];
	*t = (struct drift_token){ .pool = v->p->pool,
		.serial = serial,
		.is_initialised = s.facts.is_initialised,
		.has_kcv = s.facts.has_kcv,
		.has_problems = s.keys_with_problems,
		.shares_missing = s.facts.shares_missing,
		.wrapping = s.facts.wrapping };
	memcpy(t->kcv, s.facts.kcv, sizeof(t->kcv));
	return KF_OK;
}

static bool holds(const char *const *holder, size_t n, const char *serial)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(holder[i], serial))
			return true;
	return false;
}

static void look_at_key(const struct view *v, const struct pool_key_status *key)
{
	char serial[POOL_TOKENS_MAX][TOKEN_SERIAL_SIZE];
	const char *holder[POOL_TOKENS_MAX], *missing[POOL_TOKENS_MAX];
	struct drift_key k = { .label = key->label,
		.id = key->key_id,
		.holder = holder,
		.missing = missing };
	size_t n = pool_key_holders(
		v->p->pools, v->p->pool, key->key_id, serial, POOL_TOKENS_MAX);
	for (; k.holders < n && k.holders < POOL_TOKENS_MAX; k.holders++)
		holder[k.holders] = serial[k.holders];
	for (size_t i = 0; i < v->n; i++)
		if (v->token[i].is_initialised &&
			!holds(holder, k.holders, v->token[i].serial))
			missing[k.missings++] = v->token[i].serial;
	k.is_unknown = v->in->known && !v->in->known(v->in->arg, key->key_id);
	drift_of_key(v->in, &k);
}

static kf_err look_at_keys(const struct view *v)
{
	size_t n = pool_keys(v->p->pools, v->p->pool, NULL, 0);
	if (n > KEYS_MAX)
		n = KEYS_MAX;
	CLEANUP(mem_freep) struct pool_key_status *keys = calloc(n + 1, sizeof(*keys));
	if (!keys)
		return kf_fail(NOMEM, "no memory for a list of keys");
	size_t found = pool_keys(v->p->pools, v->p->pool, keys, n);
	for (size_t i = 0; i < found && i < n; i++)
		look_at_key(v, &keys[i]);
	return KF_OK;
}

kf_err provision_drift(const struct provision *p, const struct provision_drift *in)
{
	CLEANUP(mem_freep) struct provision_report *here = calloc(1, sizeof(*here));
	CLEANUP(mem_freep) struct view *v = calloc(1, sizeof(*v));
	if (!here || !v)
		return kf_fail(NOMEM, "no memory for a list of tokens");
	v->p = p;
	v->in = in;
	KF_TRY(each_fill_all(p, here));
	for (size_t i = 0; i < here->n; i++)
		KF_TRY(add_token(v, here->row[i].serial));
	drift_of_tokens(in, v->token, v->n);
	return look_at_keys(v);
}
