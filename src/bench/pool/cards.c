/* SPDX-License-Identifier: Apache-2.0
 *
 * cards: the SmartCard-HSM driver on virtual cards in this process: everything as over PC/SC but for the way
 * that commands take.
 */
#include "base/clock.h"
#include "bench/pool/bench.h"
#include "token/schsm/schsm.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct card {
	struct vhsm *v;
	_Atomic(struct token *) token;
	struct draws draws; /* the token's thread's */
	atomic_bool is_drawn;
};

struct token_source {
	uint64_t seen;
};

static struct card cards[CARDS_MAX];
static unsigned cards_n;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the next two */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint64_t generation;
static struct token_driver driver;

/* ---- draws ---- */

void draws_init(struct draws *d, double mean_ms, uint64_t seed)
{
	*d = (struct draws){ seed * 2 + 0x9e3779b97f4a7c15, mean_ms };
	for (int i = 0; i < 8; i++)
		draws_uniform(d);
}

/* splitmix64 */
double draws_uniform(struct draws *d)
{
	uint64_t z = d->state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (double)((z ^ z >> 31) >> 11) / 9007199254740992.0;
}

double draws_next_ms(struct draws *d)
{
	return d->mean_ms * (0.9 + 0.2 * draws_uniform(d));
}

void cards_draw(unsigned card, double mean_ms, uint64_t seed)
{
	draws_init(&cards[card].draws, mean_ms, seed);
	atomic_store(&cards[card].is_drawn, mean_ms > 0);
}

/* ---- a link without a reader ---- */

struct direct {
	struct card_link link;
	struct vhsm *v;
	uint64_t pulls;
};

static bool is_in(const struct direct *d)
{
	struct vhsm_presence p = vhsm_presence(d->v);
	return p.is_in && p.pulls == d->pulls;
}

static kf_err transmit(struct card_link *l, struct slice apdu, struct buf *ret)
{
	struct direct *d = (struct direct *)l;
	if (!is_in(d))
		return kf_fail(CLOSED, "the card is not in its reader");
	if (!kf_ok(vhsm_transmit(d->v, apdu, ret)))
		return kf_fail(TOKEN, "the card was pulled or reset");
	return KF_OK;
}

static kf_err repair(struct card_link *l)
{
	return is_in((struct direct *)l)
		       ? KF_OK
		       : kf_fail(CLOSED, "the card is not in its reader");
}

static void interrupt(struct card_link *l)
{
	if (!kf_ok(vhsm_tell(((struct direct *)l)->v, "reset")))
		abort();
}

static void close_link(struct card_link *l) { free(l); }

static const struct card_link_ops direct_ops = { transmit, repair, interrupt,
	close_link };

static kf_err open_direct(struct vhsm *v, uint64_t pulls, struct token **ret)
{
	struct direct *d = calloc(1, sizeof(*d));
	if (!d)
		return kf_fail(NOMEM, "link");
	*d = (struct direct){ .link.ops = &direct_ops, .v = v, .pulls = pulls };
	d->link.atr_n = vhsm_atr().n;
	memcpy(d->link.atr, vhsm_atr().p, vhsm_atr().n);
	if (!is_in(d) || !kf_ok(vhsm_reset(v))) {
		free(d);
		return kf_fail(CLOSED, "the card is not in its reader");
	}
	return schsm_open_link(&d->link, ret);
}

/* ---- the driver ---- */

static kf_err open_source(const struct token_source_conf *conf, struct token_source **ret)
{
	(void)conf;
	*ret = calloc(1, sizeof(**ret));
	return *ret ? KF_OK : kf_fail(NOMEM, "source");
}

static void close_source(struct token_source *s) { free(s); }

static void wake(struct token_source *s)
{
	(void)s;
	pthread_mutex_lock(&lock);
	generation++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static kf_err watch(struct token_source *s, unsigned timeout_ms, struct token_places *ret)
{
	(void)timeout_ms; /* nothing happens without wake() */
	pthread_mutex_lock(&lock);
	while (s->seen == generation)
		pthread_cond_wait(&changed, &lock);
	s->seen = generation;
	pthread_mutex_unlock(&lock);
	ret->n = 0;
	for (unsigned i = 0; i < cards_n; i++) {
		struct vhsm_presence p = vhsm_presence(cards[i].v);
		struct token_place *to = &ret->place[ret->n];
		if (!p.is_in)
			continue;
		snprintf(to->name, sizeof(to->name), "card %u", i);
		to->insertion = p.pulls;
		ret->n++;
	}
	return KF_OK;
}

static kf_err open_card(
	struct token_source *s, const struct token_place *place, struct token **ret)
{
	(void)s;
	struct card *c = &cards[strtoul(place->name + strlen("card "), NULL, 10)];
	KF_TRY(open_direct(c->v, place->insertion, ret));
	atomic_store(&c->token, *ret);
	return KF_OK;
}

static struct card *card_of(struct token *t)
{
	for (unsigned i = 0; i < cards_n; i++)
		if (atomic_load(&cards[i].token) == t)
			return &cards[i];
	return NULL;
}

static kf_err sign(struct token *t, unsigned handle, struct sign_job *job)
{
	struct card *c = card_of(t);
	char line[64];
	if (c && atomic_load(&c->is_drawn)) {
		double ms = draws_next_ms(&c->draws);
		snprintf(line, sizeof(line), "time rsa2048=%.3f,ec=%.3f", ms, ms);
		KF_TRY(vhsm_tell(c->v, line));
	}
	return schsm_driver.sign(t, handle, job);
}

const struct token_driver *cards_driver(void)
{
	driver = schsm_driver;
	driver.open_source = open_source;
	driver.close_source = close_source;
	driver.wake = wake;
	driver.watch = watch;
	driver.open = open_card;
	driver.sign = sign;
	return &driver;
}

/* ---- cards ---- */

kf_err cards_tell(unsigned card, const char *line)
{
	KF_TRY(vhsm_tell(cards[card].v, line));
	wake(NULL);
	return KF_OK;
}

kf_err cards_open(unsigned n)
{
	cards_close();
	for (; cards_n < n; cards_n++) {
		memset(&cards[cards_n], 0, sizeof(cards[cards_n]));
		KF_TRY(vhsm_new(NULL, &cards[cards_n].v));
	}
	wake(NULL);
	return KF_OK;
}

void cards_close(void)
{
	while (cards_n)
		vhsm_free(cards[--cards_n].v);
}
