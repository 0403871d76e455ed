/* SPDX-License-Identifier: Apache-2.0
 *
 * queue: what waits.  A queue a key; a token takes the first job of all the keys that it serves: the oldest,
 * where nobody yields.  Nothing
 * is bound to a token before the token is free: a queue a token would wait behind the slowest.
 */
#include "base/clock.h"
#include "pool/inside.h"
#include "token/unpad.h"
#include "token/use.h"
#include <assert.h>
#include <semaphore.h>
#include <stddef.h>
#include <string.h>

struct pool *pools_find(struct pools *p, const char *name)
{
	for (size_t i = 0; p && i < p->n; i++)
		if (!strcmp(p->pool[i]->name, name))
			return p->pool[i];
	return NULL;
}

static struct token_key *key_of(const struct pool_job *j)
{
	return j->sign ? j->sign->key : j->decrypt ? j->decrypt->key : j->use->key;
}

static struct token_set without(struct token_set s, const uint64_t *bits)
{
	for (size_t i = 0; i < sizeof(s.bits) / sizeof(*s.bits); i++)
		s.bits[i] &= ~bits[i];
	return s;
}

/* Tokens that serve the job's key and have not refused it.  One that failed at it and is well again is
 * the last resort. */
static struct token_set candidates(const struct pool_job *j)
{
	struct token_set s = without(j->own.group->serving[op_of(j)], j->own.refused);
	struct token_set better = without(s, j->own.failed);
	return set_is_empty(&better) ? s : better;
}

bool queue_has_taker(const struct pool_job *j)
{
	struct token_set s = candidates(j);
	return !set_is_empty(&s);
}

static bool may_take(
	const struct worker *w, const struct held *h, const struct pool_job *j)
{
	struct token_set s = candidates(j);
	return h->can[op_of(j)] && set_next(&s, w->slot) == w->slot;
}

/* The fastest of those that are idle.  It is not idle any more: the next job wakes the next one. */
static void wake_for(struct pool *p, const struct pool_job *j)
{
	const struct alg *alg = j->own.group->key.alg;
	struct token_set s = candidates(j);
	struct worker *best = NULL;
	for (unsigned i = 0; (i = set_next(&s, i)) < POOL_TOKENS_MAX; i++) {
		struct worker *w = p->slot[i];
		if (w->is_idle && (!best || service_of(w, alg, op_of(j)) <
						    service_of(best, alg, op_of(j))))
			best = w;
	}
	if (!best)
		return;
	best->is_idle = false;
	pthread_cond_signal(&best->wake);
}

void queue_wake(struct pool *p)
{
	list_each(l, &p->busy)
	{
		struct pool_key_group *g = container_of(l, struct pool_key_group, busy);
		wake_for(p, container_of(g->jobs.next, struct pool_job, own.link));
	}
}

/* Regular ones have even numbers; one that yields has a place among those to come. */
static uint64_t next_order(struct pool *p, const struct pool_job *j)
{
	if (j->yields)
		return p->order + 2 * (uint64_t)YIELD_TO * (p->yielding + 1) + 1;
	return p->order += 2;
}

/* Its place is at the end, or before some that yield. */
static void put_by_order(struct pool_key_group *g, struct pool_job *j)
{
	struct list *at = g->jobs.prev;
	while (at != &g->jobs &&
		container_of(at, struct pool_job, own.link)->own.order > j->own.order)
		at = at->prev;
	list_insert(at, &j->own.link);
}

uint64_t queue_patience_ns(const struct pool *p, const struct pool_job *j)
{
	uint64_t enough = j->own.submitted_ns + ns_of_ms(p->overflow_ms);
	return j->overflows && enough < j->deadline_ns ? enough : j->deadline_ns;
}

static void put_in(struct pool *p, struct pool_job *j, bool is_first)
{
	struct pool_key_group *g = j->own.group;
	if (is_first)
		list_add_head(&g->jobs, &j->own.link);
	else
		put_by_order(g, j);
	if (!g->waiting++)
		list_add_tail(&p->busy, &g->busy);
	p->waiting++;
	g->yielding += j->yields;
	p->yielding += j->yields;
	j->own.is_waiting = true;
	keeper_arm(p, queue_patience_ns(p, j));
	if (!queue_has_taker(j))
		keeper_arm(p, g->hope_ns);
	wake_for(p, j);
}

