/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit worker: makes a group of what all loops have queued, with chain values, lines of its own and a
 * checkpoint when one is due, writes it with one sync, and tells the loops.
 */
#include "audit/private.h"
#include "base/clock.h"
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { RETRY_MS = 100, IDLE_MS = 1000, ATTEMPTS = 2 };
#define MS_NS UINT64_C(1000000)

void audit_rouse(struct audit *a)
{
	atomic_fetch_add(&a->calls, 1);
	if (atomic_load(&a->asleep) && atomic_exchange(&a->asleep, 0))
		syscall(SYS_futex, &a->asleep, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* ---- the group ---- */

static void add_text(struct audit *a)
{
	memcpy(a->group + a->n, a->text.p, a->text.n);
	a->n += a->text.n;
	buf_clear(&a->text);
}

static size_t gather_lane(struct audit *a, unsigned i, size_t most)
{
	struct lane *lane = &a->lane[i];
	uint8_t *p = a->group + a->n;
	lane->gathered = ring_peek(&lane->ring, p, most);
	lane->lines = seal_records(&a->seal, i, p, lane->gathered);
	a->n += lane->gathered;
	return lane->gathered;
}

static void gather(struct audit *a, size_t most)
{
	for (unsigned i = 0; i < a->lanes; i++)
		most -= gather_lane(a, (a->first + i) % a->lanes, most);
}

static size_t queued(const struct audit *a)
{
	size_t n = 0;
	for (unsigned i = 0; i < a->lanes; i++)
		n += ring_length(&a->lane[i].ring);
	return n;
}

static kf_err add_events(struct audit *a)
{
	kf_err e = KF_OK;
	pthread_mutex_lock(&a->events.lock);
	a->taken = a->events.n;
	for (size_t i = 0; i < a->taken && kf_ok(e); i++) {
		const struct event *v = &a->events.waiting[i];
		struct slice fields = { (const uint8_t *)v->fields, v->n };
		e = seal_event(&a->seal, v->name, fields, &a->text);
	}
	pthread_mutex_unlock(&a->events.lock);
	add_text(a);
	return e;
}

static void drop_events(struct audit *a)
{
	struct events *v = &a->events;
	pthread_mutex_lock(&v->lock);
	v->n -= a->taken;
	v->durable += a->taken;
	memmove(v->waiting, v->waiting + a->taken, v->n * sizeof(v->waiting[0]));
	if (a->taken)
		pthread_cond_broadcast(&v->written);
	pthread_mutex_unlock(&v->lock);
}

static bool has_events(struct audit *a)
{
	pthread_mutex_lock(&a->events.lock);
	bool any = a->events.n > 0;
	pthread_mutex_unlock(&a->events.lock);
	return any;
}

/* Lines of our own at their longest: a segment's first, a new key with its checkpoint, a checkpoint. */
static size_t own_lines(const struct audit *a)
{
	return 3 * seal_line_max(&a->seal) + (EVENTS_MAX + 1) * (size_t)SEAL_LINE_BYTES;
}

static kf_err begin_segment(struct audit *a)
{
	KF_TRY(journal_roll(&a->journal));
	a->seal.segment = a->journal.number;
	a->seal.after = a->written;
	KF_TRY(seal_checkpoint(&a->seal, SEAL_SEGMENT, &a->text));
	a->has_checkpoint = true;
	add_text(a);
	return KF_OK;
}

static kf_err add_checkpoint(struct audit *a, enum seal_kind kind)
{
	bool is_renewed = kind == SEAL_CHECKPOINT && seal_needs_key(&a->seal);
	KF_TRY(is_renewed ? seal_renew_key(&a->seal, &a->text)
			  : seal_checkpoint(&a->seal, kind, &a->text));
	a->has_checkpoint = true;
	add_text(a);
	return KF_OK;
}

struct plan {
	bool has_checkpoint;
	enum seal_kind kind;
};

static kf_err compose(struct audit *a, const struct plan *plan)
{
	size_t own = own_lines(a), most = sizeof(a->group) - own, want = queued(a);
	a->n = 0;
	a->has_checkpoint = false;
	buf_clear(&a->text);
	seal_begin(&a->seal);
	most = want < most ? want : most;
	if (!journal_fits(&a->journal, most + own))
		KF_TRY(begin_segment(a));
	gather(a, most);
	KF_TRY(add_events(a));
	return plan->has_checkpoint ? add_checkpoint(a, plan->kind) : KF_OK;
}

/* ---- after the disk ---- */

static void wake_lane(struct audit *a, unsigned i, uint64_t durable)
{
	struct lane *lane = &a->lane[i];
	uint64_t wanted = atomic_load(&lane->wanted);
	if (wanted && wanted <= durable &&
		atomic_compare_exchange_strong(&lane->wanted, &wanted, 0))
		a->waker.wake(a->waker.arg, i);
}

static void acknowledge_lanes(struct audit *a)
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
	a->first = (a->first + 1) % a->lanes;
}

static void tell_advance(struct audit *a)
{
	if (a->waker.advanced)
		a->waker.advanced(a->waker.arg);
}

static void publish_head(struct audit *a)
{
	pthread_mutex_lock(&a->head_lock);
	a->head = a->seal.head;
	pthread_mutex_unlock(&a->head_lock);
	audit_note_seen(a);
	atomic_fetch_add(&a->checkpoints, 1);
}

static void acknowledge(struct audit *a)
{
	uint64_t now = clock_monotonic_ns();
	acknowledge_lanes(a);
	tell_advance(a);
	seal_keep(&a->seal);
	a->written = a->journal.number;
	atomic_fetch_add(&a->syncs, 1);
	atomic_store(&a->synced_ns, now);
	atomic_store(&a->retired, a->seal.retired);
	drop_events(a);
	if (a->exporter)
		exporter_put(a->exporter, (struct slice){ a->group, a->n });
	if (!a->has_checkpoint)
		return;
	a->checked_ns = now;
	publish_head(a);
}

static void set_failing(struct audit *a, bool is_failing)
{
	if (atomic_exchange(&a->is_failing, is_failing) == is_failing || !is_failing)
		return;
	for (unsigned i = 0; i < a->lanes; i++)
		wake_lane(a, i, UINT64_MAX);
	tell_advance(a);
}

static kf_err write_once(struct audit *a, const struct plan *plan)
{
	KF_TRY(compose(a, plan));
	return journal_append(&a->journal, (struct slice){ a->group, a->n });
}

/* A group that failed is made again in another segment. */
static bool commit(struct audit *a, const struct plan *plan)
{
	kf_err e = KF_OK;
	for (int i = 0; i < ATTEMPTS; i++) {
		e = write_once(a, plan);
		if (kf_ok(e))
			break;
	}
	set_failing(a, !kf_ok(e));
	if (!kf_ok(e))
		return false;
	acknowledge(a);
	/* Under load there is no other time than after a group to prepare for the next ones. */
	journal_keep_ahead(&a->journal);
	return true;
}

kf_err audit_write_sealed(struct audit *a, enum seal_kind kind)
{
	struct plan plan = { true, kind };
	return commit(a, &plan) ? KF_OK : kf_fail(FULL, "audit cannot be written");
}

/* ---- the thread ---- */

/* Declares that it sleeps, looks once more whether it was called since it last gathered, sleeps.  What
 * lies in a ring without a call is nobody's hurry: it goes with the next group, or after this time. */
static void sleep_until_roused(struct audit *a, uint32_t calls, uint64_t most_ns)
{
	struct timespec most = { (time_t)(most_ns / (1000 * MS_NS)),
		(long)(most_ns % (1000 * MS_NS)) };
	atomic_store(&a->asleep, 1);
	if (atomic_load(&a->calls) == calls && !atomic_load(&a->is_stopping))
		syscall(SYS_futex, &a->asleep, FUTEX_WAIT_PRIVATE, 1, &most, NULL, 0);
	atomic_store(&a->asleep, 0);
}

static void sleep_until_retry(void)
{
	struct timespec pause = { 0, RETRY_MS * MS_NS };
	nanosleep(&pause, NULL);
}

/* Until the next checkpoint; with nothing to be signed there is none. */
static uint64_t left_ns(const struct audit *a)
{
	uint64_t now = clock_monotonic_ns(), idle = IDLE_MS * MS_NS;
	uint64_t due = a->checked_ns + a->conf.checkpoint_ms * MS_NS;
	if (!a->seal.at->unsealed && !seal_needs_key(&a->seal))
		return idle;
	uint64_t left = due > now ? due - now : 0;
	return left < idle ? left : idle;
}

static bool is_due(const struct audit *a)
{
	return clock_monotonic_ns() >= a->checked_ns + a->conf.checkpoint_ms * MS_NS;
}

/* Failing with nothing to write: try whether there is room again. */
static void prepare(struct audit *a, uint32_t calls)
{
	if (journal_prepare(&a->journal))
		set_failing(a, false);
	else
		sleep_until_roused(a, calls, left_ns(a));
}

/* False: it has to be tried again later. */
static bool write_group(struct audit *a, const struct plan *plan, uint32_t calls)
{
	if (!commit(a, plan))
		return false;
	/* A group that is nearly full has left something behind. */
	if (a->n < sizeof(a->group) / 4)
		sleep_until_roused(a, calls, left_ns(a));
	return true;
}

void *audit_work(void *arg)
{
	struct audit *a = arg;
	for (;;) {
		uint32_t calls = atomic_load(&a->calls);
		bool is_stopping = atomic_load(&a->is_stopping);
		bool has_lines = queued(a) || has_events(a);
		bool has_more = has_lines || left_ns(a) == 0;
		struct plan plan = { has_more && is_due(a), SEAL_CHECKPOINT };
		if (!has_lines && is_stopping)
			return NULL;
		if (!has_more)
			prepare(a, calls);
		else if (!write_group(a, &plan, calls) && is_stopping)
			return NULL;
		else if (atomic_load(&a->is_failing))
			sleep_until_retry();
		if (!atomic_load(&a->is_failing))
			audit_expire(a);
		atomic_store(&a->reserve, journal_reserve(&a->journal));
	}
}
