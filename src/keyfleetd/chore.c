/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/chore.h"
#include "base/clock.h"
#include "keyfleetd/server.h"

enum { DISK_MS = 5000, STOP_LOOK_MS = 250 };
#define MS_NS UINT64_C(1000000)

/* ---- waiting ---- */

static struct timespec at(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / (1000 * MS_NS)),
		.tv_nsec = (long)(ns % (1000 * MS_NS)) };
}

bool chore_pause(struct chore *c, int64_t ms)
{
	const struct timespec until = at(clock_monotonic_ns() + (uint64_t)ms * MS_NS);
	int rc = 0;
	pthread_mutex_lock(&c->lock);
	while (!c->is_stopping && rc == 0)
		rc = pthread_cond_timedwait(&c->woken, &c->lock, &until);
	bool goes_on = !c->is_stopping;
	pthread_mutex_unlock(&c->lock);
	return goes_on;
}

/* ---- changes ---- */

static void committed(struct change *change)
{
	struct chore *c = change->arg;
	pthread_mutex_lock(&c->lock);
	c->is_committed = true;
	pthread_cond_broadcast(&c->woken);
	pthread_mutex_unlock(&c->lock);
}

kf_err chore_commit(struct chore *c, struct change *change)
{
	change->deadline_ns = clock_monotonic_ns() + c->server->commit_timeout_ns;
	change->done = committed;
	change->arg = c;
	c->is_committed = false;
	/* From here on change->err is the store's: it may be there before this comes back. */
	const kf_err submitted = store_submit(c->server->store, change);
	if (!kf_ok(submitted)) {
		change->err = submitted;
		return submitted;
	}
	pthread_mutex_lock(&c->lock);
	while (!c->is_committed)
		pthread_cond_wait(&c->woken, &c->lock);
	pthread_mutex_unlock(&c->lock);
	return change->err;
}

/* A change of nothing: the store locks its head, and reads what it does not know yet. */
kf_err chore_catch_up(struct chore *c)
{
	struct change nothing = { 0 };
	return chore_commit(c, &nothing);
}

/* ---- the audit ---- */

kf_err chore_record(struct chore *c, const char *event, struct slice fields)
{
	struct audit *a = c->server->audit;
	uint64_t ticket;
	KF_TRY(audit_event_first(a, event, fields, &ticket));
	kf_err e = audit_event_wait(a, ticket, STOP_LOOK_MS);
	for (int waited = STOP_LOOK_MS; !kf_ok(e) && waited < DISK_MS;
		waited += STOP_LOOK_MS) {
		if (!chore_pause(c, 0))
			return kf_fail(CLOSED, "the key server is being stopped");
		e = audit_event_wait(a, ticket, STOP_LOOK_MS);
	}
	return e;
}

/* ---- life ---- */

static void *run(void *arg)
{
	struct chore *c = arg;
	while (chore_pause(c, c->every_ms))
		c->look(c);
	pthread_mutex_lock(&c->lock);
	c->is_over = true;
	pthread_cond_broadcast(&c->woken);
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

static void init(struct chore *c)
{
	pthread_condattr_t a;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(&c->woken, &a);
	pthread_condattr_destroy(&a);
}

static void release(struct chore *c)
{
	epoch_unregister(c->reader);
	pthread_cond_destroy(&c->woken);
	pthread_mutex_destroy(&c->lock);
}

kf_err chore_start(struct chore *c)
{
	init(c);
	kf_err e = epoch_register(c->server->epoch, &c->reader);
	if (kf_ok(e) && pthread_create(&c->thread, NULL, run, c) != 0)
		e = kf_fail(NOMEM, "no thread for what the key server does by itself");
	if (!kf_ok(e))
		release(c);
	else
		pthread_setname_np(c->thread, c->name);
	return e;
}

bool chore_stop(struct chore *c, uint64_t until_ns)
{
	const struct timespec until = at(until_ns);
	int rc = 0;
	pthread_mutex_lock(&c->lock);
	c->is_stopping = true;
	pthread_cond_broadcast(&c->woken);
	while (!c->is_over && rc == 0)
		rc = pthread_cond_timedwait(&c->woken, &c->lock, &until);
	bool is_over = c->is_over;
	pthread_mutex_unlock(&c->lock);
	if (!is_over)
		return false;
	pthread_join(c->thread, NULL);
	release(c);
	return true;
}
