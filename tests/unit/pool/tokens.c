/* SPDX-License-Identifier: Apache-2.0 */
#include "fake.h"

#define SERVING(i) until_state(i, POOL_TOKEN_SERVING)

static struct pool_token_status row[8];

TEST(every_token_has_a_row_those_that_are_gone_too)
{
	struct call c;
	OK(pool_with(3, 1 << KEC));
	EQ(pool_tokens(pools, row, 8), 3);
	OK(kf_ok(call(&c, KEC)));
	pull(1);
	OK(until_state(1, POOL_TOKEN_GONE));

	EQ(pool_tokens(pools, row, 8), 3);
	EQ(pool_tokens(pools, row, 1), 3);
	EQ(status_of(1).state, POOL_TOKEN_GONE);
	OK(!strcmp(status_of(0).pool, "pool"));
	OK(!strcmp(status_of(0).facts.label, "label0"));
	EQ(status_of(0).keys, 1);
	EQ(status_of(0).signatures + status_of(1).signatures + status_of(2).signatures,
		1);
	pool_down();
}

TEST(keys_know_their_holders)
{
	struct pool_key_status key[4];
	char holder[4][TOKEN_SERIAL_SIZE];
	fakes_reset(2, 1 << KEC);
	fakes[0].keys |= 1 << KRSA;
	OK(pool_up());

	EQ(pool_keys(pools, "pool", key, 4), 2);
	for (int i = 0; i < 2; i++) {
		EQ(key[i].holders, key[i].alg->id == ALG_P256 ? 2 : 1);
		EQ(key[i].serving, key[i].holders);
	}
	EQ(pool_key_holders(pools, "pool", fake_keys[KRSA].soft->id, holder, 4), 1);
	OK(!strcmp(holder[0], "FAKE0"));
	EQ(pool_keys(pools, "no such pool", key, 4), 0);
	EQ(pool_key_serving(pools, "pool", fake_keys[KEC].soft->id), 2);
	EQ(pool_key_serving(pools, "pool", fake_keys[KRSA].soft->id), 1);
	EQ(pool_key_serving(pools, "pool", fake_keys[KED].soft->id), 0);
	EQ(pool_key_serving(pools, "no such pool", fake_keys[KEC].soft->id), 0);
	pull(0);
	OK(until_state(0, POOL_TOKEN_GONE));
	EQ(pool_keys(pools, "pool", key, 4), 1);
	EQ(pool_key_holders(pools, "pool", fake_keys[KRSA].soft->id, holder, 4), 0);
	EQ(pool_key_serving(pools, "pool", fake_keys[KEC].soft->id), 1);
	pool_down();
}

TEST(what_waits_is_counted_over_all_keys)
{
	struct call c[3];
	OK(pool_with(1, 1 << KEC | 1 << KRSA));
	EQ(pool_waiting(pools, "pool"), 0);
	FAKE(fakes[0].is_held = true);
	OK(kf_ok(call_begin(&c[0], KEC, 1)) && FAKE_UNTIL(fakes[0].is_at_work));
	OK(kf_ok(call_begin(&c[1], KEC, 1)) && kf_ok(call_begin(&c[2], KRSA, 1)));

	EQ(pool_waiting(pools, "pool"), 2);
	EQ(pool_waiting(pools, "no such pool"), 0);

	FAKE(fakes[0].is_held = false);
	for (int i = 0; i < 3; i++)
		OK(kf_ok(call_end(&c[i])));
	pool_down();
}

TEST(a_drained_token_takes_no_jobs_over_replugs_until_it_is_resumed)
{
	struct call c;
	OK(pool_with(2, 1 << KEC));
	OK(kf_ok(pool_drain(pools, "FAKE0")));
	EQ(status_of(0).state, POOL_TOKEN_DRAINED);
	pull(0);
	OK(until_state(0, POOL_TOKEN_GONE));
	plug(0);
	OK(until_state(0, POOL_TOKEN_DRAINED));
	for (int i = 0; i < 4; i++) {
		OK(kf_ok(call(&c, KEC)));
		OK(!strcmp(c.job.token, "FAKE1"));
	}
	EQ(status_of(0).keys, 1); /* still a holder */

	OK(kf_ok(pool_resume(pools, "FAKE0")));
	OK(SERVING(0));
	OK(kf_is(pool_drain(pools, "nobody"), KF_E_NOT_FOUND));
	OK(kf_is(pool_resume(pools, "nobody"), KF_E_NOT_FOUND));
	pool_down();
}

