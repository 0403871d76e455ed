/* SPDX-License-Identifier: Apache-2.0 */
#include "client/latency.h"
#include <stddef.h>

enum { FULL = 1024, EVERY = 64, UNIT = 10 /* bits: 1,024 ns */ };

static size_t bucket_of(uint64_t ns)
{
	uint64_t v = ns >> UNIT;
	if (v < 4)
		return (size_t)v;
	unsigned octave = 63 - (unsigned)__builtin_clzll(v);
	size_t at = (octave - 1) * 4 + (v >> (octave - 2) & 3);
	return at < LATENCY_BUCKETS ? at : LATENCY_BUCKETS - 1;
}

/* What no answer of the bucket exceeds. */
static uint64_t end_of(size_t bucket)
{
	if (bucket < 4)
		return (uint64_t)(bucket + 1) << UNIT;
	size_t octave = bucket / 4 + 1;
	return (uint64_t)(4 + bucket % 4 + 1) << (octave - 2) << UNIT;
}

static void halve(struct latency *l)
{
	l->total = 0;
	for (size_t i = 0; i < LATENCY_BUCKETS; i++)
		l->total = (uint16_t)(l->total + (l->count[i] /= 2));
}

static void compute(struct latency *l)
{
	uint32_t above = 0;
	l->fresh = 0;
	l->p99_ns = 0;
	for (size_t i = LATENCY_BUCKETS; i-- > 0;) {
		above += l->count[i];
		if (!l->p99_ns && above * 100 > l->total)
			l->p99_ns = end_of(i);
		if (above * 2 < l->total)
			continue;
		l->p50_ns = end_of(i);
		return;
	}
}

static void follow(struct latency *l, uint64_t ns)
{
	uint64_t m = l->recent_ns;
	if (!m)
		l->recent_ns = ns + 1;
	else
		l->recent_ns = ns > m ? m + m / 4 + 1 : m - m / 5;
}

bool latency_add(struct latency *l, uint64_t ns)
{
	follow(l, ns);
	l->count[bucket_of(ns)]++;
	l->fresh++;
	if (++l->total == FULL)
		halve(l);
	/* Just warm, or after some more. */
	if (l->total < LATENCY_WARM || (l->p50_ns && l->fresh < EVERY))
		return false;
	compute(l);
	return true;
}
