/* SPDX-License-Identifier: Apache-2.0 */
#include "client/node.h"
#include <stdio.h>

enum { MS = 1000000 };

bool node_is_healthy(const struct node *n) { return n->failures == 0; }

bool node_is_due(const struct node *n, uint64_t now_ns)
{
	return n->failures && !n->is_probing && now_ns >= n->retry_at_ns;
}

bool node_is_hopeless(const struct node *n) { return n->failures >= NODE_HOPELESS; }

bool node_is_slow_due(const struct node *n, uint64_t now_ns)
{
	return n->is_slow && !n->is_slow_probing && now_ns >= n->slow_retry_ns;
}

enum node_breaker node_breaker(const struct node *n)
{
	if (n->is_probing || n->is_slow_probing)
		return NODE_HALF_OPEN;
	return n->failures || n->is_slow ? NODE_OPEN : NODE_CLOSED;
}

bool node_is_to_blame(const struct node *n)
{
	return n->why[0] && node_breaker(n) != NODE_CLOSED;
}

void node_probe(struct node *n) { n->is_probing = true; }

void node_answered(struct node *n, uint64_t now_ns)
{
	n->failures = 0;
	n->is_probing = false;
	n->answered_at_ns = now_ns;
}

/* Doubles with each round.  Half of it is jitter: clients that lost a server together do not return
 * together. */
static uint64_t backoff_ns(
	uint64_t ms, uint64_t most_ms, uint32_t rounds, uint32_t random)
{
	for (uint32_t i = 1; i < rounds && ms < most_ms; i++)
		ms *= 2;
	if (ms > most_ms)
		ms = most_ms;
	return (ms / 2 + random % (ms / 2 + 1)) * MS;
}

static void forget_pace(struct node *n)
{
	n->latency = (struct latency){ 0 };
	n->is_slow = n->is_slow_probing = false;
	n->slow_rounds = 0;
}

void node_failed(struct node *n, uint64_t now_ns, uint32_t random)
{
	/* Several calls may report one broken connection: that is one failure. */
	if (n->failures && !n->is_probing && now_ns < n->retry_at_ns)
		return;
	n->failures += n->failures < UINT32_MAX;
	n->failed++;
	n->is_probing = false;
	n->retry_at_ns = now_ns + backoff_ns(NODE_BACKOFF_MIN_MS, NODE_BACKOFF_MAX_MS,
					  n->failures, random);
	forget_pace(n); /* who comes back may be quick */
}

void node_blame(struct node *n, const char *why)
{
	snprintf(n->why, sizeof(n->why), "%s", why);
}

static void wait_slowly(struct node *n, uint64_t now_ns, uint32_t random)
{
	n->slow_retry_ns = now_ns + backoff_ns(NODE_SLOW_MIN_MS, NODE_SLOW_MAX_MS,
					    n->slow_rounds, random);
}

void node_slowed(struct node *n, uint64_t now_ns, uint32_t random)
{
	if (n->is_slow)
		return;
	n->is_slow = true;
	n->is_slow_probing = false;
	n->slow_rounds = 1;
	wait_slowly(n, now_ns, random);
}

void node_slow_probe(struct node *n) { n->is_slow_probing = true; }

void node_slow_probed(struct node *n, bool is_quick, uint64_t now_ns, uint32_t random)
{
	if (!n->is_slow)
		return;
	n->is_slow_probing = false;
	if (is_quick) {
		forget_pace(n);
		return;
	}
	n->slow_rounds++;
	wait_slowly(n, now_ns, random);
}

void node_reported(struct node *n, uint32_t load, uint64_t now_ns)
{
	n->load = load < NODE_LOAD_MAX ? load : NODE_LOAD_MAX;
	n->load_at_ns = now_ns;
}

static uint32_t load_now(const struct node *n, uint64_t now_ns)
{
	uint64_t age_ms = (now_ns - n->load_at_ns) / MS;
	if (!n->load || age_ms >= NODE_LOAD_AGE_MS)
		return 0;
	return (uint32_t)(n->load * (NODE_LOAD_AGE_MS - age_ms) / NODE_LOAD_AGE_MS);
}

uint64_t node_cost(const struct node *n, uint64_t now_ns)
{
	/* A server that is busy for a share L of its time makes its queue 1/(1-L) times as long. */
	uint32_t load = load_now(n, now_ns);
	uint32_t idle = load < 9900 ? NODE_LOAD_MAX - load : 100;
	return (uint64_t)(n->outstanding + 1) * 1000000 / idle;
}

bool node_is_full(const struct node *n, uint64_t now_ns)
{
	return n->load == NODE_LOAD_MAX && load_now(n, now_ns) >= NODE_LOAD_MAX / 2;
}

/* ---- keys on tokens ---- */

void node_token_answered(
	struct node *n, uint64_t wait_ns, uint64_t took_ns, uint64_t now_ns)
{
	n->token_wait_ns = wait_ns;
	n->token_wait_at_ns = now_ns;
	if (took_ns && n->token_took_ns)
		took_ns = (7 * n->token_took_ns + took_ns) / 8;
	if (took_ns)
		n->token_took_ns = took_ns;
}

/* A queue gets shorter by itself; what we have sent since the report makes it longer.  How much is not
 * known, for the server may have many tokens: a part, which spreads calls over servers that report the same. */
uint64_t node_token_cost(const struct node *n, uint64_t now_ns)
{
	enum { PART = 16 };
	uint64_t age = now_ns - n->token_wait_at_ns;
	uint64_t wait = n->token_wait_ns > age ? n->token_wait_ns - age : 0;
	return wait + n->token_calls * (n->token_took_ns / PART + 1);
}
