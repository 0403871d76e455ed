/* SPDX-License-Identifier: Apache-2.0 */
#include "store/table.h"
#include "base/epoch.h"
#include "base/mem.h"
#include <assert.h>
#include <stdlib.h>

enum { CAP_MIN = 64, TAG_SHIFT = 48 };

/* Stands where an entry was removed: a search goes on behind it.  No entry lies there. */
static const uint64_t gone = 1;

static uint64_t slot_of(const struct entry *e)
{
	const uint64_t p = (uintptr_t)e;
	assert(p >> TAG_SHIFT == 0);
	return p | e->hash >> TAG_SHIFT << TAG_SHIFT;
}

static struct entry *entry_of(uint64_t slot)
{
	return (struct entry *)(uintptr_t)(slot << 16 >> 16);
}

static struct slots *slots_new(size_t cap)
{
	struct slots *s = mem_wide_alloc(sizeof(*s) + cap * sizeof(s->slot[0]));
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
		const uint64_t slot =
			atomic_load_explicit(&s->slot[i], memory_order_relaxed);
		if (slot && slot != gone)
			visit(entry_of(slot));
	}
}

/* There is always a free slot: at most 3/4 are used. */
static void place(struct slots *s, const struct entry *e)
{
	size_t at = e->hash & (s->cap - 1);
	while (atomic_load_explicit(&s->slot[at], memory_order_relaxed))
		at = (at + 1) & (s->cap - 1);
	atomic_store_explicit(&s->slot[at], slot_of(e), memory_order_release);
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
		const uint64_t slot =
			atomic_load_explicit(&old->slot[i], memory_order_relaxed);
		if (slot && slot != gone)
			place(s, entry_of(slot));
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
	uint64_t slot;
	while ((slot = atomic_load_explicit(&s->slot[at], memory_order_relaxed))) {
		if (slot == slot_of(e)) {
			atomic_store_explicit(&s->slot[at], gone, memory_order_release);
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

void table_expect(const struct table *t, uint64_t hash)
{
	const struct slots *s = atomic_load_explicit(&t->slots, memory_order_acquire);
	__builtin_prefetch(&s->slot[hash & (s->cap - 1)]);
}

struct entry *table_next(struct table_walk *w)
{
	while (w->left--) {
		const uint64_t slot = atomic_load_explicit(
			&w->slots->slot[w->at], memory_order_acquire);
		w->at = (w->at + 1) & (w->slots->cap - 1);
		if (!slot)
			return NULL;
		if (slot == gone || (slot ^ w->hash) >> TAG_SHIFT)
			continue;
		struct entry *e = entry_of(slot);
		if (e->hash == w->hash)
			return e;
	}
	return NULL;
}
