/* SPDX-License-Identifier: Apache-2.0 */
#include "fake.h"

/* A block as it is, encrypted with the public key of fake_keys[KRSA]. */
static bool encrypt(const uint8_t *p, size_t n, int pad, uint8_t ret[256])
{
	size_t made = 256;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(fake_keys[KRSA].pkey, NULL);
	bool is_good = EVP_PKEY_encrypt_init(ctx) > 0 &&
		       EVP_PKEY_CTX_set_rsa_padding(ctx, pad) > 0 &&
		       EVP_PKEY_encrypt(ctx, ret, &made, p, n) > 0;
	EVP_PKEY_CTX_free(ctx);
	return is_good;
}

static struct call c;

static void init(enum decrypt_scheme scheme)
{
	memset(&c, 0, sizeof(c));
	c.job.decrypt = &c.decrypt;
	c.job.done = call_done;
	c.decrypt.key = keys[KRSA];
	c.decrypt.scheme = scheme;
	c.decrypt.n = 256;
	c.decrypt.client_version = 0x0303;
	c.decrypt.hash = c.decrypt.mask_hash = HASH_SHA1;
}

static kf_err run(void)
{
	KF_TRY(pool_submit(pools, &c.job));
	return call_end(&c);
}

TEST(messages_of_every_scheme_come_back)
{
	uint8_t em[256];
	OK(pool_with(1, 1 << KRSA));
	init(DECRYPT_PKCS1);
	OK(encrypt((const uint8_t *)"hello", 5, RSA_PKCS1_PADDING, c.decrypt.cipher));
	OK(kf_ok(run()));
	MEMEQ(c.decrypt.plain, c.decrypt.plain_n, "hello");

	init(DECRYPT_OAEP);
	OK(encrypt(
		(const uint8_t *)"hello", 5, RSA_PKCS1_OAEP_PADDING, c.decrypt.cipher));
	OK(kf_ok(run()));
	MEMEQ(c.decrypt.plain, c.decrypt.plain_n, "hello");

	memset(em, 0x77, 256);
	memcpy(em, "\0\2", 2);
	memcpy(em + 256 - 49, "\0\3\3", 3);
	init(DECRYPT_TLS_PREMASTER);
	OK(encrypt(em, 256, RSA_NO_PADDING, c.decrypt.cipher));
	OK(kf_ok(run()));
	OK(c.decrypt.plain_n == 48 && !memcmp(c.decrypt.plain, em + 256 - 48, 48));
	EQ(status_of(0).decryptions, 3);
	pool_down();
}

TEST(bad_padding_is_a_message_of_its_own_the_same_on_every_token)
{
	uint8_t em[256] = { 0, 1 }, first[256];
	size_t n = 0;
	OK(pool_with(2, 1 << KRSA));
	for (int i = 0; i < 2; i++) {
		FAKE(fakes[i].is_in = true; fakes[!i].is_in = false;
			fakes[i].insertion++);
		OK(until_state(i, POOL_TOKEN_SERVING));
		init(DECRYPT_PKCS1);
		OK(encrypt(em, 256, RSA_NO_PADDING, c.decrypt.cipher));
		OK(kf_ok(run()));
		OK(!strcmp(c.job.token, fakes[i].serial));
		if (i == 0)
			memcpy(first, c.decrypt.plain, n = c.decrypt.plain_n);
	}
	OK(c.decrypt.plain_n == n && !memcmp(first, c.decrypt.plain, n));
	pool_down();
}

TEST(bad_oaep_is_the_requests_own_error_and_asks_one_token_only)
{
	OK(pool_with(2, 1 << KRSA));
	init(DECRYPT_OAEP);
	memset(c.decrypt.cipher, 0x11, 256);
	OK(kf_is(run(), KF_E_DATA));
	EQ(c.job.tries, 1);
	EQ(status_of(0).failures + status_of(1).failures, 0);
	pool_down();
}

TEST(a_number_above_the_modulus_is_answered_without_any_token)
{
	OK(pool_with(1, 1 << KRSA));
	init(DECRYPT_TLS_PREMASTER);
	memset(c.decrypt.cipher, 0xff, 256);
	OK(kf_ok(run()));
	EQ(c.decrypt.plain_n, 48);
	init(DECRYPT_PKCS1);
	memset(c.decrypt.cipher, 0xff, 256);
	OK(kf_is(run(), KF_E_DATA));
	EQ(fakes[0].decrypts, 0);
	pool_down();
}

TEST(a_wrong_decryption_never_leaves_and_its_maker_is_put_aside)
{
	OK(pool_with(2, 1 << KRSA));
	FAKE(fakes[0].wrong_n = fakes[1].wrong_n = 0);
	FAKE(fakes[0].is_held = fakes[1].is_held = true);
	init(DECRYPT_PKCS1);
	OK(encrypt((const uint8_t *)"hello", 5, RSA_PKCS1_PADDING, c.decrypt.cipher));
	OK(kf_ok(pool_submit(pools, &c.job)));
	OK(FAKE_UNTIL(fakes[0].is_at_work || fakes[1].is_at_work));
	int first = fakes[1].is_at_work;
	FAKE(fakes[first].wrong_n = 1; fakes[0].is_held = fakes[1].is_held = false);

	OK(kf_ok(call_end(&c)));
	MEMEQ(c.decrypt.plain, c.decrypt.plain_n, "hello");
	OK(!strcmp(c.job.token, fakes[!first].serial));
	OK(until_state(first, POOL_TOKEN_WRONG));

	struct pool *p = pools->pool[0];
	pthread_mutex_lock(&p->lock);
	const struct worker *w = worker_of(p, first);
	bool is_there = memmem(w->em, sizeof(w->em), "hell", 4) != NULL;
	pthread_mutex_unlock(&p->lock);
	OK(!is_there); /* with it, and the right one, the key could be found */
	pool_down();
}

TEST(no_plaintext_stays_in_the_pool)
{
	OK(pool_with(1, 1 << KRSA));
	init(DECRYPT_PKCS1);
	OK(encrypt((const uint8_t *)"a very secret thing", 19, RSA_PKCS1_PADDING,
		c.decrypt.cipher));
	OK(kf_ok(run()));
	OK(until_state(0, POOL_TOKEN_SERVING));

	struct pool *p = pools->pool[0];
	pthread_mutex_lock(&p->lock);
	const struct worker *w = worker_of(p, 0);
	bool is_there = memmem(&w->decrypt, sizeof(w->decrypt), "secret", 6) ||
			memmem(w->em, sizeof(w->em), "secret", 6);
	pthread_mutex_unlock(&p->lock);
	OK(!is_there);
	pool_down();
}

TEST(only_rsa_keys_decrypt)
{
	OK(pool_with(1, 1 << KEC));
	init(DECRYPT_PKCS1);
	c.decrypt.key = keys[KEC];
	OK(kf_is(pool_submit(pools, &c.job), KF_E_BAD_PARAMETERS));
	pool_down();
}

TEST_MAIN
