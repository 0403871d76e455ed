/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/age.h"
#include "test.h"

enum { MS = 1000000 };

/* The two clocks have nothing in common. */
static uint64_t ours(uint64_t ms) { return (ms + 5000000000) * MS; }
static int32_t theirs(uint64_t ms) { return (int32_t)((ms + 1999999000) % (1U << 31)); }

static uint32_t take(struct age *a, uint64_t sent_ms, uint64_t arrived_ms)
{
	return age_of(a, theirs(sent_ms), ours(arrived_ms));
}

TEST(the_quickest_request_is_the_yardstick)
{
	struct age a = { 0 };

	OK(take(&a, 0, 7) == 0);
	OK(take(&a, 10, 14) == 0);
	OK(take(&a, 20, 30) == 6);
	OK(take(&a, 30, 34) == 0);
}

TEST(what_lay_in_a_buffer_while_we_were_stopped_is_as_old_as_it_is)
{
	struct age a = { 0 };
	for (uint64_t t = 0; t < 3000; t += 10)
		OK(take(&a, t, t + 2) == 0);

	/* Stopped from 3000 to 13000. */
	OK(take(&a, 3000, 13002) > 9900);
	OK(take(&a, 3400, 13002) > 9500);
	OK(take(&a, 13003, 13005) == 0);
	OK(take(&a, 3900, 13006) > 9000);
}

TEST(a_client_whose_clock_stood_still_is_believed_again_within_two_seconds)
{
	struct age a = { 0 };
	OK(take(&a, 0, 2) == 0);

	OK(take(&a, 10, 60012) > 50000);
	OK(take(&a, 500, 60502) > 50000);
	OK(take(&a, 1100, 61102) == 0);
}

TEST(clocks_that_go_apart_slowly_make_nothing_late)
{
	struct age a = { 0 };
	uint64_t worst = 0;

	/* 500 millionths; a request an hour. */
	for (uint64_t t = 0; t < 24ULL * 3600000; t += 3600000) {
		uint32_t age = take(&a, t - t / 2000, t + 2);
		worst = age > worst ? age : worst;
	}

	OK(worst == 0);
}

TEST(a_clock_that_begins_anew_at_its_limit_is_no_jump)
{
	struct age a = { 0 };

	OK(age_of(&a, 0x7fffffff, 10ULL * MS) == 0);
	OK(age_of(&a, 4, 15ULL * MS) == 0);
	OK(age_of(&a, 5, 116ULL * MS) == 100);
}

TEST_MAIN
