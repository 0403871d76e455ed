/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/audit.h"
#include "audit/private.h"
#include "base/clock.h"
#include "base/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { UNAWAITED_NS = 20000000, CHECKPOINT_MS = 1000 };

/* ---- the loops' side ---- */

kf_err audit_add(struct audit *a, unsigned loop, const struct audit_record *r,
	uint64_t *ret_ticket)
{
	struct lane *lane = &a->lane[loop];
	if (!audit_is_healthy(a))
		return kf_fail(AUDIT, "audit cannot be written");

	struct line line;
	struct line_origin origin = { loop, lane->base + lane->ticket + 1,
		clock_wall_us() };
	line_write(&line, &lane->clock, &origin, r);
	if (!ring_put(&lane->ring, (struct slice){ line.p, line.n }))
		return kf_fail(AUDIT, "too many audit records wait for the disk");
	*ret_ticket = ++lane->ticket;
	return KF_OK;
}

/* Nobody waits for what tells of a Get: the worker is not waken for each round of those, only now and
 * then.  The last ones of a burst it finds when it looks by itself. */
static bool is_time(struct lane *lane, bool is_awaited)
{
	uint64_t now = clock_monotonic_ns();
	if (!is_awaited && now - lane->roused_ns < UNAWAITED_NS)
		return false;
	lane->roused_ns = now;
	return true;
}

void audit_flush(struct audit *a, unsigned loop, uint64_t awaited)
{
	struct lane *lane = &a->lane[loop];
	if (lane->flushed != lane->ticket) {
		lane->flushed = lane->ticket;
		ring_publish(&lane->ring);
	}
	if (lane->roused == lane->ticket || !is_time(lane, awaited > lane->roused))
		return;
	lane->roused = lane->ticket;
	audit_rouse(a);
}

uint64_t audit_durable(const struct audit *a, unsigned loop)
{
	return atomic_load(&a->lane[loop].durable);
}

bool audit_wait(struct audit *a, unsigned loop, uint64_t ticket)
{
	struct lane *lane = &a->lane[loop];
	atomic_store(&lane->wanted, ticket);
	if (atomic_load(&lane->durable) < ticket && !atomic_load(&a->is_failing))
		return true;
	/* The worker may have seen it already: then there is one wake too many. */
	atomic_store(&lane->wanted, 0);
	return false;
}

bool audit_is_healthy(const struct audit *a) { return !atomic_load(&a->is_failing); }

void audit_status(const struct audit *a, struct audit_status *ret)
{
	*ret = (struct audit_status){
		.is_healthy = audit_is_healthy(a),
		.is_intact = !atomic_load(&a->is_alarmed),
		.records = atomic_load(&a->records),
		.syncs = atomic_load(&a->syncs),
		.checkpoints = atomic_load(&a->checkpoints),
		.retired = atomic_load(&a->retired),
		.synced_ns = atomic_load(&a->synced_ns),
		.reserve_bytes = atomic_load(&a->reserve),
	};
	if (a->exporter)
		exporter_status(a->exporter, &ret->exported, &ret->export_lost);
}

/* ---- lines that are no loop's ---- */

static kf_err put_event(struct events *v, const char *event, struct slice fields)
{
	if (v->n == EVENTS_MAX)
		return kf_fail(BUSY, "too many audit events wait for the disk");
	struct event *to = &v->waiting[v->n++];
	snprintf(to->name, sizeof(to->name), "%s", event);
	memcpy(to->fields, fields.p, fields.n);
	to->n = fields.n;
	return KF_OK;
}

kf_err audit_event(struct audit *a, const char *event, struct slice fields)
{
	uint64_t unused;
	return audit_event_first(a, event, fields, &unused);
}

kf_err audit_event_first(
	struct audit *a, const char *event, struct slice fields, uint64_t *ret_ticket)
{
	if (fields.n > EVENT_FIELDS_MAX || strlen(event) >= EVENT_NAME_MAX)
		return kf_fail(TOO_BIG, "audit event");
	pthread_mutex_lock(&a->events.lock);
	kf_err e = put_event(&a->events, event, fields);
	const uint64_t ticket = a->events.durable + a->events.n;
	pthread_mutex_unlock(&a->events.lock);
	audit_rouse(a);
	if (kf_ok(e))
		*ret_ticket = ticket;
	return e;
}

kf_err audit_event_wait(struct audit *a, uint64_t ticket, unsigned timeout_ms)
{
	struct events *v = &a->events;
	struct timespec until;
	int rc = 0;
	clock_gettime(CLOCK_MONOTONIC, &until);
	const uint64_t nsec =
		(uint64_t)until.tv_nsec + timeout_ms % 1000 * UINT64_C(1000000);
	until.tv_sec += (time_t)(timeout_ms / 1000 + nsec / 1000000000);
	until.tv_nsec = (long)(nsec % 1000000000);
	pthread_mutex_lock(&v->lock);
	while (v->durable < ticket && rc == 0)
		rc = pthread_cond_timedwait(&v->written, &v->lock, &until);
	const bool is = v->durable >= ticket;
	pthread_mutex_unlock(&v->lock);
	return is ? KF_OK : kf_fail(AUDIT, "audit record did not reach the disk");
}

