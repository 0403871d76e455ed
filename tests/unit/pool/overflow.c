/* SPDX-License-Identifier: Apache-2.0 */
#include "fake.h"

/* The key's handle gets a copy in software. */
static bool up_with_copy(void)
{
	if (!pool_up())
		return false;
	struct pool_key k = { .pool = "pool",
		.spki = soft_key_spki(fake_keys[KEC].soft),
		.overflow = fake_keys[KEC].soft };
	token_key_put(keys[KEC]);
	keys[KEC] = NULL;
	return kf_ok(pool_key_new(&k, &keys[KEC]));
}

/* And the pool may use it. */
static bool pool_that_overflows(int n, unsigned overflow_ms)
{
	fakes_reset(n, 1 << KEC);
	fake_conf.overflow_ms = overflow_ms;
	return up_with_copy();
}

TEST(a_token_that_is_free_comes_first)
{
	struct call c;
	OK(pool_that_overflows(1, 1000));

	OK(kf_ok(call(&c, KEC)));

	OK(is_right(&c) && !strcmp(c.job.token, "FAKE0"));
	OK(pool_key_overflow(keys[KEC]) == fake_keys[KEC].soft);
	pool_down();
}

TEST(without_any_token_it_overflows_at_once)
{
	struct call c;
	OK(pool_that_overflows(1, 60000));
	pull(0);
	OK(until_state(0, POOL_TOKEN_GONE));

	kf_err e = call_begin(&c, KEC, 1);

	OK(kf_is(e, KF_E_UNAVAILABLE) && c.job.overflows);
	EQ(pool_expected_wait_ns(pools, keys[KEC]), 60000ull * 1000000);
	pool_down();
}

struct waiter {
	struct call call;
	kf_err submitted;
};

static void *wait_for_token(void *arg)
{
	struct waiter *w = arg;
	w->submitted = pool_submit_and_wait(pools, &w->call.job);
	return NULL;
}

/* Whoever waits himself has no use for software. */
TEST(who_waits_himself_waits_for_a_token)
{
	struct waiter w = { 0 };
	pthread_t thread;
	OK(pool_that_overflows(1, 10));
	OK(until_state(0, POOL_TOKEN_SERVING));
	pull(0);
	OK(until_state(0, POOL_TOKEN_GONE));
	call_sign_init(&w.call, KEC, 1);

	OK(pthread_create(&thread, NULL, wait_for_token, &w) == 0);
	plug(0);
	pthread_join(thread, NULL);

	OK(kf_ok(w.submitted) && kf_ok(w.call.sign.err) && is_right(&w.call));
	OK(!strcmp(w.call.job.token, "FAKE0") && !w.call.job.overflows);
	pool_down();
}

TEST(who_waits_himself_is_told_at_once_that_nobody_has_the_key)
{
	struct call c;
	OK(pool_with(1, 1 << KRSA));
	call_sign_init(&c, KEC, 1);
	OK(kf_is(pool_submit_and_wait(pools, &c.job), KF_E_UNAVAILABLE));
	OK(kf_is(pool_submit_and_wait(NULL, &c.job), KF_E_UNAVAILABLE));
	pool_down();
}

TEST(what_waits_for_too_long_overflows)
{
	struct call first, second;
	OK(pool_that_overflows(1, 10));
	OK(until_state(0, POOL_TOKEN_SERVING));
	FAKE(fakes[0].is_held = true);
	call_sign_init(&first, KEC, 1);
	first.sign.key = keys[KEC];
	OK(kf_ok(pool_submit(pools, &first.job)));
	OK(FAKE_UNTIL(fakes[0].is_at_work));

	kf_err e = call_begin(&second, KEC, 2);
	if (kf_ok(e))
		e = call_end(&second);

	OK(kf_is(e, KF_E_BUSY) && second.job.overflows);
	FAKE(fakes[0].is_held = false);
	OK(kf_ok(call_end(&first)));
	pool_down();
}

