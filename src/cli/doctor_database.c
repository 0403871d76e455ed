/* SPDX-License-Identifier: Apache-2.0
 *
 * The store's database: is it there, of our version, and does it keep what it acknowledges?  It is only
 * read: SQLite's file without a lock or a journal of ours, so that the daemon is not disturbed.
 */
#include "base/clock.h"
#include "cli/doctor.h"
#include "store/driver.h"
#include "store/rows.h"
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_NS (5000 * UINT64_C(1000000))

static void check_schema(struct doctor *d, const char *where, int64_t have)
{
	const struct doctor_number theirs = doctor_number(have),
				   ours = doctor_number(schema_newest());
	if (have > schema_newest())
		doctor_tell(d, STORE_SCHEMA, where, theirs.text, ours.text);
	else if (have > 0)
		doctor_fine(d, CHECK_STORE_SCHEMA, where);
	else
		doctor_unseen(d, CHECK_STORE_SCHEMA, where,
			"the version is not in the file yet");
}

/* ---- SQLite ---- */

static int64_t version_of_file(sqlite3 *db)
{
	sqlite3_stmt *s = NULL;
	int64_t found = -1;
	if (sqlite3_prepare_v2(db, "select max(version) from schema_version", -1, &s,
		    NULL) == SQLITE_OK &&
		sqlite3_step(s) == SQLITE_ROW)
		found = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return found;
}

/* What an URI would take for its own is escaped. */
static void uri_of(const char *path, struct buf *ret)
{
	buf_add_text(ret, "file:");
	for (; *path; path++)
		if (strchr("?#%", *path))
			buf_printf(ret, "%%%02x", (unsigned char)*path);
		else
			buf_add(ret, path, 1);
	buf_add_text(ret, "?mode=ro&immutable=1");
	buf_add_u8(ret, 0);
}

void doctor_sqlite(struct doctor *d, const char *path)
{
	autobuf uri = buf_new(65536);
	sqlite3 *db = NULL;
	if (access(path, F_OK)) {
		doctor_tell(d, STORE_THERE, path, path, "there is no such file");
		return;
	}
	if (access(path, R_OK)) {
		doctor_unseen(d, CHECK_STORE_THERE, path, "this user may not read it");
		return;
	}
	doctor_fine(d, CHECK_STORE_THERE, path);
	uri_of(path, &uri);
	if (kf_ok(buf_err(&uri)) &&
		sqlite3_open_v2((const char *)uri.p, &db,
			SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) == SQLITE_OK)
		check_schema(d, path, version_of_file(db));
	sqlite3_close(db);
}

/* ---- PostgreSQL ---- */

struct answer {
	char text[128];
	int64_t number;
};

static kf_err take(void *arg, const struct value *v, size_t n)
{
	struct answer *a = arg;
	if (n && v[0].kind == VALUE_INT)
		a->number = v[0].i;
	else if (n && v[0].kind == VALUE_TEXT)
		return slice_to_text(v[0].s, a->text, sizeof(a->text));
	return KF_OK;
}

static bool ask(struct db *db, const char *sql, struct answer *ret)
{
	const struct query q = { .sql = sql, .row = take, .arg = ret };
	*ret = (struct answer){ 0 };
	db->deadline_ns = clock_monotonic_ns() + PATIENCE_NS;
	return kf_ok(db->driver->run(db, &q));
}

struct setting {
	const char *name, *sql, *bad, *why, *better;
};

static const struct setting settings[] = {
	{ "fsync", "select current_setting('fsync')", "off",
		"a power failure may lose or damage the store", "on" },
	{ "synchronous_commit", "select current_setting('synchronous_commit')", "off",
		"a crash may lose what was acknowledged", "on" },
	{ "full_page_writes", "select current_setting('full_page_writes')", "off",
		"a power failure may damage the store", "on" },
};

static void check_settings(struct doctor *d, struct db *db)
{
	struct answer a;
	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		const struct setting *s = &settings[i];
		if (!ask(db, s->sql, &a))
			continue;
		if (!strcmp(a.text, s->bad))
			doctor_tell(d, STORE_DURABLE, s->name, s->name, a.text, s->why,
				s->better);
		else
			doctor_fine(d, CHECK_STORE_DURABLE, s->name);
	}
}

/* A standby that may take over must have what was acknowledged. */
static void check_standbys(struct doctor *d, struct db *db)
{
	struct answer standbys, names;
	if (!ask(db, "select count(*) from pg_stat_replication", &standbys) ||
		!ask(db, "select current_setting('synchronous_standby_names')", &names) ||
		standbys.number == 0)
		return;
	if (names.text[0])
		doctor_fine(d, CHECK_STORE_DURABLE, "synchronous_standby_names");
	else
		doctor_tell(d, STORE_DURABLE, "synchronous_standby_names",
			"synchronous_standby_names", "empty",
			"there are standbys, and a failover may lose what was "
			"acknowledged",
			"ANY 1 (*)");
}

void doctor_postgresql(struct doctor *d, const char *conninfo, const char *where)
{
	char detail[DB_DETAIL_SIZE] = "";
	struct db *db = NULL;
	struct answer version;
	const struct db_target to = { .where = conninfo,
		.role = DB_READER,
		.deadline_ns = clock_monotonic_ns() + PATIENCE_NS,
		.detail = detail };
	kf_err e = pgsql_driver.open(&to, &db);
	if (!kf_ok(e)) {
		doctor_tell(d, STORE_DATABASE, where, detail[0] ? detail : e.site->text);
		return;
	}
	doctor_fine(d, CHECK_STORE_DATABASE, where);
	if (ask(db, "select max(version) from schema_version", &version))
		check_schema(d, where, version.number);
	check_settings(d, db);
	check_standbys(d, db);
	db->driver->close(db);
}
