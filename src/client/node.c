/* SPDX-License-Identifier: Apache-2.0 */
#include "client/node.h"

enum { MS = 1000000 };

bool node_is_healthy(const struct node *n) { return n->failures == 0; }

bool node_is_due(const struct node *n, uint64_t now_ns)
{
	return n->failures && !n->is_probing && now_ns >= n->retry_at_ns;
}

bool node_is_hopeless(const struct node *n) { return n->failures >= NODE_HOPELESS; }

void node_probe(struct node *n) { n->is_probing = true; }

void node_answered(struct node *n, uint64_t now_ns)
{
	n->failures = 0;
	n->is_probing = false;
	n->answered_at_ns = now_ns;
}

static uint64_t backoff_ms(uint32_t failures)
{
	uint64_t ms = NODE_BACKOFF_MIN_MS;
	for (uint32_t i = 1; i < failures && ms < NODE_BACKOFF_MAX_MS; i++)
		ms *= 2;
	return ms < NODE_BACKOFF_MAX_MS ? ms : NODE_BACKOFF_MAX_MS;
}

void node_failed(struct node *n, uint64_t now_ns, uint32_t random)
{
	/* Several calls may report one broken connection: that is one failure. */
	if (n->failures && !n->is_probing && now_ns < n->retry_at_ns)
		return;
	n->failures += n->failures < UINT32_MAX;
	n->is_probing = false;
	uint64_t ms = backoff_ms(n->failures);
	/* Half of it is jitter: clients that lost a server together do not return together. */
	n->retry_at_ns = now_ns + (ms / 2 + random % (ms / 2 + 1)) * MS;
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