void queue_take_off(struct pool *p, struct pool_job *j)
{
	struct pool_key_group *g = j->own.group;
	list_remove(&j->own.link);
	if (!--g->waiting)
		list_remove(&g->busy);
	p->waiting--;
	g->yielding -= j->yields;
	p->yielding -= j->yields;
	j->own.is_waiting = false;
}

void queue_forget(struct pool *p, struct pool_job *j)
{
	struct pool_key_group *g = j->own.group;
	group_heed(g, j);
	j->own.group = NULL;
	group_put(p, g);
}

/* The keeper may not have come to those whose deadline has just passed. */
static struct pool_job *oldest_for(struct worker *w, const struct held *h, uint64_t now)
{
	list_each(l, &h->group->jobs)
	{
		struct pool_job *j = container_of(l, struct pool_job, own.link);
		if (job_is_unwanted(j))
			keeper_arm(w->pool, 0);
		else if (now < j->deadline_ns && may_take(w, h, j))
			return j;
	}
	return NULL;
}

struct pool_job *queue_pull(struct worker *w, struct held **ret)
{
	struct pool_job *best = NULL;
	uint64_t now = w->pool->waiting ? clock_monotonic_ns() : 0;
	for (size_t i = 0; w->pool->waiting && i < w->held_n; i++) {
		struct held *h = &w->held[i];
		struct pool_job *j = worker_serves(w, h) ? oldest_for(w, h, now) : NULL;
		if (!j || (best && best->own.order < j->own.order))
			continue;
		best = j;
		*ret = h;
	}
	if (best)
		queue_take_off(w->pool, best);
	return best;
}

/* After an error that is the request's own, every token would say the same; a key that counts its uses
 * may have been used; and nobody may wait for it any more. */
static bool may_go_elsewhere(const struct pool_job *j, kf_err why)
{
	if (job_is_unwanted(j) || kf_is(why, KF_E_BAD_PARAMETERS) ||
		j->tries >= TRIES_MAX)
		return false;
	return !j->is_once || (!kf_is(why, KF_E_TOKEN) && !kf_is(why, KF_E_TIMEOUT));
}

bool queue_retry(struct pool *p, struct pool_job *j, kf_err why)
{
	struct pool_key_group *g = j->own.group;
	struct token_set s = candidates(j);
	uint64_t now = clock_monotonic_ns();
	bool is_none_left = set_is_empty(&g->serving[op_of(j)]);
	group_heed(g, j);
	if (p->is_closing || !may_go_elsewhere(j, why) || now >= j->deadline_ns)
		return false;
	bool has_hope = !j->overflows && is_none_left && group_has_hope(g, op_of(j), now);
	if (set_is_empty(&s) && !has_hope)
		return false;
	put_in(p, j, true);
	return true;
}

void job_finish(struct pool_job *j, kf_err err)
{
	if (j->sign)
		j->sign->err = err;
	else if (j->decrypt)
		j->decrypt->err = err;
	else
		j->use->err = err;
	j->done(j);
}

static kf_err check(struct pool *p, const struct pool_job *j)
{
	if (j->sign)
		return !j->sign->mech ||
				       j->sign->mech->family != j->sign->key->alg->family
			       ? kf_fail(BAD_PARAMETERS, "key and mechanism do not fit")
			       : KF_OK;
	if (j->use)
		return use_check(p->driver, j->use->key->alg, j->use);
	if (j->decrypt->key->alg->family != FAMILY_RSA)
		return kf_fail(BAD_PARAMETERS, "only RSA keys decrypt so");
	if (!p->driver->decrypt_raw)
		return kf_fail(UNSUPPORTED, "tokens of this kind do not decrypt");
	return unpad_check(j->decrypt);
}

/* A token that may come back soon is waited for, unless software can do it. */
static bool is_worth_waiting(
	const struct pool_job *j, const struct pool_key_group *g, uint64_t now)
{
	return j->overflows ? !set_is_empty(&g->serving[op_of(j)])
			    : group_has_hope(g, op_of(j), now);
}

