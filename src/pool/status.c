/* SPDX-License-Identifier: Apache-2.0
 *
 * status: what people and provisioning ask of a pool: rows, drain and resume, tasks.
 */
#include "base/clock.h"
#include "pool/inside.h"
#include <stdio.h>
#include <string.h>

/* ---- rows ---- */

static uint64_t slowest(const struct card *c)
{
	uint64_t most = 0;
	for (int i = 0; i < ALG_IDS; i++)
		if (c->service_ns[i][OP_SIGN] > most)
			most = c->service_ns[i][OP_SIGN];
	return most;
}

static void fill_counts(const struct card *c, struct pool_token_status *ret)
{
	ret->signatures = c->count.signatures;
	ret->decryptions = c->count.decryptions;
	ret->uses = c->count.uses;
	ret->failures = c->count.failures;
	ret->wrong_signatures = c->count.wrong;
	ret->ejections = c->count.ejections;
	ret->busy_ns = c->count.busy_ns;
	ret->service_ns = slowest(c);
}

/* Readers of different pcscds may have the same name. */
static void tell_place(const struct worker *w, struct pool_token_status *ret)
{
	memcpy(ret->place, w->place.name, sizeof(ret->place));
	size_t n = strnlen(ret->place, sizeof(ret->place) - 1);
	if (w->pool->watches_n > 1)
		snprintf(ret->place + n, sizeof(ret->place) - n, " at %s",
			w->watch->conf.socket);
}

void worker_row(const struct worker *w, struct pool_token_status *ret)
{
	*ret = (struct pool_token_status){ .facts = w->facts,
		.state = w->state,
		.keys = (unsigned)w->held_n,
		.keys_with_problems = w->problems,
		.since_ns = w->since_ns };
	memcpy(ret->pool, w->pool->name, sizeof(ret->pool));
	tell_place(w, ret);
	memcpy(ret->why, w->why, sizeof(ret->why));
	if (w->task)
		snprintf(ret->task, sizeof(ret->task), "%s", w->task);
	if (w->card)
		fill_counts(w->card, ret);
}

struct rows {
	struct pool_token_status *row;
	size_t n, size;
};

static struct pool_token_status *next_row(struct rows *r)
{
	static _Thread_local struct pool_token_status rest;
	return r->n < r->size ? &r->row[r->n++] : (r->n++, &rest);
}

/* Of one whose token hangs and was pulled out, the card speaks. */
static bool has_row(const struct worker *w)
{
	return !w->is_unselected && !w->is_over && (w->card || w->is_plugged);
}

static void add_rows(struct pool *p, struct rows *r)
{
	uint64_t now = clock_monotonic_ns();
	list_each(l, &p->workers)
	{
		const struct worker *w = container_of(l, struct worker, link);
		if (!has_row(w))
			continue;
		struct pool_token_status *row = next_row(r);
		worker_row(w, row);
		row->since_ns = now - row->since_ns;
	}
	list_each(l, &p->cards)
	{
		const struct card *c = container_of(l, struct card, link);
		if (c->worker)
			continue;
		struct pool_token_status *row = next_row(r);
		*row = c->last;
		fill_counts(c, row);
		row->state = POOL_TOKEN_GONE;
		row->since_ns = now - row->since_ns;
	}
}

size_t pool_tokens(struct pools *pools, struct pool_token_status *ret, size_t n)
{
	struct rows r = { ret, 0, n };
	for (size_t i = 0; i < pools->n; i++) {
		pthread_mutex_lock(&pools->pool[i]->lock);
		add_rows(pools->pool[i], &r);
		pthread_mutex_unlock(&pools->pool[i]->lock);
	}
	return r.n;
}

/* The next token from `slot` on that is here and has the key; NULL: there is none. */
static const struct worker *next_holder(
	const struct pool *p, const struct pool_key_group *g, unsigned slot)
{
	for (; (slot = set_next(&g->held, slot)) < POOL_TOKENS_MAX; slot++)
		if (p->slot[slot]->is_plugged)
			return p->slot[slot];
	return NULL;
}

