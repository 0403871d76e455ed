/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bucket.h"
#include "test.h"
#include <pthread.h>

#define SECOND UINT64_C(1000000000)
#define START  (77 * SECOND)

TEST(a_burst_goes_through_at_once_and_then_the_rate_holds)
{
	struct bucket b = { 0 };
	const struct rate rate = rate_of(100 * 3600, 20);

	EQ(bucket_take(&b, &rate, START, 1000), 20);
	EQ(bucket_take(&b, &rate, START, 1), 0);
	EQ(bucket_take(&b, &rate, START + SECOND / 100 - 1, 1), 0);
	EQ(bucket_take(&b, &rate, START + SECOND / 100, 1), 1);
	EQ(bucket_take(&b, &rate, START + SECOND / 100, 1), 0);
	EQ(bucket_take(&b, &rate, START + 100 * SECOND, 1000), 20);
}

TEST(without_a_burst_a_second_may_come_at_once)
{
	struct bucket b = { 0 }, slow = { 0 };
	const struct rate rate = rate_of(100 * 3600, 0), hourly = rate_of(10, 0);

	EQ(bucket_take(&b, &rate, START, 1000), 100);
	EQ(bucket_take(&slow, &hourly, START, 1000), 1);
	EQ(bucket_take(&slow, &hourly, START + 359 * SECOND, 1), 0);
	EQ(bucket_take(&slow, &hourly, START + 360 * SECOND, 1), 1);
}

TEST(no_rate_is_no_limit)
{
	struct bucket b = { 0 };
	struct purse purse = { 0 };
	const struct rate none = rate_of(0, 5);

	EQ(bucket_take(&b, &none, START, 7), 7);
	for (int i = 0; i < 1000; i++)
		OK(bucket_pay(&b, &purse, &none, START));
	OK(bucket_is_full(&b, START));
}

TEST(a_rate_that_was_raised_counts_at_once)
{
	struct bucket b = { 0 };
	const struct rate hourly = rate_of(1, 10), fast = rate_of(10 * 3600, 5);
	EQ(bucket_take(&b, &hourly, START, 100), 10);

	EQ(bucket_take(&b, &fast, START, 1), 0);
	EQ(bucket_take(&b, &fast, START + SECOND / 10, 1), 1);
	EQ(bucket_take(&b, &fast, START + SECOND / 10, 1), 0);
	EQ(bucket_take(&b, &fast, START + SECOND, 9), 5);
}

TEST(absurd_numbers_do_not_overflow)
{
	struct bucket b = { 0 };
	const struct rate slow = rate_of(1, UINT32_MAX), fast = rate_of(INT32_MAX, 1);

	EQ(bucket_take(&b, &slow, START, 3), 3);
	OK(bucket_take(&b, &slow, UINT64_MAX / 4, 3) > 0);
	EQ(bucket_take(&b, &fast, UINT64_MAX / 2, UINT32_MAX), 1);
}

/* Purses take ahead, and together no more than the bucket gives. */
TEST(purses_of_two_loops_share_one_rate)
{
	struct bucket b = { 0 };
	struct purse purse[2] = { 0 };
	const struct rate rate = rate_of(100000 * 3600U, 1000);
	unsigned paid = 0;

	OK(rate.portion > 1);
	for (uint64_t now = START; now < START + SECOND; now += SECOND / 1000000) {
		paid += bucket_pay(&b, &purse[0], &rate, now);
		paid += bucket_pay(&b, &purse[1], &rate, now);
	}
	OK(paid <= 101000 && paid > 100000);
}

struct taker {
	struct bucket *b;
	unsigned got;
};

static void *take(void *arg)
{
	struct taker *t = arg;
	const struct rate rate = rate_of(3600, 10000);
	struct purse purse = { 0 };
	for (int i = 0; i < 20000; i++)
		t->got += bucket_pay(t->b, &purse, &rate, START);
	return NULL;
}

TEST(threads_take_each_token_once)
{
	struct bucket b = { 0 };
	struct taker t[2] = { { &b, 0 }, { &b, 0 } };
	pthread_t thread[2];

	for (int i = 0; i < 2; i++)
		OK(pthread_create(&thread[i], NULL, take, &t[i]) == 0);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);

	EQ(t[0].got + t[1].got, 10000);
}

TEST_MAIN
