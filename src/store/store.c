/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/mem.h"
#include "store/work.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

enum { OPEN_MS = 10000, UPGRADE_MS = 3600000 };

void store_event(struct store *s, kf_err why, const char *what)
{
	if (s->conf.event)
		s->conf.event(s->conf.event_arg, why, what);
}

/* --- opening --- */

static void set_defaults(struct store_conf *c)
{
	c->deadline_ms = c->deadline_ms ? c->deadline_ms : 5000;
	c->poll_ms = c->poll_ms ? c->poll_ms : 1000;
	c->queue_max = c->queue_max ? c->queue_max : 4096;
	c->request_ids_max = c->request_ids_max ? c->request_ids_max : 100000;
	c->request_id_hours = c->request_id_hours ? c->request_id_hours : 24;
}

/* Databases in memory are found by name; each store has its own unless the location names one. */
static kf_err own_location(struct store *s, const char *where)
{
	static atomic_uint count;
	if (s->driver == &memory_driver && !*where) {
		unsigned n = atomic_fetch_add(&count, 1);
		return asprintf(&s->where, "keyfleet-%u", n) < 0
			       ? kf_fail(NOMEM, "opening the store")
			       : KF_OK;
	}
	s->where = strdup(where);
	return s->where ? KF_OK : kf_fail(NOMEM, "opening the store");
}

static kf_err first_head(struct store *s)
{
	struct head h = { .incarnation = clock_wall_us() };
	if (s->seen.sequence)
		return kf_fail(TAMPERED,
			"store is empty, but this server has seen changes in it: "
			"restore a backup, or remove the file `seen`");
	return rows_put_head(s->db, s->conf.keyring, &h);
}

/* To clear large tables takes a database minutes, in which it says nothing: who gave up would begin anew for ever. */
static kf_err expect_upgrade(struct store *s)
{
	int64_t have;
	KF_TRY(schema_have(s->db, &have));
	if (!have || have >= schema_newest())
		return KF_OK;
	s->db->deadline_ns = clock_monotonic_ns() + UPGRADE_MS * UINT64_C(1000000);
	if (s->conf.upgrading)
		s->conf.upgrading(s->conf.event_arg, UPGRADE_MS);
	return KF_OK;
}

/* Checks the master keys before anything is written under a wrong one. */
static kf_err migrate(struct store *s)
{
	bool is_new = false;
	KF_TRY(s->driver->begin(s->db, true));
	KF_TRY(expect_upgrade(s));
	KF_TRY(schema_migrate(s->db, &is_new));
	KF_TRY(rows_check_masters(s->db, s->conf.keyring));
	if (is_new)
		KF_TRY(first_head(s));
	KF_TRY(rows_put_master(s->db, s->conf.keyring));
	return s->driver->commit(s->db);
}

static kf_err ready_database(struct store *s)
{
	char detail[DB_DETAIL_SIZE] = "";
	struct db_target to = { .where = s->where, .role = DB_OWNER, .detail = detail };
	to.deadline_ns = clock_monotonic_ns() + OPEN_MS * UINT64_C(1000000);
	kf_err err = s->driver->open(&to, &s->db);
	if (!kf_ok(err)) {
		store_event(s, err, detail);
		return err;
	}
	s->db->deadline_ns = to.deadline_ns;
	KF_TRY(migrate(s));
	s->db->deadline_ns = 0;
	atomic_store(&s->status.is_reachable, true);
	atomic_store(&s->status.is_writable, true);
	err = load_all(s);
	if (kf_is(err, KF_E_NOT_FOUND))
		return kf_fail(
			TAMPERED, "head of the store is missing: restore a backup");
	return err;
}

static kf_err start(struct store *s)
{
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake < 0)
		return kf_fail(IO, "no eventfd for the store worker");
	if (getrandom(s->writer, sizeof(s->writer), 0) != sizeof(s->writer))
		return kf_fail(INTERNAL, "no random numbers");
	s->probe_ns = clock_monotonic_ns();
	if (pthread_create(&s->thread, NULL, store_work, s) != 0)
		return kf_fail(NOMEM, "no thread for the store worker");
	s->has_thread = true;
	return KF_OK;
}

