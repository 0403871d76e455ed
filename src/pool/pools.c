/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "pool/inside.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- threads and conditions ---- */

void pool_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t a;
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &a);
	pthread_condattr_destroy(&a);
}

void pool_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t ns)
{
	uint64_t now =
		clock_monotonic_ns(); /* may be a turned clock: its distance counts */
	struct timespec t;
	if (ns == UINT64_MAX) {
		pthread_cond_wait(cond, lock);
		return;
	}
	if (ns <= now)
		return;
	clock_gettime(CLOCK_MONOTONIC, &t);
	uint64_t nsec = (uint64_t)t.tv_nsec + (ns - now) % 1000000000;
	t.tv_sec += (time_t)((ns - now) / 1000000000 + nsec / 1000000000);
	t.tv_nsec = (long)(nsec % 1000000000);
	pthread_cond_timedwait(cond, lock, &t);
}

/* Signals are for the program's own threads. */
kf_err pool_thread(pthread_t *ret, const char *name, void *(*run)(void *arg), void *arg)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int status = pthread_create(ret, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (status)
		return kf_fail(NOMEM, "thread of a pool");
	pthread_setname_np(*ret, name);
	return KF_OK;
}

/* ---- closing ---- */

static void free_texts(char **text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(text[i]);
	free(text);
}

