/* SPDX-License-Identifier: Apache-2.0 */
#include "client/hedge.h"

enum { TOKEN = 100 };

void hedge_init(struct hedge *h, int64_t percent, int64_t least_ms)
{
	*h = (struct hedge){ .percent = (uint32_t)percent,
		.least_ns = (uint64_t)least_ms * 1000000,
		.tokens_p = percent ? HEDGE_BURST * TOKEN : 0 };
}

bool hedge_may(const struct hedge *h) { return h->tokens_p >= TOKEN; }

void hedge_pay(struct hedge *h) { h->tokens_p -= hedge_may(h) ? TOKEN : h->tokens_p; }

uint64_t hedge_delay(const struct hedge *h, uint64_t p99_ns, uint64_t best_p99_ns)
{
	if (!h->percent || !best_p99_ns)
		return 0;
	uint64_t most = best_p99_ns * HEDGE_SLACK;
	uint64_t delay = p99_ns ? p99_ns : best_p99_ns;
	if (delay > most)
		delay = most;
	return delay > h->least_ns ? delay : h->least_ns;
}
