/* SPDX-License-Identifier: Apache-2.0
 *
 * token: what a token of the pool is: which state follows from what is known of it, whether it was
 * selected, and what is remembered of its serial number.
 */
#include "base/clock.h"
#include "pool/inside.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_texts[] = {
#define X(id, text, manual) [POOL_TOKEN_##id] = text,
#include "pool/state.def"
#undef X
};

const char *pool_token_state_text(enum pool_token_state s)
{
	return s < POOL_TOKEN_STATES ? state_texts[s] : "unknown";
}

void worker_why(struct worker *w, kf_err e)
{
	if (!kf_ok(e))
		snprintf(w->why, sizeof(w->why), "%s", e.site->text);
}

static bool is_proving(const struct worker *w)
{
	for (size_t i = 0; w->pool->pin && i < w->held_n; i++)
		if (w->held[i].proof == PROOF_DUE && !w->held[i].has_counter)
			return true;
	return false;
}

/* The first that holds. */
static enum pool_token_state state_of(const struct worker *w)
{
	if (!w->is_plugged)
		return POOL_TOKEN_GONE;
	if (w->is_hung)
		return POOL_TOKEN_HUNG;
	if (w->is_ambiguous || w->is_twin)
		return POOL_TOKEN_AMBIGUOUS;
	if (w->is_taken)
		return POOL_TOKEN_TAKEN;
	if (!w->is_open)
		return w->failures ? POOL_TOKEN_EJECTED : POOL_TOKEN_STARTING;
	if (!w->facts.is_initialised)
		return POOL_TOKEN_BLANK;
	if (w->is_pin_bad)
		return POOL_TOKEN_PIN;
	if (!w->is_listed)
		return POOL_TOKEN_STARTING;
	if (w->card && w->card->is_wrong)
		return POOL_TOKEN_WRONG;
	if (w->card && w->card->is_drained)
		return POOL_TOKEN_DRAINED;
	return is_proving(w) ? POOL_TOKEN_STARTING : POOL_TOKEN_SERVING;
}

bool worker_is_taking(const struct worker *w)
{
	return (w->state == POOL_TOKEN_SERVING || w->state == POOL_TOKEN_STARTING) &&
	       w->is_listed && w->pool->pin && !w->pool->is_closing;
}

bool worker_serves(const struct worker *w, const struct held *h)
{
	return worker_is_taking(w) &&
	       (h->proof == PROOF_DONE || (h->proof == PROOF_DUE && h->has_counter));
}

/* Those who were not sent away may come back. */
static bool may_come_back(const struct worker *w)
{
	return w->state == POOL_TOKEN_STARTING || w->state == POOL_TOKEN_SERVING ||
	       w->state == POOL_TOKEN_EJECTED || w->state == POOL_TOKEN_HUNG ||
	       w->state == POOL_TOKEN_GONE;
}

static void publish(struct worker *w, struct held *h)
{
	struct pool_key_group *g = h->group;
	uint64_t hope = clock_monotonic_ns() + ns_of_ms(HOPE_MS);
	for (int op = 0; op < OP_COUNT; op++) {
		bool was = set_next(&g->serving[op], w->slot) == w->slot;
		bool is = h->can[op] && worker_serves(w, h);
		set_put(&g->serving[op], w->slot, is);
		if (was && !is && may_come_back(w) && h->proof != PROOF_FAILED)
			g->hope_ns = hope;
	}
	if (g->waiting) {
		keeper_arm(w->pool, 0);
		queue_wake(w->pool);
	}
}

void worker_fail(struct worker *w)
{
	w->is_open = false;
	w->failures++;
}

void worker_settle(struct worker *w)
{
	enum pool_token_state state = state_of(w);
	bool is_out = state == POOL_TOKEN_HUNG || state == POOL_TOKEN_EJECTED ||
		      state == POOL_TOKEN_WRONG;
	bool was_out = w->state == POOL_TOKEN_HUNG || w->state == POOL_TOKEN_EJECTED;
	if (state != w->state) {
		w->since_ns = clock_monotonic_ns();
		if (is_out && !was_out && w->card)
			w->card->count.ejections++;
	}
	w->state = state;
	if (state != POOL_TOKEN_STARTING)
		w->is_looked = true;
	for (size_t i = 0; i < w->held_n; i++)
		publish(w, &w->held[i]);
	if (w->card && w->card->worker == w)
		worker_row(w, &w->card->last);
	pthread_cond_signal(&w->wake);
	pthread_cond_broadcast(&w->pool->changed);
}

/* ---- cards ---- */

struct card *card_find(struct pool *p, const char *serial)
{
	list_each(l, &p->cards)
	{
		struct card *c = container_of(l, struct card, link);
		if (!strcmp(c->serial, serial))
			return c;
	}
	return NULL;
}

