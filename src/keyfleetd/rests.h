/* SPDX-License-Identifier: Apache-2.0
 *
 * rests: what was tried in vain rests before it is tried again, for twice as long each time, and keeps nobody else
 * from his turn.  One owner.
 */
#pragma once
#include "base/map.h"

enum { REST_KEY_MAX = 64 };

struct rests {
	struct map map;
	uint64_t first_ns, most_ns;
};

void rests_init(struct rests *r, uint64_t first_ms, uint64_t most_ms);
void rests_free(struct rests *r);

bool rests_has(const struct rests *r, struct slice key, uint64_t now_ns);
/* Without memory for it it does not rest. */
void rests_add(struct rests *r, struct slice key, uint64_t now_ns);
/* The same until a time of the caller's. */
void rests_put(struct rests *r, struct slice key, uint64_t until_ns);
void rests_drop(struct rests *r, struct slice key); /* it was not in vain */
/* Forgets what nobody has tried for so long that it is gone. */
void rests_sweep(struct rests *r, uint64_t now_ns);