/* ---- PIN ---- */

TEST(a_wrong_pin_costs_one_try_once)
{
	fakes_reset(1, 1 << KEC);
	fakes[0].refuses_pin = true;
	OK(pool_up());
	OK(until_state(0, POOL_TOKEN_PIN));

	pull(0);
	OK(until_state(0, POOL_TOKEN_GONE));
	plug(0);
	OK(until_state(0, POOL_TOKEN_PIN));
	EQ(fakes[0].logins, 1);
	EQ(fakes[0].tries, 9);
	pool_down();
}

TEST(a_person_may_have_a_refused_pin_tried_once_more)
{
	fakes_reset(1, 1 << KEC);
	fakes[0].refuses_pin = true;
	OK(pool_up() && until_state(0, POOL_TOKEN_PIN));

	OK(kf_ok(pool_resume(pools, "FAKE0")));
	OK(FAKE_UNTIL(fakes[0].logins == 2));
	OK(until_state(0, POOL_TOKEN_PIN));
	EQ(fakes[0].tries, 8);
	FAKE(fakes[0].refuses_pin = false);
	OK(kf_ok(pool_resume(pools, "FAKE0")));
	OK(SERVING(0));
	EQ(pools_refusals(pools, NULL, 0), 0);
	pool_down();
}

TEST(a_pin_that_was_refused_in_an_earlier_life_is_not_tried)
{
	static const struct pool_refusal known[] = { { .serial = "FAKE0" } };
	struct pool_refusal refusal[4];
	fakes_reset(2, 1 << KEC);
	fake_conf.refused = known;
	fake_conf.refused_n = 1;
	OK(pool_up());

	OK(until_state(0, POOL_TOKEN_PIN) && SERVING(1));
	EQ(fakes[0].logins, 0);
	EQ(pools_refusals(pools, refusal, 4), 1);
	OK(!strcmp(refusal[0].serial, "FAKE0") && refusal[0].pin == &fake_pin);
	pool_down();
}

TEST(a_pin_whose_answer_was_lost_is_sent_again_only_if_no_try_is_gone)
{
	for (unsigned wrong = 0; wrong < 2; wrong++) {
		fakes_reset(1, 1 << KEC);
		fakes[0].refuses_pin = wrong;
		fakes[0].lost_n = 1;
		OK(pool_up());
		OK(until_state(0, wrong ? POOL_TOKEN_PIN : POOL_TOKEN_SERVING));
		EQ(fakes[0].logins, 2 - wrong);
		EQ(fakes[0].tries, 10 - wrong);
		pull(0);
		OK(until_state(0, POOL_TOKEN_GONE));
		plug(0);
		OK(until_state(0, wrong ? POOL_TOKEN_PIN : POOL_TOKEN_SERVING));
		EQ(fakes[0].logins, wrong ? 1 : 3);
		FAKE(fakes[0].refuses_pin = false); /* it was pulled, not wrong */
		OK(kf_ok(pool_resume(pools, "FAKE0")));
		OK(SERVING(0));
		pool_down();
	}
}

/* What the counter of the token says decides, also in the next life. */
TEST(a_pin_whose_answer_was_lost_in_an_earlier_life_is_sent_again_only_if_no_try_is_gone)
{
	static const struct pool_refusal known[] = { { .serial = "FAKE0", .asked = 10 } };
	struct pool_refusal now[4];
	for (int gone = 0; gone < 2; gone++) {
		fakes_reset(1, 1 << KEC);
		fakes[0].tries = 10 - gone;
		fake_conf.refused = known;
		fake_conf.refused_n = 1;
		OK(pool_up());
		OK(until_state(0, gone ? POOL_TOKEN_PIN : POOL_TOKEN_SERVING));
		EQ(fakes[0].logins, !gone);
		EQ(pools_refusals(pools, now, 4), gone);

		FAKE(fakes[0].tries = 10); /* given back, by whomever */
		pull(0);
		OK(until_state(0, POOL_TOKEN_GONE));
		plug(0);
		OK(until_state(0, gone ? POOL_TOKEN_PIN : POOL_TOKEN_SERVING));
		EQ(fakes[0].logins, gone ? 0 : 2);
		pool_down();
	}
}

