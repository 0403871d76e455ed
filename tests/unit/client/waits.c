/* SPDX-License-Identifier: Apache-2.0 */
#include "client/waits.h"
#include "client/route.h"
#include "test.h"
#include <string.h>

static struct slice sign(const char *id, uint8_t room[64])
{
	const uint8_t head[] = { 0x42, 0, 0x94, 7, 0, 0, 0, (uint8_t)strlen(id) };
	memcpy(room, head, sizeof(head));
	memcpy(room + sizeof(head), id, strlen(id));
	return (struct slice){ room, sizeof(head) + strlen(id) };
}

TEST(a_key_is_known_by_the_identifier_that_a_request_begins_with)
{
	static struct waits w;
	uint8_t a[64], b[64];
	uint64_t one = waits_key(sign("key-1", a)), two = waits_key(sign("key-2", b));

	OK(one && two && one != two);
	OK(!waits_has(&w, one));
	waits_learn(&w, one);
	OK(waits_has(&w, one) && !waits_has(&w, two));
	EQ(w.n, 1);
}

TEST(other_requests_name_no_key)
{
	uint8_t a[64];
	struct slice s = sign("key-1", a);

	for (size_t n = 0; n < s.n; n++)
		EQ(waits_key((struct slice){ s.p, n }), 0);
	a[2] = 0x95;
	EQ(waits_key(s), 0);
}

/* Two servers; the first reports what a token is waited for. */
static struct node *pick(struct node nodes[2], uint64_t now)
{
	struct route r = { 0 };
	route_init(&r, nodes, 2, 0);
	return route_pick_token(&r, now, 0);
}

TEST(a_key_on_tokens_goes_where_the_wait_is_shortest)
{
	enum { MS = 1000000 };
	struct node nodes[2] = { 0 };
	uint64_t now = 5000 * (uint64_t)MS;

	node_token_answered(&nodes[0], 300 * MS, 500 * MS, now);
	OK(pick(nodes, now) == &nodes[1]);
	node_token_answered(&nodes[1], 700 * MS, 900 * MS, now);
	OK(pick(nodes, now) == &nodes[0]);
	/* A queue gets shorter while nobody looks. */
	OK(pick(nodes, now + 800 * MS) == &nodes[0]);
	nodes[0].token_calls = 20;
	OK(pick(nodes, now + 800 * MS) == &nodes[1]);
}

TEST(what_no_token_did_is_no_measure_of_tokens)
{
	struct node n = { 0 };

	node_token_answered(&n, 1000, 8000, 1);
	node_token_answered(&n, 2000, 0, 2);
	EQ(n.token_took_ns, 8000);
	EQ(n.token_wait_ns, 2000);
	node_token_answered(&n, 2000, 16000, 3);
	EQ(n.token_took_ns, 9000);
}

TEST(servers_that_are_full_of_other_work_have_tokens_all_the_same)
{
	struct node nodes[2] = { 0 };
	uint64_t now = 5000000000;

	node_reported(&nodes[0], NODE_LOAD_MAX, now);
	node_token_answered(&nodes[1], 1000000000, 1000000000, now);
	OK(pick(nodes, now) == &nodes[0]);
}

TEST_MAIN