static kf_err open_all(struct store *s)
{
	const char *where = NULL;
	set_defaults(&s->conf);
	KF_TRY(driver_find(s->conf.location, &s->driver, &where));
	KF_TRY(own_location(s, where));
	KF_TRY(seen_open(s->conf.seen, &s->seen));
	KF_TRY(catalog_new(s->conf.epoch, &s->catalog));
	kf_err err = ready_database(s);
	bool is_away = kf_is(err, KF_E_UNAVAILABLE) && s->conf.snapshot;
	if (is_away) {
		store_event(s, err, "starting from the snapshot");
		err = snapshot_load(s);
	}
	KF_TRY(err);
	KF_TRY(snapshot_start(s));
	if (!is_away)
		snapshot_want(s);
	return start(s);
}

kf_err store_open(const struct store_conf *conf, struct store **ret)
{
	struct store *s = calloc(1, sizeof(*s));
	if (!s)
		return kf_fail(NOMEM, "opening the store");
	s->conf = *conf;
	s->wake = s->seen.fd = s->snapshot.wake = -1;
	s->quota = map_new();
	facts_init(&s->facts);
	kf_err err = open_all(s);
	if (!kf_ok(err)) {
		store_close(s);
		return err;
	}
	*ret = s;
	return KF_OK;
}

static void wake(struct store *s)
{
	uint64_t one = 1;
	if (write(s->wake, &one, sizeof(one)) < 0)
		return; /* full: the worker is awake */
}

void store_stop(struct store *s)
{
	atomic_store(&s->is_stopping, true);
	if (!s->has_thread)
		return;
	wake(s);
	pthread_join(s->thread, NULL);
	s->has_thread = false;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	store_stop(s);
	snapshot_stop(s);
	if (s->db)
		s->driver->close(s->db);
	for (size_t i = 0; i < s->grouped; i++)
		buf_free(&s->group[i].recorded); /* still in doubt */
	facts_free(&s->facts);
	quota_free(s);
	catalog_free(s->catalog);
	seen_close(&s->seen);
	mem_closep(&s->wake);
	free(s->where);
	free(s);
}

/* --- for everybody --- */

struct catalog *store_catalog(struct store *s) { return s->catalog; }

kf_err store_submit(struct store *s, struct change *c)
{
	if (atomic_fetch_add(&s->queued, 1) >= s->conf.queue_max ||
		atomic_load(&s->is_stopping)) {
		atomic_fetch_sub(&s->queued, 1);
		return kf_fail(BUSY, "too many changes wait for the store");
	}
	struct change *head = atomic_load_explicit(&s->queue, memory_order_relaxed);
	do
		c->next = head;
	while (!atomic_compare_exchange_weak(&s->queue, &head, c));
	if (!head)
		wake(s);
	return KF_OK;
}

void store_rouse(struct store *s)
{
	if (atomic_load(&s->has_gated))
		wake(s);
}

void store_status(struct store *s, struct store_status *ret)
{
	*ret = (struct store_status){
		.is_reachable = atomic_load(&s->status.is_reachable),
		.is_writable = atomic_load(&s->status.is_writable),
		.is_rolled_back = atomic_load(&s->status.is_rolled_back),
		.sequence = atomic_load(&s->status.sequence),
		.incarnation_us = atomic_load(&s->status.incarnation_us),
		.objects = catalog_count(s->catalog),
		.tampered = atomic_load(&s->status.tampered),
		.unloaded = atomic_load(&s->status.unloaded),
		.commits = atomic_load(&s->status.commits),
		.changes = atomic_load(&s->status.changes),
		.queued = atomic_load(&s->queued),
		.old_master_keys = atomic_load(&s->status.old_master_keys),
	};
}

void store_rotate_master(struct store *s)
{
	atomic_store(&s->is_rotating, true);
	wake(s);
}