kf_err audit_alarm(struct audit *a, const char *about, const char *what)
{
	autobuf fields = buf_new(EVENT_FIELDS_MAX);
	if (about)
		audit_put_field(&fields, "about", slice_of(about));
	audit_put_field(&fields, "detail", slice_of(what));
	atomic_store(&a->is_alarmed, true);
	KF_TRY(buf_err(&fields));
	return audit_event(a, "alarm", buf_slice(&fields));
}

const char *audit_finding(const struct audit *a)
{
	return a->finding[0] ? a->finding : NULL;
}

/* The lock is of what is read here only. */
void audit_head(const struct audit *a, struct audit_head *ret)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&a->head_lock;
	pthread_mutex_lock(lock);
	*ret = a->head;
	pthread_mutex_unlock(lock);
}

/* ---- opening and closing ---- */

static kf_err make_lanes(struct audit *a)
{
	size_t size = a->conf.loops * sizeof(struct lane);
	a->lane = aligned_alloc(64, size);
	if (!a->lane)
		return kf_fail(NOMEM, "audit lanes");
	memset(a->lane, 0, size);
	a->lanes = a->conf.loops;
	for (unsigned i = 0; i < a->lanes; i++)
		KF_TRY(ring_init(&a->lane[i].ring, a->conf.ring_size));
	return KF_OK;
}

static void release(struct audit *a)
{
	for (unsigned i = 0; i < a->lanes; i++)
		ring_clear(&a->lane[i].ring);
	free(a->lane);
	exporter_close(a->exporter);
	journal_close(&a->journal);
	seal_clear(&a->seal);
	mem_closep(&a->seen);
	buf_free(&a->text);
	pthread_cond_destroy(&a->events.written);
	pthread_mutex_destroy(&a->events.lock);
	pthread_mutex_destroy(&a->head_lock);
	free(a);
}

/* Sequences go on where the run before ended. */
static void set_bases(struct audit *a)
{
	for (unsigned i = 0; i < a->lanes; i++)
		a->lane[i].base = a->seal.at->loop[i].sequence;
}

static kf_err write_start(struct audit *a)
{
	char detail[96];
	autobuf fields = buf_new(EVENT_FIELDS_MAX);
	snprintf(detail, sizeof(detail),
		"pid %d, torn bytes cut %zu, unsigned lines %llu", (int)getpid(),
		a->journal.torn, (unsigned long long)a->seal.at->unsealed);
	audit_put_field(&fields, "detail", slice_of(detail));
	KF_TRY(audit_event(a, "start", buf_slice(&fields)));
	if (a->finding[0])
		KF_TRY(audit_alarm(a, NULL, a->finding));
	return audit_write_sealed(a, SEAL_CHECKPOINT);
}

static kf_err start(struct audit *a, const struct journal_ops *ops)
{
	KF_TRY(make_lanes(a));
	KF_TRY(seal_init(&a->seal, &a->conf));
	KF_TRY(journal_open(&a->journal, &a->conf, ops));
	KF_TRY(audit_recover(a));
	set_bases(a);
	if (a->conf.export != AUDIT_EXPORT_NONE)
		KF_TRY(exporter_open(&a->conf, &a->exporter));
	KF_TRY(write_start(a));
	atomic_store(&a->reserve, journal_reserve(&a->journal));
	if (pthread_create(&a->worker, NULL, audit_work, a) != 0)
		return kf_fail(NOMEM, "audit worker");
	return KF_OK;
}

static void init_events(struct events *v)
{
	pthread_condattr_t c;
	pthread_mutex_init(&v->lock, NULL);
	pthread_condattr_init(&c);
	pthread_condattr_setclock(&c, CLOCK_MONOTONIC);
	pthread_cond_init(&v->written, &c);
	pthread_condattr_destroy(&c);
}

static struct audit *new_audit(
	const struct audit_conf *conf, const struct audit_waker *waker)
{
	struct audit *a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->conf = *conf;
	a->conf.checkpoint_ms = conf->checkpoint_ms ? conf->checkpoint_ms : CHECKPOINT_MS;
	a->waker = *waker;
	a->seen = a->journal.directory = a->journal.current.fd = a->journal.spare.fd = -1;
	a->text = buf_new(JOURNAL_GROUP_MAX);
	init_events(&a->events);
	pthread_mutex_init(&a->head_lock, NULL);
	return a;
}

kf_err audit_open_on(const struct audit_conf *conf, const struct journal_ops *ops,
	const struct audit_waker *waker, struct audit **ret)
{
	if (conf->loops == 0 || conf->loops > CHAIN_LOOPS_MAX)
		return kf_fail(CONFIG, "audit has 1 to 256 loops");
	struct audit *a = new_audit(conf, waker);
	if (!a)
		return kf_fail(NOMEM, "audit");
	kf_err e = start(a, ops);
	if (kf_ok(e))
		*ret = a;
	else
		release(a);
	return e;
}

kf_err audit_open(const struct audit_conf *conf, const struct audit_waker *waker,
	struct audit **ret)
{
	return audit_open_on(conf, &journal_system, waker, ret);
}

void audit_close(struct audit *a)
{
	if (!a)
		return;
	for (unsigned i = 0; i < a->lanes; i++)
		ring_publish(&a->lane[i].ring);
	atomic_store(&a->is_stopping, true);
	audit_rouse(a);
	pthread_join(a->worker, NULL);
	/* Without it the next start finds lines that nobody has signed, and says so. */
	kf_err e = audit_write_sealed(a, SEAL_STOP);
	(void)e;
	release(a);
}
