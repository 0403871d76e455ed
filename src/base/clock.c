/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t turned_ns, turned_s;

static int64_t read_clock_us(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

uint64_t clock_monotonic_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)((int64_t)t.tv_sec * 1000000000 + t.tv_nsec +
			  atomic_load_explicit(&turned_ns, memory_order_relaxed));
}

int64_t clock_wall_us(void)
{
	return read_clock_us(CLOCK_REALTIME) +
	       1000000 * atomic_load_explicit(&turned_s, memory_order_relaxed);
}

int64_t clock_wall_s(void) { return clock_wall_us() / 1000000; }

void clock_turn(int64_t monotonic_ns, int64_t wall_s)
{
	atomic_fetch_add(&turned_ns, monotonic_ns);
	atomic_fetch_add(&turned_s, wall_s);
}
