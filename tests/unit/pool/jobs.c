/* SPDX-License-Identifier: Apache-2.0 */
#include "fake.h"

#define SERVING(i) until_state(i, POOL_TOKEN_SERVING)

TEST(a_key_serves_once_it_has_signed_a_challenge)
{
	struct call c;
	OK(pool_with(1, 1 << KEC));
	EQ(fakes[0].signs, 1);

	OK(kf_ok(call(&c, KEC)));
	OK(is_right(&c));
	OK(!strcmp(c.job.token, "FAKE0"));
	EQ(c.job.tries, 1);
	pool_down();
	EQ(fakes[0].opens, fakes[0].closes);
}

TEST(every_kind_of_key_signs_digests_and_data)
{
	struct call c;
	static const uint8_t much[5000] = "much";
	OK(pool_with(1, 0xf));

	for (int i = 0; i < KEYS; i++) {
		OK(kf_ok(call(&c, i)));
		OK(is_right(&c));
		call_sign_init(&c, i, 1);
		c.sign.is_digest = false;
		c.sign.n = 100;
		OK(kf_ok(pool_submit(pools, &c.job)) && kf_ok(call_end(&c)));
		OK(is_right(&c));
		call_sign_init(&c, i, 1);
		c.sign.is_digest = false;
		c.sign.outside = (struct slice){ much, sizeof(much) };
		OK(kf_ok(pool_submit(pools, &c.job)) && kf_ok(call_end(&c)));
		OK(is_right(&c));
	}
	call_sign_init(&c, KRSA, 1);
	c.sign.mech = mech_get(MECH_RSA_PSS_SHA256);
	OK(kf_ok(pool_submit(pools, &c.job)) && kf_ok(call_end(&c)));
	OK(is_right(&c));
	pool_down();
}

TEST(a_key_that_is_not_the_one_of_its_description_never_serves)
{
	struct call c;
	fakes_reset(1, 1 << KEC | 1 << KRSA);
	fakes[0].foreign = 1 << KEC;
	OK(pool_up());

	OK(kf_is(call(&c, KEC), KF_E_UNAVAILABLE));
	OK(kf_ok(call(&c, KRSA)));
	OK(SERVING(0));
	EQ(status_of(0).keys_with_problems, 1);
	EQ(status_of(0).wrong_signatures, 0);
	pool_down();
}

TEST(jobs_of_one_key_keep_all_its_tokens_at_work_at_once)
{
	struct call c[3];
	OK(pool_with(3, 1 << KEC));
	for (int i = 0; i < 3; i++)
		FAKE(fakes[i].is_held = true);

	for (int i = 0; i < 3; i++)
		OK(kf_ok(call_begin(&c[i], KEC, 1)));
	OK(FAKE_UNTIL(fakes[0].is_at_work && fakes[1].is_at_work && fakes[2].is_at_work));

	for (int i = 0; i < 3; i++)
		FAKE(fakes[i].is_held = false);
	for (int i = 0; i < 3; i++)
		OK(kf_ok(call_end(&c[i])));
	pool_down();
}

TEST(a_slow_token_holds_nobody_up)
{
	struct call slow, c;
	OK(pool_with(2, 1 << KEC));
	FAKE(fakes[0].is_held = fakes[1].is_held = true);
	OK(kf_ok(call_begin(&slow, KEC, 1)));
	OK(FAKE_UNTIL(fakes[0].is_at_work || fakes[1].is_at_work));
	int other = fakes[0].is_at_work;
	FAKE(fakes[other].is_held = false);

	for (int i = 0; i < 5; i++) {
		OK(kf_ok(call(&c, KEC)));
		OK(!strcmp(c.job.token, fakes[other].serial));
	}
	EQ(slow.done, 0);
	FAKE(fakes[!other].is_held = false);
	OK(kf_ok(call_end(&slow)));
	pool_down();
}

TEST(jobs_of_all_keys_are_served_in_the_order_in_which_they_came)
{
	struct call c[6];
	OK(pool_with(1, 1 << KEC | 1 << KRSA | 1 << KEC384));
	FAKE(fakes[0].is_held = true);
	OK(kf_ok(call_begin(&c[0], KEC, 1)));
	OK(FAKE_UNTIL(fakes[0].is_at_work));
	FAKE(fake_order_n = 0);
	const int key[] = { KEC, KRSA, KRSA, KEC384, KEC, KRSA };
	for (int i = 1; i < 6; i++)
		OK(kf_ok(call_begin(&c[i], key[i], (uint8_t)(i + 1))));

	FAKE(fakes[0].is_held = false);
	for (int i = 0; i < 6; i++)
		OK(kf_ok(call_end(&c[i])));
	for (int i = 0; i < 6; i++)
		EQ(fake_order[i], i + 1);
	pool_down();
}