TEST(what_fails_on_every_token_overflows)
{
	struct call c;
	OK(pool_that_overflows(2, 60000));
	OK(until_state(0, POOL_TOKEN_SERVING) && until_state(1, POOL_TOKEN_SERVING));
	FAKE(for (int i = 0; i < 2; i++) {
		fakes[i].fails = KF_E_TOKEN;
		fakes[i].fails_n = 100;
		fakes[i].signs = 0;
	});

	kf_err e = call(&c, KEC);

	OK(kf_is(e, KF_E_TOKEN) && c.job.overflows && !c.job.is_once);
	EQ(c.job.tries, 2); /* each was asked, and none is waited for */
	OK(fakes[0].signs && fakes[1].signs);
	pool_down();
}

/* ---- keys that count their uses ---- */

static bool is_counted(const struct call *c)
{
	return c->job.is_once && !c->job.overflows;
}

TEST(a_key_that_counts_its_uses_never_overflows)
{
	struct call c, waiting;
	fakes_reset(1, 1 << KEC);
	fake_conf.overflow_ms = 10;
	fakes[0].counting = 1 << KEC;
	OK(up_with_copy());
	OK(pool_key_counts(pools, "pool", keys[KEC]->id));
	OK(!pool_key_counts(pools, "pool", keys[KRSA]->id));
	OK(!pool_key_counts(pools, "none", keys[KEC]->id));
	OK(until_state(0, POOL_TOKEN_SERVING));
	FAKE(fakes[0].is_held = true);
	OK(kf_ok(call_begin(&c, KEC, 1)) && is_counted(&c));
	OK(FAKE_UNTIL(fakes[0].is_at_work));

	OK(kf_ok(call_begin(&waiting, KEC, 2)) && is_counted(&waiting));
	OK(pool_expected_wait_ns(pools, keys[KEC]) > 10ull * 1000000);
	clock_turn(100ll * 1000000, 0); /* ten times what others wait */
	FAKE(fakes[0].is_held = false);
	OK(kf_ok(call_end(&c)) && kf_ok(call_end(&waiting)));
	OK(!strcmp(waiting.job.token, "FAKE0"));
	pool_down();
}

TEST(that_a_key_counts_its_uses_is_not_forgotten_with_its_token)
{
	struct call c;
	fakes_reset(1, 1 << KEC);
	fake_conf.overflow_ms = 10;
	fakes[0].counting = 1 << KEC;
	OK(up_with_copy());
	pull(0);
	OK(until_state(0, POOL_TOKEN_GONE));
	clock_turn(3600ll * 1000000000, 0);
	FAKE(fakes[1].keys = 1 << KRSA);
	plug(1); /* a new key: those that nobody needs make room */
	OK(until_state(1, POOL_TOKEN_SERVING));

	OK(kf_is(call_begin(&c, KEC, 1), KF_E_UNAVAILABLE) && is_counted(&c));
	OK(pool_key_counts(pools, "pool", keys[KEC]->id));
	autobuf spki = buf_new(SPKI_MAX);
	OK(kf_is(pool_find_spki(pools, "pool", keys[KEC]->id, &spki), KF_E_NOT_FOUND));

	fakes[0].counting = 0; /* says its token now */
	plug(0);
	OK(until_state(0, POOL_TOKEN_SERVING));
	FAKE(fakes[0].fails = KF_E_TOKEN; fakes[0].fails_n = 1);
	OK(kf_is(call(&c, KEC), KF_E_TOKEN) && is_counted(&c));
	EQ(c.job.tries, 1);
	pool_down();
}

