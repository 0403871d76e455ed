/* SPDX-License-Identifier: Apache-2.0
 *
 * SQLite: one file, one server.  WAL with synchronous=FULL: what was acknowledged is on the disk.
 */
#include "base/mem.h"
#include "store/driver.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { STATEMENTS_MAX = 64, BUSY_MS = 5000 };

struct sqlite {
	struct db db;
	sqlite3 *handle;
	int lock;
	size_t n;
	struct {
		const char *sql;
		sqlite3_stmt *prepared;
	} statement[STATEMENTS_MAX];
};

static struct sqlite *of(struct db *db) { return (struct sqlite *)db; }

/* A refusal of the statement alone leaves the transaction as it was before it. */
static kf_err failure(struct sqlite *s)
{
	switch (sqlite3_errcode(s->handle)) {
	case SQLITE_CONSTRAINT: return kf_fail(EXISTS, "row exists already");
	case SQLITE_TOOBIG: return kf_fail(INVALID_FIELD, "value is too big for SQLite");
	case SQLITE_FULL: return kf_fail(FULL, "no space left for the SQLite file");
	case SQLITE_READONLY:
		return kf_fail(STORE, "SQLite file or its disk is read-only");
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return kf_fail(BUSY, "SQLite file is locked by another program");
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return kf_fail(TAMPERED, "SQLite file is damaged: restore a backup");
	case SQLITE_CANTOPEN:
		return kf_fail(
			STORE, "SQLite file cannot be opened: check its directory");
	case SQLITE_NOMEM: return kf_fail(NOMEM, "SQLite is out of memory");
	case SQLITE_IOERR: return kf_fail(IO, "SQLite file cannot be read or written");
	default: return kf_fail(STORE, "SQLite refused a statement");
	}
}

static kf_err script(struct db *db, const char *sql)
{
	struct sqlite *s = of(db);
	if (sqlite3_exec(s->handle, sql, NULL, NULL, NULL) != SQLITE_OK)
		return failure(s);
	return KF_OK;
}

static kf_err prepared(struct sqlite *s, const char *sql, sqlite3_stmt **ret)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->statement[i].sql == sql) {
			*ret = s->statement[i].prepared;
			return KF_OK;
		}
	assert(s->n < STATEMENTS_MAX);
	sqlite3_stmt *st = NULL;
	if (sqlite3_prepare_v3(s->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &st,
		    NULL) != SQLITE_OK)
		return failure(s);
	s->statement[s->n].sql = sql;
	s->statement[s->n++].prepared = st;
	*ret = st;
	return KF_OK;
}

static int bind_bytes(sqlite3_stmt *st, int at, struct slice s)
{
	return s.n ? sqlite3_bind_blob64(st, at, s.p, s.n, SQLITE_STATIC)
		   : sqlite3_bind_zeroblob(st, at, 0);
}

static int bind_value(sqlite3_stmt *st, int at, const struct value *v)
{
	switch (v->kind) {
	case VALUE_NULL: return sqlite3_bind_null(st, at);
	case VALUE_INT: return sqlite3_bind_int64(st, at, v->i);
	case VALUE_TEXT:
		return sqlite3_bind_text64(st, at, v->s.n ? (const char *)v->s.p : "",
			v->s.n, SQLITE_STATIC, SQLITE_UTF8);
	case VALUE_BYTES: return bind_bytes(st, at, v->s);
	}
	return SQLITE_MISUSE;
}

static struct slice column_bytes(sqlite3_stmt *st, int at)
{
	const void *p = sqlite3_column_blob(st, at);
	return (struct slice){ p, (size_t)sqlite3_column_bytes(st, at) };
}

static struct value column(sqlite3_stmt *st, int at)
{
	switch (sqlite3_column_type(st, at)) {
	case SQLITE_INTEGER: return value_int(sqlite3_column_int64(st, at));
	case SQLITE_TEXT: return value_text(column_bytes(st, at));
	case SQLITE_BLOB: return value_bytes(column_bytes(st, at));
	default: return (struct value){ 0 };
	}
}

enum { COLUMNS_MAX = 32 };

static kf_err give_row(sqlite3_stmt *st, const struct query *q)
{
	struct value v[COLUMNS_MAX];
	int n = sqlite3_column_count(st);
	assert(n <= COLUMNS_MAX);
	for (int i = 0; i < n; i++)
		v[i] = column(st, i);
	return q->row ? q->row(q->arg, v, (size_t)n) : KF_OK;
}

static kf_err step_all(struct sqlite *s, sqlite3_stmt *st, const struct query *q)
{
	int rc;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		KF_TRY(give_row(st, q));
	if (rc != SQLITE_DONE)
		return failure(s);
	return KF_OK;
}

static kf_err run(struct db *db, const struct query *q)
{
	struct sqlite *s = of(db);
	sqlite3_stmt *st = NULL;
	KF_TRY(prepared(s, q->sql, &st));
	assert((size_t)sqlite3_bind_parameter_count(st) == q->n);

	kf_err err = KF_OK;
	for (size_t i = 0; i < q->n && kf_ok(err); i++)
		if (bind_value(st, (int)i + 1, &q->in[i]) != SQLITE_OK)
			err = failure(s);
	if (kf_ok(err))
		err = step_all(s, st, q);
	/* Both return the error that step_all() has told already. */
	(void)sqlite3_reset(st);
	(void)sqlite3_clear_bindings(st);
	return err;
}

