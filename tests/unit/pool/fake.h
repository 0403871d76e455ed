/* SPDX-License-Identifier: Apache-2.0
 *
 * fake: a kind of token whose every failure is written in the test, over real keys; and calls to a pool
 * that wait for what they are told to.  Nobody sleeps: all waits are for conditions.
 */
#pragma once
#include "../crypt/keys.h"
#include "../crypt/pem.h"
#include "base/clock.h"
#include "pool/inside.h"
#include "test.h"
#include "token/soft/engine.h"
#include <openssl/rsa.h>
#include <stdlib.h>

enum { FAKES = 4, KEYS = 4, PATIENCE_MS = 20000, NEVER_HANGS_MS = 60000 };
enum { KRSA, KEC, KED, KEC384 }; /* fake_keys */

struct fake {
	char serial[32], label[32];
	char socket[8]; /* the source that it is plugged in at; "": each */
	bool is_in, is_blank, is_held, is_deaf, is_taken, refuses_pin;
	uint64_t insertion;
	unsigned keys;     /* bit i: it holds fake_keys[i] */
	unsigned foreign;  /* bit i: it holds another key than it says */
	unsigned counting; /* bit i: the key counts its uses */
	bool holds_open, holds_close, is_exclusive;
	unsigned held; /* how often it is open */
	enum kf_code open_fails;
	enum kf_code fails; /* the next fails_n operations */
	unsigned fails_n, wrong_n;
	unsigned lost_n;        /* logins whose answer is lost */
	unsigned renewals_lost; /* the same, of those that an operation had to renew */
	int tries;
	int64_t cost_ns; /* an operation turns the clock by it */
	unsigned opens, closes, logins, lists, signs, decrypts, probes, interrupts;
	bool is_at_work, is_interrupted;
};
static struct fake fakes[FAKES];
static pthread_mutex_t fake_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t fake_changed = PTHREAD_COND_INITIALIZER;
static uint64_t fake_generation;
static bool fake_woken, fake_holds_watch;
static char fake_held_socket[8]; /* whose source does not answer */
static uint8_t fake_order[64];   /* the first byte of what was signed for calls */
static unsigned fake_order_n;

struct fake_key {
	struct token_key *soft;
	EVP_PKEY *pkey;
};
static struct fake_key fake_keys[KEYS];

static void fake_key_make(struct buf *ret)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-384");
	if (!pkey || !kf_ok(ossl_encode(pkey, EVP_PKEY_KEYPAIR, "PrivateKeyInfo", ret)))
		abort();
	EVP_PKEY_free(pkey);
}

static void fake_keys_load(void)
{
	const char *pem[KEYS] = { rsa_pem, ec_pem, ed25519_pem };
	for (int i = 0; i < KEYS && !fake_keys[i].soft; i++) {
		autobuf der = buf_new(4096);
		if (pem[i])
			pem_to_der(pem[i], &der);
		else
			fake_key_make(&der);
		if (!kf_ok(soft_key_new(buf_slice(&der), &fake_keys[i].soft)) ||
			!kf_ok(ossl_parse_private(buf_slice(&der), &fake_keys[i].pkey)))
			abort();
	}
}

/* ---- the driver ---- */

struct token_source {
	uint64_t seen;
	char socket[8];
};
struct token {
	struct fake *f;
	uint64_t insertion;
	struct token_session *soft;
	struct token_facts facts;
};

#define FAKE_LOCK()   pthread_mutex_lock(&fake_lock)
#define FAKE_UNLOCK() pthread_mutex_unlock(&fake_lock)

static kf_err fake_open_source(
	const struct token_source_conf *conf, struct token_source **ret)
{
	*ret = calloc(1, sizeof(**ret));
	snprintf((*ret)->socket, sizeof((*ret)->socket), "%s",
		conf->socket ? conf->socket : "");
	return KF_OK;
}

static void fake_close_source(struct token_source *s) { free(s); }

static void fake_wake(struct token_source *s)
{
	(void)s;
	FAKE_LOCK();
	fake_woken = true;
	fake_generation++; /* for every source */
	pthread_cond_broadcast(&fake_changed);
	FAKE_UNLOCK();
}

