/* SPDX-License-Identifier: Apache-2.0
 *
 * watch: what is plugged in.  Each place with a token gets a thread; what was pulled out is served by
 * others at once, whatever its thread is doing.
 */
#include "base/clock.h"
#include "pool/inside.h"
#include <stdlib.h>
#include <string.h>

enum { WATCH_MS = 10000, WATCH_AGAIN_MS = 1000 };

static bool is_same(const struct token_place *a, const struct token_place *b)
{
	return a->insertion == b->insertion && !strcmp(a->name, b->name);
}

static bool is_there(const struct token_places *places, const struct token_place *place)
{
	for (size_t i = 0; i < places->n; i++)
		if (is_same(&places->place[i], place))
			return true;
	return false;
}

static bool has_worker(const struct watch *watch, const struct token_place *place)
{
	list_each(l, &watch->pool->workers)
	{
		const struct worker *w = container_of(l, struct worker, link);
		if (w->watch == watch && w->is_plugged && is_same(&w->place, place))
			return true;
	}
	return false;
}

static void pull_out(struct worker *w)
{
	w->is_plugged = false;
	worker_settle(w);
	pool_meet_twins(w->pool);
}

static struct worker *worker_new(
	const struct watch *watch, const struct token_place *place)
{
	struct worker *w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->pool = watch->pool;
	w->watch = watch;
	w->place = *place;
	w->is_plugged = true;
	w->since_ns = clock_monotonic_ns();
	w->outside = buf_new(OUTSIDE_MAX);
	list_init(&w->runs);
	pool_cond_init(&w->wake);
	pthread_mutex_init(&w->token_lock, NULL);
	return w;
}

static bool find_slot(struct pool *p, struct worker *w)
{
	for (unsigned i = 0; i < POOL_TOKENS_MAX; i++)
		if (!p->slot[i]) {
			w->slot = i;
			p->slot[i] = w;
			return true;
		}
	return false;
}

/* What cannot be begun now (no memory, no slot) is tried again with the next look. */
static void plug_in(const struct watch *watch, const struct token_place *place)
{
	struct pool *p = watch->pool;
	struct worker *w = worker_new(watch, place);
	if (!w)
		return;
	if (!find_slot(p, w)) {
		worker_free(w);
		return;
	}
	list_add_tail(&p->workers, &w->link);
	if (kf_ok(pool_thread(&w->thread, "pool-token", worker_run, w)))
		return;
	list_remove(&w->link);
	p->slot[w->slot] = NULL;
	worker_free(w);
}

static void reconcile(const struct watch *watch)
{
	const struct token_places *places = &watch->places;
	list_each(l, &watch->pool->workers)
	{
		struct worker *w = container_of(l, struct worker, link);
		if (w->watch == watch && w->is_plugged && !is_there(places, &w->place))
			pull_out(w);
	}
	for (size_t i = 0; i < places->n; i++)
		if (!has_worker(watch, &places->place[i]))
			plug_in(watch, &places->place[i]);
}

/* Lock held.  What could not be asked is asked again after a while. */
static void take_in(struct watch *watch, kf_err e)
{
	struct pool *p = watch->pool;
	uint64_t until = clock_monotonic_ns() + ns_of_ms(WATCH_AGAIN_MS);
	if (kf_ok(e) && !p->is_closing)
		reconcile(watch);
	watch->is_looked = true;
	pthread_cond_broadcast(&p->changed);
	while (!kf_ok(e) && !p->is_closing && clock_monotonic_ns() < until)
		pool_wait_until(&p->changed, &p->lock, until);
}

void *watcher_run(void *arg)
{
	struct watch *watch = arg;
	struct pool *p = watch->pool;
	bool is_over = false;
	while (!is_over) {
		kf_err e = p->driver->watch(watch->source, WATCH_MS, &watch->places);
		pthread_mutex_lock(&p->lock);
		take_in(watch, e);
		is_over = watch->is_over = p->is_closing;
		if (is_over)
			pthread_cond_broadcast(&p->changed);
		pthread_mutex_unlock(&p->lock);
	}
	return NULL;
}
