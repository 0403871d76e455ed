/* SPDX-License-Identifier: Apache-2.0 */
#include "store/table.h"
#include "base/epoch.h"
#include <stdlib.h>

enum { CAP_MIN = 64 };

/* Stands where an entry was removed: a search goes on behind it. */
static struct entry gone;

static struct slots *slots_new(size_t cap)
{
	struct slots *s = calloc(1, sizeof(*s) + cap * sizeof(s->slot[0]));
	if (s)
		s->cap = cap;
	return s;
}

kf_err table_init(struct table *t, struct epoch *epoch)
{
	struct slots *s = slots_new(CAP_MIN);
	if (!s)
		return kf_fail(NOMEM, "making a table");
	atomic_init(&t->slots, s);
	t->used = t->n = 0;
	t->epoch = epoch;
	return KF_OK;
}

void table_clear(struct table *t)
{
	free(atomic_load(&t->slots));
	atomic_init(&t->slots, NULL);
}

static struct slots *own(const struct table *t)
{
	return atomic_load_explicit(&t->slots, memory_order_relaxed);
}

void table_each(const struct table *t, void (*visit)(struct entry *e))
{
	struct slots *s = own(t);
	for (size_t i = 0; s && i < s->cap; i++) {
		struct entry *e = atomic_load_explicit(&s->slot[i], memory_order_relaxed);
		if (e && e != &gone)
			visit(e);
	}
}

/* There is always a free slot: at most 3/4 are used. */
static void place(struct slots *s, struct entry *e)
{
	size_t at = e->hash & (s->cap - 1);
	while (atomic_load_explicit(&s->slot[at], memory_order_relaxed))
		at = (at + 1) & (s->cap - 1);
	atomic_store_explicit(&s->slot[at], e, memory_order_release);
}

static kf_err make_room(struct table *t)
{
	struct slots *old = own(t);
	if ((t->used + 1) * 4 <= old->cap * 3)
		return KF_OK;
	size_t cap = old->cap;
	while ((t->n + 1) * 2 > cap)
		cap *= 2;
	struct slots *s = slots_new(cap);
	if (!s)
		return kf_fail(NOMEM, "growing a table");
	for (size_t i = 0; i < old->cap; i++) {
		struct entry *e =
			atomic_load_explicit(&old->slot[i], memory_order_relaxed);
		if (e && e != &gone)
			place(s, e);
	}
	t->used = t->n;
	atomic_store_explicit(&t->slots, s, memory_order_release);
	epoch_retire(t->epoch, old, free);
	return KF_OK;
}

kf_err table_add(struct table *t, struct entry *e)
{
	KF_TRY(make_room(t));
	place(own(t), e);
	t->used++;
	t->n++;
	return KF_OK;
}

void table_remove(struct table *t, struct entry *e)
{
	struct slots *s = own(t);
	size_t at = e->hash & (s->cap - 1);
	struct entry *have;
	while ((have = atomic_load_explicit(&s->slot[at], memory_order_relaxed))) {
		if (have == e) {
			atomic_store_explicit(&s->slot[at], &gone, memory_order_release);
			t->n--;
			return;
		}
		at = (at + 1) & (s->cap - 1);
	}
}

struct entry *table_first(const struct table *t, uint64_t hash, struct table_walk *w)
{
	w->slots = atomic_load_explicit(&t->slots, memory_order_acquire);
	w->hash = hash;
	w->at = hash & (w->slots->cap - 1);
	w->left = w->slots->cap;
	return table_next(w);
}

struct entry *table_next(struct table_walk *w)
{
	while (w->left--) {
		struct entry *e = atomic_load_explicit(
			&w->slots->slot[w->at], memory_order_acquire);
		w->at = (w->at + 1) & (w->slots->cap - 1);
		if (!e)
			return NULL;
		if (e != &gone && e->hash == w->hash)
			return e;
	}
	return NULL;
}