static kf_err fake_watch(
	struct token_source *s, unsigned timeout_ms, struct token_places *ret)
{
	(void)timeout_ms;
	FAKE_LOCK();
	while (s->seen == fake_generation && !fake_woken)
		pthread_cond_wait(&fake_changed, &fake_lock);
	while (fake_holds_watch || (*s->socket && !strcmp(s->socket, fake_held_socket)))
		pthread_cond_wait(&fake_changed, &fake_lock);
	s->seen = fake_generation;
	fake_woken = false;
	ret->n = 0;
	for (int i = 0; i < FAKES; i++) {
		if (!fakes[i].is_in ||
			(*fakes[i].socket && strcmp(fakes[i].socket, s->socket) != 0))
			continue;
		struct token_place *p = &ret->place[ret->n++];
		snprintf(p->name, sizeof(p->name), "slot %d", i);
		p->insertion = fakes[i].insertion;
	}
	FAKE_UNLOCK();
	return KF_OK;
}

static bool is_here(const struct token *t)
{
	return t->f->is_in && t->f->insertion == t->insertion;
}

static void fake_fill_facts(struct token *t)
{
	struct fake *f = t->f;
	t->facts = (struct token_facts){ .is_initialised = !f->is_blank,
		.pin_tries = f->tries,
		.so_pin_tries = 15,
		.concurrency = 1 };
	snprintf(t->facts.serial, sizeof(t->facts.serial), "%s", f->serial);
	snprintf(t->facts.label, sizeof(t->facts.label), "%s", f->label);
}

static kf_err fake_open(
	struct token_source *s, const struct token_place *place, struct token **ret)
{
	(void)s;
	struct fake *f = &fakes[atoi(place->name + 5)];
	kf_err e = KF_OK;
	FAKE_LOCK();
	f->opens++;
	pthread_cond_broadcast(&fake_changed);
	while (f->holds_open)
		pthread_cond_wait(&fake_changed, &fake_lock);
	if (!f->is_in || f->insertion != place->insertion)
		e = kf_fail(CLOSED, "pulled out");
	else if (f->is_taken || (f->is_exclusive && f->held))
		e = kf_fail(DENIED, "taken");
	else if (f->open_fails)
		e = (kf_err){ f->open_fails, kf_fail(TOKEN, "as written").site };
	if (kf_ok(e)) {
		struct token *t = calloc(1, sizeof(*t));
		t->f = f;
		t->insertion = place->insertion;
		f->held++;
		fake_fill_facts(t);
		if (!kf_ok(soft_open(&t->soft)))
			abort();
		*ret = t;
	}
	pthread_cond_broadcast(&fake_changed);
	FAKE_UNLOCK();
	return e;
}

static void fake_close(struct token *t)
{
	FAKE_LOCK();
	t->f->closes++;
	t->f->held--;
	pthread_cond_broadcast(&fake_changed);
	while (t->f->holds_close)
		pthread_cond_wait(&fake_changed, &fake_lock);
	FAKE_UNLOCK();
	soft_close(t->soft);
	free(t);
}

static void fake_interrupt(struct token *t)
{
	FAKE_LOCK();
	t->f->interrupts++;
	t->f->is_interrupted = !t->f->is_deaf;
	pthread_cond_broadcast(&fake_changed);
	FAKE_UNLOCK();
}

static const struct token_facts *fake_facts(struct token *t) { return &t->facts; }

static kf_err fake_login(struct token *t, const struct token_pin *pin)
{
	kf_err e = KF_OK;
	(void)pin;
	FAKE_LOCK();
	t->f->logins++;
	if (!token_may_try_pin(&t->facts)) {
		e = kf_fail(AUTH, "too few tries are left");
	} else if (t->f->refuses_pin) {
		t->f->tries--;
		e = kf_fail(AUTH, "the PIN is wrong");
	}
	if (t->f->lost_n && t->f->lost_n--)
		e = kf_fail(TOKEN, "the answer was lost");
	fake_fill_facts(t);
	FAKE_UNLOCK();
	return e;
}