/* What is remembered has an end: those that are gone and have nothing held against them make room. */
static void make_room(struct pool *p)
{
	list_each(l, &p->cards)
	{
		struct card *c = container_of(l, struct card, link);
		if (c->worker || c->is_drained || c->is_wrong)
			continue;
		list_remove(l);
		free(c);
		p->cards_n--;
		return;
	}
}

/* Also of a worker whose card went to the next one meanwhile: a try that was spent is remembered. */
void worker_refuse_pin(struct worker *w, kf_err e)
{
	w->is_pin_bad = true;
	if (token_may_try_pin(&w->facts) && !w->pool->is_over) /* or the PIN is gone */
		refusal_note(w->pool->refusals, w->facts.serial, w->pool->pin, 0);
	worker_why(w, e);
}

static struct card *card_of(struct pool *p, const char *serial)
{
	struct card *c = card_find(p, serial);
	if (c)
		return c;
	if (p->cards_n >= CARDS_MAX)
		make_room(p);
	c = p->cards_n < CARDS_MAX ? calloc(1, sizeof(*c)) : NULL;
	if (!c)
		return NULL;
	snprintf(c->serial, sizeof(c->serial), "%s", serial);
	list_add_tail(&p->cards, &c->link);
	p->cards_n++;
	return c;
}

void worker_release(struct worker *w)
{
	if (w->card && w->card->worker == w) {
		worker_row(w, &w->card->last);
		w->card->worker = NULL;
	}
	w->card = NULL;
}

/* ---- selection ---- */

static bool is_named(const struct pool *p, const char *name)
{
	for (size_t i = 0; i < p->tokens_n; i++)
		if (*name && !strcmp(p->tokens[i], name))
			return true;
	return false;
}

static bool label_fits_several(const struct worker *w)
{
	unsigned n = 0;
	list_each(l, &w->pool->workers)
	{
		const struct worker *o = container_of(l, struct worker, link);
		n += o->is_plugged && o->has_facts &&
		     !strcmp(o->facts.label, w->facts.label);
	}
	return n > 1;
}

static void select_one(struct worker *w)
{
	const struct pool *p = w->pool;
	bool by_serial = !p->tokens_n || is_named(p, w->facts.serial);
	w->is_unselected = !by_serial && !is_named(p, w->facts.label);
	w->is_ambiguous = !by_serial && !w->is_unselected && label_fits_several(w);
}

void pool_select_anew(struct pool *p)
{
	list_each(l, &p->workers)
	{
		struct worker *w = container_of(l, struct worker, link);
		bool was = w->is_ambiguous;
		if (!w->has_facts || !w->is_plugged)
			continue;
		select_one(w);
		if (was == w->is_ambiguous)
			continue;
		w->must_restart = true;
		worker_settle(w);
	}
}

void pool_meet_twins(struct pool *p)
{
	list_each(l, &p->workers)
	{
		struct worker *w = container_of(l, struct worker, link);
		w->must_restart |= w->is_twin;
		pthread_cond_signal(&w->wake);
	}
}

/* A label is unique only when all labels are known: of every place, and each source has said what there is. */
static bool all_are_read(const struct pool *p)
{
	for (size_t i = 0; i < p->watches_n; i++)
		if (!p->watch[i].is_looked)
			return false;
	list_each(l, &p->workers)
	{
		const struct worker *o = container_of(l, struct worker, link);
		if (o->is_plugged && !o->has_facts && !o->is_looked)
			return false;
	}
	return true;
}

static void wait_for_labels(struct worker *w)
{
	uint64_t until = clock_monotonic_ns() + ns_of_ms(w->pool->timeout_ms);
	while (!all_are_read(w->pool) && w->is_plugged && !w->pool->is_closing &&
		clock_monotonic_ns() < until)
		pool_wait_until(&w->pool->changed, &w->pool->lock, until);
}

bool worker_claim(struct worker *w)
{
	struct pool *p = w->pool;
	if (w->card && strcmp(w->card->serial, w->facts.serial))
		worker_release(w);
	if (p->tokens_n && !is_named(p, w->facts.serial) && is_named(p, w->facts.label))
		wait_for_labels(w);
	pool_select_anew(p);
	select_one(w);
	if (w->is_unselected || w->is_ambiguous) {
		worker_why(w, kf_fail(CONFIG, "its label fits several tokens"));
		return false;
	}
	struct card *c = card_of(p, w->facts.serial);
	struct worker *other = c ? c->worker : NULL;
	w->is_twin = !c || (other && other != w && other->is_plugged);
	if (w->is_twin) {
		worker_why(w, kf_fail(CONFIG, "another token has its serial number"));
		return false;
	}
	if (other && other != w)
		other->card = NULL;
	c->worker = w;
	w->card = c;
	return true;
}
