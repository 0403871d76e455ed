/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "bench/pool/bench.h"
#include <math.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CALLERS_MAX = 64 };

static double seconds_since(uint64_t ns)
{
	return (double)(clock_monotonic_ns() - ns) / 1e9;
}

static void fill(const struct fleet *f, int key, struct sign_job *s)
{
	s->key = f->key[key];
	s->mech = mech_get(key == FLEET_RSA ? MECH_RSA_PKCS1_SHA256 : MECH_ECDSA_SHA256);
	s->salt = SALT_AS_DIGEST;
	s->is_digest = true;
	s->n = 32;
	if (RAND_bytes(s->data, 32) != 1)
		abort();
}

/* ---- callers that wait ---- */

struct crew {
	struct load *load;
	atomic_uint_least64_t begun, made, failed, wrong, retried, counted;
	uint64_t started_ns;
	pthread_mutex_t lock; /* guards load->why */
};

struct caller {
	struct crew *crew;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool is_done;
	struct pool_job job;
	struct sign_job sign;
};

static void wake_caller(struct pool_job *j)
{
	struct caller *c = container_of(j, struct caller, job);
	pthread_mutex_lock(&c->lock);
	c->is_done = true;
	pthread_cond_signal(&c->done);
	pthread_mutex_unlock(&c->lock);
}

static kf_err sign_once(struct caller *c)
{
	struct load *l = c->crew->load;
	memset(&c->job, 0, sizeof(c->job));
	fill(l->fleet, l->key, &c->sign);
	c->job.sign = &c->sign;
	c->job.done = wake_caller;
	c->is_done = false;
	KF_TRY(pool_submit(l->fleet->pools, &c->job));
	pthread_mutex_lock(&c->lock);
	while (!c->is_done)
		pthread_cond_wait(&c->done, &c->lock);
	pthread_mutex_unlock(&c->lock);
	return c->sign.err;
}

/* The pool has verified it; here it is done once more, outside. */
static bool is_right(const struct caller *c)
{
	const struct load *l = c->crew->load;
	return kf_ok(pubkey_verify(l->fleet->pubkey[l->key],
		&(struct signature){ .mech = c->sign.mech,
			.salt = c->sign.salt,
			.is_digest = true,
			.data = { c->sign.data, c->sign.n },
			.sig = { c->sign.sig, c->sign.sig_n } }));
}

static void note_failure(struct crew *crew, kf_err e)
{
	pthread_mutex_lock(&crew->lock);
	if (!atomic_fetch_add(&crew->failed, 1))
		snprintf(crew->load->why, sizeof(crew->load->why), "%s: %s",
			kf_code_name(e.code), e.site->text);
	pthread_mutex_unlock(&crew->lock);
}

static void count(struct caller *c)
{
	struct crew *crew = c->crew;
	double at = seconds_since(crew->started_ns);
	atomic_fetch_add(&crew->made, 1);
	atomic_fetch_add(&crew->retried, c->job.tries > 1);
	atomic_fetch_add(&crew->wrong, !is_right(c));
	atomic_fetch_add(
		&crew->counted, at >= crew->load->warm_s &&
					at < crew->load->warm_s + crew->load->seconds);
}

static bool goes_on(struct crew *crew)
{
	const struct load *l = crew->load;
	if (l->total)
		return atomic_fetch_add(&crew->begun, 1) < l->total;
	return seconds_since(crew->started_ns) < l->warm_s + l->seconds;
}

static void *be_caller(void *arg)
{
	struct caller *c = arg;
	while (goes_on(c->crew)) {
		kf_err e = sign_once(c);
		if (kf_ok(e))
			count(c);
		else
			note_failure(c->crew, e);
	}
	return NULL;
}

kf_err load_run(struct load *l)
{
	struct crew crew = { .load = l, .started_ns = clock_monotonic_ns() };
	struct caller *callers = calloc(CALLERS_MAX, sizeof(*callers));
	unsigned n = 0;
	pthread_mutex_init(&crew.lock, NULL);
	for (; callers && n < l->callers && n < CALLERS_MAX; n++) {
		struct caller *c = &callers[n];
		c->crew = &crew;
		pthread_mutex_init(&c->lock, NULL);
		pthread_cond_init(&c->done, NULL);
		if (pthread_create(&c->thread, NULL, be_caller, c))
			break;
	}
	for (unsigned i = 0; i < n; i++)
		pthread_join(callers[i].thread, NULL);
	double took = seconds_since(crew.started_ns);
	free(callers);
	l->made = crew.made;
	l->failed = crew.failed;
	l->wrong = crew.wrong;
	l->retried = crew.retried;
	l->rate = l->total ? (double)l->made / took : (double)crew.counted / l->seconds;
	return n ? KF_OK : kf_fail(NOMEM, "callers");
}

/* ---- arrivals that do not wait ---- */

struct tally {
	uint64_t started_ns;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned left;
};

struct visit {
	struct pool_job job;
	struct sign_job sign;
	double *finished;
	bool is_failed;
	struct tally *tally;
};

static void leave(struct tally *t)
{
	pthread_mutex_lock(&t->lock);
	t->left--;
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

static void visit_done(struct pool_job *j)
{
	struct visit *v = container_of(j, struct visit, job);
	struct tally *t = v->tally;
	*v->finished = seconds_since(t->started_ns);
	v->is_failed = !kf_ok(v->sign.err);
	leave(t);
}

static void sleep_until(uint64_t ns)
{
	struct timespec t = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL))
		;
}

static void arrive(struct arrivals *a, struct tally *t, struct visit *v, unsigned i)
{
	v->tally = t;
	v->finished = &a->finished[i];
	v->job.sign = &v->sign;
	v->job.done = visit_done;
	fill(a->fleet, a->key, &v->sign);
	a->arrived[i] = a->finished[i] = seconds_since(t->started_ns);
	if (kf_ok(pool_submit(a->fleet->pools, &v->job)))
		return;
	v->is_failed = true;
	leave(t);
}

static void wait_for_all(struct tally *t)
{
	pthread_mutex_lock(&t->lock);
	while (t->left)
		pthread_cond_wait(&t->changed, &t->lock);
	pthread_mutex_unlock(&t->lock);
}

kf_err arrivals_run(struct arrivals *a)
{
	struct visit *visit = calloc(a->n, sizeof(*visit));
	struct tally t = { .started_ns = clock_monotonic_ns(),
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
		.left = a->n };
	struct draws random;
	double at = 0;
	if (!visit)
		return kf_fail(NOMEM, "jobs");
	draws_init(&random, 0, a->seed);
	for (unsigned i = 0; i < a->n; i++) {
		at -= log(1 - draws_uniform(&random)) / a->rate;
		sleep_until(t.started_ns + (uint64_t)(at * 1e9));
		arrive(a, &t, &visit[i], i);
	}
	wait_for_all(&t);
	a->failed = 0;
	for (unsigned i = 0; i < a->n; i++)
		a->failed += visit[i].is_failed;
	free(visit);
	return KF_OK;
}
