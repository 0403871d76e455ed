/* SPDX-License-Identifier: Apache-2.0 */
#include "fake.h"

#define SERVING(i) until_state(i, POOL_TOKEN_SERVING)

/* Both tokens are held; says which one has the job. */
static int begin_held(struct call *c, int key)
{
	FAKE(fakes[0].is_held = fakes[1].is_held = true);
	if (!kf_ok(call_begin(c, key, 1)) ||
		!FAKE_UNTIL(fakes[0].is_at_work || fakes[1].is_at_work))
		return -1;
	return fakes[1].is_at_work;
}

static void release(void)
{
	for (int i = 0; i < FAKES; i++)
		FAKE(fakes[i].is_held = false);
}

static const struct {
	enum kf_code code;
	enum pool_token_state state; /* afterwards */
	unsigned opens, problems;
} faults[] = {
	{ KF_E_TOKEN, POOL_TOKEN_SERVING, 2, 0 },
	{ KF_E_CLOSED, POOL_TOKEN_SERVING, 2, 0 },
	{ KF_E_TIMEOUT, POOL_TOKEN_SERVING, 2, 0 },
	{ KF_E_CRYPTO, POOL_TOKEN_SERVING, 1, 0 },
	{ KF_E_UNSUPPORTED, POOL_TOKEN_SERVING, 1, 0 },
	{ KF_E_AUTH, POOL_TOKEN_PIN, 1, 0 },
	{ KF_E_LIMIT, POOL_TOKEN_SERVING, 1, 1 },
	{ KF_E_NOT_FOUND, POOL_TOKEN_SERVING, 1, 1 },
};

TEST(whatever_fails_on_one_token_is_done_by_another_and_the_caller_sees_nothing)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
		struct call c;
		OK(pool_with(2, 1 << KEC));
		int first = begin_held(&c, KEC);
		OK(first >= 0);
		FAKE(fakes[first].fails = faults[i].code; fakes[first].fails_n = 1);
		release();

		OK(kf_ok(call_end(&c)));
		OK(is_right(&c));
		OK(!strcmp(c.job.token, fakes[!first].serial));
		EQ(c.job.tries, 2);
		OK(until_state(first, faults[i].state));
		EQ(status_of(first).failures, 1);
		EQ(status_of(first).keys_with_problems, faults[i].problems);
		EQ(fakes[first].opens, faults[i].opens);
		pool_down();
	}
}

TEST(a_request_that_is_wrong_itself_is_not_tried_twice)
{
	struct call c;
	OK(pool_with(2, 1 << KEC));
	for (int i = 0; i < 2; i++)
		FAKE(fakes[i].fails = KF_E_BAD_PARAMETERS; fakes[i].fails_n = 1);

	OK(kf_is(call(&c, KEC), KF_E_BAD_PARAMETERS));
	EQ(c.job.tries, 1);
	pool_down();
}

TEST(what_every_token_refuses_fails_with_their_error)
{
	struct call c;
	OK(pool_with(2, 1 << KEC));
	for (int i = 0; i < 2; i++)
		FAKE(fakes[i].fails = KF_E_CRYPTO; fakes[i].fails_n = 1);

	OK(kf_is(call(&c, KEC), KF_E_CRYPTO));
	EQ(c.job.tries, 2);
	OK(SERVING(0) && SERVING(1));
	pool_down();
}

TEST(a_key_that_counts_its_uses_is_not_used_again_after_an_unknown_outcome)
{
	const struct {
		enum kf_code code;
		bool is_known;
	} outcomes[] = { { KF_E_TOKEN, false }, { KF_E_TIMEOUT, false },
		{ KF_E_CLOSED, true }, { KF_E_CRYPTO, true } };
	for (size_t i = 0; i < 4; i++) {
		struct call c;
		OK(pool_with(2, 1 << KEC));
		for (int k = 0; k < 2; k++)
			FAKE(fakes[k].is_held = true);
		call_sign_init(&c, KEC, 1);
		c.job.is_once = true;
		OK(kf_ok(pool_submit(pools, &c.job)));
		OK(FAKE_UNTIL(fakes[0].is_at_work || fakes[1].is_at_work));
		int first = fakes[1].is_at_work;
		FAKE(fakes[first].fails = outcomes[i].code; fakes[first].fails_n = 1);
		release();

		kf_err e = call_end(&c);
		OK(outcomes[i].is_known ? kf_ok(e) : kf_is(e, outcomes[i].code));
		EQ(c.job.tries, 1 + outcomes[i].is_known);
		pool_down();
	}
}

