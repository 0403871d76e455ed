/* SPDX-License-Identifier: Apache-2.0
 *
 * The store worker: one thread, one connection, one transaction a group.
 *
 *     gated --its record is on disk--> waiting
 *     waiting --begin, apply--> group --commit--> published, answered
 *                                 |-- lost before the commit --> waiting again
 *                                 `-- lost during the commit --> in doubt: reconnect and ask
 *                                     for our last nonce; then published, or waiting again
 *
 * A change whose deadline passes is answered "not done" while it waits, "outcome unknown" while it is
 * in doubt; what became of it is found out all the same.
 */
#include "base/clock.h"
#include "base/epoch.h"
#include "store/work.h"
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define MS_NS UINT64_C(1000000)
enum {
	CAREFUL_MS = 1000,
	CONNECT_MS = 2000,
	DELAY_MS = 200,
	FORGET_MS = 60000,
	HURRY_MS = 500,
	PROBE_POLLS = 5,
	ROTATE_REST_MS = 10000
};

static uint64_t after_ms(uint64_t ms) { return clock_monotonic_ns() + ms * MS_NS; }
static bool is_due(uint64_t when_ns) { return clock_monotonic_ns() >= when_ns; }

/* --- coming in --- */

static void accept_change(struct store *s, struct change *c)
{
	c->is_replay = false;
	if (!c->deadline_ns)
		c->deadline_ns = after_ms(s->conf.deadline_ms);
	kf_err err = change_prepare(s, c);
	if (kf_ok(err))
		gate_queue(s, c);
	else
		store_answer(s, c, err);
}

void store_take_queue(struct store *s)
{
	struct change *c = changes_reversed(atomic_exchange(&s->queue, NULL));
	while (c) {
		struct change *next = c->next;
		accept_change(s, c);
		c = next;
	}
}

/* --- deadlines --- */

static void expire_queue(struct store *s, struct changes *queue, uint64_t now, kf_err why)
{
	struct changes all = *queue;
	*queue = (struct changes){ 0 };
	struct change *c;
	while ((c = changes_take(&all))) {
		if (now < c->deadline_ns)
			changes_append(queue, c);
		else
			store_answer(s, c, why);
	}
}

static void expire_doubtful(struct store *s, uint64_t now)
{
	for (size_t i = 0; i < s->grouped; i++) {
		struct item *item = &s->group[i];
		if (!item->change || now < item->change->deadline_ns)
			continue;
		store_answer(s, item->change,
			kf_fail(OUTCOME_UNKNOWN,
				"the database has not confirmed the commit"));
		item->change = NULL;
	}
}

static void expire(struct store *s)
{
	const uint64_t now = clock_monotonic_ns();
	expire_queue(s, &s->gated, now,
		kf_fail(UNAVAILABLE,
			"audit record is not on disk yet: nothing was changed"));
	expire_queue(s, &s->waiting, now,
		kf_fail(UNAVAILABLE, "store is not writable: nothing was changed"));
	if (s->is_in_doubt)
		expire_doubtful(s, now);
}

static uint64_t earlier(uint64_t a, uint64_t b) { return a < b ? a : b; }

static uint64_t earliest_in(const struct changes *queue, uint64_t latest)
{
	for (const struct change *c = queue->first; c; c = c->next)
		latest = earlier(latest, c->deadline_ns);
	return latest;
}

static uint64_t earliest_deadline(const struct store *s, uint64_t latest)
{
	latest = earliest_in(&s->waiting, earliest_in(&s->gated, latest));
	for (size_t i = 0; i < s->grouped; i++)
		if (s->group[i].change)
			latest = earlier(latest, s->group[i].change->deadline_ns);
	return latest;
}

/* --- the connection --- */

static void set_reachable(struct store *s, bool is_reachable)
{
	bool was = atomic_exchange(&s->status.is_reachable, is_reachable);
	if (!is_reachable)
		atomic_store(&s->status.is_writable, false);
	if (was && !is_reachable)
		store_event(s,
			kf_fail(UNAVAILABLE, "database is out of reach: signing goes on"),
			"store");
	if (!was && is_reachable)
		store_event(s, KF_OK, "database is reached again");
}

static void disconnect(struct store *s, kf_err why)
{
	if (s->db)
		s->driver->close(s->db);
	s->db = NULL;
	s->retry_ns = after_ms(DELAY_MS);
	store_event(s, why, "database connection given up");
	set_reachable(s, false);
}

