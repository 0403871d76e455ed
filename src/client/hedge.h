/* SPDX-License-Identifier: Apache-2.0 */
/* hedge: may a signature that is late be asked for a second time, at another server?
 *
 * A bucket of tokens: every signature earns the configured share of one, every second copy takes one.  So
 * whatever the servers do, copies are no more than that share of all and what fits the bucket.
 *
 * Pure state, no clock.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum {
	HEDGE_BURST = 16, /* copies at once, when none were made for long */
	HEDGE_SLACK =
		4, /* how many times the best 99th percentile a slower server is given */
};

struct hedge {
	uint32_t percent;  /* 0: never */
	uint64_t least_ns; /* nothing is late before */
	uint32_t tokens_p; /* in hundredths */
};

void hedge_init(struct hedge *h, int64_t percent, int64_t least_ms);
static inline void hedge_earn(struct hedge *h)
{
	uint32_t tokens_p = h->tokens_p + h->percent;
	h->tokens_p = tokens_p < HEDGE_BURST * 100 ? tokens_p : HEDGE_BURST * 100;
}
/* One more may be sent; who has sent it pays. */
bool hedge_may(const struct hedge *h);
void hedge_pay(struct hedge *h);
/* After how long one of a server's requests is late: its own 99th percentile, but not more than some
 * times the best server's.  0: not known. */
uint64_t hedge_delay(const struct hedge *h, uint64_t p99_ns, uint64_t best_p99_ns);