TEST(a_pin_whose_answer_one_pool_lost_is_not_sent_by_another)
{
	fakes_reset(1, 1 << KEC);
	fakes[0].refuses_pin = fakes[0].is_exclusive = true;
	fakes[0].lost_n = 1;
	struct pool_conf two[] = { fake_conf, fake_conf };
	two[1].name = "other";
	OK(kf_ok(pools_open(two, 2, &pools)));

	OK(FAKE_UNTIL(fakes[0].closes >= 3)); /* the first one tried to open it anew */
	EQ(fakes[0].logins, 1);
	EQ(fakes[0].tries, 9);
	pool_down();
}

struct kept {
	unsigned calls, logins; /* that there were by then */
	struct pool_refusal last;
};

static void keep(void *arg, struct pools *p)
{
	struct kept *k = arg;
	FAKE_LOCK();
	k->calls++;
	k->logins = fakes[0].logins;
	FAKE_UNLOCK();
	(void)pools_refusals(p, &k->last, 1);
}

TEST(a_pin_is_written_down_before_it_is_sent)
{
	struct kept kept = { 0 };
	fakes_reset(1, 1 << KEC);
	fake_conf.remember = keep;
	fake_conf.remember_arg = &kept;
	OK(pool_up() && SERVING(0));

	EQ(kept.calls, 1);
	EQ(kept.logins, 0);
	OK(!strcmp(kept.last.serial, "FAKE0") && kept.last.pin == &fake_pin);
	EQ(kept.last.asked, 10);
	EQ(pools_refusals(pools, NULL, 0), 0); /* it was right */
	pool_down();
}

TEST(a_login_that_was_renewed_and_lost_is_not_tried_again)
{
	struct call c;
	OK(pool_with(1, 1 << KEC) && SERVING(0));
	FAKE(fakes[0].renewals_lost = 1); /* with a PIN that was changed meanwhile */

	kf_err e = call(&c, KEC);

	OK(!kf_ok(e));
	OK(until_state(0, POOL_TOKEN_PIN));
	EQ(fakes[0].logins, 1);
	EQ(fakes[0].tries, 9);
	pool_down();
}

TEST(a_login_that_is_lost_for_good_while_keys_are_proved_is_remembered)
{
	fakes_reset(1, 1 << KEC);
	fakes[0].fails = KF_E_AUTH; /* with a PIN that was changed meanwhile */
	fakes[0].fails_n = 1;
	OK(pool_up());
	OK(until_state(0, POOL_TOKEN_PIN));

	pull(0);
	OK(until_state(0, POOL_TOKEN_GONE));
	plug(0);
	OK(until_state(0, POOL_TOKEN_PIN));
	EQ(fakes[0].logins, 1);
	pool_down();
}

static kf_err refuse(const struct token_driver *driver, struct token *t, void *arg)
{
	(void)driver, (void)t, (void)arg;
	return kf_fail(AUTH, "nobody is logged in");
}

static kf_err do_nothing(const struct token_driver *driver, struct token *t, void *arg)
{
	(void)driver, (void)t, (void)arg;
	return KF_OK;
}

TEST(no_task_but_a_new_pin_has_the_pin_tried_again)
{
	fakes_reset(1, 1 << KEC);
	fakes[0].refuses_pin = true;
	OK(pool_up() && until_state(0, POOL_TOKEN_PIN));
	struct pool_task task = {
		.serial = "FAKE0", .task = "x", .changes = true, .run = refuse
	};
	OK(kf_is(pool_run(pools, &task), KF_E_AUTH));
	task.gives_pin = true; /* and fails */
	OK(kf_is(pool_run(pools, &task), KF_E_AUTH));
	EQ(fakes[0].logins, 1);
	EQ(fakes[0].tries, 9);

	FAKE(fakes[0].refuses_pin = false);
	task.run = do_nothing;
	OK(kf_ok(pool_run(pools, &task)));
	OK(SERVING(0));
	EQ(fakes[0].logins, 2);
	pool_down();
}

