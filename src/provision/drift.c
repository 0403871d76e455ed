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

/* What is known of a pool. */
struct view {
	const struct provision *p;
	const struct provision_drift *in;
	struct provision_report *here;
	struct pool_token_status *status; /* one a row of `here` */
};

static void tell(const struct view *v, enum provision_drift_kind kind, const char *serial,
	const struct pool_key_status *key, const char *text)
{
	struct provision_drift_row row = { .kind = kind, .text = text };
	snprintf(row.serial, sizeof(row.serial), "%s", serial);
	if (key) {
		memcpy(row.label, key->label, sizeof(row.label));
		memcpy(row.key_id, key->key_id, sizeof(row.key_id));
	}
	v->in->row(v->in->arg, &row);
}

/* ---- tokens ---- */

static size_t alike(const struct view *v, size_t i)
{
	size_t n = 0;
	for (size_t k = 0; k < v->here->n; k++)
		n += v->status[k].facts.has_kcv &&
		     !memcmp(v->status[k].facts.kcv, v->status[i].facts.kcv,
			     TOKEN_KCV_SIZE);
	return n;
}

/* The row whose check value most tokens have; the first of several. */
static size_t usual(const struct view *v)
{
	size_t best = v->here->n, most = 0;
	for (size_t i = 0; i < v->here->n; i++)
		if (v->status[i].facts.has_kcv && alike(v, i) > most) {
			most = alike(v, i);
			best = i;
		}
	return best;
}

static void look_at_token(const struct view *v, size_t i, size_t best)
{
	const struct token_facts *f = &v->status[i].facts;
	if (!f->is_initialised)
		tell(v, DRIFT_BLANK, f->serial, NULL, "is not initialised");
	else if (f->shares_missing)
		tell(v, DRIFT_NO_DKEK, f->serial, NULL, "waits for DKEK shares");
	else if (f->wrapping == WRAPPING_NONE)
		tell(v, DRIFT_NO_DKEK, f->serial, NULL,
			"has no DKEK or wrapping key: no key can leave or enter it");
	else if (f->has_kcv && best < v->here->n &&
		 memcmp(f->kcv, v->status[best].facts.kcv, TOKEN_KCV_SIZE) != 0)
		tell(v, DRIFT_OTHER_DKEK, f->serial, NULL,
			"has another DKEK than most of the pool");
	if (v->status[i].keys_with_problems)
		tell(v, DRIFT_DAMAGED_KEY, f->serial, NULL,
			"holds keys that cannot be used: `keyfleet token info`");
}

/* ---- keys ---- */

static bool holds(char (*holder)[TOKEN_SERIAL_SIZE], size_t n, const char *serial)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(holder[i], serial))
			return true;
	return false;
}

static void look_at_key(const struct view *v, const struct pool_key_status *key)
{
	char holder[POOL_TOKENS_MAX][TOKEN_SERIAL_SIZE];
	size_t n = pool_key_holders(
		v->p->pools, v->p->pool, key->key_id, holder, POOL_TOKENS_MAX);
	if (n > POOL_TOKENS_MAX)
		n = POOL_TOKENS_MAX;
	if (n == 0)
		return;
	if (v->in->known && !v->in->known(v->in->arg, key->key_id))
		tell(v, DRIFT_UNKNOWN_KEY, holder[0], key, "belongs to no object");
	if (n == 1 && v->here->n > 1)
		tell(v, DRIFT_ONLY_COPY, holder[0], key, "has the only copy");
	for (size_t i = 0; n > 1 && i < v->here->n; i++)
		if (v->status[i].facts.is_initialised &&
			!holds(holder, n, v->here->row[i].serial))
			tell(v, DRIFT_LACKS_KEY, v->here->row[i].serial, key,
				"lacks a key that others hold");
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
	CLEANUP(mem_freep)
	struct pool_token_status *status = calloc(POOL_TOKENS_MAX, sizeof(*status));
	const struct view v = { p, in, here, status };
	if (!here || !status)
		return kf_fail(NOMEM, "no memory for a list of tokens");
	KF_TRY(each_fill_all(p, here));
	for (size_t i = 0; i < here->n; i++)
		KF_TRY(each_status(p, here->row[i].serial, &status[i]));
	size_t best = usual(&v);
	for (size_t i = 0; i < here->n; i++)
		look_at_token(&v, i, best);
	return look_at_keys(&v);
}