static void fake_describe(struct fake *f, int i, struct token_key_facts *k)
{
	const struct token_key *key = fake_keys[i].soft;
	*k = (struct token_key_facts){ .handle = (unsigned)i + 1,
		.alg = key->alg,
		.spki = buf_new(SPKI_MAX),
		.can_sign = true,
		.can_decrypt = i == KRSA,
		.has_counter = f->counting >> i & 1,
		.uses_left = UINT64_MAX };
	memcpy(k->key_id, key->id, KEY_ID_SIZE);
	buf_add_slice(&k->spki, soft_key_spki(key));
	snprintf(k->label, sizeof(k->label), "key %d", i);
}

static kf_err fake_list(struct token *t, struct token_key_list *ret)
{
	ret->key = calloc(KEYS, sizeof(*ret->key));
	ret->n = 0;
	FAKE_LOCK();
	t->f->lists++;
	for (int i = 0; i < KEYS; i++)
		if (t->f->keys >> i & 1)
			fake_describe(t->f, i, &ret->key[ret->n++]);
	FAKE_UNLOCK();
	return KF_OK;
}

static kf_err fake_probe(struct token *t)
{
	FAKE_LOCK();
	t->f->probes++;
	kf_err e = is_here(t) ? KF_OK : kf_fail(TOKEN, "pulled out");
	FAKE_UNLOCK();
	return e;
}

/* Waits while it is held, and does what is written for the next operation. */
static kf_err fake_begin(struct token *t, unsigned *counter)
{
	struct fake *f = t->f;
	kf_err e = KF_OK;
	FAKE_LOCK();
	++*counter;
	f->is_at_work = true;
	pthread_cond_broadcast(&fake_changed);
	while (f->is_held && !f->is_interrupted && (is_here(t) || f->is_deaf))
		pthread_cond_wait(&fake_changed, &fake_lock);
	f->is_at_work = false;
	if (!is_here(t) || f->is_interrupted)
		e = kf_fail(TOKEN, "pulled out or interrupted");
	else if (f->fails_n && f->fails_n--)
		e = (kf_err){ f->fails, kf_fail(TOKEN, "as written").site };
	else if (f->renewals_lost && f->renewals_lost--) {
		t->facts.pin_asked = f->tries--;
		e = kf_fail(TOKEN, "the answer to the PIN was lost");
	}
	f->is_interrupted = false;
	FAKE_UNLOCK();
	clock_turn(f->cost_ns, 0);
	return e;
}

static kf_err fake_sign(struct token *t, unsigned handle, struct sign_job *job)
{
	KF_TRY(fake_begin(t, &t->f->signs));
	struct sign_job own = *job, *list = &own;
	int i = (int)handle - 1;
	own.key = fake_keys[t->f->foreign >> i & 1 ? KEC384 : i].soft;
	soft_sign(t->soft, &list, 1);
	if (!kf_ok(own.err))
		return own.err;
	FAKE_LOCK();
	if (t->f->wrong_n && t->f->wrong_n--)
		own.sig[own.sig_n - 1] ^= 1;
	if (fake_order_n < sizeof(fake_order))
		fake_order[fake_order_n++] = own.data[0];
	FAKE_UNLOCK();
	memcpy(job->sig, own.sig, own.sig_n);
	job->sig_n = own.sig_n;
	return KF_OK;
}

static kf_err fake_decrypt(
	struct token *t, unsigned handle, const uint8_t *cipher, size_t n, uint8_t *ret)
{
	KF_TRY(fake_begin(t, &t->f->decrypts));
	size_t made = n;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(fake_keys[handle - 1].pkey, NULL);
	bool is_good = EVP_PKEY_decrypt_init(ctx) > 0 &&
		       EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) > 0 &&
		       EVP_PKEY_decrypt(ctx, ret, &made, cipher, n) > 0;
	EVP_PKEY_CTX_free(ctx);
	FAKE_LOCK();
	if (t->f->wrong_n && t->f->wrong_n--)
		ret[n - 1] ^= 1;
	FAKE_UNLOCK();
	return is_good ? KF_OK : kf_fail(CRYPTO, "decrypting");
}