TEST(a_pin_that_one_pool_tried_in_vain_is_not_tried_by_another)
{
	fakes_reset(1, 1 << KEC);
	fakes[0].refuses_pin = fakes[0].is_exclusive = true;
	struct pool_conf two[] = { fake_conf, fake_conf };
	two[1].name = "other";
	OK(kf_ok(pools_open(two, 2, &pools)));

	OK(FAKE_UNTIL(fakes[0].closes == 2)); /* each had it and let it go */
	EQ(fakes[0].logins, 1);
	EQ(fakes[0].tries, 9);
	pool_down();
}

TEST(a_token_with_two_tries_left_is_left_alone_until_a_person_gave_it_more)
{
	fakes_reset(1, 1 << KEC);
	fakes[0].tries = 2;
	OK(pool_up());
	OK(until_state(0, POOL_TOKEN_PIN));
	EQ(fakes[0].tries, 2);

	FAKE(fakes[0].tries = 10);
	OK(kf_ok(pool_resume(pools, "FAKE0")));
	OK(SERVING(0));
	pool_down();
}

TEST(without_a_pin_keys_are_listed_and_not_used)
{
	struct call c;
	fakes_reset(1, 1 << KEC);
	fake_conf.pin = NULL;
	OK(pool_up());
	EQ(fakes[0].logins, 0);
	EQ(status_of(0).keys, 1);
	EQ(fakes[0].signs, 0);
	OK(kf_is(call(&c, KEC), KF_E_UNAVAILABLE));
	pool_down();
}

/* ---- selection ---- */

TEST(only_selected_tokens_are_used_and_the_others_are_let_go)
{
	static const char *const chosen[] = { "FAKE1", "label2" };
	fakes_reset(4, 1 << KEC);
	fake_conf.tokens = chosen;
	fake_conf.tokens_n = 2;
	OK(pool_up());

	EQ(pool_tokens(pools, row, 8), 2);
	EQ(status_of(1).state, POOL_TOKEN_SERVING);
	EQ(status_of(2).state, POOL_TOKEN_SERVING);
	for (int i = 0; i < 4; i += 3) {
		EQ(fakes[i].logins, 0);
		EQ(fakes[i].lists, 0);
		OK(FAKE_UNTIL(fakes[i].closes == 1));
		EQ(fakes[i].opens, 1);
	}
	pool_down();
}

TEST(a_label_that_fits_two_tokens_selects_neither)
{
	static const char *const chosen[] = { "label0", "FAKE2" };
	fakes_reset(4, 1 << KEC);
	memcpy(fakes[1].label, "label0", 7);
	fake_conf.tokens = chosen;
	fake_conf.tokens_n = 2;
	OK(pool_up());
	unsigned n = 0;
	EQ(pool_tokens(pools, row, 8), 3);
	for (int i = 0; i < 3; i++)
		n += row[i].state == POOL_TOKEN_AMBIGUOUS;
	EQ(n, 2);
	EQ(fakes[0].logins + fakes[1].logins, 0);
	EQ(status_of(2).state, POOL_TOKEN_SERVING);
	/* Before that one may still wait for the other's label, and is then never closed. */
	OK(FAKE_UNTIL(fakes[0].closes == 1 && fakes[1].closes == 1));

	pull(1);
	OK(SERVING(0));
	plug(1);
	OK(until_state(1, POOL_TOKEN_GONE)); /* it has no card */
	struct call c;
	OK(FAKE_UNTIL(fakes[0].closes == 2));
	OK(kf_ok(call(&c, KEC)));
	OK(!strcmp(c.job.token, "FAKE2"));
	pool_down();
}