TEST(a_key_that_counts_its_uses_serves_without_a_proof)
{
	struct call c;
	fakes_reset(1, 1 << KEC);
	fakes[0].counting = 1 << KEC;
	OK(pool_up());
	EQ(fakes[0].signs, 0);

	OK(kf_ok(call(&c, KEC)) && is_right(&c));
	EQ(fakes[0].signs, 1);
	pool_down();
}

TEST(the_pool_knows_by_itself_which_keys_count_their_uses)
{
	struct call c;
	fakes_reset(1, 1 << KEC);
	fakes[0].counting = 1 << KEC;
	OK(pool_up());
	FAKE(fakes[0].fails = KF_E_TOKEN; fakes[0].fails_n = 1);

	OK(kf_is(call(&c, KEC), KF_E_TOKEN)); /* it may have been used */
	EQ(c.job.tries, 1);
	EQ(fakes[0].signs, 1);
	pool_down();
}

static bool is_hoped_for(int key)
{
	struct pool *p = pools->pool[0];
	pthread_mutex_lock(&p->lock);
	const struct pool_key_group *g = group_find(p, fake_keys[key].soft->id);
	bool is = g && g->hope_ns;
	pthread_mutex_unlock(&p->lock);
	return is;
}

TEST(what_tokens_say_of_themselves_is_not_said_of_the_caller)
{
	static const enum kf_code codes[] = { KF_E_AUTH, KF_E_NOT_FOUND };
	for (size_t i = 0; i < 2; i++) {
		struct call c;
		OK(pool_with(2, 1 << KEC));
		for (int k = 0; k < 2; k++)
			FAKE(fakes[k].fails = codes[i]; fakes[k].fails_n = 1);

		OK(kf_is(call(&c, KEC), KF_E_UNAVAILABLE));
		EQ(c.job.tries, 2);
		OK(!is_hoped_for(KEC)); /* and at once */
		pool_down();
	}
}

TEST(a_key_whose_proof_failed_is_proved_again_when_its_token_is_resumed)
{
	struct call c;
	fakes_reset(1, 1 << KEC);
	fakes[0].fails = KF_E_CRYPTO;
	fakes[0].fails_n = 1;
	OK(pool_up());
	OK(kf_is(call(&c, KEC), KF_E_UNAVAILABLE));

	OK(kf_ok(pool_resume(pools, "FAKE0")));
	OK(FAKE_UNTIL(fakes[0].opens == 2) && SERVING(0));
	OK(kf_ok(call(&c, KEC)) && is_right(&c));
	EQ(status_of(0).keys_with_problems, 0);
	pool_down();
}

TEST(the_only_token_is_waited_for_while_it_is_opened_anew)
{
	struct call c;
	OK(pool_with(1, 1 << KEC));
	FAKE(fakes[0].fails = KF_E_TOKEN; fakes[0].fails_n = 4); /* proofs too */

	OK(kf_ok(call(&c, KEC)) && is_right(&c));
	EQ(c.job.tries, 2);
	EQ(fakes[0].opens, 5);
	OK(status_of(0).ejections >= 1);
	pool_down();
}

TEST(a_token_that_fails_again_and_again_is_opened_anew)
{
	struct call c;
	OK(pool_with(1, 1 << KEC));
	FAKE(fakes[0].fails = KF_E_CRYPTO; fakes[0].fails_n = 8);
	for (int i = 0; i < 7; i++)
		OK(kf_is(call(&c, KEC), KF_E_CRYPTO));

	OK(kf_ok(call(&c, KEC)));
	EQ(fakes[0].opens, 2);
	EQ(c.job.tries, 2);
	pool_down();
}