/* Whatever is wanted: the key that only this process has. */
static kf_err fake_generate(
	struct token *t, const struct token_new_key *in, struct token_key_facts *ret)
{
	(void)in;
	FAKE_LOCK();
	t->f->keys |= 1 << KEC384;
	fake_describe(t->f, KEC384, ret);
	FAKE_UNLOCK();
	return KF_OK;
}

static kf_err fake_delete(struct token *t, unsigned handle)
{
	FAKE_LOCK();
	t->f->keys &= ~(1u << (handle - 1));
	FAKE_UNLOCK();
	return KF_OK;
}

static const struct token_driver fake_driver = {
	.name = "fake",
	.open_source = fake_open_source,
	.close_source = fake_close_source,
	.watch = fake_watch,
	.wake = fake_wake,
	.open = fake_open,
	.close = fake_close,
	.interrupt = fake_interrupt,
	.facts = fake_facts,
	.login = fake_login,
	.list_keys = fake_list,
	.probe = fake_probe,
	.sign = fake_sign,
	.decrypt_raw = fake_decrypt,
	.generate = fake_generate,
	.delete_key = fake_delete,
};

/* ---- what tests tell tokens ---- */

#define FAKE(change)                                                                     \
	do {                                                                             \
		FAKE_LOCK();                                                             \
		change;                                                                  \
		fake_generation++;                                                       \
		pthread_cond_broadcast(&fake_changed);                                   \
		FAKE_UNLOCK();                                                           \
	} while (0)

__attribute__((unused)) static void plug(int i)
{
	FAKE(fakes[i].is_in = true; fakes[i].insertion++);
}
__attribute__((unused)) static void pull(int i) { FAKE(fakes[i].is_in = false); }

static struct timespec patience(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += PATIENCE_MS / 1000;
	return t;
}

/* Waits until it holds of what the fake driver saw; false: it never did. */
#define FAKE_UNTIL(cond)                                                                 \
	__extension__({                                                                  \
		struct timespec t_ = patience();                                         \
		int status_ = 0;                                                         \
		FAKE_LOCK();                                                             \
		while (!(cond) && !status_)                                              \
			status_ =                                                        \
				pthread_cond_timedwait(&fake_changed, &fake_lock, &t_);  \
		bool holds_ = (cond);                                                    \
		FAKE_UNLOCK();                                                           \
		holds_;                                                                  \
	})

/* ---- a pool of them ---- */

static struct pools *pools;
static struct token_key *keys[KEYS];
static struct token_pin fake_pin = { 6, "648219" };
static struct pool_conf fake_conf;

static void pool_down(void)
{
	pools_close(pools);
	pools = NULL;
	for (int i = 0; i < KEYS; i++)
		token_key_put(keys[i]);
	memset(keys, 0, sizeof(keys));
}

/* n tokens with these keys are plugged in; the pool is opened by pool_up(). */
static void fakes_reset(int n, unsigned key_bits)
{
	for (int i = 0; pools && i < FAKES; i++)
		FAKE(fakes[i].is_held = false);
	if (pools) /* of a test that failed */
		pool_down();
	fake_keys_load();
	memset(fakes, 0, sizeof(fakes));
	fake_order_n = 0;
	fake_woken = fake_holds_watch = false;
	fake_held_socket[0] = 0;
	fake_generation++;
	for (int i = 0; i < FAKES; i++) {
		snprintf(fakes[i].serial, sizeof(fakes[i].serial), "FAKE%d", i);
		snprintf(fakes[i].label, sizeof(fakes[i].label), "label%d", i);
		fakes[i].is_in = i < n;
		fakes[i].keys = key_bits;
		fakes[i].tries = 10;
	}
	fake_conf = (struct pool_conf){ .name = "pool",
		.driver = &fake_driver,
		.pin = &fake_pin,
		.queue = 64,
		.timeout_ms = NEVER_HANGS_MS,
		.retry_ms = 1 };
}

static bool pool_up(void)
{
	if (!kf_ok(pools_open(&fake_conf, 1, &pools)) ||
		!kf_ok(pools_wait(pools, PATIENCE_MS)))
		return false;
	for (int i = 0; i < KEYS; i++) {
		struct pool_key k = { .pool = "pool",
			.spki = soft_key_spki(fake_keys[i].soft) };
		memset(k.reject, 7, sizeof(k.reject));
		if (!keys[i] && !kf_ok(pool_key_new(&k, &keys[i])))
			return false;
	}
	return true;
}