/* Two pcscds, of which one is slow to say what is plugged in at it. */
TEST(a_label_is_not_settled_before_every_source_has_been_looked_at)
{
	static const char *const chosen[] = { "label0" };
	static const char *const sockets[] = { "one", "two" };
	for (int is_twice = 0; is_twice < 2; is_twice++) {
		fakes_reset(2, 1 << KEC);
		memcpy(fakes[0].socket, "one", 4);
		memcpy(fakes[1].socket, "two", 4);
		if (is_twice)
			memcpy(fakes[1].label, "label0", 7);
		fake_conf.tokens = chosen;
		fake_conf.tokens_n = 1;
		fake_conf.sockets = sockets;
		fake_conf.sockets_n = 2;
		memcpy(fake_held_socket, "two", 4);
		OK(kf_ok(pools_open(&fake_conf, 1, &pools)));
		OK(FAKE_UNTIL(fakes[0].opens));
		OK(kf_is(pools_wait(pools, 100), KF_E_TIMEOUT));
		EQ(fakes[0].logins, 0);

		FAKE(fake_held_socket[0] = 0);
		OK(kf_ok(pools_wait(pools, PATIENCE_MS)));

		EQ(fakes[0].logins, !is_twice);
		EQ(fakes[1].logins, 0);
		pool_down();
	}
}

TEST(a_source_that_comes_up_later_with_the_same_label_has_both_left_alone)
{
	static const char *const chosen[] = { "label0" };
	static const char *const sockets[] = { "one", "two" };
	fakes_reset(1, 1 << KEC);
	memcpy(fakes[0].socket, "one", 4);
	memcpy(fakes[1].socket, "two", 4);
	memcpy(fakes[1].label, "label0", 7);
	fake_conf.tokens = chosen;
	fake_conf.tokens_n = 1;
	fake_conf.sockets = sockets;
	fake_conf.sockets_n = 2;
	OK(pool_up() && SERVING(0));

	plug(1);

	OK(FAKE_UNTIL(fakes[0].closes && fakes[1].closes));
	EQ(fakes[1].logins, 0);
	OK(kf_is(pool_submit(pools,
			 &(struct pool_job){
				 .sign = &(struct sign_job){ .key = keys[KEC],
					 .mech = mech_get(MECH_ECDSA_SHA256) } }),
		KF_E_UNAVAILABLE));
	pool_down();
}

TEST(two_tokens_with_one_serial_number_are_not_taken_for_one)
{
	fakes_reset(1, 1 << KEC);
	OK(pool_up() && SERVING(0));
	memcpy(fakes[1].serial, "FAKE0", 6);
	plug(1);
	OK(FAKE_UNTIL(fakes[1].closes == 1));
	EQ(pool_tokens(pools, row, 8), 2);
	EQ((row[0].state == POOL_TOKEN_AMBIGUOUS) +
			(row[1].state == POOL_TOKEN_AMBIGUOUS),
		1);
	EQ(fakes[1].logins, 0);

	pull(0);
	OK(FAKE_UNTIL(fakes[1].signs == 1));
	OK(until_state(1, POOL_TOKEN_SERVING));
	pool_down();
}

/* ---- tasks ---- */

static kf_err give_key(const struct token_driver *driver, struct token *t, void *arg)
{
	(void)driver;
	FAKE(t->f->keys |= 1 << *(int *)arg; t->f->is_blank = false);
	fake_fill_facts(t);
	return KF_OK;
}

static kf_err break_down(const struct token_driver *driver, struct token *t, void *arg)
{
	(void)driver, (void)t, (void)arg;
	return kf_fail(TOKEN, "pulled out while generating");
}

TEST(what_a_task_changes_is_seen_at_once_and_proved)
{
	struct call c;
	int key = KRSA;
	OK(pool_with(1, 1 << KEC));
	struct pool_task task = { .serial = "FAKE0",
		.task = "generating",
		.changes = true,
		.run = give_key,
		.arg = &key };
	unsigned signs = fakes[0].signs;

	OK(kf_ok(pool_run(pools, &task)));
	OK(SERVING(0));
	EQ(status_of(0).keys, 2);
	EQ(fakes[0].signs, signs + 1); /* the other key was proved before */
	OK(kf_ok(call(&c, KRSA)) && is_right(&c));
	pool_down();
}

TEST(a_blank_token_can_be_initialised_by_a_task)
{
	int key = KEC;
	fakes_reset(1, 0);
	fakes[0].is_blank = true;
	OK(pool_up());
	EQ(status_of(0).state, POOL_TOKEN_BLANK);
	EQ(fakes[0].logins, 0);
	struct pool_task task = { .serial = "FAKE0",
		.task = "initialising",
		.changes = true,
		.run = give_key,
		.arg = &key };
	OK(kf_ok(pool_run(pools, &task)));
	OK(SERVING(0));
	pool_down();
}