TEST(a_wrong_signature_never_leaves_and_its_maker_is_put_aside_until_resumed)
{
	struct call c;
	OK(pool_with(2, 1 << KEC));
	int first = begin_held(&c, KEC);
	FAKE(fakes[first].wrong_n = 1);
	release();

	OK(kf_ok(call_end(&c)) && is_right(&c));
	OK(!strcmp(c.job.token, fakes[!first].serial));
	OK(until_state(first, POOL_TOKEN_WRONG));
	EQ(status_of(first).wrong_signatures, 1);
	pull(first);
	OK(until_state(first, POOL_TOKEN_GONE));
	plug(first);
	OK(until_state(first, POOL_TOKEN_WRONG)); /* replugging forgives nothing */
	unsigned signs = fakes[first].signs;
	for (int i = 0; i < 3; i++)
		OK(kf_ok(call(&c, KEC)));
	EQ(fakes[first].signs, signs);

	OK(kf_ok(pool_resume(pools, fakes[first].serial)));
	OK(SERVING(first));
	EQ(fakes[first].signs, signs + 1); /* it proved its key anew */
	pool_down();
}

TEST(when_all_sign_wrongly_the_caller_gets_an_error_and_no_signature)
{
	struct call c;
	OK(pool_with(2, 1 << KEC));
	FAKE(fakes[0].wrong_n = fakes[1].wrong_n = 1);

	OK(kf_is(call(&c, KEC), KF_E_CRYPTO));
	EQ(c.sign.sig_n, 0);
	OK(until_state(0, POOL_TOKEN_WRONG) && until_state(1, POOL_TOKEN_WRONG));
	OK(kf_is(call(&c, KEC), KF_E_UNAVAILABLE));
	pool_down();
}

TEST(a_job_of_a_token_that_hangs_goes_to_another_and_a_late_answer_touches_nobody)
{
	struct call c, untouched;
	fakes_reset(2, 1 << KEC);
	fake_conf.timeout_ms = 400;
	OK(pool_up() && SERVING(0) && SERVING(1));
	FAKE(fakes[0].is_deaf = fakes[1].is_deaf = true);
	int first = begin_held(&c, KEC);
	OK(first >= 0);
	FAKE(fakes[!first].is_held = false);

	OK(kf_ok(call_end(&c)) && is_right(&c));
	OK(!strcmp(c.job.token, fakes[!first].serial));
	OK(until_state(first, POOL_TOKEN_HUNG));
	OK(FAKE_UNTIL(fakes[first].interrupts));
	memset(&c, 0xee, sizeof(c));
	memset(&untouched, 0xee, sizeof(c));
	release();
	OK(SERVING(first));
	OK(!memcmp(&c, &untouched, sizeof(c)));
	EQ(fakes[first].probes, 1); /* it was asked before it was used again */
	EQ(fakes[first].opens, 1);
	pool_down();
}

TEST(a_token_that_hangs_is_interrupted_and_opened_anew)
{
	struct call c;
	fakes_reset(2, 1 << KEC);
	fake_conf.timeout_ms = 400;
	OK(pool_up() && SERVING(0) && SERVING(1));
	int first = begin_held(&c, KEC);
	FAKE(fakes[!first].is_held = false);

	OK(kf_ok(call_end(&c)) && is_right(&c));
	OK(FAKE_UNTIL(fakes[first].opens == 2)); /* the interruption was heard */
	release();
	OK(SERVING(first));
	pool_down();
}

TEST(a_token_that_hangs_and_is_plugged_in_anew_serves_while_its_old_thread_still_hangs)
{
	struct call c;
	fakes_reset(1, 1 << KEC);
	fake_conf.timeout_ms = 400;
	OK(pool_up() && SERVING(0));
	FAKE(fakes[0].is_deaf = fakes[0].is_held = true);
	OK(kf_ok(call_begin(&c, KEC, 1)) && until_state(0, POOL_TOKEN_HUNG));
	struct fake stuck;
	FAKE(stuck = fakes[0]);
	pull(0);
	OK(until_state(0, POOL_TOKEN_GONE) || status_of(0).state == POOL_TOKEN_GONE);

	/* the same token in another slot */
	FAKE(fakes[1] = stuck; fakes[1].is_in = true; fakes[1].is_held = false;
		fakes[1].keys = 1 << KEC);
	FAKE(memcpy(fakes[0].serial, "OLD", 4));
	OK(until_state(1, POOL_TOKEN_SERVING));
	OK(kf_ok(call_end(&c)) && is_right(&c));
	FAKE(fakes[0].is_held = false);
	pool_down();
}

