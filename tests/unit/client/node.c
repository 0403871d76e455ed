/* SPDX-License-Identifier: Apache-2.0 */
#include "client/node.h"
#include "test.h"

enum { MS = 1000000 };

TEST(a_new_node_is_healthy)
{
	struct node n = { 0 };

	OK(node_is_healthy(&n));
	OK(!node_is_due(&n, 0));
}

TEST(a_failed_node_is_due_after_its_back_off_and_not_before)
{
	struct node n = { 0 };

	node_failed(&n, 1000 * MS, UINT32_MAX);

	OK(!node_is_healthy(&n));
	OK(!node_is_due(&n, 1000 * MS));
	OK(node_is_due(&n, (1000 + NODE_BACKOFF_MIN_MS) * (uint64_t)MS));
}

TEST(the_back_off_doubles_up_to_its_limit)
{
	struct node n = { 0 };
	uint64_t now = 0, last = 0;
	for (int i = 0; i < 20; i++) {
		node_failed(&n, now, 0);
		uint64_t wait = n.retry_at_ns - now;

		OK(wait >= last || wait == (uint64_t)NODE_BACKOFF_MAX_MS * MS / 2);
		OK(wait <= (uint64_t)NODE_BACKOFF_MAX_MS * MS);

		last = wait;
		now = n.retry_at_ns;
	}
	EQ(last, (uint64_t)NODE_BACKOFF_MAX_MS * MS / 2);
}

TEST(jitter_spreads_over_half_of_the_back_off)
{
	struct node early = { 0 }, late = { 0 };

	node_failed(&early, 0, 0);
	node_failed(&late, 0, NODE_BACKOFF_MIN_MS / 2);

	EQ(early.retry_at_ns, NODE_BACKOFF_MIN_MS / 2 * MS);
	EQ(late.retry_at_ns, NODE_BACKOFF_MIN_MS * MS);
}

TEST(many_calls_that_report_one_break_count_once)
{
	struct node n = { 0 };

	for (int i = 0; i < 100; i++)
		node_failed(&n, 5, 0);

	EQ(n.failures, 1);
}

TEST(a_due_node_is_probed_by_one_call_only)
{
	struct node n = { 0 };
	node_failed(&n, 0, 0);
	uint64_t later = n.retry_at_ns;
	OK(node_is_due(&n, later));

	node_probe(&n);

	OK(!node_is_due(&n, later));
	node_failed(&n, later, 0);
	OK(!node_is_due(&n, later));
	OK(node_is_due(&n, n.retry_at_ns));
}

TEST(an_answer_makes_it_healthy_again)
{
	struct node n = { 0 };
	for (int i = 0; i < NODE_HOPELESS; i++)
		node_failed(&n, n.retry_at_ns, 0);
	OK(node_is_hopeless(&n));

	node_answered(&n, 7);

	OK(node_is_healthy(&n));
	OK(!node_is_hopeless(&n));
}

TEST(a_busy_server_costs_more)
{
	struct node idle = { 0 }, busy = { 0 };

	node_reported(&busy, 9000, 0);

	OK(node_cost(&busy, 0) > 5 * node_cost(&idle, 0));
	OK(!node_is_full(&busy, 0));
}

TEST(a_report_fades_away)
{
	struct node idle = { 0 }, busy = { 0 };

	node_reported(&busy, NODE_LOAD_MAX, 0);

	OK(node_is_full(&busy, 0));
	OK(!node_is_full(&busy, (uint64_t)NODE_LOAD_AGE_MS * MS));
	EQ(node_cost(&busy, (uint64_t)NODE_LOAD_AGE_MS * MS), node_cost(&idle, 0));
}

TEST(a_report_above_the_limit_is_the_limit)
{
	struct node n = { 0 };

	node_reported(&n, UINT32_MAX, 0);

	EQ(n.load, NODE_LOAD_MAX);
}

TEST(a_slow_node_is_open_until_a_probe_finds_it_quick)
{
	struct node n = { 0 };
	EQ(node_breaker(&n), NODE_CLOSED);

	node_slowed(&n, 0, UINT32_MAX);
	EQ(node_breaker(&n), NODE_OPEN);
	OK(node_is_healthy(&n)); /* for want of a better one */
	OK(!node_is_slow_due(&n, 0));
	OK(node_is_slow_due(&n, (uint64_t)NODE_SLOW_MIN_MS * MS));

	node_slow_probe(&n);
	EQ(node_breaker(&n), NODE_HALF_OPEN);
	OK(!node_is_slow_due(&n, (uint64_t)NODE_SLOW_MIN_MS * MS));

	node_slow_probed(&n, false, 0, UINT32_MAX);
	EQ(node_breaker(&n), NODE_OPEN);
	OK(n.slow_retry_ns > (uint64_t)NODE_SLOW_MIN_MS * MS / 2);

	node_slow_probe(&n);
	node_slow_probed(&n, true, 0, 0);
	EQ(node_breaker(&n), NODE_CLOSED);
}

TEST(probes_of_a_slow_node_get_rarer_up_to_a_limit)
{
	struct node n = { 0 };
	uint64_t last = 0;
	node_slowed(&n, 0, 0);

	for (int i = 0; i < 20; i++) {
		OK(n.slow_retry_ns >= last);
		OK(n.slow_retry_ns <= (uint64_t)NODE_SLOW_MAX_MS * MS);
		last = n.slow_retry_ns;
		node_slow_probed(&n, false, 0, 0);
	}

	EQ(last, (uint64_t)NODE_SLOW_MAX_MS / 2 * MS);
}

TEST(a_connection_that_breaks_ends_what_was_known_of_the_pace)
{
	struct node n = { 0 };
	for (int i = 0; i < LATENCY_WARM; i++)
		latency_add(&n.latency, MS);
	node_slowed(&n, 0, 0);

	node_failed(&n, 0, 0);
	OK(!n.is_slow && n.latency.p50_ns == 0);

	EQ(node_breaker(&n), NODE_OPEN);
	node_answered(&n, 7);
	EQ(node_breaker(&n), NODE_CLOSED);
}

TEST_MAIN