/* After a failure the transaction is over, and perhaps the connection. */
static void recover(struct store *s, kf_err why)
{
	facts_back(&s->facts, (struct facts_mark){ 0, s->facts.head });
	if (!s->db->is_broken)
		s->driver->rollback(s->db);
	if (s->db->is_broken)
		disconnect(s, why);
	else
		s->retry_ns = after_ms(DELAY_MS);
}

static uint64_t later(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* At least half a second: a client in a hurry must not cost everybody the connection. */
static void set_deadline(struct store *s)
{
	uint64_t deadline = earliest_deadline(s, after_ms(s->conf.deadline_ms));
	s->db->deadline_ns = later(deadline, after_ms(HURRY_MS));
}

/* Each thing once, until something succeeds. */
static bool is_news(struct store *s, const char *text)
{
	if (strcmp(s->complaint, text) == 0)
		return false;
	snprintf(s->complaint, sizeof(s->complaint), "%s", text);
	return true;
}

static bool connect_again(struct store *s)
{
	char detail[DB_DETAIL_SIZE] = "";
	struct db_target to = { .where = s->where, .role = DB_OWNER, .detail = detail };
	to.deadline_ns = earliest_deadline(s, after_ms(CONNECT_MS));
	kf_err err = s->driver->open(&to, &s->db);
	if (!kf_ok(err)) {
		s->retry_ns = after_ms(DELAY_MS);
		set_reachable(s, false);
		if (is_news(s, detail)) /* what the database says */
			store_event(s, err, detail);
		return false;
	}
	s->complaint[0] = 0;
	set_reachable(s, true);
	s->poll_ns = 0; /* what happened meanwhile? */
	return true;
}

/* --- groups --- */

/* Worth another try until the deadlines?  Otherwise the answer is known: it was not done. */
static bool may_pass(kf_err err)
{
	return kf_is(err, KF_E_BUSY) || kf_is(err, KF_E_UNAVAILABLE) ||
	       kf_is(err, KF_E_TIMEOUT) || kf_is(err, KF_E_CLOSED) ||
	       kf_is(err, KF_E_CONFLICT);
}

/* A full disk, a missing master key: somebody has to do something about it.  A connection that is given
 * up is told of by whoever closes it. */
static void tell(struct store *s, kf_err err)
{
	if (kf_is(err, KF_E_TAMPERED))
		atomic_store(&s->status.is_rolled_back, true);
	else if (may_pass(err) || s->db->is_broken)
		return;
	if (is_news(s, err.site->text))
		store_event(s, err, "store");
}

/* A reload may have brought a new one.  Another server may know another key by the same id: nothing is
 * written under it then. */
static kf_err announce_master(struct store *s)
{
	s->new_master = keyring_id(s->conf.keyring, 0);
	if (s->new_master == s->master)
		return KF_OK;
	KF_TRY(rows_put_master_id(s->db, s->conf.keyring, slice_of(s->new_master)));
	return rows_check_masters(s->db, s->conf.keyring);
}

/* From here on until the end of the transaction no other server commits. */
kf_err store_lock_head(struct store *s)
{
	struct head h;
	KF_TRY(s->driver->begin(s->db, true));
	KF_TRY(rows_head(s->db, s->conf.keyring, true, &h));
	KF_TRY(load_since(s, &h));
	return announce_master(s);
}

static kf_err put_marks(struct store *s)
{
	if (getrandom(s->nonce, sizeof(s->nonce), 0) != sizeof(s->nonce))
		return kf_fail(INTERNAL, "no random numbers");
	if (s->facts.n)
		KF_TRY(rows_put_head(s->db, s->conf.keyring, &s->facts.next));
	return rows_put_writer(s->db, s->writer, s->nonce);
}

static kf_err finish(struct store *s)
{
	s->db->defers = true;
	kf_err err = put_marks(s);
	s->db->defers = false;
	KF_TRY(err);
	if (s->facts.n && s->driver->announce)
		KF_TRY(s->driver->announce(s->db));
	return s->driver->commit(s->db);
}

/* An empty group is the probe, which commits a row; and where nothing changes, the new master key still is news. */
static bool has_something(const struct store *s)
{
	return s->facts.n || !s->grouped || s->new_master != s->master;
}

static kf_err try_group(struct store *s)
{
	KF_TRY(store_lock_head(s));
	KF_TRY(group_apply(s));
	KF_TRY(gate_wait(s));
	if (has_something(s))
		return finish(s);
	s->driver->rollback(s->db);
	return KF_OK;
}

static void note_commit(struct store *s)
{
	bool is_new = s->facts.n > 0;
	facts_keep(&s->facts);
	s->master = s->new_master;
	s->complaint[0] = 0;
	atomic_store(&s->status.is_writable, true);
	atomic_store(&s->status.is_rolled_back, false); /* the right state is back */
	s->probe_ns = after_ms((uint64_t)s->conf.poll_ms * PROBE_POLLS);
	if (!is_new)
		return;
	atomic_fetch_add(&s->status.commits, 1);
	atomic_store(&s->status.sequence, s->facts.head.sequence);
	snapshot_want(s);
	kf_err err = seen_put(&s->seen, &s->facts.head);
	if (!kf_ok(err))
		store_event(s, err, s->conf.seen);
}

static void note_failure(struct store *s, kf_err err)
{
	atomic_store(&s->status.is_writable, false);
	tell(s, err);
	s->is_in_doubt = kf_is(err, KF_E_OUTCOME_UNKNOWN);
	s->probe_ns = after_ms(s->conf.poll_ms);
	recover(s, err);
}

/* Those whose records are there go first; on a disk this slow, for a while.  What roused us while we waited may have
 * been about any gate. */
static void give_way(struct store *s, kf_err why)
{
	s->careful_ns = after_ms(CAREFUL_MS);
	recover(s, why);
	if (s->db)
		s->retry_ns = 0;
	group_put_back(s);
	gate_open_all(s);
}

static void commit_group(struct store *s)
{
	group_take(s);
	set_deadline(s);
	kf_err err = try_group(s);
	if (kf_ok(err)) {
		note_commit(s);
		group_publish(s);
		group_answer(s);
		return;
	}
	if (kf_is(err, KF_E_AUDIT)) {
		give_way(s, err);
		return;
	}
	note_failure(s, err);
	if (s->is_in_doubt)
		return;
	if (may_pass(err))
		group_put_back(s);
	else
		group_fail(s, err);
}

/* --- rotation --- */

static kf_err try_rotation(struct store *s)
{
	KF_TRY(store_lock_head(s));
	KF_TRY(rotate_batch(s));
	return finish(s);
}

/* A reload may have asked for the next one meanwhile. */
static void end_rotation(struct store *s)
{
	const char *master = s->rotation.master;
	s->rotation = (struct rotation){ 0 };
	atomic_store(&s->is_rotating, false);
	if (keyring_id(s->conf.keyring, 0) != master)
		atomic_store(&s->is_rotating, true);
	else
		store_event(s, KF_OK, "rows are under the newest master key");
}

/* Tried until it is done: what is done already need not be done again. */
static void rotate(struct store *s)
{
	set_deadline(s);
	kf_err err = try_rotation(s);
	rotate_publish(s, kf_ok(err));
	if (!kf_ok(err)) {
		note_failure(s, err);
		s->rotation = (struct rotation){ 0 };
		s->rotate_ns = after_ms(may_pass(err) ? DELAY_MS : ROTATE_REST_MS);
		return;
	}
	note_commit(s);
	epoch_reclaim(s->conf.epoch);
	if (s->rotation.table == TABLES)
		end_rotation(s);
}

static bool is_rotation_due(const struct store *s)
{
	return atomic_load(&s->is_rotating) && is_due(s->rotate_ns);
}

/* --- in doubt --- */

/* The head's lock is free only when the old transaction is over, one way or the other.  What was
 * committed may still be on one machine only (a wait for the synchronous standby that somebody
 * cancelled): another commit that is confirmed confirms it too. */
static kf_err ask(struct store *s, bool *was_committed)
{
	KF_TRY(store_lock_head(s));
	KF_TRY(rows_is_written(s->db, s->writer, s->nonce, was_committed));
	if (!*was_committed) {
		s->driver->rollback(s->db);
		return KF_OK;
	}
	KF_TRY(rows_put_writer(s->db, s->writer, s->nonce));
	return s->driver->commit(s->db);
}

static void resolve(struct store *s)
{
	bool was_committed = false;
	set_deadline(s);
	kf_err err = ask(s, &was_committed);
	if (!kf_ok(err)) {
		tell(s, err);
		recover(s, err);
		return;
	}
	s->is_in_doubt = false;
	if (was_committed)
		group_answer(s);
	else
		group_put_back(s);
}

/* --- others' changes, old request ids --- */

static kf_err look(struct store *s)
{
	struct head h;
	KF_TRY(s->driver->begin(s->db, false));
	KF_TRY(rows_head(s->db, s->conf.keyring, false, &h));
	KF_TRY(load_since(s, &h));
	s->driver->rollback(s->db);
	return KF_OK;
}

static void catch_up(struct store *s)
{
	set_deadline(s);
	kf_err err = look(s);
	s->poll_ns = after_ms(s->conf.poll_ms);
	if (kf_ok(err))
		return;
	tell(s, err);
	recover(s, err);
}

static kf_err forget(struct store *s)
{
	int64_t since = clock_wall_s() - (int64_t)s->conf.request_id_hours * 3600;
	KF_TRY(s->driver->begin(s->db, true));
	KF_TRY(rows_forget_before(s->db, since));
	KF_TRY(quota_load(s));
	KF_TRY(rotate_count(
		s)); /* servers that were not told of it may go on with an older key */
	return s->driver->commit(s->db);
}

static void forget_requests(struct store *s)
{
	set_deadline(s);
	s->forget_ns = after_ms(FORGET_MS);
	kf_err err = forget(s);
	if (kf_ok(err))
		return;
	tell(s, err);
	recover(s, err);
}

/* --- the loop --- */

static bool has_changes(const struct store *s)
{
	return s->waiting.first || gate_runs_ahead(s);
}

static void work_connected(struct store *s)
{
	if (s->is_in_doubt) {
		resolve(s);
		return;
	}
	if (has_changes(s) || is_due(s->probe_ns))
		commit_group(s);
	else if (s->driver->is_shared && is_due(s->poll_ns))
		catch_up(s);
	else if (is_rotation_due(s))
		rotate(s);
	else if (is_due(s->forget_ns))
		forget_requests(s);
}

static bool has_work(const struct store *s) { return has_changes(s) || s->is_in_doubt; }

static int milliseconds_until(uint64_t when_ns)
{
	uint64_t now = clock_monotonic_ns();
	return when_ns <= now ? 0 : (int)((when_ns - now) / MS_NS) + 1;
}

static uint64_t next_due(const struct store *s)
{
	uint64_t until = after_ms(s->conf.poll_ms);
	if (!is_due(s->retry_ns))
		return earlier(earliest_deadline(s, until), s->retry_ns);
	if (has_work(s) || !s->db || is_rotation_due(s))
		return 0;
	until = earliest_in(&s->gated, until);
	if (atomic_load(&s->is_rotating))
		until = earlier(until, s->rotate_ns);
	if (s->driver->is_shared)
		until = earlier(until, s->poll_ns);
	return earlier(earlier(until, s->probe_ns), s->forget_ns);
}

/* Until something comes, or is due.  Notices wait while we do. */
static void wait_for_work(struct store *s)
{
	bool is_listening = s->db && is_due(s->retry_ns);
	struct pollfd fds[] = { { .fd = s->wake, .events = POLLIN },
		{ .fd = is_listening ? s->driver->notice_fd(s->db) : -1,
			.events = POLLIN } };
	uint64_t n;
	if (poll(fds, 2, milliseconds_until(next_due(s))) > 0 && fds[0].revents &&
		read(s->wake, &n, sizeof(n)) < 0)
		return; /* nothing to read: the queue is looked at anyway */
}

static void take_notices(struct store *s)
{
	bool any = false;
	kf_err err = s->driver->take_notices(s->db, &any);
	if (any)
		s->poll_ns = 0;
	if (!kf_ok(err))
		recover(s, err);
}

/* Everybody has an answer, if only "unknown". */
static bool is_over(struct store *s)
{
	return atomic_load(&s->is_stopping) && !atomic_load(&s->queued);
}

static void round_of_work(struct store *s)
{
	store_take_queue(s);
	gate_open_all(s);
	expire(s);
	if (!is_due(s->retry_ns))
		return;
	if (s->db)
		take_notices(s);
	if (s->db || connect_again(s))
		work_connected(s);
	if (s->db)
		take_notices(s);
	epoch_reclaim(s->conf.epoch);
}

void *store_work(void *arg)
{
	struct store *s = arg;
	while (!is_over(s)) {
		wait_for_work(s);
		round_of_work(s);
	}
	return NULL;
}