TEST(what_yields_lets_four_that_come_later_pass)
{
	struct call c[9];
	static const uint8_t expected[] = { 1, 4, 5, 6, 7, 2, 8, 9, 3 };
	OK(pool_with(1, 1 << KEC | 1 << KRSA));
	FAKE(fakes[0].is_held = true);
	OK(kf_ok(call_begin(&c[0], KEC, 1)));
	OK(FAKE_UNTIL(fakes[0].is_at_work));
	FAKE(fake_order_n = 0);
	for (int i = 1; i < 9; i++) {
		call_sign_init(&c[i], i & 1 ? KEC : KRSA, (uint8_t)(i + 1));
		c[i].job.yields = i < 3;
		OK(kf_ok(pool_submit(pools, &c[i].job)));
	}

	FAKE(fakes[0].is_held = false);
	for (int i = 0; i < 9; i++)
		OK(kf_ok(call_end(&c[i])));
	for (int i = 0; i < 9; i++)
		EQ(fake_order[i], expected[i]);
	pool_down();
}

TEST(what_yields_takes_nobodys_room_nor_time)
{
	struct call c[5];
	fakes_reset(0, 1 << KEC);
	fakes[0].cost_ns = 100000000000;
	fake_conf.timeout_ms = 3600000;
	fake_conf.queue = 2;
	OK(pool_up());
	plug(0);
	OK(SERVING(0));
	FAKE(fakes[0].is_held = true);
	OK(kf_ok(call_begin(&c[0], KEC, 1)) && FAKE_UNTIL(fakes[0].is_at_work));
	for (int i = 1; i < 5; i++)
		call_sign_init(&c[i], KEC, 1);
	c[1].job.yields = c[2].job.yields = c[3].job.yields = true;

	OK(kf_ok(pool_submit(pools, &c[1].job)) && kf_ok(pool_submit(pools, &c[2].job)));
	OK(kf_is(pool_submit(pools, &c[3].job), KF_E_BUSY));
	EQ(pool_expected_wait_ns(pools, keys[KEC]) / 1000000000, 50);
	c[4].job.deadline_ns = clock_monotonic_ns() + 160000000000;
	OK(kf_ok(pool_submit(pools, &c[4].job)));
	OK(pool_cancel(pools, &c[1].job) && pool_cancel(pools, &c[2].job));

	FAKE(fakes[0].is_held = false);
	OK(kf_ok(call_end(&c[0])) && kf_ok(call_end(&c[4])));
	pool_down();
}

TEST(of_several_idle_tokens_the_fastest_is_taken_for_each_kind_of_key)
{
	struct call c;
	fakes_reset(0, 1 << KEC);
	for (int i = 0; i < 3; i++)
		fakes[i].cost_ns = (int64_t)(i == 1 ? 100 : 300) * 1000000000;
	fake_conf.timeout_ms = 3600000;
	OK(pool_up());
	for (int i = 0; i < 3; i++) { /* one after another: they turn the same clock */
		plug(i);
		OK(SERVING(i));
	}

	for (int i = 0; i < 4; i++) {
		OK(SERVING(0) && SERVING(1) && SERVING(2));
		OK(kf_ok(call(&c, KEC)));
		OK(!strcmp(c.job.token, "FAKE1"));
	}
	OK(status_of(1).service_ns / 1000000000 == 100);
	OK(status_of(0).service_ns / 1000000000 == 300);
	pool_down();
}

TEST(a_full_queue_is_busy_at_once)
{
	struct call c[4];
	fakes_reset(1, 1 << KEC);
	fake_conf.queue = 2;
	OK(pool_up());
	FAKE(fakes[0].is_held = true);
	OK(kf_ok(call_begin(&c[0], KEC, 1)));
	OK(FAKE_UNTIL(fakes[0].is_at_work));

	OK(kf_ok(call_begin(&c[1], KEC, 1)));
	OK(kf_ok(call_begin(&c[2], KEC, 1)));
	OK(kf_is(call_begin(&c[3], KEC, 1), KF_E_BUSY));

	FAKE(fakes[0].is_held = false);
	for (int i = 0; i < 3; i++)
		OK(kf_ok(call_end(&c[i])));
	EQ(c[3].done, 0);
	pool_down();
}

TEST(who_would_wait_beyond_his_deadline_hears_it_at_once)
{
	struct call c[4];
	fakes_reset(0, 1 << KEC);
	fakes[0].cost_ns = 100000000000;
	fake_conf.timeout_ms = 3600000;
	OK(pool_up());
	plug(0);
	OK(SERVING(0));
	EQ(pool_expected_wait_ns(pools, keys[KEC]), 0);
	FAKE(fakes[0].is_held = true);
	for (int i = 0; i < 3; i++)
		OK(kf_ok(call_begin(&c[i], KEC, 1)) && FAKE_UNTIL(fakes[0].is_at_work));

	EQ(pool_expected_wait_ns(pools, keys[KEC]) / 1000000000, 250);
	call_sign_init(&c[3], KEC, 1);
	c[3].job.deadline_ns = clock_monotonic_ns() + 240000000000;
	OK(kf_is(pool_submit(pools, &c[3].job), KF_E_BUSY));
	c[3].job.deadline_ns = clock_monotonic_ns() + 2600000000000;
	OK(kf_ok(pool_submit(pools, &c[3].job)));

	FAKE(fakes[0].is_held = false);
	for (int i = 0; i < 4; i++)
		OK(kf_ok(call_end(&c[i])));
	pool_down();
}