static unsigned holders_of(const struct pool *p, const struct pool_key_group *g)
{
	unsigned n = 0;
	const struct worker *w = next_holder(p, g, 0);
	for (; w; w = next_holder(p, g, w->slot + 1))
		n++;
	return n;
}

static unsigned size_of(const struct token_set *a, const struct token_set *b)
{
	unsigned n = 0;
	for (size_t i = 0; i < sizeof(a->bits) / sizeof(*a->bits); i++)
		n += (unsigned)__builtin_popcountll(a->bits[i] | b->bits[i]);
	return n;
}

static unsigned serving_of(const struct pool_key_group *g)
{
	return g->key.alg->family == FAMILY_AES
		       ? size_of(&g->serving[OP_USE], &g->serving[OP_USE])
		       : size_of(&g->serving[OP_SIGN], &g->serving[OP_DECRYPT]);
}

static void fill_key(
	const struct pool *p, const struct pool_key_group *g, struct pool_key_status *ret)
{
	*ret = (struct pool_key_status){ .alg = g->key.alg,
		.holders = holders_of(p, g),
		.serving = serving_of(g),
		.waiting = g->waiting };
	memcpy(ret->pool, p->name, sizeof(ret->pool));
	memcpy(ret->key_id, g->key.id, sizeof(ret->key_id));
	memcpy(ret->label, g->label, sizeof(ret->label));
}

size_t pool_keys(
	struct pools *pools, const char *pool, struct pool_key_status *ret, size_t n)
{
	struct pool *p = pools_find(pools, pool);
	const struct pool_key_group *g;
	size_t found = 0;
	if (!p)
		return 0;
	pthread_mutex_lock(&p->lock);
	for (size_t at = 0; (g = map_next(&p->groups, &at));) {
		if (!next_holder(p, g, 0) && !g->waiting)
			continue;
		if (found < n)
			fill_key(p, g, &ret[found]);
		found++;
	}
	pthread_mutex_unlock(&p->lock);
	return found;
}

unsigned pool_key_serving(
	struct pools *pools, const char *pool, const uint8_t key_id[KEY_ID_SIZE])
{
	struct pool *p = pools_find(pools, pool);
	if (!p)
		return 0;
	pthread_mutex_lock(&p->lock);
	const struct pool_key_group *g = group_find(p, key_id);
	unsigned n = g ? serving_of(g) : 0;
	pthread_mutex_unlock(&p->lock);
	return n;
}

unsigned pool_waiting(struct pools *pools, const char *pool)
{
	struct pool *p = pools_find(pools, pool);
	if (!p)
		return 0;
	pthread_mutex_lock(&p->lock);
	unsigned n = p->waiting;
	pthread_mutex_unlock(&p->lock);
	return n;
}

kf_err pool_check(struct pools *pools, const char *pool, bool changes)
{
	const struct pool *p = pools_find(pools, pool);
	if (!p)
		return kf_fail(NOT_FOUND, "no pool of this name is configured");
	if (changes && p->is_read_only)
		return kf_fail(
			READ_ONLY, "the pool is read only: tokens are not changed");
	return KF_OK;
}

bool pool_overflows(struct pools *pools, const char *pool)
{
	const struct pool *p = pools_find(pools, pool);
	return p && p->overflow_ms;
}

kf_err pool_find_spki(struct pools *pools, const char *pool,
	const uint8_t key_id[KEY_ID_SIZE], struct buf *ret)
{
	struct pool *p = pools_find(pools, pool);
	if (!p)
		return kf_fail(NOT_FOUND, "no pool of this name is configured");
	pthread_mutex_lock(&p->lock);
	const struct pool_key_group *g = group_find(p, key_id);
	bool is_held = g && g->pubkey && next_holder(p, g, 0);
	if (is_held)
		buf_add_slice(ret, pubkey_spki(g->pubkey));
	pthread_mutex_unlock(&p->lock);
	return is_held ? buf_err(ret)
		       : kf_fail(NOT_FOUND, "no token of the pool has this key");
}

