/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/ring.h"
#include <stdlib.h>
#include <string.h>

static size_t min(size_t a, size_t b) { return a < b ? a : b; }

kf_err ring_init(struct ring *r, size_t size)
{
	*r = (struct ring){ .size = 4096 };
	while (r->size < size)
		r->size *= 2;
	r->p = malloc(r->size);
	return r->p ? KF_OK : kf_fail(NOMEM, "audit ring");
}

void ring_clear(struct ring *r)
{
	free(r->p);
	r->p = NULL;
}

bool ring_put(struct ring *r, struct slice s)
{
	if (s.n > r->size - (r->put - r->seen_taken))
		r->seen_taken = atomic_load_explicit(&r->taken, memory_order_acquire);
	if (s.n > r->size - (r->put - r->seen_taken))
		return false;

	size_t at = r->put & (r->size - 1), first = min(s.n, r->size - at);
	memcpy(r->p + at, s.p, first);
	memcpy(r->p, s.p + first, s.n - first);
	r->put += s.n;
	return true;
}

/* Sequentially consistent: the producer looks afterwards whether the worker sleeps, the worker
 * goes to sleep and looks afterwards whether something was published. */
void ring_publish(struct ring *r) { atomic_store(&r->published, r->put); }

size_t ring_length(const struct ring *r)
{
	return (size_t)(atomic_load(&r->published) -
			atomic_load_explicit(&r->taken, memory_order_relaxed));
}

static size_t whole_lines(const uint8_t *p, size_t n)
{
	const uint8_t *end = n ? memrchr(p, '\n', n) : NULL;
	return end ? (size_t)(end - p) + 1 : 0;
}

size_t ring_peek(const struct ring *r, uint8_t *ret, size_t size)
{
	uint64_t from = atomic_load_explicit(&r->taken, memory_order_relaxed);
	uint64_t to = atomic_load_explicit(&r->published, memory_order_acquire);
	size_t n = min(size, (size_t)(to - from));
	size_t at = from & (r->size - 1), first = min(n, r->size - at);
	memcpy(ret, r->p + at, first);
	memcpy(ret + first, r->p, n - first);
	return n < to - from ? whole_lines(ret, n) : n;
}

void ring_take(struct ring *r, size_t n)
{
	uint64_t from = atomic_load_explicit(&r->taken, memory_order_relaxed);
	atomic_store_explicit(&r->taken, from + n, memory_order_release);
}
