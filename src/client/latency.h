/* SPDX-License-Identifier: Apache-2.0 */
/* latency: how long a server takes, by its answers: median and 99th percentile, to an eighth or so.
 *
 * A histogram with four buckets an octave from a microsecond to seconds, which forgets: a thousand answers
 * halve what was before.  An answer costs an increment; the quantiles are computed every few dozen.
 * Beside it a coarse median of the latest dozen or so, for those who cannot wait for that.
 *
 * Pure state, no clock.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum {
	LATENCY_BUCKETS = 96,
	LATENCY_WARM = 100, /* answers before which nothing is said ... */
	LATENCY_FEW = 16,   /* ... but of the latest median */
};

struct latency {
	uint16_t count[LATENCY_BUCKETS];
	uint16_t total, fresh;   /* answers; those since the quantiles were computed */
	uint64_t p50_ns, p99_ns; /* 0: not known yet */
	uint64_t recent_ns;      /* goes up a quarter or down a fifth with each answer */
};

/* 0: not known yet. */
static inline uint64_t latency_recent(const struct latency *l)
{
	return l->total < LATENCY_FEW ? 0 : l->recent_ns;
}
/* True: the quantiles were computed anew. */
bool latency_add(struct latency *l, uint64_t ns);