TEST(what_is_pulled_out_at_work_is_done_by_another)
{
	struct call c;
	OK(pool_with(2, 1 << KEC));
	int first = begin_held(&c, KEC);
	pull(first);
	release();

	OK(kf_ok(call_end(&c)) && is_right(&c));
	OK(until_state(first, POOL_TOKEN_GONE));
	plug(first);
	OK(SERVING(first));
	EQ(status_of(first).state, POOL_TOKEN_SERVING);
	pool_down();
}

TEST(when_all_tokens_are_away_for_a_moment_jobs_wait_for_them)
{
	struct call c[3];
	OK(pool_with(2, 1 << KEC));
	int first = begin_held(&c[0], KEC);
	OK(first >= 0);
	FAKE(fakes[0].is_in = fakes[1].is_in = false);
	OK(until_state(0, POOL_TOKEN_GONE) && until_state(1, POOL_TOKEN_GONE));
	OK(kf_ok(call_begin(&c[1], KEC, 2)));
	release();
	OK(kf_ok(call_begin(&c[2], KEC, 3)));

	plug(1);
	for (int i = 0; i < 3; i++)
		OK(kf_ok(call_end(&c[i])) && is_right(&c[i]));
	pool_down();
}

TEST(a_job_for_which_only_tokens_are_left_that_refused_it_waits_no_longer)
{
	struct call c[2];
	OK(pool_with(2, 1 << KEC));
	int first = begin_held(&c[0], KEC);
	OK(first >= 0);
	OK(kf_ok(call_begin(&c[1], KEC, 2)));
	OK(FAKE_UNTIL(fakes[!first].is_at_work));
	FAKE(fakes[first].fails = KF_E_CRYPTO; fakes[first].fails_n = 1;
		fakes[first].is_held = false);
	OK(SERVING(first)); /* c[0] waits for the other one */

	OK(kf_ok(pool_drain(pools, fakes[!first].serial)));
	OK(kf_is(call_end(&c[0]), KF_E_UNAVAILABLE));
	release();
	OK(kf_ok(call_end(&c[1])));
	pool_down();
}

TEST(nobody_waits_for_tokens_that_were_sent_away)
{
	struct call c[2];
	OK(pool_with(1, 1 << KEC));
	FAKE(fakes[0].is_held = true);
	OK(kf_ok(call_begin(&c[0], KEC, 1)) && FAKE_UNTIL(fakes[0].is_at_work));
	OK(kf_ok(call_begin(&c[1], KEC, 2)));

	OK(kf_ok(pool_drain(pools, "FAKE0")));
	OK(kf_is(call_end(&c[1]), KF_E_UNAVAILABLE));
	release();
	OK(kf_ok(call_end(&c[0]))); /* what was at work is finished */
	OK(kf_is(call(&c[1], KEC), KF_E_UNAVAILABLE));
	pool_down();
}

TEST(a_token_taken_by_another_process_is_used_once_it_is_free)
{
	fakes_reset(1, 1 << KEC);
	fakes[0].is_taken = true;
	OK(pool_up());
	static struct pool_token_status row[4];
	EQ(pool_tokens(pools, row, 4), 1);
	EQ(row[0].state, POOL_TOKEN_TAKEN);

	FAKE(fakes[0].is_taken = false);
	OK(SERVING(0));
	pool_down();
}

