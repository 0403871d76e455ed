/* SPDX-License-Identifier: Apache-2.0 */
/* cards: a pool of virtual cards in the same process, through the driver of real ones. */
#pragma once
#include "../token/schsm/direct.h"
#include "provision/provision.h"
#include <pthread.h>
#include <time.h>

enum { CARDS = 3 };
static struct vhsm *cards[CARDS];

struct token_source {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool has_looked, is_woken;
};

static kf_err cards_open_source(
	const struct token_source_conf *conf, struct token_source **ret)
{
	struct token_source *s = calloc(1, sizeof(*s));
	(void)conf;
	if (!s)
		abort();
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	*ret = s;
	return KF_OK;
}

static void cards_close_source(struct token_source *s)
{
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static kf_err cards_watch(
	struct token_source *s, unsigned timeout_ms, struct token_places *ret)
{
	(void)timeout_ms;
	pthread_mutex_lock(&s->lock);
	while (s->has_looked && !s->is_woken)
		pthread_cond_wait(&s->changed, &s->lock);
	s->is_woken = false;
	s->has_looked = true;
	pthread_mutex_unlock(&s->lock);
	ret->n = CARDS;
	for (int i = 0; i < CARDS; i++) {
		snprintf(ret->place[i].name, sizeof(ret->place[i].name), "%d", i);
		ret->place[i].insertion = 1;
	}
	return KF_OK;
}

static void cards_wake(struct token_source *s)
{
	pthread_mutex_lock(&s->lock);
	s->is_woken = true;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static kf_err cards_open(
	struct token_source *s, const struct token_place *place, struct token **ret)
{
	(void)s;
	return direct_open(cards[atoi(place->name)], ret);
}

/* Cards that do as real ones may: sign wrongly, count uses until none is left, keep their check value to
 * themselves. */
static _Atomic bool cards_sign_wrongly, cards_are_used_up, cards_hide_check_value;

static kf_err cards_sign(struct token *t, unsigned handle, struct sign_job *job)
{
	if (cards_are_used_up)
		return kf_fail(LIMIT, "the key's use counter is exhausted");
	kf_err e = schsm_driver.sign(t, handle, job);
	if (cards_sign_wrongly)
		job->sig[job->sig_n / 2] ^= 1;
	return e;
}

static kf_err cards_use(
	struct token *t, unsigned handle, const struct token_use *u, uint8_t *ret)
{
	kf_err e = schsm_driver.use(t, handle, u, ret);
	if (kf_ok(e) && cards_sign_wrongly)
		ret[0] ^= 1;
	return e;
}

static const struct token_facts *cards_facts(struct token *t)
{
	struct token_facts *f = (struct token_facts *)(uintptr_t)schsm_driver.facts(t);
	f->has_kcv &= !cards_hide_check_value;
	return f;
}

static kf_err cards_import_share(struct token *t, const uint8_t share[SHARE_SIZE])
{
	kf_err e = schsm_driver.import_share(t, share);
	(void)cards_facts(t);
	return e;
}

/* The cards and a pool of them; everybody knows the PIN. */
struct bench {
	struct token_driver driver;
	struct token_pin *pin, *so_pin;
	struct pools *pools;
	struct provision p;
};

static struct token_pin *locked_pin(const char *text)
{
	struct token_pin *p = secret_alloc(sizeof(*p));
	if (!p)
		abort();
	*p = pin_of(text);
	return p;
}

static void token_pin_freep(struct token_pin **p) { secret_free(*p); }

static void bench_close(struct bench *b)
{
	pools_close(b->pools);
	secret_free(b->pin);
	secret_free(b->so_pin);
	for (int i = 0; i < CARDS; i++)
		vhsm_free(cards[i]);
}

static void bench_open(struct bench *b)
{
	*b = (struct bench){ .driver = schsm_driver };
	b->driver.open_source = cards_open_source;
	b->driver.close_source = cards_close_source;
	b->driver.watch = cards_watch;
	b->driver.wake = cards_wake;
	b->driver.open = cards_open;
	b->driver.sign = cards_sign;
	b->driver.use = cards_use;
	b->driver.facts = cards_facts;
	b->driver.import_share = cards_import_share;
	if (!is_good(secret_init(1 << 18)))
		abort();
	b->pin = locked_pin(USER_PIN);
	b->so_pin = locked_pin(SO_PIN);
	for (int i = 0; i < CARDS; i++)
		if (!is_good(vhsm_new(NULL, &cards[i])))
			abort();
	const struct pool_conf conf = { .name = "cards",
		.driver = &b->driver,
		.pin = b->pin,
		.queue = 8,
		.timeout_ms = 60000 };
	if (!is_good(pools_open(&conf, 1, &b->pools)) ||
		!is_good(pools_wait(b->pools, 60000)))
		abort();
	b->p = (struct provision){ .pools = b->pools, .pool = "cards" };
}

static kf_err bench_init(struct bench *b, int card, const char *label, int shares)
{
	return provision_init(&b->p, vhsm_serial(cards[card]),
		&(struct token_init){ .so_pin = b->so_pin,
			.pin = b->pin,
			.shares = shares,
			.label = label },
		false);
}

static const uint8_t bench_share[1][SHARE_SIZE] = { { 1, 2, 3, 4 } };

/* All initialised, with the same DKEK. */
static void bench_ready(struct bench *b)
{
	static struct provision_report r;
	bench_open(b);
	for (int i = 0; i < CARDS; i++)
		if (!is_good(bench_init(
			    b, i, (const char *const[]){ "one", "two", "three" }[i], 1)))
			abort();
	if (!is_good(provision_import_shares(
		    &b->p, NULL, &(struct provision_shares){ 1, bench_share }, &r)) ||
		r.done != CARDS)
		abort();
}