TEST(a_task_that_breaks_the_token_has_it_opened_anew)
{
	OK(pool_with(1, 1 << KEC));
	struct pool_task task = { .serial = "FAKE0", .task = "x", .run = break_down };
	OK(kf_is(pool_run(pools, &task), KF_E_TOKEN));
	OK(FAKE_UNTIL(fakes[0].opens == 2));
	OK(SERVING(0));
	pool_down();
}

static kf_err sign_for_long(const struct token_driver *driver, struct token *t, void *arg)
{
	struct sign_job *job = arg;
	return driver->sign(t, KEC + 1, job);
}

static void *run_long(void *arg)
{
	static struct call c;
	call_sign_init(&c, KEC, 1);
	const struct pool_task task = {
		.serial = "FAKE0", .task = "x", .run = sign_for_long, .arg = &c.sign
	};
	*(kf_err *)arg = pool_run(pools, &task);
	return NULL;
}

TEST(a_task_that_hangs_is_cut_off_by_who_wants_to_close)
{
	pthread_t thread;
	kf_err e = KF_OK;
	OK(pool_with(1, 1 << KEC));
	OK(SERVING(0));
	FAKE(fakes[0].is_held = true);
	OK(!pthread_create(&thread, NULL, run_long, &e));
	OK(FAKE_UNTIL(fakes[0].is_at_work));

	pools_interrupt(pools);
	pthread_join(thread, NULL);

	OK(kf_is(e, KF_E_TOKEN));
	EQ(fakes[0].interrupts, 1);
	pool_down();
}

TEST(tasks_are_refused_where_they_cannot_be)
{
	int key = KRSA;
	fakes_reset(1, 1 << KEC);
	fake_conf.is_read_only = true;
	OK(pool_up());
	struct pool_task task = { .serial = "FAKE0",
		.task = "x",
		.changes = true,
		.run = give_key,
		.arg = &key };
	OK(kf_is(pool_run(pools, &task), KF_E_READ_ONLY));
	task.serial = "nobody";
	OK(kf_is(pool_run(pools, &task), KF_E_NOT_FOUND));
	task.serial = "FAKE0";
	task.changes = false;
	pull(0);
	OK(until_state(0, POOL_TOKEN_GONE));
	OK(kf_is(pool_run(pools, &task), KF_E_UNAVAILABLE));
	EQ(fakes[0].keys, 1 << KEC);
	pool_down();
}

TEST(a_drained_token_is_let_go_and_taken_for_tasks_only)
{
	int key = KRSA;
	OK(pool_with(1, 1 << KEC));
	struct pool_task task = { .serial = "FAKE0",
		.task = "x",
		.changes = true,
		.run = give_key,
		.arg = &key };
	OK(kf_ok(pool_drain(pools, "FAKE0")));
	OK(FAKE_UNTIL(fakes[0].closes == 1));
	EQ(status_of(0).keys, 1);

	OK(kf_ok(pool_run(pools, &task)));
	OK(FAKE_UNTIL(fakes[0].opens == 2 && fakes[0].closes == 2));
	OK(until_state(0, POOL_TOKEN_DRAINED));
	EQ(status_of(0).keys, 2);
	FAKE(fakes[0].is_taken = true); /* by another program */
	OK(kf_is(pool_run(pools, &task), KF_E_DENIED));
	EQ(status_of(0).state, POOL_TOKEN_DRAINED);

	FAKE(fakes[0].is_taken = false);
	OK(kf_ok(pool_resume(pools, "FAKE0")));
	OK(SERVING(0));
	struct call c;
	OK(kf_ok(call(&c, KRSA)) && is_right(&c));
	pool_down();
	EQ(fakes[0].opens, fakes[0].closes + 1); /* the one that was denied */
}