TEST(a_token_that_counts_makes_the_key_of_all_tokens_one_that_counts)
{
	struct call c[3];
	OK(pool_that_overflows(1, 60000));
	OK(until_state(0, POOL_TOKEN_SERVING));
	FAKE(fakes[0].is_held = fakes[1].is_held = true);
	OK(kf_ok(call_begin(&c[0], KEC, 1)) && c[0].job.overflows);
	OK(FAKE_UNTIL(fakes[0].is_at_work));
	OK(kf_ok(call_begin(&c[1], KEC, 2)) && kf_ok(call_begin(&c[2], KEC, 3)));
	OK(c[2].job.overflows);

	fakes[1].counting = 1 << KEC;
	plug(1);

	OK(FAKE_UNTIL(fakes[1].is_at_work));
	pthread_mutex_lock(&pools->pool[0]->lock);
	bool is_told = is_counted(&c[2]); /* while it waits */
	pthread_mutex_unlock(&pools->pool[0]->lock);
	OK(is_told && pool_cancel(pools, &c[2].job));
	FAKE(fakes[0].fails = KF_E_TOKEN; fakes[0].fails_n = 1);
	FAKE(fakes[0].is_held = fakes[1].is_held = false);
	OK(kf_is(call_end(&c[0]), KF_E_TOKEN) && is_counted(&c[0]));
	EQ(c[0].job.tries, 1);
	OK(kf_ok(call_end(&c[1])) && !strcmp(c[1].job.token, "FAKE1"));
	pool_down();
}

TEST(a_key_without_a_copy_never_does_nor_one_of_a_pool_that_must_not)
{
	struct call c;
	struct call other;
	OK(pool_that_overflows(1, 10));
	pull(0);
	OK(until_state(0, POOL_TOKEN_GONE));
	kf_err e = call_begin(&c, KRSA, 1);
	OK(!kf_ok(e) && !c.job.overflows);
	OK(pool_overflows(pools, "pool") && !pool_overflows(pools, "none"));
	pool_down();

	OK(pool_that_overflows(1, 0));
	OK(!pool_overflows(pools, "pool"));
	FAKE(fakes[0].is_held = true);
	OK(kf_ok(call_begin(&c, KEC, 1)));
	OK(kf_ok(call_begin(&other, KEC, 2)) && !other.job.overflows);
	FAKE(fakes[0].is_held = false);
	OK(kf_ok(call_end(&c)) && kf_ok(call_end(&other)));
	pool_down();
}

/* Whoever could tell them apart would learn which ciphertexts are good (Bleichenbacher). */
TEST(to_a_bad_ciphertext_both_give_the_same_answer)
{
	struct call c = { 0 };
	struct decrypt_job d;
	struct token_session *soft = NULL;
	struct token_key *copy = NULL;
	uint8_t reject[32];
	autobuf der = buf_new(4096);
	OK(pool_with(1, 1 << KRSA));
	pem_to_der(rsa_pem, &der);
	memset(reject, 7, sizeof(reject)); /* as pool_up() */
	OK(kf_ok(soft_key_new(buf_slice(&der), &copy)) && kf_ok(soft_open(&soft)));
	c.job.done = call_done;
	c.job.decrypt = &c.decrypt;
	c.decrypt.key = keys[KRSA];
	c.decrypt.scheme = DECRYPT_PKCS1;
	c.decrypt.n = copy->alg->sig_max;
	memset(c.decrypt.cipher, 1, c.decrypt.n);
	d = c.decrypt;
	d.key = copy;

	OK(kf_ok(pool_submit(pools, &c.job)) && kf_ok(call_end(&c)));
	soft_decrypt(soft, &d);
	OK(kf_ok(d.err));
	OK(d.plain_n != c.decrypt.plain_n ||
		memcmp(d.plain, c.decrypt.plain, d.plain_n) != 0);
	soft_key_set_reject(copy, reject);
	soft_decrypt(soft, &d);

	EQ(d.plain_n, c.decrypt.plain_n);
	OK(!memcmp(d.plain, c.decrypt.plain, d.plain_n));
	soft_close(soft);
	token_key_put(copy);
	pool_down();
}

TEST_MAIN