static kf_err run_many(struct db *db, const struct query *q, size_t times)
{
	struct query one = *q;
	for (size_t i = 0; i < times; i++, one.in += one.n)
		KF_TRY(run(db, &one));
	return KF_OK;
}

static kf_err begin(struct db *db, bool is_write)
{
	return script(db, is_write ? "begin immediate" : "begin");
}

/* After a failed write to the WAL the frames may be there or not: only recovery tells. */
static kf_err commit(struct db *db)
{
	kf_err err = script(db, "commit");
	if (kf_is(err, KF_E_IO)) {
		db->is_broken = true;
		return kf_fail(OUTCOME_UNKNOWN, "SQLite file cannot be written");
	}
	return err;
}

static void rollback(struct db *db)
{
	struct sqlite *s = of(db);
	if (!sqlite3_get_autocommit(s->handle) && !kf_ok(script(db, "rollback")))
		db->is_broken = true;
}

static int notice_fd(const struct db *db)
{
	(void)db;
	return -1;
}

static kf_err take_notices(struct db *db, bool *any)
{
	(void)db;
	(void)any;
	return KF_OK;
}

static void close_db(struct db *db)
{
	struct sqlite *s = of(db);
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		(void)sqlite3_finalize(s->statement[i].prepared);
	(void)sqlite3_close(s->handle);
	mem_closep(&s->lock);
	free(s);
}

/* A file of its own: closing any other descriptor of the database would drop SQLite's locks. */
static kf_err take_lock(const char *path, int *ret)
{
	autobuf name = buf_new(4096);
	buf_add_text(&name, path);
	buf_add(&name, "-lock", sizeof("-lock"));
	KF_TRY(buf_err(&name));
	CLEANUP(mem_closep)
	int fd = open(
		(const char *)name.p, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return kf_fail(STORE, "lock file beside the SQLite file cannot be made: "
				      "check its directory");
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return kf_fail(BUSY, "SQLite file is in use by another keyfleetd: stop "
				     "it, or use PostgreSQL "
				     "for several servers");
	*ret = fd;
	fd = -1;
	return KF_OK;
}

static const char settings[] = "pragma journal_mode=wal;"
			       "pragma synchronous=full;"
			       "pragma wal_autocheckpoint=1000;"
			       "pragma cell_size_check=on;"
			       "pragma trusted_schema=off;"
			       "pragma temp_store=memory;";

static kf_err open_handle(struct sqlite *s, const char *name)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
		    SQLITE_OPEN_URI;
	if (sqlite3_open_v2(name, &s->handle, flags, NULL) != SQLITE_OK)
		return s->handle ? failure(s) : kf_fail(NOMEM, "opening SQLite");
	(void)sqlite3_busy_timeout(s->handle, BUSY_MS);
	(void)sqlite3_db_config(s->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	return script(&s->db, settings);
}

static kf_err new_db(const struct store_driver *driver, struct sqlite **ret)
{
	struct sqlite *s = calloc(1, sizeof(*s));
	if (!s)
		return kf_fail(NOMEM, "opening SQLite");
	s->db.driver = driver;
	s->lock = -1;
	*ret = s;
	return KF_OK;
}

static void close_dbp(struct sqlite **s)
{
	if (*s)
		close_db(&(*s)->db);
}

/* The file must be private before SQLite writes to it; WAL and index inherit its mode. */
static kf_err make_private(const char *path)
{
	CLEANUP(mem_closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return kf_fail(
			STORE, "SQLite file cannot be opened: check path and rights");
	return KF_OK;
}

static kf_err sqlite_open(const struct db_target *to, struct db **ret)
{
	CLEANUP(close_dbp) struct sqlite *s = NULL;
	KF_TRY(new_db(&sqlite_driver, &s));
	if (!*to->where || *to->where == ':' || strncmp(to->where, "file:", 5) == 0)
		return kf_fail(CONFIG, "sqlite: wants the path of a file");
	if (to->role == DB_OWNER)
		KF_TRY(take_lock(to->where, &s->lock));
	KF_TRY(make_private(to->where));
	KF_TRY(open_handle(s, to->where));
	*ret = &s->db;
	s = NULL;
	return KF_OK;
}

/* A database in memory that has a name, so that a second connection finds it. */
static kf_err memory_open(const struct db_target *to, struct db **ret)
{
	CLEANUP(close_dbp) struct sqlite *s = NULL;
	KF_TRY(new_db(&memory_driver, &s));
	autobuf name = buf_new(256);
	buf_printf(&name, "file:/%s?vfs=memdb", to->where);
	buf_add_u8(&name, 0);
	KF_TRY(buf_err(&name));
	KF_TRY(open_handle(s, (const char *)name.p));
	*ret = &s->db;
	s = NULL;
	return KF_OK;
}

#define SHARED_OPS                                                                       \
	.close = close_db, .script = script, .run = run, .run_many = run_many,           \
	.begin = begin, .commit = commit, .rollback = rollback, .notice_fd = notice_fd,  \
	.take_notices = take_notices

const struct store_driver sqlite_driver = {
	.scheme = "sqlite:",
	.open = sqlite_open,
	SHARED_OPS,
};
const struct store_driver memory_driver = {
	.scheme = "memory:",
	.open = memory_open,
	SHARED_OPS,
};
