/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/audit.h"
#include "audit/journal.h"
#include "audit/line.h"
#include "audit/private.h"
#include "audit/ring.h"
#include "base/clock.h"
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { RETRY_MS = 100, IDLE_MS = 1000, UNAWAITED_NS = 20000000 };

/* What belongs to one loop. */
struct lane {
	struct ring ring;
	/* the loop's */
	alignas(64) struct line_clock clock;
	uint64_t ticket, flushed;
	uint64_t roused,
		roused_ns; /* up to which ticket the worker was told, and when last */
	/* the worker's */
	alignas(64) _Atomic uint64_t durable;
	size_t gathered, lines; /* of this lane in the group being written */
	/* both: what the loop waits for, 0 = nothing */
	alignas(64) _Atomic uint64_t wanted;
};

struct audit {
	struct lane *lane;
	unsigned lanes;
	audit_wake wake;
	void *arg;
	pthread_t worker;
	_Atomic bool is_stopping, is_failing;
	_Atomic uint32_t asleep; /* the worker's futex: 1 while it sleeps */
	_Atomic uint32_t calls;  /* how often it was told that there is something */
	_Atomic uint64_t records, syncs;
	_Atomic size_t reserve;

	/* the worker's */
	struct journal journal;
	unsigned first; /* lane that is gathered first, in turn */
	uint8_t group[JOURNAL_GROUP_MAX];
};

