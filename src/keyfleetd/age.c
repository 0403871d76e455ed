/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/age.h"

enum { NS_A_MS = 1000000, SPAN_MS = 1000, DRIFT = 512 };

#define MODULUS (1U << 31)

/* How much later than the other; 0 when it is earlier. */
static uint32_t beyond(uint32_t difference, uint32_t other)
{
	uint32_t d = (difference - other) % MODULUS;
	return d < MODULUS / 2 ? d : 0;
}

static uint32_t least(uint32_t a, uint32_t b) { return beyond(a, b) ? b : a; }

uint32_t age_of(struct age *a, int32_t sent_at_ms, uint64_t arrived_ns)
{
	uint32_t now_ms = (uint32_t)(arrived_ns / NS_A_MS);
	uint32_t difference = (now_ms - (uint32_t)sent_at_ms) % MODULUS;
	if (!a->has_begun)
		*a = (struct age){ true, arrived_ns, difference, difference };
	uint64_t span_ms = (arrived_ns - a->since_ns) / NS_A_MS;
	if (span_ms >= SPAN_MS) {
		a->before_ms = a->current_ms;
		a->current_ms = difference;
		a->since_ns = arrived_ns;
		/* Nothing came for long: clocks may have gone apart meanwhile. */
		a->before_ms = (a->before_ms + (uint32_t)(span_ms / DRIFT)) % MODULUS;
	}
	a->current_ms = least(a->current_ms, difference);
	return beyond(difference, least(a->current_ms, a->before_ms));
}
