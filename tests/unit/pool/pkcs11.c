/* SPDX-License-Identifier: Apache-2.0
 *
 * A pool whose token is behind a PKCS#11 module that fails as told.
 */
#include "../crypt/keys.h"
#include "../crypt/pem.h"
#include "../token/pkcs11/bad.h"
#include "base/list.h"
#include "crypt/ossl.h"
#include "pool/pool.h"
#include "test.h"
#include <poll.h>
#include <semaphore.h>

enum { PATIENCE_MS = 20000 };

struct bench {
	struct pools *pools;
	struct token_pin *pin;
	struct token_key *key;
};

static void bench_close(struct bench *b)
{
	pools_close(b->pools);
	token_key_put(b->key);
	secret_free(b->pin);
}
#define autobench CLEANUP(bench_close) struct bench

/* The module's EC key, as a file of a key server would name it. */
static kf_err take_key(struct bench *b)
{
	static struct pool_key k;
	CLEANUP(pubkey_freep) struct pubkey *public = NULL;
	autobuf der = buf_new(4096);
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	pem_to_der(ec_pem, &der);
	KF_TRY(ossl_parse_private(buf_slice(&der), &pkey));
	KF_TRY(pubkey_of_pkey(pkey, &public));
	snprintf(k.pool, sizeof(k.pool), "hsm");
	k.spki = pubkey_spki(public);
	return pool_key_new(&k, &b->key);
}

static kf_err bench_open(struct bench *b)
{
	bad_load();
	faults->reset();
	b->pin = secret_alloc(sizeof(*b->pin));
	*b->pin = (struct token_pin){ 4, "1234" };
	struct pool_conf conf = { .name = "hsm",
		.driver = &pkcs11_driver,
		.source = { .module = getenv("BAD_PKCS11") },
		.pin = b->pin,
		.queue = 16,
		.timeout_ms = 3000 };
	KF_TRY(take_key(b));
	KF_TRY(pools_open(&conf, 1, &b->pools));
	return pools_wait(b->pools, PATIENCE_MS);
}

struct call {
	struct pool_job job;
	struct sign_job sign;
	sem_t done;
};

static void post(struct pool_job *j)
{
	sem_post(&container_of(j, struct call, job)->done);
}

/* A signature; verified by the pool before it leaves. */
static kf_err sign(struct bench *b)
{
	struct call *c = calloc(1, sizeof(*c));
	c->sign = (struct sign_job){ .key = b->key,
		.mech = mech_find(SCHEME_ECDSA, HASH_SHA256),
		.is_digest = true,
		.n = 32 };
	c->job = (struct pool_job){ .sign = &c->sign, .done = post };
	sem_init(&c->done, 0, 0);
	kf_err err = pool_submit(b->pools, &c->job);
	if (kf_ok(err)) {
		while (sem_wait(&c->done))
			;
		err = c->sign.err;
	}
	if (kf_ok(err) && !c->sign.sig_n)
		err = kf_fail(INTERNAL, "no signature");
	sem_destroy(&c->done);
	free(c);
	return err;
}

static enum pool_token_state state(struct bench *b)
{
	static struct pool_token_status rows[4];
	size_t n = pool_tokens(b->pools, rows, 4);
	for (size_t i = 0; i < n && i < 4; i++)
		if (rows[i].state != POOL_TOKEN_GONE)
			return rows[i].state;
	return POOL_TOKEN_GONE;
}

static bool becomes(struct bench *b, enum pool_token_state wanted)
{
	for (int i = 0; i < PATIENCE_MS / 5; i++) {
		if (state(b) == wanted)
			return true;
		poll(NULL, 0, 5);
	}
	printf("# it is %s\n", pool_token_state_text(state(b)));
	return false;
}

TEST(its_keys_serve)
{
	autobench b = { 0 };
	OK(kf_ok(bench_open(&b)));

	EQ(state(&b), POOL_TOKEN_SERVING);
	for (int i = 0; i < 20; i++)
		OK(kf_ok(sign(&b)));
}

TEST(a_lost_login_a_failure_and_a_stale_session_are_nobodys_business)
{
	autobench b = { 0 };
	OK(kf_ok(bench_open(&b)));

	faults->forget_login();
	OK(kf_ok(sign(&b)));
	faults->plug(1); /* all sessions are gone, and the slot looks well */
	OK(kf_ok(sign(&b)));
	EQ(faults->calls("Initialize"), 1);
}

TEST(a_pulled_token_comes_back)
{
	autobench b = { 0 };
	OK(kf_ok(bench_open(&b)));

	faults->plug(0);
	OK(becomes(&b, POOL_TOKEN_GONE));
	faults->plug(1);
	OK(kf_ok(sign(&b)));
	OK(becomes(&b, POOL_TOKEN_SERVING));
	EQ(faults->calls("Initialize"), 1);
	EQ(faults->calls("Finalize"), 0);
}

TEST(a_wrong_pin_is_tried_once)
{
	autobench b = { 0 };
	bad_load();
	OK(kf_ok(bench_open(&b)));
	pools_close(b.pools);
	b.pools = NULL;
	faults->reset();
	b.pin->bytes[0] = '9';
	struct pool_conf conf = { .name = "hsm",
		.driver = &pkcs11_driver,
		.source = { .module = getenv("BAD_PKCS11") },
		.pin = b.pin,
		.queue = 16,
		.timeout_ms = 3000 };
	OK(kf_ok(pools_open(&conf, 1, &b.pools)) &&
		kf_ok(pools_wait(b.pools, PATIENCE_MS)));

	EQ(state(&b), POOL_TOKEN_PIN);
	faults->plug(1);
	OK(kf_is(sign(&b), KF_E_UNAVAILABLE));
	EQ(faults->calls("Login"), 1);
}

TEST_MAIN
