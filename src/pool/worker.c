/* SPDX-License-Identifier: Apache-2.0
 *
 * worker: the thread of what is plugged in at one place, from plugging in to pulling out.  It opens the
 * token, proves its keys, takes jobs and tasks one after another, and when the token fails it rests and begins
 * anew.
 */
#include "base/clock.h"
#include "pool/inside.h"
#include <stdlib.h>

static const uint64_t WELL_NS =
	10000000000; /* having served so long, a failure is the first */

enum { TASK_MS = 30 * 60 * 1000 }; /* making a key may take minutes */

static bool is_wanted(const struct worker *w)
{
	return w->is_plugged && !w->pool->is_closing;
}

/* ---- tasks ---- */

static void answer(struct run *r, kf_err err)
{
	r->err = err;
	r->is_done = true;
	pthread_cond_signal(&r->done);
}

void worker_refuse_tasks(struct worker *w)
{
	struct list *l;
	while ((l = list_take(&w->runs)))
		answer(container_of(l, struct run, link),
			kf_fail(UNAVAILABLE, "the token is not in use"));
}

/* It may have become another token: initialised, with another PIN, with other keys. */
static kf_err look_again(struct worker *w, bool has_new_pin)
{
	w->facts = *w->pool->driver->facts(w->token);
	pool_select_anew(w->pool);
	w->is_looked = false; /* pools_wait(): until its keys are proved */
	if (has_new_pin)
		refusal_forget(w->pool->refusals, w->facts.serial);
	return worker_enter(w);
}

static kf_err run_task(struct worker *w, const struct pool_task *task)
{
	w->task = task->task;
	worker_begin(w, ns_of_ms(TASK_MS));
	kf_err done = task->run(w->pool->driver, w->token, task->arg);
	worker_end(w);
	w->task = NULL;
	worker_forgive(w);
	return done;
}

/* Why it must be opened anew.  One that was let go and is another program's now is left alone. */
static kf_err broken_by(kf_err taken, kf_err done)
{
	if (!kf_ok(taken))
		return kf_is(taken, KF_E_DENIED) ? KF_OK : taken;
	return fails_token(done) ? done : KF_OK;
}

/* pools_interrupt() may have come while the token was opened, when there was no task to be cut off. */
static kf_err begin_task(struct worker *w, const struct pool_task *task)
{
	return w->pool->is_closing
		       ? kf_fail(UNAVAILABLE, "the key server is being stopped")
		       : run_task(w, task);
}

static kf_err do_task(struct worker *w)
{
	struct run *r = container_of(list_take(&w->runs), struct run, link);
	queue_wake(w->pool);
	kf_err taken = worker_take_again(w);
	kf_err done = kf_ok(taken) ? begin_task(w, r->task) : taken;
	kf_err e = broken_by(taken, done);
	if (kf_ok(e) && kf_ok(taken) && r->task->changes && !w->pool->is_closing)
		e = look_again(w, r->task->gives_pin && kf_ok(done));
	if (!kf_ok(e)) {
		worker_why(w, e);
		worker_fail(w);
		worker_settle(w);
	}
	answer(r, done);
	return e;
}

/* ---- between tasks ---- */

static struct held *next_unproved(struct worker *w)
{
	for (size_t i = 0; worker_is_taking(w) && i < w->held_n; i++)
		if (w->held[i].proof == PROOF_DUE && !w->held[i].has_counter)
			return &w->held[i];
	return NULL;
}

/* A token with many keys begins with those that are proved: jobs and proofs take turns. */
static kf_err work_once(struct worker *w, bool *ret_idle)
{
	struct held *h = NULL, *unproved = next_unproved(w);
	struct pool_job *j = NULL;
	if (!unproved || !w->prove_next)
		j = queue_pull(w, &h);
	w->prove_next = j != NULL;
	if (!j)
		queue_wake(w->pool);
	*ret_idle = !j && !unproved;
	if (j)
		return worker_attempt(w, j, h);
	return unproved ? worker_prove(w, unproved) : KF_OK;
}

static bool is_unused(const struct worker *w)
{
	return !w->is_released &&
	       (w->state == POOL_TOKEN_DRAINED || w->state == POOL_TOKEN_PIN);
}

static void sleep_until_woken(struct worker *w)
{
	if (is_unused(w)) {
		worker_let_go(w);
		return; /* much may have happened meanwhile */
	}
	w->is_idle = true;
	pthread_cond_broadcast(&w->pool->changed);
	pthread_cond_wait(&w->wake, &w->pool->lock);
	w->is_idle = false;
}

static void serve(struct worker *w)
{
	kf_err e = KF_OK;
	w->admitted_ns = clock_monotonic_ns();
	while (kf_ok(e) && is_wanted(w) && !w->must_restart) {
		bool is_idle = false;
		e = list_is_empty(&w->runs) ? work_once(w, &is_idle) : do_task(w);
		if (is_idle)
			sleep_until_woken(w);
	}
	if (clock_monotonic_ns() - w->admitted_ns > WELL_NS && w->failures > 1)
		w->failures = 1;
}

/* ---- the thread ---- */

static uint64_t rest_ns(const struct worker *w)
{
	if (w->failures < 2)
		return 0;
	unsigned doublings = w->failures - 2;
	if (doublings > RETRY_DOUBLINGS)
		doublings = RETRY_DOUBLINGS;
	return ns_of_ms(w->pool->retry_ms) << doublings;
}

/* What is not selected or ambiguous is left alone until something else is plugged in. */
static void rest(struct worker *w)
{
	bool is_left_alone = w->is_unselected || w->is_ambiguous || w->is_twin;
	uint64_t until = is_left_alone ? UINT64_MAX : clock_monotonic_ns() + rest_ns(w);
	worker_refuse_tasks(w);
	w->is_looked = true;
	pthread_cond_broadcast(&w->pool->changed);
	while (is_wanted(w) && !w->must_restart && clock_monotonic_ns() < until)
		pool_wait_until(&w->wake, &w->pool->lock, until);
	w->must_restart = false;
}

static void live(struct worker *w)
{
	kf_err e = worker_open(w);
	if (!kf_ok(e)) {
		worker_why(w, e);
		worker_fail(w);
	}
	worker_settle(w);
	if (w->is_open)
		serve(w);
	w->must_restart =
		false; /* it does; what is said from here on is heard by rest() */
	worker_close(w);
	if (is_wanted(w))
		rest(w);
}

void *worker_run(void *arg)
{
	struct worker *w = arg;
	pthread_mutex_lock(&w->pool->lock);
	while (is_wanted(w))
		live(w);
	worker_settle(w);
	worker_release(w);
	worker_refuse_tasks(w);
	w->pool->slot[w->slot] = NULL;
	w->is_over = w->is_looked = true;
	pool_select_anew(w->pool);
	pool_meet_twins(w->pool);
	keeper_arm(w->pool, 0);
	pthread_mutex_unlock(&w->pool->lock);
	return NULL;
}

void worker_free(struct worker *w)
{
	EVP_MD_CTX_free(w->md_ctx);
	for (int i = 0; i < HASH_COUNT; i++)
		EVP_MD_free(w->md[i]);
	buf_free(&w->outside);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->token_lock);
	free(w);
}