__attribute__((unused)) static bool pool_with(int n, unsigned key_bits)
{
	fakes_reset(n, key_bits);
	return pool_up();
}

static struct worker *worker_of(struct pool *p, int i)
{
	struct card *c = card_find(p, fakes[i].serial);
	return c ? c->worker : NULL;
}

/* Waits until a token of the pool is in that state; SERVING: and has nothing to do. */
__attribute__((unused)) static bool until_state(int i, enum pool_token_state want)
{
	struct pool *p = pools->pool[0];
	struct timespec until; /* not of the clock that tests turn */
	int status = 0;
	bool is = false;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += PATIENCE_MS / 1000;
	pthread_mutex_lock(&p->lock);
	while (!is && !status) {
		const struct worker *w = worker_of(p, i);
		is = w ? w->state == want : want == POOL_TOKEN_GONE;
		if (w && want == POOL_TOKEN_SERVING)
			is = is && w->is_idle;
		if (!is)
			status = pthread_cond_timedwait(&p->changed, &p->lock, &until);
	}
	pthread_mutex_unlock(&p->lock);
	return is;
}

__attribute__((unused)) static struct pool_token_status status_of(int i)
{
	static struct pool_token_status row[16];
	size_t n = pool_tokens(pools, row, 16);
	for (size_t k = 0; k < n && k < 16; k++)
		if (!strcmp(row[k].facts.serial, fakes[i].serial))
			return row[k];
	return (struct pool_token_status){ .state = POOL_TOKEN_STATES };
}

/* ---- calls ---- */

struct call {
	struct pool_job job;
	struct sign_job sign;
	struct decrypt_job decrypt;
	unsigned done;
};

static void call_done(struct pool_job *j)
{
	struct call *c = container_of(j, struct call, job);
	FAKE_LOCK();
	c->done++;
	pthread_cond_broadcast(&fake_changed);
	FAKE_UNLOCK();
}

static void call_sign_init(struct call *c, int key, uint8_t first)
{
	static const enum mech_id mech[] = { MECH_RSA_PKCS1_SHA256, MECH_ECDSA_SHA256,
		MECH_ED25519, MECH_ECDSA_SHA384 };
	memset(c, 0, sizeof(*c));
	c->job.sign = &c->sign;
	c->job.done = call_done;
	c->sign.key = keys[key];
	c->sign.mech = mech_get(mech[key]);
	c->sign.salt = SALT_AS_DIGEST;
	c->sign.is_digest = key != KED;
	c->sign.n = key == KEC384 ? 48 : 32;
	memset(c->sign.data, first, c->sign.n);
}

__attribute__((unused)) static kf_err call_begin(struct call *c, int key, uint8_t first)
{
	call_sign_init(c, key, first);
	return pool_submit(pools, &c->job);
}

__attribute__((unused)) static kf_err call_end(struct call *c)
{
	if (!FAKE_UNTIL(c->done == 1))
		return kf_fail(INTERNAL, "done() was not called");
	return c->sign.key ? c->sign.err : c->decrypt.err;
}

__attribute__((unused)) static kf_err call(struct call *c, int key)
{
	KF_TRY(call_begin(c, key, 0x5a));
	return call_end(c);
}

__attribute__((unused)) static bool is_right(const struct call *c)
{
	CLEANUP(pubkey_freep) struct pubkey *pub = NULL;
	int i = 0;
	while (keys[i] != c->sign.key)
		i++;
	struct signature s = { .mech = c->sign.mech,
		.salt = c->sign.salt,
		.is_digest = c->sign.is_digest,
		.data = c->sign.outside.p ? c->sign.outside
					  : (struct slice){ c->sign.data, c->sign.n },
		.sig = { c->sign.sig, c->sign.sig_n } };
	return kf_ok(pubkey_parse(soft_key_spki(fake_keys[i].soft), &pub)) &&
	       kf_ok(pubkey_verify(pub, &s));
}