static void pool_free(struct pool *p)
{
	list_each_safe(l, &p->cards) free(container_of(l, struct card, link));
	groups_sweep(p, true);
	map_free(&p->groups);
	free_texts(p->tokens, p->tokens_n);
	free_texts(p->sockets, p->sockets_n);
	free(p->watch);
	free(p->module);
	pthread_cond_destroy(&p->keep);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* A module may hang while it is asked what is plugged in: false. */
static bool join_watcher(struct watch *w)
{
	struct pool *p = w->pool;
	uint64_t until = clock_monotonic_ns() + ns_of_ms(p->timeout_ms + HUNG_FLOOR_MS);
	pthread_mutex_lock(&p->lock);
	while (!w->is_over && clock_monotonic_ns() < until)
		pool_wait_until(&p->changed, &p->lock, until);
	bool is_over = w->is_over;
	pthread_mutex_unlock(&p->lock);
	return is_over && pthread_join(w->thread, NULL) == 0;
}

/* False: a watcher hangs. */
static bool send_home(struct pool *p)
{
	bool is_home = true;
	pthread_mutex_lock(&p->lock);
	p->is_closing = true;
	list_each(l, &p->workers) worker_settle(container_of(l, struct worker, link));
	keeper_arm(p, 0);
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	for (size_t i = 0; i < p->watches_n; i++)
		if (p->watch[i].has_thread)
			p->driver->wake(p->watch[i].source);
	for (size_t i = 0; i < p->watches_n; i++)
		if (p->watch[i].has_thread)
			is_home &= join_watcher(&p->watch[i]);
	return is_home;
}

static void interrupt(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->is_closing = true;
	list_each(l, &p->workers)
	{
		struct worker *w = container_of(l, struct worker, link);
		w->must_interrupt |= w->task != NULL;
		worker_refuse_tasks(w);
		worker_settle(w);
	}
	keeper_arm(p, 0);
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

void pools_interrupt(struct pools *pools)
{
	for (size_t i = 0; pools && i < pools->n; i++)
		interrupt(pools->pool[i]);
}

static bool all_hang(const struct pool *p)
{
	list_each(l, &p->workers) if (!container_of(l, struct worker, link)
					       ->is_hung) return false;
	return true;
}

/* Those that hang were interrupted by the keeper; they have a while to notice. */
static void wait_for_workers(struct pool *p)
{
	uint64_t until = 0;
	while (!list_is_empty(&p->workers)) {
		uint64_t now = clock_monotonic_ns();
		if (!all_hang(p))
			until = 0;
		else if (!until)
			until = now + ns_of_ms(p->timeout_ms);
		else if (now >= until)
			return;
		pool_wait_until(&p->changed, &p->lock, until ? until : UINT64_MAX);
	}
}

/* False: something of it is stuck. */
static bool pool_close(struct pool *p)
{
	bool is_stuck = !send_home(p);
	pthread_mutex_lock(&p->lock);
	wait_for_workers(p);
	is_stuck |= !list_is_empty(&p->workers);
	p->is_over = true;
	keeper_arm(p, 0);
	pthread_mutex_unlock(&p->lock);
	if (p->has_keeper)
		pthread_join(p->keeper, NULL);
	if (is_stuck)
		return false; /* a thread is in the driver and may come back: all that it may touch stays */
	for (size_t i = 0; i < p->watches_n; i++)
		if (p->watch[i].source)
			p->driver->close_source(p->watch[i].source);
	pool_free(p);
	return true;
}

void pools_close(struct pools *pools)
{
	bool is_done = true;
	for (size_t i = 0; pools && i < pools->n; i++)
		is_done &= pool_close(pools->pool[i]);
	if (!pools || !is_done)
		return;
	pthread_mutex_destroy(&pools->refusals.lock);
	free(pools);
}

/* ---- opening ---- */

static char *copy(const char *text, bool *ok)
{
	char *c = text ? strdup(text) : NULL;
	*ok = *ok && (!text || c);
	return c;
}

static kf_err copy_texts(const char *const *from, size_t n, char ***ret, size_t *ret_n)
{
	bool ok = true;
	*ret = calloc(n + 1, sizeof(**ret));
	for (size_t i = 0; *ret && ok && i < n; i++, ++*ret_n)
		(*ret)[i] = copy(from[i], &ok);
	return *ret && ok ? KF_OK : kf_fail(NOMEM, "pool");
}

/* One source without a socket, or one a socket. */
static kf_err make_watches(struct pool *p)
{
	size_t n = p->sockets_n ? p->sockets_n : 1;
	if (n > POOL_SOURCES_MAX)
		return kf_fail(CONFIG, "a pool has 8 sockets at most");
	p->watch = calloc(n, sizeof(*p->watch));
	if (!p->watch)
		return kf_fail(NOMEM, "pool");
	for (size_t i = 0; i < n; i++) {
		p->watch[i].pool = p;
		p->watch[i].conf.module = p->module;
		p->watch[i].conf.socket = p->sockets[i]; /* NULL behind the last */
	}
	p->watches_n = n;
	return KF_OK;
}

static kf_err copy_conf(struct pool *p, const struct pool_conf *c)
{
	bool ok = true;
	const char *const one[] = { c->source.socket };
	snprintf(p->name, sizeof(p->name), "%s", c->name);
	p->driver = c->driver;
	p->pin = c->pin;
	p->remember = c->remember;
	p->remember_arg = c->remember_arg;
	p->queue = c->queue;
	p->timeout_ms = c->timeout_ms;
	p->retry_ms = c->retry_ms ? c->retry_ms : RETRY_MS;
	p->is_read_only = c->is_read_only;
	p->overflow_ms = c->overflow_ms;
	p->module = copy(c->source.module, &ok);
	if (!ok)
		return kf_fail(NOMEM, "pool");
	KF_TRY(copy_texts(c->tokens, c->tokens_n, &p->tokens, &p->tokens_n));
	KF_TRY(copy_texts(c->sockets_n ? c->sockets : one,
		c->sockets_n ? c->sockets_n : c->source.socket != NULL, &p->sockets,
		&p->sockets_n));
	return make_watches(p);
}

static struct pool *pool_new(void)
{
	struct pool *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	pthread_mutex_init(&p->lock, NULL);
	pool_cond_init(&p->changed);
	pool_cond_init(&p->keep);
	list_init(&p->workers);
	list_init(&p->cards);
	list_init(&p->busy);
	p->groups = map_new();
	p->keep_ns = UINT64_MAX;
	return p;
}

static kf_err start_watch(struct watch *w)
{
	KF_TRY(w->pool->driver->open_source(&w->conf, &w->source));
	KF_TRY(pool_thread(&w->thread, "pool-watcher", watcher_run, w));
	w->has_thread = true;
	return KF_OK;
}

static kf_err start(struct pool *p)
{
	KF_TRY(pool_thread(&p->keeper, "pool-keeper", keeper_run, p));
	p->has_keeper = true;
	for (size_t i = 0; i < p->watches_n; i++)
		KF_TRY(start_watch(&p->watch[i]));
	return KF_OK;
}

static kf_err add(struct pools *pools, const struct pool_conf *conf)
{
	if (!conf->name || strlen(conf->name) >= POOL_NAME_SIZE)
		return kf_fail(CONFIG, "a pool's name is too long");
	struct pool *p = pool_new();
	if (!p)
		return kf_fail(NOMEM, "pool");
	pools->pool[pools->n++] = p;
	p->refusals = &pools->refusals;
	KF_TRY(copy_conf(p, conf));
	return start(p);
}

static void take_refusals(struct pools *pools, const struct pool_conf *conf)
{
	for (size_t i = 0; conf->pin && i < conf->refused_n; i++)
		refusal_note(&pools->refusals, conf->refused[i].serial, conf->pin,
			conf->refused[i].asked);
}

/* What is remembered is whole before a thread of any pool has something to add. */
kf_err pools_open(const struct pool_conf *conf, size_t n, struct pools **ret)
{
	kf_err e = n > POOLS_MAX ? kf_fail(CONFIG, "too many pools") : KF_OK;
	struct pools *pools = calloc(1, sizeof(*pools));
	if (!pools)
		return kf_fail(NOMEM, "pools");
	pthread_mutex_init(&pools->refusals.lock, NULL);
	for (size_t i = 0; i < n; i++)
		take_refusals(pools, &conf[i]);
	for (size_t i = 0; kf_ok(e) && i < n; i++)
		e = add(pools, &conf[i]);
	if (kf_ok(e))
		*ret = pools;
	else
		pools_close(pools);
	return e;
}

/* ---- waiting ---- */

static bool all_looked_at(const struct pool *p)
{
	list_each(l, &p->workers) if (!container_of(l, struct worker, link)
					       ->is_looked) return false;
	for (size_t i = 0; i < p->watches_n; i++)
		if (!p->watch[i].is_looked)
			return false;
	return true;
}

kf_err pools_wait(struct pools *pools, unsigned timeout_ms)
{
	uint64_t until = clock_monotonic_ns() + ns_of_ms(timeout_ms);
	bool done = true;
	for (size_t i = 0; i < pools->n; i++) {
		struct pool *p = pools->pool[i];
		pthread_mutex_lock(&p->lock);
		while (!all_looked_at(p) && clock_monotonic_ns() < until)
			pool_wait_until(&p->changed, &p->lock, until);
		done = done && all_looked_at(p);
		pthread_mutex_unlock(&p->lock);
	}
	return done ? KF_OK : kf_fail(TIMEOUT, "tokens are still being looked at");
}