TEST(a_key_that_nobody_holds_is_unavailable)
{
	struct call c;
	OK(pool_with(1, 1 << KEC));
	OK(kf_is(call(&c, KRSA), KF_E_UNAVAILABLE));
	OK(pool_expected_wait_ns(pools, keys[KRSA]) == UINT64_MAX);
	pool_down();
}

TEST(a_job_whose_deadline_passes_while_it_waits_fails_then)
{
	struct call c[2];
	OK(pool_with(1, 1 << KEC));
	FAKE(fakes[0].is_held = true);
	OK(kf_ok(call_begin(&c[0], KEC, 1)) && FAKE_UNTIL(fakes[0].is_at_work));
	call_sign_init(&c[1], KEC, 2);
	c[1].job.deadline_ns = clock_monotonic_ns() + 50000000;
	OK(kf_ok(pool_submit(pools, &c[1].job)));

	OK(kf_is(call_end(&c[1]), KF_E_TIMEOUT));
	EQ(c[1].job.tries, 0);
	FAKE(fakes[0].is_held = false);
	OK(kf_ok(call_end(&c[0])));
	pool_down();
}

TEST(only_what_has_not_begun_is_taken_back)
{
	struct call c[2];
	OK(pool_with(1, 1 << KEC));
	FAKE(fakes[0].is_held = true);
	OK(kf_ok(call_begin(&c[0], KEC, 1)) && FAKE_UNTIL(fakes[0].is_at_work));
	OK(kf_ok(call_begin(&c[1], KEC, 2)));

	OK(!pool_cancel(pools, &c[0].job));
	OK(pool_cancel(pools, &c[1].job));
	OK(!pool_cancel(pools, &c[1].job));
	FAKE(fakes[0].is_held = false);
	OK(kf_ok(call_end(&c[0])));
	EQ(c[1].done, 0);
	EQ(fakes[0].signs, 2); /* the proof and c[0] */
	pool_down();
}

TEST(what_was_given_up_is_begun_by_no_token)
{
	struct call c[2];
	_Atomic bool is_given_up = false;
	OK(pool_with(1, 1 << KEC));
	FAKE(fakes[0].is_held = true);
	OK(kf_ok(call_begin(&c[0], KEC, 1)) && FAKE_UNTIL(fakes[0].is_at_work));
	call_sign_init(&c[1], KEC, 2);
	c[1].job.is_given_up = &is_given_up;
	OK(kf_ok(pool_submit(pools, &c[1].job)));

	atomic_store(&is_given_up, true);
	FAKE(fakes[0].is_held = false);

	OK(kf_ok(call_end(&c[0])));
	OK(kf_is(call_end(&c[1]), KF_E_TIMEOUT));
	EQ(fakes[0].signs, 2); /* the proof and c[0] */
	pool_down();
}

TEST(what_is_not_wanted_any_more_goes_to_no_other_token)
{
	struct call c;
	OK(pool_with(2, 1 << KEC));
	FAKE(fakes[0].is_held = fakes[1].is_held = true);
	OK(kf_ok(call_begin(&c, KEC, 1)));
	OK(FAKE_UNTIL(fakes[0].is_at_work || fakes[1].is_at_work));
	OK(!pool_cancel(pools, &c.job));

	for (int i = 0; i < 2; i++)
		FAKE(fakes[i].fails = KF_E_TOKEN; fakes[i].fails_n = 1;
			fakes[i].is_held = false);

	OK(kf_is(call_end(&c), KF_E_TOKEN));
	EQ(c.job.tries, 1);
	pool_down();
}

TEST(what_waits_when_the_pool_closes_fails_and_what_is_at_work_is_finished)
{
	struct call c[3];
	OK(pool_with(1, 1 << KEC));
	FAKE(fakes[0].is_held = true);
	for (int i = 0; i < 3; i++)
		OK(kf_ok(call_begin(&c[i], KEC, 1)) && FAKE_UNTIL(fakes[0].is_at_work));
	pthread_t closer;
	OK(!pthread_create(
		&closer, NULL, (void *(*)(void *))(void (*)(void))pools_close, pools));

	OK(kf_is(call_end(&c[1]), KF_E_CLOSED));
	OK(kf_is(call_end(&c[2]), KF_E_CLOSED));
	EQ(c[0].done, 0);
	FAKE(fakes[0].is_held = false);
	OK(kf_ok(call_end(&c[0])));
	pthread_join(closer, NULL);
	pools = NULL;
	pool_down();
}

TEST(what_does_not_fit_the_key_is_refused_before_any_token_is_asked)
{
	struct call c;
	OK(pool_with(1, 1 << KEC));
	call_sign_init(&c, KEC, 1);
	c.sign.mech = mech_get(MECH_RSA_PKCS1_SHA256);
	OK(kf_is(pool_submit(pools, &c.job), KF_E_BAD_PARAMETERS));
	call_sign_init(&c, KEC, 1);
	c.sign.key = fake_keys[KEC].soft;
	OK(kf_is(pool_submit(pools, &c.job), KF_E_INTERNAL));
	pool_down();
}

TEST_MAIN
