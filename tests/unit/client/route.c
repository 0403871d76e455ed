/* SPDX-License-Identifier: Apache-2.0 */
#include "client/route.h"
#include "test.h"

enum { MS = 1000000 };

static struct node nodes[4];
static struct route route;

static void set_up(size_t n, uint32_t random)
{
	memset(nodes, 0, sizeof(nodes));
	route_init(&route, nodes, n, random);
}

TEST(equal_servers_keep_their_client)
{
	set_up(4, 2);

	for (int i = 0; i < 10; i++)
		OK(route_pick(&route, 0, 0) == &nodes[2]);
}

TEST(clients_start_at_different_servers)
{
	for (uint32_t i = 0; i < 4; i++) {
		set_up(4, i);
		OK(route_pick(&route, 0, 0) == &nodes[i]);
	}
}

TEST(the_server_with_fewer_calls_in_flight_is_next)
{
	set_up(2, 0);
	size_t to[2] = { 0 };

	for (int i = 0; i < 20; i++) {
		struct node *n = route_pick(&route, 0, 0);
		n->outstanding++;
		to[n - nodes]++;
	}

	OK(to[0] >= 9 && to[0] <= 11); /* who is within a tenth is as good */
}

TEST(a_slower_server_gets_less)
{
	set_up(2, 0);
	node_reported(&nodes[0], 8000, 0);
	size_t to[2] = { 0 };

	for (int i = 0; i < 24; i++) {
		struct node *n = route_pick(&route, 0, 0);
		n->outstanding++;
		to[n - nodes]++;
	}

	OK(to[1] > 3 * to[0]);
	OK(to[0] > 0);
}

TEST(a_full_server_gets_nothing_unless_all_are_full)
{
	set_up(2, 0);
	node_reported(&nodes[0], NODE_LOAD_MAX, 0);
	OK(route_pick(&route, 0, 0) == &nodes[1]);

	node_reported(&nodes[1], NODE_LOAD_MAX, 0);

	OK(route_pick(&route, 0, 0) != NULL);
}

TEST(who_was_tried_is_not_picked_again)
{
	set_up(3, 0);
	uint64_t tried = 0;

	for (int i = 0; i < 3; i++) {
		struct node *n = route_pick(&route, 0, tried);
		OK(n != NULL);
		OK(!(tried & route_bit(&route, n)));
		tried |= route_bit(&route, n);
	}
	OK(route_pick(&route, 0, tried) == NULL);
}

TEST(a_failed_server_is_left_alone_until_it_is_due)
{
	set_up(2, 0);
	node_failed(&nodes[0], 0, 0);
	uint64_t due = nodes[0].retry_at_ns;

	OK(route_pick(&route, due - 1, 0) == &nodes[1]);
	OK(route_pick(&route, due, 0) == &nodes[0]);
	OK(route_pick(&route, due, 0) == &nodes[1]); /* the probe is under way */
}

TEST(nobody_is_hopeless_before_all_have_failed_often)
{
	set_up(2, 0);
	for (int i = 0; i < NODE_HOPELESS; i++)
		node_failed(&nodes[0], nodes[0].retry_at_ns, 0);
	OK(!route_is_hopeless(&route));

	for (int i = 0; i < NODE_HOPELESS; i++)
		node_failed(&nodes[1], nodes[1].retry_at_ns, 0);

	OK(route_is_hopeless(&route));
	OK(route_retry_at(&route) != UINT64_MAX);
}

TEST(blocking_callers_leave_a_server_alone_that_stays_away)
{
	set_up(2, 1);
	for (int i = 0; i < NODE_HOPELESS; i++)
		node_failed(&nodes[0], nodes[0].retry_at_ns, 0);
	uint64_t due = nodes[0].retry_at_ns;
	route.is_lazy = true;

	OK(route_pick(&route, due, 0) == &nodes[1]);
	OK(route_pick(&route, due + (uint64_t)ROUTE_LAZY_MS * MS, 0) == &nodes[0]);

	node_failed(&nodes[0], due, 0);
	node_failed(&nodes[1], due, 0);
	due = nodes[0].retry_at_ns;
	OK(route_pick(&route, due, route_bit(&route, &nodes[1])) == &nodes[0]);
	route.is_lazy = false;
}

