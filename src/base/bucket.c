/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bucket.h"

#define HOUR_NS UINT64_C(3600000000000)
#define EVER_NS (UINT64_C(1) << 62)

/* A purse holds what a millisecond allows, and for as long as ten. */
static const uint64_t portion_ns = 1000000, purse_ns = 10000000;
enum { PORTION_MAX = 64 };

static uint64_t times(uint64_t n, uint64_t interval_ns)
{
	uint64_t product;
	bool is_ever =
		__builtin_mul_overflow(n, interval_ns, &product) || product > EVER_NS;
	return is_ever ? EVER_NS : product;
}

struct rate rate_of(uint64_t per_hour, uint64_t burst)
{
	if (!per_hour)
		return (struct rate){ 0 };
	const uint64_t interval = per_hour < HOUR_NS ? HOUR_NS / per_hour : 1;
	const uint64_t second = per_hour / 3600, portion = portion_ns / interval;
	if (!burst)
		burst = second ? second : 1;
	return (struct rate){
		.interval_ns = interval,
		.tolerance_ns = times(burst, interval),
		.portion = portion < 1             ? 1
			   : portion > PORTION_MAX ? PORTION_MAX
						   : (uint32_t)portion,
	};
}

/* Threads may differ by a round in what they take for now. */
static const uint64_t skew_ns = 1000000000;

static bool put_due(struct bucket *b, uint64_t *was, uint64_t due)
{
	return atomic_compare_exchange_weak_explicit(
		&b->due_ns, was, due, memory_order_relaxed, memory_order_relaxed);
}

/* How many fit in between: none when the bucket is empty. */
static uint64_t count_fitting(uint64_t from, uint64_t end, const struct rate *rate)
{
	return from < end ? (end - from) / rate->interval_ns : 0;
}

uint32_t bucket_take(
	struct bucket *b, const struct rate *rate, uint64_t now, uint32_t most)
{
	const uint64_t end = now + rate->tolerance_ns;
	uint64_t due = atomic_load_explicit(&b->due_ns, memory_order_relaxed), fit, next;
	if (!rate->interval_ns)
		return most;
	do {
		const uint64_t from = due < now ? now : due;
		fit = count_fitting(from, end, rate);
		if (fit > most)
			fit = most;
		/* So far ahead leads only a rate that was lower: nobody need wait for what it would
		 * have taken. */
		next = from > end + skew_ns ? end : from + fit * rate->interval_ns;
		if (!fit && next == from)
			return 0;
	} while (!put_due(b, &due, next));
	return (uint32_t)fit;
}

bool bucket_pay(
	struct bucket *b, struct purse *purse, const struct rate *rate, uint64_t now)
{
	if (!rate->interval_ns)
		return true;
	if (!purse->tokens || now >= purse->until_ns) {
		purse->tokens = bucket_take(b, rate, now, rate->portion);
		purse->until_ns = now + purse_ns;
	}
	if (!purse->tokens)
		return false;
	purse->tokens--;
	return true;
}

bool bucket_is_full(const struct bucket *b, uint64_t now)
{
	return atomic_load_explicit(&b->due_ns, memory_order_relaxed) <= now;
}
