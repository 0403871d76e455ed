/* SPDX-License-Identifier: Apache-2.0
 *
 * keep: what takes too long.  Jobs whose deadline passes while they wait; operations that hang, the jobs
 * of which go to other tokens at once; threads that are over.  It sleeps until the next of these, and
 * needs no driver to return for it.
 */
#include "base/clock.h"
#include "pool/inside.h"

void keeper_arm(struct pool *p, uint64_t ns)
{
	if (ns >= p->keep_ns)
		return;
	p->keep_ns = ns;
	pthread_cond_signal(&p->keep);
}

static void fail_later(struct pool *p, struct pool_job *j, struct list *failed)
{
	queue_take_off(p, j);
	queue_forget(p, j);
	list_add_tail(failed, &j->own.link);
}

/* Why it waits no longer; or when to ask again. */
static kf_err judge(
	struct pool *p, const struct pool_job *j, uint64_t now, uint64_t *next)
{
	const struct pool_key_group *g = j->own.group;
	const uint64_t patience = queue_patience_ns(p, j);
	const uint64_t hope = j->overflows ? 0 : g->hope_ns;
	bool has_taker = queue_has_taker(j);
	if (p->is_closing)
		return kf_fail(CLOSED, "the key server is being stopped");
	if (job_is_unwanted(j))
		return kf_fail(TIMEOUT, "its client had gone before it was begun");
	if (now >= j->deadline_ns)
		return kf_fail(TIMEOUT, "no token was free before the deadline: those "
					"that hold the key are too few, or slow");
	if (!has_taker && now >= hope)
		return kf_fail(UNAVAILABLE, "no token that holds the key is in use: "
					    "`keyfleet token list` says why");
	if (now >= patience)
		return kf_fail(BUSY, "no token was free in time: it overflows");
	if (patience < *next)
		*next = patience;
	if (!has_taker && hope < *next)
		*next = hope;
	return KF_OK;
}

static void look_at_jobs(
	struct pool *p, uint64_t now, struct list *failed, uint64_t *next)
{
	list_each_safe(b, &p->busy)
	{
		struct pool_key_group *g = container_of(b, struct pool_key_group, busy);
		g->refs++; /* its last job may go */
		list_each_safe(l, &g->jobs)
		{
			struct pool_job *j = container_of(l, struct pool_job, own.link);
			kf_err why = judge(p, j, now, next);
			j->own.verdict = why;
			if (!kf_ok(why))
				fail_later(p, j, failed);
		}
		group_put(p, g);
	}
}

/* Its job goes to another token; what comes of it late is nobody's. */
static void give_up(struct worker *w, struct list *failed)
{
	struct pool_job *j = w->job;
	kf_err why = kf_fail(TIMEOUT, "token does not answer in time");
	w->suspect_ns = 0;
	w->is_hung = w->must_interrupt = true;
	worker_why(w, why);
	worker_settle(w);
	worker_refuse_tasks(w);
	w->job = NULL;
	if (j)
		j->own.failed[w->slot / 64] |= (uint64_t)1 << w->slot % 64;
	if (!j || queue_retry(w->pool, j, why))
		return;
	j->own.verdict = why;
	queue_forget(w->pool, j);
	list_add_tail(failed, &j->own.link);
}

static void look_at_tokens(
	struct pool *p, uint64_t now, struct list *failed, uint64_t *next)
{
	list_each(l, &p->workers)
	{
		struct worker *w = container_of(l, struct worker, link);
		if (!w->suspect_ns)
			continue;
		if (now >= w->suspect_ns)
			give_up(w, failed);
		else if (w->suspect_ns < *next)
			*next = w->suspect_ns;
	}
}

static void finish_all(struct list *failed)
{
	struct list *l;
	while ((l = list_take(failed))) {
		struct pool_job *j = container_of(l, struct pool_job, own.link);
		job_finish(j, j->own.verdict);
	}
}

/* Only this thread frees workers, so they are there without the lock. */
static void interrupt_hung(struct pool *p)
{
	list_each(l, &p->workers)
	{
		struct worker *w = container_of(l, struct worker, link);
		if (!w->must_interrupt)
			continue;
		w->must_interrupt = false;
		pthread_mutex_unlock(&p->lock);
		pthread_mutex_lock(&w->token_lock);
		if (w->token && p->driver->interrupt)
			p->driver->interrupt(w->token);
		pthread_mutex_unlock(&w->token_lock);
		pthread_mutex_lock(&p->lock);
	}
}

static void reap(struct pool *p)
{
	list_each_safe(l, &p->workers)
	{
		struct worker *w = container_of(l, struct worker, link);
		if (!w->is_over)
			continue;
		list_remove(l);
		pthread_mutex_unlock(&p->lock);
		pthread_join(w->thread, NULL);
		worker_free(w);
		pthread_mutex_lock(&p->lock);
		pthread_cond_broadcast(&p->changed);
		keeper_arm(p, 0); /* for the next one: the list may be another now */
		return;
	}
}

/* Until when there is nothing to do. */
static uint64_t look(struct pool *p)
{
	struct list failed = LIST_INIT(failed);
	uint64_t now = clock_monotonic_ns(), next = UINT64_MAX;
	p->keep_ns = UINT64_MAX; /* lowered by what comes up meanwhile */
	look_at_tokens(p, now, &failed, &next);
	look_at_jobs(p, now, &failed, &next);
	pthread_mutex_unlock(&p->lock);
	finish_all(&failed);
	pthread_mutex_lock(&p->lock);
	return next;
}

void *keeper_run(void *arg)
{
	struct pool *p = arg;
	pthread_mutex_lock(&p->lock);
	while (!p->is_over) {
		uint64_t next = look(p);
		interrupt_hung(p);
		reap(p);
		keeper_arm(p, next);
		pool_wait_until(&p->keep, &p->lock, p->keep_ns);
	}
	look(p); /* nobody waits for ever, also if it was not here between the two */
	pthread_mutex_unlock(&p->lock);
	return NULL;
}
