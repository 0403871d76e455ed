/* SPDX-License-Identifier: Apache-2.0 */
#include "client/latency.h"
#include "test.h"

enum { US = 1000, MS = 1000000 };

static bool is_about(uint64_t ns, uint64_t want)
{
	return ns >= want && ns <= want + want / 3 + 2048;
}

TEST(nothing_is_said_before_it_is_warm)
{
	struct latency l = { 0 };

	for (int i = 1; i < LATENCY_WARM; i++)
		OK(!latency_add(&l, MS));
	OK(l.p50_ns == 0 && l.p99_ns == 0);

	OK(latency_add(&l, MS));
	OK(is_about(l.p50_ns, MS) && is_about(l.p99_ns, MS));
}

TEST(quantiles_are_those_of_the_answers)
{
	struct latency l = { 0 };

	/* 97 of 100 take 200 us, two 5 ms, one 80 ms. */
	for (int i = 0; i < 5000; i++)
		latency_add(&l, i % 100 == 7    ? 80 * MS
				: i % 100 == 50 ? 5 * MS
				: i % 100 == 90 ? 5 * MS
						: 200 * US);

	OK(is_about(l.p50_ns, 200 * US));
	OK(is_about(l.p99_ns, 5 * MS) || is_about(l.p99_ns, 80 * MS));
}

TEST(every_time_from_nothing_to_hours_finds_its_place)
{
	uint64_t last = 0;

	for (uint64_t ns = 1; ns < 4000000000ULL * 3600; ns *= 3) {
		struct latency l = { 0 };
		for (int i = 0; i < LATENCY_WARM; i++)
			latency_add(&l, ns);
		OK(l.p50_ns >= last);
		OK(l.p50_ns == l.p99_ns);
		OK(ns > 10000000000ULL || is_about(l.p50_ns, ns));
		last = l.p50_ns;
	}
}

TEST(the_past_is_forgotten)
{
	struct latency l = { 0 };
	for (int i = 0; i < 100000; i++)
		latency_add(&l, 90 * MS);
	OK(is_about(l.p50_ns, 90 * MS));

	for (int i = 0; i < 1200; i++)
		latency_add(&l, 300 * US);
	OK(is_about(l.p50_ns, 300 * US));

	for (int i = 0; i < 6000; i++)
		latency_add(&l, 300 * US);
	OK(is_about(l.p99_ns, 300 * US));
}

TEST(the_recent_median_follows_in_a_dozen_answers_and_not_in_one)
{
	struct latency l = { 0 };
	for (int i = 0; i < 500; i++)
		latency_add(&l, MS);
	OK(l.recent_ns > MS / 2 && l.recent_ns < 2 * MS);

	latency_add(&l, 500 * MS);
	latency_add(&l, 500 * MS);
	OK(l.recent_ns < 2 * MS);

	for (int i = 0; i < 14; i++)
		latency_add(&l, 100 * MS);
	OK(l.recent_ns > 8 * MS);

	for (int i = 0; i < 20; i++)
		latency_add(&l, MS);
	OK(l.recent_ns < 2 * MS);
}

TEST_MAIN
