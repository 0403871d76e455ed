/* SPDX-License-Identifier: Apache-2.0 */
/* route: which server gets the next call?
 *
 * A node that is due for a probe first, one call at a time, because nothing else brings it back; then
 * the healthy and not slow one with the least cost, and among equals the one that had the last call: its caches and
 * connections are warm.  Where it starts is random, or all clients would start at the same server.
 * Pure like node.h.
 */
#pragma once
#include "client/hedge.h"
#include "client/node.h"

enum { ROUTE_LAZY_MS = 10000 };

struct route {
	struct node *nodes; /* the owner's */
	size_t n;           /* <= NODES_MAX */
	size_t sticky;      /* the last pick */
	/* Calls make the probes themselves and wait for them: one that has failed often is left alone
	 * for longer, as long as others are well. */
	bool is_lazy;
};

/* is_lazy stays as it is. */
void route_init(struct route *r, struct node *nodes, size_t n, uint32_t random);
/* `tried` has bit i for nodes[i] that this call has met already.  NULL: nobody to go to now. */
struct node *route_pick(struct route *r, uint64_t now_ns, uint64_t tried);
/* The same for a key on tokens: where the wait for one is shortest. */
struct node *route_pick_token(struct route *r, uint64_t now_ns, uint64_t tried);
/* For a second copy: healthy, quick and not full; NULL: there is none. */
struct node *route_second(struct route *r, uint64_t now_ns, uint64_t tried);
/* A slow one that is due, to be sent a copy. */
struct node *route_slow_due(struct route *r, uint64_t now_ns);
/* New quantiles: who is slow against the others, and when is whose request late? */
void route_measured(
	struct route *r, const struct hedge *h, uint64_t now_ns, uint32_t random);
/* Quick enough to be used like the others. */
bool route_is_quick(const struct route *r, const struct node *n, uint64_t ns);
/* Some server is not used, and why is known. */
bool route_is_troubled(const struct route *r);
/* Nobody can be expected to come back soon. */
bool route_is_hopeless(const struct route *r);
/* When the next node becomes due; UINT64_MAX: none will. */
uint64_t route_retry_at(const struct route *r);
static inline uint64_t route_bit(const struct route *r, const struct node *n)
{
	return 1ULL << (n - r->nodes);
}