TEST(a_token_that_never_answers_does_not_keep_a_pool_from_closing)
{
	static struct pool *left; /* what its thread may touch stays */
	struct call c;
	fakes_reset(1, 1 << KEC);
	fake_conf.timeout_ms = 300;
	OK(pool_up() && SERVING(0));
	FAKE(fakes[0].is_deaf = fakes[0].is_held = true);
	OK(kf_ok(call_begin(&c, KEC, 1)) && until_state(0, POOL_TOKEN_HUNG));
	left = pools->pool[0];
	pthread_t thread = left->slot[0]->thread;

	pool_down();
	OK(kf_is(call_end(&c), KF_E_CLOSED));
	FAKE(fakes[0].is_held = false);
	pthread_join(thread, NULL);
	EQ(fakes[0].closes, 1);
}

TEST(a_token_that_hangs_while_it_is_closed_does_not_keep_a_pool_from_closing)
{
	static struct pool *left;
	fakes_reset(1, 1 << KEC);
	fake_conf.timeout_ms = 300;
	OK(pool_up() && SERVING(0));
	FAKE(fakes[0].holds_close = true);
	left = pools->pool[0];
	pthread_t thread = left->slot[0]->thread;

	pool_down();
	OK(FAKE_UNTIL(fakes[0].closes == 1));
	FAKE(fakes[0].holds_close = false);
	pthread_join(thread, NULL);
}

TEST(a_source_that_hangs_does_not_keep_a_pool_from_closing)
{
	static struct pool *left;
	fakes_reset(1, 1 << KEC);
	fake_conf.timeout_ms = 300;
	OK(pool_up() && SERVING(0));
	FAKE(fake_holds_watch = true);
	left = pools->pool[0];

	pool_down();
	EQ(fakes[0].closes, 1);
	FAKE(fake_holds_watch = false);
	pthread_join(left->watch[0].thread, NULL);
}

TEST(a_token_that_answers_after_its_pool_was_closed_gets_no_pin)
{
	static struct pool *left;
	fakes_reset(1, 1 << KEC);
	fake_conf.timeout_ms = 300;
	fakes[0].holds_open = true;
	OK(kf_ok(pools_open(&fake_conf, 1, &pools)));
	OK(FAKE_UNTIL(fakes[0].opens == 1));
	left = pools->pool[0];
	pthread_t thread = left->slot[0]->thread;

	pool_down(); /* its owner may wipe the PIN now */
	FAKE(fakes[0].holds_open = false);
	pthread_join(thread, NULL);
	EQ(fakes[0].logins, 0);
	EQ(fakes[0].closes, 1);
}

/* ---- many at once ---- */

enum { CALLERS = 4, CALLS = 60 };

static void *be_caller(void *arg)
{
	unsigned *bad = arg;
	struct call *c = calloc(1, sizeof(*c));
	for (int i = 0; i < CALLS; i++) {
		kf_err e = call(c, i % 4 ? KEC : KRSA);
		*bad += !kf_ok(e) || !is_right(c);
	}
	free(c);
	return NULL;
}

TEST(no_call_fails_while_tokens_fail_sign_wrongly_and_are_replugged)
{
	pthread_t thread[CALLERS];
	unsigned bad[CALLERS] = { 0 }, at = 0;
	OK(pool_with(4, 1 << KEC | 1 << KRSA));
	for (int i = 0; i < CALLERS; i++)
		OK(!pthread_create(&thread[i], NULL, be_caller, &bad[i]));

	for (int round = 0; round < 12; round++) {
		int i = round % 3; /* one stays well */
		FAKE(at = fakes[3].signs + 2);
		switch (round / 3) {
		case 0: FAKE(fakes[i].fails = KF_E_TOKEN; fakes[i].fails_n = 2); break;
		case 1: pull(i); break;
		case 2: FAKE(fakes[i].wrong_n = 1); break;
		default: FAKE(fakes[i].fails = KF_E_CRYPTO; fakes[i].fails_n = 2);
		}
		FAKE_UNTIL(fakes[3].signs >= at);
		plug(i);
		OK(kf_ok(pool_resume(pools, fakes[i].serial)));
	}
	for (int i = 0; i < CALLERS; i++) {
		pthread_join(thread[i], NULL);
		EQ(bad[i], 0);
	}
	pool_down();
}

TEST_MAIN
