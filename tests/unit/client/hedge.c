/* SPDX-License-Identifier: Apache-2.0 */
#include "client/hedge.h"
#include "test.h"

enum { MS = 1000000 };

static bool take(struct hedge *h)
{
	if (!hedge_may(h))
		return false;
	hedge_pay(h);
	return true;
}

TEST(copies_are_the_share_and_a_burst_whatever_happens)
{
	struct hedge h;
	hedge_init(&h, 2, 1);
	int copies = 0;

	for (int i = 0; i < 10000; i++) {
		hedge_earn(&h);
		copies += take(&h);
	}

	OK(copies >= 200 && copies <= 200 + HEDGE_BURST);
}

TEST(what_is_not_used_fills_a_burst_and_no_more)
{
	struct hedge h;
	hedge_init(&h, 20, 1);
	for (int i = 0; i < 100000; i++)
		hedge_earn(&h);

	for (int i = 0; i < HEDGE_BURST; i++)
		OK(take(&h));

	OK(!take(&h));
}

TEST(no_share_is_no_copy)
{
	struct hedge h;
	hedge_init(&h, 0, 1);
	hedge_earn(&h);

	OK(!take(&h));
	EQ(hedge_delay(&h, MS, MS), 0);
}

TEST(nothing_is_late_before_the_best_percentile_is_known_or_sooner_than_the_floor)
{
	struct hedge h;
	hedge_init(&h, 2, 1);

	EQ(hedge_delay(&h, 0, 0), 0);
	EQ(hedge_delay(&h, MS / 10, MS / 10), MS);
	EQ(hedge_delay(&h, 3 * MS, 2 * MS), 3 * MS);
	EQ(hedge_delay(&h, 0, 2 * MS), 2 * MS);
	EQ(hedge_delay(&h, 100 * MS, 2 * MS), 2 * MS * HEDGE_SLACK);
}

TEST_MAIN
