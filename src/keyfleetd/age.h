/* SPDX-License-Identifier: Apache-2.0 */
/* age: how long was a request on its way?
 *
 * A request that says what its sender's clock showed (Sent At) has been under way for the difference to
 * our clock, less a difference of the two clocks that nobody knows.  The quickest of the latest requests
 * shows that one: whoever needs longer lay in a buffer, of the network or of ours while we were stopped.
 * The yardstick is a second or two old at most, so that a client whose clock stood still is believed
 * again soon; clocks that go apart by a five-hundredth do no harm.
 *
 * Pure state of one connection.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct age {
	bool has_begun;
	uint64_t since_ns; /* when `current` began */
	uint32_t current_ms,
		before_ms; /* least difference of this second, of the one before */
};

/* For each request with a Sent At, in the order of arrival; milliseconds, 0 for the quickest. */
uint32_t age_of(struct age *a, int32_t sent_at_ms, uint64_t arrived_ns);
