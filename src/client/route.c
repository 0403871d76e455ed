/* SPDX-License-Identifier: Apache-2.0 */
#include "client/route.h"

void route_init(struct route *r, struct node *nodes, size_t n, uint32_t random)
{
	*r = (struct route){ .nodes = nodes,
		.n = n,
		.sticky = n ? random % n : 0,
		.is_lazy = r->is_lazy };
}

static bool has_healthy(const struct route *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (node_is_healthy(&r->nodes[i]))
			return true;
	return false;
}

static bool is_left_alone(const struct route *r, const struct node *n, uint64_t now_ns)
{
	return r->is_lazy && node_is_hopeless(n) && has_healthy(r) &&
	       now_ns < n->retry_at_ns + (uint64_t)ROUTE_LAZY_MS * 1000000;
}

static struct node *pick_due(struct route *r, uint64_t now_ns, uint64_t tried)
{
	for (size_t i = 0; i < r->n; i++) {
		struct node *n = &r->nodes[i];
		if (!(tried & route_bit(r, n)) && node_is_due(n, now_ns) &&
			!is_left_alone(r, n, now_ns))
			return n;
	}
	return NULL;
}

/* `is_better` by more than a tenth: small differences in reported load are no reason to wander. */
static bool is_better(uint64_t cost, uint64_t than) { return cost + cost / 10 < than; }

enum taken { GOOD_ONLY, SLOW_TOO, FULL_TOO };

static bool is_taken(const struct node *n, uint64_t now_ns, enum taken most)
{
	return (most >= SLOW_TOO || !n->is_slow) &&
	       (most >= FULL_TOO || !node_is_full(n, now_ns));
}

typedef uint64_t route_cost(const struct node *n, uint64_t now_ns);

static struct node *cheapest(struct route *r, uint64_t now_ns, uint64_t tried,
	enum taken most, route_cost *cost_of)
{
	struct node *best = NULL;
	uint64_t best_cost = 0;
	for (size_t i = 0; i < r->n; i++) {
		struct node *n = &r->nodes[(r->sticky + i) % r->n];
		if (tried & route_bit(r, n) || !node_is_healthy(n))
			continue;
		if (!is_taken(n, now_ns, most))
			continue;
		uint64_t cost = cost_of(n, now_ns);
		if (best && !is_better(cost, best_cost))
			continue;
		best = n;
		best_cost = cost;
	}
	return best;
}

static struct node *pick_healthy(
	struct route *r, uint64_t now_ns, uint64_t tried, enum taken most)
{
	return cheapest(r, now_ns, tried, most, node_cost);
}

struct node *route_pick(struct route *r, uint64_t now_ns, uint64_t tried)
{
	struct node *n = pick_due(r, now_ns, tried);
	if (n) {
		node_probe(n);
		return n;
	}
	for (enum taken most = GOOD_ONLY; !n && most <= FULL_TOO; most++)
		n = pick_healthy(r, now_ns, tried, most);
	if (n)
		r->sticky = (size_t)(n - r->nodes);
	return n;
}

/* Slow and full servers too: neither says anything about their tokens. */
struct node *route_pick_token(struct route *r, uint64_t now_ns, uint64_t tried)
{
	struct node *n = cheapest(r, now_ns, tried, FULL_TOO, node_token_cost);
	return n ? n : route_pick(r, now_ns, tried);
}

struct node *route_second(struct route *r, uint64_t now_ns, uint64_t tried)
{
	return pick_healthy(r, now_ns, tried, GOOD_ONLY);
}

struct node *route_slow_due(struct route *r, uint64_t now_ns)
{
	for (size_t i = 0; i < r->n; i++)
		if (node_is_healthy(&r->nodes[i]) &&
			node_is_slow_due(&r->nodes[i], now_ns))
			return &r->nodes[i];
	return NULL;
}

/* ---- how quick they are ---- */

static uint64_t least(uint64_t a, uint64_t b) { return !a || (b && b < a) ? b : a; }

static bool counts(const struct node *n) { return node_is_healthy(n) && !n->is_slow; }

/* When all get slower at once, nobody is slow against what another one was before. */
static uint64_t pace_of(const struct node *n)
{
	uint64_t median = n->latency.p50_ns, recent = latency_recent(&n->latency);
	return median && recent > median ? recent : median;
}

static uint64_t best_median(const struct route *r, const struct node *but)
{
	uint64_t best = 0;
	for (size_t i = 0; i < r->n; i++)
		if (&r->nodes[i] != but && counts(&r->nodes[i]))
			best = least(best, pace_of(&r->nodes[i]));
	return best;
}

static uint64_t best_p99(const struct route *r)
{
	uint64_t best = 0;
	for (size_t i = 0; i < r->n; i++)
		if (counts(&r->nodes[i]))
			best = least(best, r->nodes[i].latency.p99_ns);
	return best;
}

bool route_is_quick(const struct route *r, const struct node *n, uint64_t ns)
{
	uint64_t best = best_median(r, n);
	return !best ||
	       ns <= best * NODE_SLOW_TIMES + (uint64_t)NODE_SLOW_MORE_MS * 1000000;
}

void route_measured(
	struct route *r, const struct hedge *h, uint64_t now_ns, uint32_t random)
{
	uint64_t best = best_p99(r);
	for (size_t i = 0; i < r->n; i++) {
		struct node *n = &r->nodes[i];
		if (counts(n) && !route_is_quick(r, n, latency_recent(&n->latency))) {
			node_blame(n, "answers much more slowly than the others");
			node_slowed(n, now_ns, random);
		}
		/* Without a second server nobody has to look at clocks. */
		n->late_ns = r->n > 1 ? hedge_delay(h, n->latency.p99_ns, best) : 0;
	}
}

bool route_is_troubled(const struct route *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (node_is_to_blame(&r->nodes[i]))
			return true;
	return false;
}

bool route_is_hopeless(const struct route *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (!node_is_hopeless(&r->nodes[i]))
			return false;
	return true;
}

uint64_t route_retry_at(const struct route *r)
{
	uint64_t at = UINT64_MAX;
	for (size_t i = 0; i < r->n; i++) {
		const struct node *n = &r->nodes[i];
		if (n->failures && !n->is_probing && n->retry_at_ns < at)
			at = n->retry_at_ns;
	}
	return at;
}