static void rouse(struct audit *a)
{
	atomic_fetch_add(&a->calls, 1);
	if (atomic_load(&a->asleep) && atomic_exchange(&a->asleep, 0))
		syscall(SYS_futex, &a->asleep, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* ---- the loops' side ---- */

kf_err audit_add(struct audit *a, unsigned loop, const struct audit_record *r,
	uint64_t *ret_ticket)
{
	struct lane *lane = &a->lane[loop];
	if (!audit_is_healthy(a))
		return kf_fail(AUDIT, "audit cannot be written");

	struct line line;
	struct line_origin origin = { loop, lane->ticket + 1, clock_wall_us() };
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
	rouse(a);
}

uint64_t audit_durable(const struct audit *a, unsigned loop)
{
	return atomic_load_explicit(&a->lane[loop].durable, memory_order_acquire);
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

bool audit_is_healthy(const struct audit *a)
{
	return !atomic_load_explicit(&a->is_failing, memory_order_relaxed);
}

void audit_status(const struct audit *a, struct audit_status *ret)
{
	*ret = (struct audit_status){
		.is_healthy = audit_is_healthy(a),
		.records = atomic_load(&a->records),
		.syncs = atomic_load(&a->syncs),
		.reserve_bytes = atomic_load(&a->reserve),
	};
}

/* ---- the worker ---- */

static size_t count_lines(const uint8_t *p, size_t n)
{
	size_t lines = 0;
	for (const uint8_t *end = p + n; (p = memchr(p, '\n', (size_t)(end - p))); p++)
		lines++;
	return lines;
}

static size_t gather(struct audit *a)
{
	size_t n = 0;
	for (unsigned i = 0; i < a->lanes; i++) {
		struct lane *lane = &a->lane[(a->first + i) % a->lanes];
		lane->gathered =
			ring_peek(&lane->ring, a->group + n, sizeof(a->group) - n);
		lane->lines = count_lines(a->group + n, lane->gathered);
		n += lane->gathered;
	}
	return n;
}

static void wake_lane(struct audit *a, unsigned i, uint64_t durable)
{
	struct lane *lane = &a->lane[i];
	uint64_t wanted = atomic_load(&lane->wanted);
	if (wanted && wanted <= durable &&
		atomic_compare_exchange_strong(&lane->wanted, &wanted, 0))
		a->wake(a->arg, i);
}

static void acknowledge(struct audit *a)
{
	size_t records = 0;
	for (unsigned i = 0; i < a->lanes; i++) {
		struct lane *lane = &a->lane[i];
		if (!lane->gathered)
			continue;
		ring_take(&lane->ring, lane->gathered);
		records += lane->lines;
		uint64_t durable = atomic_load(&lane->durable) + lane->lines;
		atomic_store(&lane->durable, durable);
		wake_lane(a, i, durable);
	}
	atomic_fetch_add(&a->records, records);
	atomic_fetch_add(&a->syncs, 1);
	a->first = (a->first + 1) % a->lanes;
}

static void set_failing(struct audit *a, bool is_failing)
{
	if (atomic_exchange(&a->is_failing, is_failing) == is_failing || !is_failing)
		return;
	for (unsigned i = 0; i < a->lanes; i++)
		wake_lane(a, i, UINT64_MAX);
}

/* Under load there is no other time than after a group to prepare for the next ones. */
static bool commit(struct audit *a, size_t n)
{
	kf_err e = journal_append(&a->journal, (struct slice){ a->group, n });
	set_failing(a, !kf_ok(e));
	if (!kf_ok(e))
		return false;
	acknowledge(a);
	journal_keep_ahead(&a->journal);
	return true;
}

/* Declares that it sleeps, looks once more whether it was called since it last gathered, sleeps.  What
 * lies in a ring without a call is nobody's hurry: it goes with the next group, or after IDLE_MS. */
static void sleep_until_roused(struct audit *a, uint32_t calls)
{
	struct timespec most = { IDLE_MS / 1000, IDLE_MS % 1000 * 1000000L };
	atomic_store(&a->asleep, 1);
	if (atomic_load(&a->calls) == calls && !atomic_load(&a->is_stopping))
		syscall(SYS_futex, &a->asleep, FUTEX_WAIT_PRIVATE, 1, &most, NULL, 0);
	atomic_store(&a->asleep, 0);
}

static void sleep_until_retry(void)
{
	struct timespec pause = { 0, RETRY_MS * 1000000L };
	nanosleep(&pause, NULL);
}

/* Failing with nothing to write: try whether there is room again. */
static void prepare(struct audit *a, uint32_t calls)
{
	if (journal_prepare(&a->journal))
		set_failing(a, false);
	else
		sleep_until_roused(a, calls);
}

static void *work(void *arg)
{
	struct audit *a = arg;
	for (;;) {
		uint32_t calls = atomic_load(&a->calls);
		size_t n = gather(a);
		bool is_stopping = atomic_load(&a->is_stopping);
		if (n == 0 && is_stopping)
			return NULL;
		if (n == 0) {
			prepare(a, calls);
		} else if (commit(a, n)) {
			/* A group that is nearly full has left something behind. */
			if (n < sizeof(a->group) / 2)
				sleep_until_roused(a, calls);
		} else if (is_stopping) {
			return NULL;
		} else {
			sleep_until_retry();
		}
		atomic_store(&a->reserve, journal_reserve(&a->journal));
	}
}

/* ---- opening and closing ---- */

static kf_err write_event(struct audit *a, const char *event)
{
	char detail[64];
	snprintf(detail, sizeof(detail), "pid %d, torn bytes cut %zu", (int)getpid(),
		a->journal.torn);
	struct line line;
	line_event(&line, clock_wall_us(), event, detail);
	return journal_append(&a->journal, (struct slice){ line.p, line.n });
}

static kf_err make_lanes(struct audit *a, const struct audit_conf *conf)
{
	size_t size = conf->loops * sizeof(struct lane);
	a->lane = aligned_alloc(64, size);
	if (!a->lane)
		return kf_fail(NOMEM, "audit lanes");
	memset(a->lane, 0, size);
	a->lanes = conf->loops;
	for (unsigned i = 0; i < a->lanes; i++)
		KF_TRY(ring_init(&a->lane[i].ring, conf->ring_size));
	return KF_OK;
}

static void release(struct audit *a)
{
	for (unsigned i = 0; i < a->lanes; i++)
		ring_clear(&a->lane[i].ring);
	free(a->lane);
	free(a);
}

static kf_err start(
	struct audit *a, const struct audit_conf *conf, const struct journal_ops *ops)
{
	KF_TRY(make_lanes(a, conf));
	KF_TRY(journal_open(&a->journal, conf, ops));
	kf_err e = write_event(a, "start");
	atomic_store(&a->reserve, journal_reserve(&a->journal));
	if (kf_ok(e) && pthread_create(&a->worker, NULL, work, a) != 0)
		e = kf_fail(NOMEM, "audit worker");
	if (!kf_ok(e))
		journal_close(&a->journal);
	return e;
}

kf_err audit_open_on(const struct audit_conf *conf, const struct journal_ops *ops,
	const struct audit_waker *waker, struct audit **ret)
{
	if (conf->loops == 0)
		return kf_fail(CONFIG, "audit without loops");
	struct audit *a = calloc(1, sizeof(*a));
	if (!a)
		return kf_fail(NOMEM, "audit");
	a->wake = waker->wake;
	a->arg = waker->arg;
	kf_err e = start(a, conf, ops);
	if (kf_ok(e))
		*ret = a;
	else
		release(a);
	return e;
}

kf_err audit_open(
	const struct audit_conf *conf, audit_wake wake, void *arg, struct audit **ret)
{
	struct audit_waker waker = { wake, arg };
	return audit_open_on(conf, &journal_system, &waker, ret);
}

void audit_close(struct audit *a)
{
	if (!a)
		return;
	for (unsigned i = 0; i < a->lanes; i++)
		ring_publish(&a->lane[i].ring);
	atomic_store(&a->is_stopping, true);
	rouse(a);
	pthread_join(a->worker, NULL);
	kf_err last = write_event(a, "stop");
	(void)last; /* there is nobody left to tell */
	journal_close(&a->journal);
	release(a);
}
