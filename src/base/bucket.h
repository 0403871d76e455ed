/* SPDX-License-Identifier: Apache-2.0 */
/* bucket: how often something may happen: a rate and a burst, as GCRA: the bucket is one moment, that
 * at which all that was taken is paid for.
 *
 * Integers and the monotonic clock of the caller; nothing is ever refilled.  Any thread: threads that
 * take often take several tokens at a time into a purse of their own, so that the bucket's cache line
 * is seldom written.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct rate {
	uint64_t interval_ns; /* between two tokens; 0: no limit */
	uint64_t
		tolerance_ns; /* how far ahead of time one may be: burst times interval */
	uint32_t portion;     /* tokens that a purse takes at a time, at least 1 */
};

/* burst 0: what a second allows, at least 1. */
struct rate rate_of(uint64_t per_hour, uint64_t burst);

struct bucket {
	_Atomic uint64_t due_ns;
};

/* What one thread has taken ahead; what it does not need soon is lost. */
struct purse {
	uint32_t tokens;
	uint64_t until_ns;
};

/* Takes up to `most` tokens; 0: there is none.  A rate that has changed counts from now on. */
uint32_t bucket_take(
	struct bucket *b, const struct rate *rate, uint64_t now_ns, uint32_t most);
/* One token out of the purse, which is filled from the bucket. */
bool bucket_pay(
	struct bucket *b, struct purse *purse, const struct rate *rate, uint64_t now_ns);
/* Full again: it remembers nothing that a new one does not know. */
bool bucket_is_full(const struct bucket *b, uint64_t now_ns);
