/* SPDX-License-Identifier: Apache-2.0
 *
 * Into an empty store, in one transaction: nothing is there unless all of it is right.
 */
#include "base/clock.h"
#include "store/backup.h"
#include "store/rows.h"

enum { RESTORE_MS = 600000 };

struct restore {
	const struct store_conf *conf;
	struct db *db;
};

static kf_err put_master(void *arg, struct slice id)
{
	const struct restore *r = arg;
	return rows_put_master_id(r->db, r->conf->keyring, id);
}

static kf_err put_object_index(struct db *db, const struct record *record)
{
	CLEANUP(object_unrefp) struct object *o = NULL;
	KF_TRY(record_to_object(record, &o));
	return index_object(db, o);
}

static kf_err put_client_index(struct db *db, const struct record *record)
{
	struct client_row row;
	KF_TRY(record_to_client(record, &row));
	return index_client(db, &row);
}

/* A row that was wrong when the backup was made stays what it was: refused, and counted. */
static kf_err put_record(void *arg, const struct record *record, bool is_right)
{
	const struct restore *r = arg;
	KF_TRY(rows_put(r->db, record));
	if (is_right && record->table == TABLE_OBJECT)
		return put_object_index(r->db, record);
	if (is_right && record->table == TABLE_CLIENT)
		return put_client_index(r->db, record);
	return KF_OK;
}

static kf_err check_empty(struct restore *r)
{
	struct head h;
	kf_err err = rows_head(r->db, r->conf->keyring, true, &h);
	if (kf_is(err, KF_E_NOT_FOUND))
		return KF_OK;
	if (!kf_ok(err) || h.sequence || h.rows)
		return kf_fail(EXISTS,
			"store is not empty: a backup is restored into a new one");
	return KF_OK;
}

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }

static kf_err put_all(struct restore *r, struct backup_reader *reader)
{
	bool is_new = false;
	KF_TRY(r->db->driver->begin(r->db, true));
	KF_TRY(schema_migrate(r->db, &is_new));
	KF_TRY(check_empty(r));
	KF_TRY(backup_read(reader));
	struct head h = reader->head;
	h.incarnation = later(clock_wall_us(), h.incarnation + 1);
	KF_TRY(rows_put_master(r->db, r->conf->keyring));
	KF_TRY(rows_put_head(r->db, r->conf->keyring, &h));
	return r->db->driver->commit(r->db);
}

kf_err store_restore(const struct store_conf *conf, store_source source, void *arg,
	struct store_backup_facts *ret)
{
	struct restore r = { .conf = conf };
	struct backup_reader reader = { .keyring = conf->keyring,
		.source = source,
		.source_arg = arg,
		.master = put_master,
		.record = put_record,
		.arg = &r };
	const struct store_driver *driver = NULL;
	struct db_target to = { .role = DB_OWNER };
	KF_TRY(driver_find(conf->location, &driver, &to.where));
	to.deadline_ns = clock_monotonic_ns() + RESTORE_MS * UINT64_C(1000000);
	KF_TRY(driver->open(&to, &r.db));
	r.db->deadline_ns = to.deadline_ns;
	kf_err err = put_all(&r, &reader);
	if (!kf_ok(err))
		driver->rollback(r.db);
	driver->close(r.db);
	if (kf_ok(err))
		*ret = reader.facts;
	return err;
}