TEST(a_token_that_was_let_go_and_cannot_be_taken_again_is_opened_anew)
{
	int key = KRSA;
	OK(pool_with(1, 1 << KEC));
	struct pool_task task = { .serial = "FAKE0",
		.task = "x",
		.changes = true,
		.run = give_key,
		.arg = &key };
	OK(kf_ok(pool_drain(pools, "FAKE0")));
	OK(FAKE_UNTIL(fakes[0].closes == 1));
	FAKE(fakes[0].open_fails = KF_E_UNSUPPORTED); /* another kind of card is there */
	OK(kf_is(pool_run(pools, &task), KF_E_UNSUPPORTED));
	EQ(fakes[0].keys, 1 << KEC);

	FAKE(fakes[0].open_fails = KF_E_NONE);
	OK(until_state(0, POOL_TOKEN_DRAINED));
	OK(kf_ok(pool_run(pools, &task)));
	pool_down();
}

struct asked {
	struct pool_task task;
	kf_err err;
	bool is_done;
};

static void *ask(void *arg)
{
	struct asked *a = arg;
	kf_err e = pool_run(pools, &a->task);
	FAKE(a->err = e; a->is_done = true);
	return NULL;
}

TEST(a_task_for_a_token_that_hangs_is_refused)
{
	struct call c;
	pthread_t thread;
	struct asked a = { .task = {
				   .serial = "FAKE0", .task = "x", .run = do_nothing } };
	fakes_reset(1, 1 << KEC);
	fake_conf.timeout_ms = 400;
	OK(pool_up() && SERVING(0));
	FAKE(fakes[0].is_deaf = fakes[0].is_held = true);
	OK(kf_ok(call_begin(&c, KEC, 1)) && FAKE_UNTIL(fakes[0].is_at_work));
	OK(!pthread_create(&thread, NULL, ask, &a));
	bool is_answered = FAKE_UNTIL(a.is_done);

	FAKE(fakes[0].is_held = false);
	pthread_join(thread, NULL);
	OK(is_answered);
	OK(kf_is(a.err, KF_E_UNAVAILABLE));
	OK(FAKE_UNTIL(c.done == 1)); /* in time or not */
	pool_down();
}

static kf_err wait_for_hold(const struct token_driver *driver, struct token *t, void *arg)
{
	(void)driver, (void)arg;
	FAKE(t->f->is_at_work = true);
	return FAKE_UNTIL(!t->f->is_held) ? KF_OK : kf_fail(INTERNAL, "never");
}

static void *run_task(void *arg)
{
	struct pool_task task = {
		.serial = arg, .task = "counting", .run = wait_for_hold
	};
	return pool_run(pools, &task).code ? arg : NULL;
}

TEST(while_a_token_is_at_a_task_the_others_serve)
{
	struct call c;
	pthread_t thread;
	void *bad = NULL;
	char serial[] = "FAKE0";
	OK(pool_with(2, 1 << KEC));
	OK(SERVING(0) && SERVING(1));
	FAKE(fakes[0].is_held = true);
	OK(!pthread_create(&thread, NULL, run_task, serial));

	bool is_seen =
		FAKE_UNTIL(fakes[0].is_at_work) && !strcmp(status_of(0).task, "counting");
	for (int i = 0; i < 4; i++)
		is_seen =
			is_seen && kf_ok(call(&c, KEC)) && !strcmp(c.job.token, "FAKE1");
	FAKE(fakes[0].is_held = false);
	pthread_join(thread, &bad);
	OK(is_seen && !bad);
	pool_down();
}

TEST(a_task_that_hangs_is_given_up_after_half_an_hour)
{
	struct call c;
	pthread_t thread;
	char serial[] = "FAKE0";
	OK(pool_with(1, 1 << KEC) && SERVING(0));
	struct pool *p = pools->pool[0];
	FAKE(fakes[0].is_held = true);
	OK(!pthread_create(&thread, NULL, run_task, serial));
	bool is_begun = FAKE_UNTIL(fakes[0].is_at_work);
	clock_turn(INT64_C(1801) * 1000000000, 0);
	pthread_mutex_lock(&p->lock);
	keeper_arm(p, 0);
	pthread_mutex_unlock(&p->lock);
	bool is_given_up = FAKE_UNTIL(fakes[0].interrupts == 1);

	FAKE(fakes[0].is_held = false);
	pthread_join(thread, NULL);
	OK(is_begun && is_given_up);
	OK(SERVING(0)); /* it came to its end after all */
	OK(kf_ok(call(&c, KEC)) && is_right(&c));
	pool_down();
}

TEST_MAIN
