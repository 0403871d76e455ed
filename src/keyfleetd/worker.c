/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/worker.h"
#include "base/epoch.h"
#include "token/soft/engine.h"
#include <pthread.h>
#include <stdlib.h>

/* A destroyed key leaves a worker's contexts after so many pieces of other work at the latest. */
enum { FORGET_EVERY = 64 };

struct worker {
	struct workers *pool;
	struct token_session *token;
	struct epoch_reader *reader;
	pthread_t thread;
};

struct workers {
	pthread_mutex_t lock; /* guards head, tail, queued, is_stopping */
	pthread_cond_t more;
	struct work *head, **tail;
	size_t queued;
	bool is_stopping;
	unsigned n;
	struct worker worker[];
};

static struct work *take(struct workers *p)
{
	pthread_mutex_lock(&p->lock);
	while (!p->head && !p->is_stopping)
		pthread_cond_wait(&p->more, &p->lock);
	struct work *w = p->head;
	if (w) {
		p->head = w->next;
		p->queued--;
	}
	if (!p->head)
		p->tail = &p->head;
	pthread_mutex_unlock(&p->lock);
	return w;
}

static void *run(void *arg)
{
	struct worker *me = arg;
	unsigned done = 0;
	for (struct work *w = take(me->pool); w; w = take(me->pool)) {
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
	p->tail = &p->head;

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
	work->next = NULL;
	pthread_mutex_lock(&p->lock);
	p->queued++;
	*p->tail = work;
	p->tail = &work->next;
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
