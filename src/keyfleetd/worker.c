/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/worker.h"
#include "base/epoch.h"
#include "policy/policy.h"
#include "token/soft/engine.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A destroyed key leaves a worker's contexts after so many pieces of other work at the latest. */
enum { FORGET_EVERY = 64, BUCKETS = 256 };

struct worker {
	struct workers *pool;
	struct token_session *token;
	struct epoch_reader *reader;
	pthread_t thread;
	char busy_for[CLIENT_NAME_SIZE]; /* whose long work it does; "": nobody's */
};

struct workers {
	pthread_mutex_t lock; /* guards the queue, is_stopping and all busy_for */
	pthread_cond_t more;
	struct work *first,
		**end; /* of the line whose turn is next; the others behind it */
	struct work *bucket[BUCKETS]; /* the same, by their clients */
	size_t queued;
	bool is_stopping;
	unsigned n;
	struct worker worker[];
};

/* ---- the queue ---- */

static const char *client_of(const struct work *w) { return w->client ? w->client : ""; }

/* What is quick passes what is long of the same client, which may have to wait. */
static bool are_in_line(const struct work *a, const struct work *b)
{
	return a->is_long == b->is_long && !strcmp(client_of(a), client_of(b));
}

/* Thousands of clients may wait: whoever hands over work does not look at all of them. */
static struct work **bucket_of(struct workers *p, const struct work *w)
{
	uint32_t hash = 2166136261u + w->is_long; /* FNV-1a */
	for (const char *c = client_of(w); *c; c++)
		hash = (hash ^ (uint8_t)*c) * 16777619u;
	return &p->bucket[hash % BUCKETS];
}

/* The first one of its line, or where that would stand in its bucket. */
static struct work **line_of(struct workers *p, const struct work *w)
{
	struct work **at = bucket_of(p, w);
	while (*at && !are_in_line(*at, w))
		at = &(*at)->neighbour;
	return at;
}

/* Its turn comes after those of all other lines. */
static void begin_line(struct workers *p, struct work **place, struct work *first)
{
	first->neighbour = *place;
	*place = first;
	first->other = NULL;
	*p->end = first;
	p->end = &first->other;
}

static void put(struct workers *p, struct work *w)
{
	struct work **line = line_of(p, w), *first = *line;
	w->next = NULL;
	w->last = w;
	if (first) {
		first->last->next = w;
		first->last = w;
	} else {
		begin_line(p, line, w);
	}
	p->queued++;
}

/* The first one of a line; the next one of it waits behind all other lines. */
static struct work *take_out(struct workers *p, struct work **turn)
{
	struct work *w = *turn, **place = line_of(p, w);
	*turn = w->other;
	if (!*turn)
		p->end = turn;
	*place = w->neighbour;
	if (w->next) {
		w->next->last = w->last;
		begin_line(p, place, w->next);
	}
	p->queued--;
	return w;
}

/* Would all threads be busy for one client? */
static bool is_last_for(const struct workers *p, const struct work *w)
{
	unsigned own = 0;
	if (!w->is_long || !client_of(w)[0] || p->n < 2 || p->is_stopping)
		return false;
	for (unsigned i = 0; i < p->n; i++)
		own += !strcmp(p->worker[i].busy_for, client_of(w));
	return own + 1 >= p->n;
}

static struct work *pick(struct workers *p)
{
	struct work **turn = &p->first;
	while (*turn && is_last_for(p, *turn))
		turn = &(*turn)->other;
	return *turn ? take_out(p, turn) : NULL;
}

/* What an idle thread had to leave the one that ends here takes itself: nobody else has to be woken. */
static struct work *take(struct worker *me)
{
	struct workers *p = me->pool;
	struct work *w;
	pthread_mutex_lock(&p->lock);
	me->busy_for[0] = '\0';
	while (!(w = pick(p)) && !p->is_stopping)
		pthread_cond_wait(&p->more, &p->lock);
	if (w && w->is_long)
		snprintf(me->busy_for, sizeof(me->busy_for), "%s", client_of(w));
	pthread_mutex_unlock(&p->lock);
	return w;
}

/* ---- threads ---- */

static void *run(void *arg)
{
	struct worker *me = arg;
	unsigned done = 0;
	for (struct work *w = take(me); w; w = take(me)) {
		if (me->reader)
			epoch_online(me->reader);
		w->run(w, me->token);
		if (me->reader)
			epoch_offline(me->reader);
		if (++done % FORGET_EVERY == 0)
			soft_forget(me->token);
	}
	return NULL;
}

static void release(struct worker *w)
{
	soft_close(w->token);
	if (w->reader)
		epoch_unregister(w->reader);
}

static kf_err start(struct workers *p, struct epoch *epoch)
{
	struct worker *w = &p->worker[p->n];
	w->pool = p;
	if (epoch)
		KF_TRY(epoch_register(epoch, &w->reader));
	kf_err e = soft_open(&w->token);
	if (kf_ok(e) && pthread_create(&w->thread, NULL, run, w) != 0)
		e = kf_fail(NOMEM, "worker thread");
	if (kf_ok(e))
		p->n++;
	else
		release(w);
	return e;
}

kf_err workers_start(unsigned threads, struct epoch *epoch, struct workers **ret)
{
	struct workers *p = calloc(1, sizeof(*p) + threads * sizeof(struct worker));
	if (!p)
		return kf_fail(NOMEM, "workers");
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	p->end = &p->first;

	kf_err e = KF_OK;
	while (kf_ok(e) && p->n < threads)
		e = start(p, epoch);
	if (kf_ok(e))
		*ret = p;
	else
		workers_stop(p);
	return e;
}

void workers_stop(struct workers *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->is_stopping = true;
	pthread_cond_broadcast(&p->more);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->n; i++) {
		pthread_join(p->worker[i].thread, NULL);
		release(&p->worker[i]);
	}
	pthread_cond_destroy(&p->more);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void workers_submit(struct workers *p, struct work *work)
{
	pthread_mutex_lock(&p->lock);
	put(p, work);
	pthread_cond_signal(&p->more);
	pthread_mutex_unlock(&p->lock);
}

size_t workers_queued(struct workers *p)
{
	pthread_mutex_lock(&p->lock);
	size_t n = p->queued;
	pthread_mutex_unlock(&p->lock);
	return n;
}