TEST(without_servers_there_is_nobody)
{
	set_up(0, 5);

	OK(route_pick(&route, 0, 0) == NULL);
	OK(route_is_hopeless(&route));
	OK(route_retry_at(&route) == UINT64_MAX);
}

static void measure(struct node *n, uint64_t ns)
{
	for (int i = 0; i < 2 * LATENCY_WARM; i++)
		latency_add(&n->latency, ns);
}

static const struct hedge two_percent = { .percent = 2, .least_ns = MS };

TEST(a_server_many_times_slower_than_the_best_is_used_only_without_others)
{
	set_up(3, 0);
	measure(&nodes[0], 100 * MS);
	measure(&nodes[1], MS);
	measure(&nodes[2], 2 * MS);

	route_measured(&route, &two_percent, 0, 0);

	OK(nodes[0].is_slow && !nodes[1].is_slow && !nodes[2].is_slow);
	for (int i = 0; i < 100; i++) {
		struct node *n = route_pick(&route, 0, 0);
		OK(n != &nodes[0]);
		n->outstanding++;
	}
	OK(route_pick(&route, 0, 6) == &nodes[0]);
	node_failed(&nodes[1], 0, 0);
	node_failed(&nodes[2], 0, 0);
	OK(route_pick(&route, 0, 0) == &nodes[0]);
}

TEST(servers_that_get_slow_together_are_all_used)
{
	set_up(3, 0);
	for (int i = 0; i < 3; i++)
		measure(&nodes[i], MS / 10);

	for (int i = 0; i < 3 * LATENCY_WARM; i++) {
		latency_add(&nodes[i % 3].latency, 50 * MS);
		route_measured(&route, &two_percent, 0, 0);
	}

	OK(!nodes[0].is_slow && !nodes[1].is_slow && !nodes[2].is_slow);
}

TEST(microseconds_make_nobody_slow)
{
	set_up(2, 0);
	measure(&nodes[0], MS);
	measure(&nodes[1], MS / 20);

	route_measured(&route, &two_percent, 0, 0);

	OK(!nodes[0].is_slow && !nodes[1].is_slow);
}

TEST(a_server_alone_is_never_slow)
{
	set_up(2, 0);
	measure(&nodes[0], 900 * MS);

	route_measured(&route, &two_percent, 0, 0);

	OK(!nodes[0].is_slow);
	OK(route_is_quick(&route, &nodes[0], 900 * MS));
}

TEST(a_second_copy_goes_to_a_good_server_or_nowhere)
{
	set_up(3, 0);
	OK(route_second(&route, 0, 1) == &nodes[1]);
	node_slowed(&nodes[1], 0, 0);
	OK(route_second(&route, 0, 1) == &nodes[2]);
	node_reported(&nodes[2], NODE_LOAD_MAX, 0);
	OK(route_second(&route, 0, 1) == NULL);

	nodes[2].load = 0;
	node_failed(&nodes[2], 0, 0);

	OK(route_second(&route, nodes[2].retry_at_ns, 1) == NULL); /* it is no probe */
}

TEST(a_slow_server_is_due_for_a_copy_once_a_while)
{
	set_up(2, 0);
	node_slowed(&nodes[1], 0, 0);
	uint64_t due = nodes[1].slow_retry_ns;

	OK(route_slow_due(&route, due - 1) == NULL);
	OK(route_slow_due(&route, due) == &nodes[1]);
	node_slow_probe(&nodes[1]);
	OK(route_slow_due(&route, due) == NULL);
}

TEST(requests_are_late_by_the_percentile_of_their_server_within_reason)
{
	set_up(3, 0);
	measure(&nodes[0], 2 * MS);
	measure(&nodes[1], 3 * MS);

	route_measured(&route, &two_percent, 0, 0);

	OK(nodes[0].late_ns >= 2 * MS && nodes[0].late_ns < 3 * MS);
	OK(nodes[1].late_ns >= 3 * MS && nodes[1].late_ns < 4 * MS);
	EQ(nodes[2].late_ns, nodes[0].late_ns);
}

TEST_MAIN