bool pool_key_counts(
	struct pools *pools, const char *pool, const uint8_t key_id[KEY_ID_SIZE])
{
	struct pool *p = pools_find(pools, pool);
	if (!p)
		return false;
	pthread_mutex_lock(&p->lock);
	const struct pool_key_group *g = group_find(p, key_id);
	bool counts = g && g->counts;
	pthread_mutex_unlock(&p->lock);
	return counts;
}

size_t pool_key_holders(struct pools *pools, const char *pool,
	const uint8_t key_id[KEY_ID_SIZE], char (*ret)[TOKEN_SERIAL_SIZE], size_t n)
{
	struct pool *p = pools_find(pools, pool);
	size_t found = 0;
	if (!p)
		return 0;
	pthread_mutex_lock(&p->lock);
	const struct pool_key_group *g = group_find(p, key_id);
	const struct worker *w = g ? next_holder(p, g, 0) : NULL;
	for (; w; w = next_holder(p, g, w->slot + 1)) {
		if (found < n)
			memcpy(ret[found], w->facts.serial, TOKEN_SERIAL_SIZE);
		found++;
	}
	pthread_mutex_unlock(&p->lock);
	return found;
}

/* ---- what people say ---- */

/* With its pool's lock held, or NULL. */
static struct card *lock_card(struct pools *pools, const char *serial, struct pool **ret)
{
	for (size_t i = 0; i < pools->n; i++) {
		struct pool *p = pools->pool[i];
		pthread_mutex_lock(&p->lock);
		struct card *c = card_find(p, serial);
		*ret = p;
		if (c)
			return c;
		pthread_mutex_unlock(&p->lock);
	}
	return NULL;
}

#define NO_SUCH_TOKEN kf_fail(NOT_FOUND, "no token of a pool has this serial number")

kf_err pool_drain(struct pools *pools, const char *serial)
{
	struct pool *p;
	struct card *c = lock_card(pools, serial, &p);
	if (!c)
		return NO_SUCH_TOKEN;
	c->is_drained = true;
	if (c->worker)
		worker_settle(c->worker);
	pthread_mutex_unlock(&p->lock);
	return KF_OK;
}

static bool has_failed_proof(const struct worker *w)
{
	for (size_t i = 0; i < w->held_n; i++)
		if (w->held[i].proof == PROOF_FAILED)
			return true;
	return false;
}

/* What was put aside proves itself anew. */
static void take_back(struct card *c)
{
	struct worker *w = c->worker;
	c->is_drained = false;
	if (!w)
		return;
	w->failures = w->refusals = 0;
	w->must_restart = c->is_wrong || w->is_pin_bad || !w->is_open || w->is_released ||
			  has_failed_proof(w);
	c->is_wrong = false;
	worker_settle(w);
}

kf_err pool_resume(struct pools *pools, const char *serial)
{
	struct pool *p;
	struct card *c = lock_card(pools, serial, &p);
	if (!c)
		return NO_SUCH_TOKEN;
	refusal_forget(p->refusals, serial);
	take_back(c);
	pthread_mutex_unlock(&p->lock);
	return KF_OK;
}

/* ---- tasks ---- */

static kf_err wait_for_run(struct card *c, struct pool *p, const struct pool_task *task)
{
	struct run r = { .task = task };
	if (task->changes && p->is_read_only)
		return kf_fail(
			READ_ONLY, "the pool is read only: tokens are not changed");
	if (!c->worker || !c->worker->is_open || c->worker->is_hung || p->is_closing)
		return kf_fail(UNAVAILABLE, "the token is not in use");
	pool_cond_init(&r.done);
	list_add_tail(&c->worker->runs, &r.link);
	pthread_cond_signal(&c->worker->wake);
	while (!r.is_done)
		pthread_cond_wait(&r.done, &p->lock);
	pthread_cond_destroy(&r.done);
	return r.err;
}

kf_err pool_run(struct pools *pools, const struct pool_task *task)
{
	struct pool *p;
	struct card *c = lock_card(pools, task->serial, &p);
	if (!c)
		return NO_SUCH_TOKEN;
	kf_err e = wait_for_run(c, p, task);
	pthread_mutex_unlock(&p->lock);
	return e;
}