static kf_err admit(
	struct pool *p, const struct pool_job *j, const struct pool_key_group *g)
{
	uint64_t now = j->own.submitted_ns, wait;
	unsigned before = p->waiting - (j->yields ? 0 : p->yielding);
	if (p->is_closing)
		return kf_fail(CLOSED, "the key server is being stopped");
	if (!g || !is_worth_waiting(j, g, now))
		return kf_fail(UNAVAILABLE, "no token that holds the key is in use: "
					    "`keyfleet token list` says why");
	if (before >= p->queue)
		return kf_fail(BUSY, "too many operations wait for tokens: more tokens, "
				     "or another `queue` in [pool]");
	wait = group_wait_ns(p, g, op_of(j), j->yields);
	if (j->overflows && wait > ns_of_ms(p->overflow_ms))
		return kf_fail(BUSY, "tokens would take too long: it overflows");
	if (wait != UINT64_MAX && (now >= j->deadline_ns || wait > j->deadline_ns - now))
		return kf_fail(BUSY, "its turn would come after its deadline: the tokens "
				     "that hold the key are too few, or slow");
	return KF_OK;
}

static kf_err submit(struct pool *p, struct pool_job *j)
{
	struct pool_key_group *g = group_find(p, key_of(j)->id);
	if (g)
		group_heed(g, j);
	KF_TRY(admit(p, j, g));
	g->refs++;
	j->own.group = g;
	j->own.order = next_order(p, j);
	put_in(p, j, false);
	return KF_OK;
}

static kf_err enter(struct pools *pools, struct pool_job *j, bool may_overflow)
{
	if (!pool_key_is(key_of(j)))
		return kf_fail(INTERNAL, "the key is not one of a pool");
	struct pool *p = pools_find(pools, handle_of(key_of(j))->pool);
	if (!p)
		return kf_fail(UNAVAILABLE, "there is no such pool here");
	KF_TRY(check(p, j));
	memset(&j->own, 0, sizeof(j->own));
	j->overflows = may_overflow && p->overflow_ms && handle_of(key_of(j))->overflow;
	j->own.submitted_ns = clock_monotonic_ns();
	j->token[0] = 0;
	j->tries = 0;
	j->waited_ns = j->worked_ns = 0;
	if (!j->deadline_ns)
		j->deadline_ns = j->own.submitted_ns +
				 ns_of_ms((uint64_t)DEADLINE_FACTOR * p->timeout_ms);
	pthread_mutex_lock(&p->lock);
	kf_err e = submit(p, j);
	pthread_mutex_unlock(&p->lock);
	return e;
}

kf_err pool_submit(struct pools *pools, struct pool_job *j)
{
	return enter(pools, j, !j->use); /* software does no more than sign and decrypt */
}

struct waiting {
	struct pool_job job;
	sem_t done;
};

static void wake(struct pool_job *j) { sem_post(&((struct waiting *)(void *)j)->done); }

kf_err pool_submit_and_wait(struct pools *pools, struct pool_job *j)
{
	struct waiting w = { .job = *j };
	static_assert(
		offsetof(struct waiting, job) == 0, "wake() takes one for the other");
	w.job.done = wake;
	sem_init(&w.done, 0, 0);
	/* From here on the result is the token's thread's: it may be there before this comes back. */
	const kf_err e = enter(pools, &w.job, false);
	while (kf_ok(e) && sem_wait(&w.done))
		;
	sem_destroy(&w.done);
	*j = w.job;
	return e;
}

bool pool_cancel(struct pools *pools, struct pool_job *j)
{
	struct pool *p = pools_find(pools, handle_of(key_of(j))->pool);
	if (!p)
		return false;
	pthread_mutex_lock(&p->lock);
	bool is_waiting = j->own.is_waiting;
	j->own.is_unwanted = true;
	if (is_waiting) {
		queue_take_off(p, j);
		queue_forget(p, j);
	}
	pthread_mutex_unlock(&p->lock);
	return is_waiting;
}

uint64_t pool_expected_wait_ns(struct pools *pools, const struct token_key *key)
{
	struct pool *p = pools_find(pools, handle_of(key)->pool);
	if (!p)
		return UINT64_MAX;
	pthread_mutex_lock(&p->lock);
	const struct pool_key_group *g = group_find(p, key->id);
	uint64_t wait = g ? group_wait_ns(p, g, group_main_op(g), false) : UINT64_MAX;
	bool overflows = p->overflow_ms && handle_of(key)->overflow && !(g && g->counts);
	pthread_mutex_unlock(&p->lock);
	uint64_t most = overflows ? ns_of_ms(p->overflow_ms) : UINT64_MAX;
	return wait < most ? wait : most;
}
