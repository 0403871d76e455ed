/* SPDX-License-Identifier: Apache-2.0
 *
 * count: numbers that one thread owns and any thread reads.
 *
 * The owner adds with a plain load and store: no lock, no locked instruction, and no cache line that
 * another thread writes.  Whoever prints sums what the owners have (metric/metric.h).
 */
#pragma once
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct count {
	_Atomic uint64_t n;
};

/* By the owner. */
static inline void count_set(struct count *c, uint64_t n)
{
	atomic_store_explicit(&c->n, n, memory_order_relaxed);
}

static inline void count_add(struct count *c, uint64_t n)
{
	count_set(c, atomic_load_explicit(&c->n, memory_order_relaxed) + n);
}

/* By anyone. */
static inline uint64_t count_get(const struct count *c)
{
	return atomic_load_explicit(&c->n, memory_order_relaxed);
}

/* How long things took. */
enum { HISTOGRAM_BOUNDS = 18 };
extern const uint64_t histogram_bound_ns[HISTOGRAM_BOUNDS];

struct histogram {
	struct count bucket[HISTOGRAM_BOUNDS + 1]; /* the last one has no bound */
	struct count sum_ns;
};

/* By the owner: n things took so long each.  What is usual here is found in two or three steps. */
static inline void histogram_add(struct histogram *h, uint64_t each_ns, uint64_t n)
{
	size_t i = 0;
	while (i < HISTOGRAM_BOUNDS && each_ns > histogram_bound_ns[i])
		i++;
	count_add(&h->bucket[i], n);
	count_add(&h->sum_ns, each_ns * n);
}

/* By the owner of `to`. */
static inline void histogram_copy(struct histogram *to, const struct histogram *from)
{
	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
		count_set(&to->bucket[i], count_get(&from->bucket[i]));
	count_set(&to->sum_ns, count_get(&from->sum_ns));
}
