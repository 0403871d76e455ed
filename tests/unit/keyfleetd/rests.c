/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/rests.h"
#include "test.h"
#include <stdio.h>

enum { FIRST_MS = 60, MOST_MS = 600, MANY = 1000 };
#define MS UINT64_C(1000000)

static struct slice key_of(char room[8], int i)
{
	snprintf(room, 8, "%d", i);
	return slice_of(room);
}

TEST(what_failed_rests_for_a_while)
{
	struct rests r;
	char key[8];
	rests_init(&r, FIRST_MS, MOST_MS);

	rests_add(&r, key_of(key, 1), 0);

	OK(rests_has(&r, key_of(key, 1), 59 * MS));
	OK(!rests_has(&r, key_of(key, 1), 60 * MS));
	OK(!rests_has(&r, key_of(key, 2), 0));
	rests_free(&r);
}

TEST(each_time_it_rests_for_twice_as_long_up_to_a_limit)
{
	struct rests r;
	char key[8];
	uint64_t now = 0;
	static const uint64_t ms[] = { 60, 120, 240, 480, 600, 600 };
	rests_init(&r, FIRST_MS, MOST_MS);

	for (size_t i = 0; i < sizeof(ms) / sizeof(*ms); i++) {
		rests_add(&r, key_of(key, 1), now);
		OK(rests_has(&r, key_of(key, 1), now + ms[i] * MS - 1));
		now += ms[i] * MS;
		OK(!rests_has(&r, key_of(key, 1), now));
	}
	rests_free(&r);
}

TEST(any_number_may_rest_and_nobody_else_does)
{
	struct rests r;
	char key[8];
	rests_init(&r, FIRST_MS, MOST_MS);

	for (int i = 0; i < MANY; i++)
		rests_add(&r, key_of(key, i), 0);

	for (int i = 0; i < MANY; i++)
		OK(rests_has(&r, key_of(key, i), MS));
	OK(!rests_has(&r, key_of(key, MANY), MS));
	rests_free(&r);
}

TEST(what_succeeds_begins_anew)
{
	struct rests r;
	char key[8];
	rests_init(&r, FIRST_MS, MOST_MS);
	rests_add(&r, key_of(key, 1), 0);
	rests_add(&r, key_of(key, 1), 0);

	rests_drop(&r, key_of(key, 1));
	OK(!rests_has(&r, key_of(key, 1), 0));
	rests_add(&r, key_of(key, 1), 0);

	OK(!rests_has(&r, key_of(key, 1), 60 * MS));
	rests_free(&r);
}

TEST(a_time_of_the_caller_s_may_be_given)
{
	struct rests r;
	char key[8];
	rests_init(&r, FIRST_MS, MOST_MS);

	rests_put(&r, key_of(key, 1), 5 * MS);

	OK(rests_has(&r, key_of(key, 1), 4 * MS) &&
		!rests_has(&r, key_of(key, 1), 5 * MS));
	rests_free(&r);
}

TEST(what_nobody_asks_for_any_more_is_forgotten)
{
	struct rests r;
	char key[8];
	rests_init(&r, FIRST_MS, MOST_MS);
	for (int i = 0; i < MANY; i++)
		rests_add(&r, key_of(key, i), 0);
	rests_put(&r, key_of(key, MANY), 2000 * MS);

	rests_sweep(&r, 600 * MS);
	EQ(r.map.n, MANY + 1);
	rests_sweep(&r, 661 * MS);

	EQ(r.map.n, 1);
	rests_free(&r);
}

TEST_MAIN
