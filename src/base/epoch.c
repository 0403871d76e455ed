/* SPDX-License-Identifier: Apache-2.0 */
#include "base/epoch.h"
#include "base/list.h"
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

struct epoch {
	_Atomic uint64_t now; /* counts retirements, from 1 */
	pthread_mutex_t lock; /* guards readers and retired */
	struct list readers;
	struct retired *first; /* oldest first */
	struct retired **end;
};

struct retired {
	struct retired *next;
	uint64_t at; /* free to go once every reader has seen this epoch */
	void *p;
	void (*free_fn)(void *p);
};

/* On a cache line of its own: readers write, the writer only looks. */
struct epoch_reader {
	_Alignas(64) _Atomic uint64_t seen; /* 0: offline */
	struct epoch *epoch;
	struct list link;
};

kf_err epoch_new(struct epoch **ret)
{
	struct epoch *e = calloc(1, sizeof(*e));
	if (!e)
		return kf_fail(NOMEM, "epoch");
	atomic_init(&e->now, 1);
	pthread_mutex_init(&e->lock, NULL);
	list_init(&e->readers);
	e->end = &e->first;
	*ret = e;
	return KF_OK;
}

kf_err epoch_register(struct epoch *e, struct epoch_reader **ret)
{
	struct epoch_reader *r = aligned_alloc(_Alignof(struct epoch_reader), sizeof(*r));
	if (!r)
		return kf_fail(NOMEM, "reader of an epoch");
	atomic_init(&r->seen, 0);
	r->epoch = e;
	pthread_mutex_lock(&e->lock);
	list_add_tail(&e->readers, &r->link);
	pthread_mutex_unlock(&e->lock);
	*ret = r;
	return KF_OK;
}

void epoch_unregister(struct epoch_reader *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->epoch->lock);
	list_remove(&r->link);
	pthread_mutex_unlock(&r->epoch->lock);
	free(r);
}

/* The writer swaps its pointer, counts up, and then looks at `seen`; we write `seen` and then look
 * at the count.  In the one order of all sequentially consistent operations either the writer sees us
 * online, or we see its count and with it the new pointer. */
void epoch_online(struct epoch_reader *r)
{
	uint64_t now = atomic_load(&r->epoch->now), seen;
	do {
		seen = now;
		atomic_store(&r->seen, seen);
		now = atomic_load(&r->epoch->now);
	} while (now != seen);
}

/* Release: our reads of old values are over before the writer learns of it. */
void epoch_offline(struct epoch_reader *r)
{
	atomic_store_explicit(&r->seen, 0, memory_order_release);
}

/* Acquire: whoever has seen the count sees the pointers swapped before it. */
void epoch_quiescent(struct epoch_reader *r)
{
	uint64_t now = atomic_load_explicit(&r->epoch->now, memory_order_acquire);
	atomic_store_explicit(&r->seen, now, memory_order_release);
}

void epoch_retire(struct epoch *e, void *p, void (*free_fn)(void *p))
{
	if (!p)
		return;
	struct retired *r = malloc(sizeof(*r));
	if (!r) {
		epoch_synchronize(e);
		free_fn(p);
		return;
	}
	*r = (struct retired){ .p = p, .free_fn = free_fn };
	pthread_mutex_lock(&e->lock);
	r->at = atomic_fetch_add(&e->now, 1) + 1;
	*e->end = r;
	e->end = &r->next;
	pthread_mutex_unlock(&e->lock);
}

static uint64_t slowest(struct epoch *e)
{
	uint64_t min = UINT64_MAX;
	list_each(l, &e->readers)
	{
		uint64_t seen =
			atomic_load(&container_of(l, struct epoch_reader, link)->seen);
		if (seen && seen < min)
			min = seen;
	}
	return min;
}

static struct retired *take_passed(struct epoch *e)
{
	pthread_mutex_lock(&e->lock);
	uint64_t passed = slowest(e);
	struct retired *first = e->first, **end = &first;
	while (*end && (*end)->at <= passed)
		end = &(*end)->next;
	e->first = *end;
	if (!e->first)
		e->end = &e->first;
	*end = NULL;
	pthread_mutex_unlock(&e->lock);
	return first;
}

static void free_all(struct retired *r)
{
	while (r) {
		struct retired *next = r->next;
		r->free_fn(r->p);
		free(r);
		r = next;
	}
}

/* Frees outside the lock, so that a free function may retire something itself. */
void epoch_reclaim(struct epoch *e) { free_all(take_passed(e)); }

static bool has_passed(struct epoch *e, uint64_t at)
{
	pthread_mutex_lock(&e->lock);
	bool passed = slowest(e) >= at;
	pthread_mutex_unlock(&e->lock);
	return passed;
}

/* Polls: writers wait for rounds of milliseconds, seldom, and readers must not pay for waking them. */
void epoch_synchronize(struct epoch *e)
{
	uint64_t at = atomic_fetch_add(&e->now, 1) + 1;
	struct timespec pause = { .tv_nsec = 50000 };
	while (!has_passed(e, at)) {
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 2000000)
			pause.tv_nsec *= 2;
	}
	epoch_reclaim(e);
}

void epoch_free(struct epoch *e)
{
	if (!e)
		return;
	assert(list_is_empty(&e->readers));
	while (e->first)
		epoch_reclaim(e);
	pthread_mutex_destroy(&e->lock);
	free(e);
}
