/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pgsql.h"
#include "base/clock.h"
#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PARAMETERS_MAX = 24,
	COLUMNS_MAX = 32,
	POSTED_MAX = 1 << 20,
	OID_BYTEA = 17,
	OID_INT8 = 20,
	OID_TEXT = 25
};

/* lock_timeout: who waits for the head's lock behind a commit that waits for its standby.
 * idle_in_transaction: a key server that was stopped must not hold the others up. */
static const char session[] = "set lock_timeout='1s';"
			      "set idle_in_transaction_session_timeout='10s';"
			      "set client_min_messages=warning;"
			      "set standard_conforming_strings=on;"
			      "listen keyfleet";

static struct pgsql *of(struct db *db) { return (struct pgsql *)db; }

/* --- failures --- */

static kf_err lost(struct pgsql *p, kf_err why)
{
	p->db.is_broken = true;
	return why;
}

kf_err pgsql_connection_lost(struct pgsql *p)
{
	return lost(p, kf_fail(CLOSED, "PostgreSQL has closed the connection"));
}

static bool is_class(const char *state, const char *class)
{
	return strncmp(state, class, strlen(class)) == 0;
}

/* SQLSTATE (PostgreSQL 15, appendix A). */
static kf_err by_state(struct pgsql *p, const char *state)
{
	if (is_class(state, "23"))
		return kf_fail(EXISTS, "row exists already");
	if (is_class(state, "22"))
		return kf_fail(INVALID_FIELD, "value does not fit PostgreSQL");
	if (is_class(state, "55P03") || is_class(state, "40"))
		return kf_fail(BUSY, "another server's transaction is in the way");
	if (is_class(state, "53100"))
		return kf_fail(FULL, "no space left for PostgreSQL");
	if (is_class(state, "42501") || is_class(state, "28"))
		return kf_fail(CONFIG, "PostgreSQL user may not use the tables");
	if (is_class(state, "25006"))
		return lost(
			p, kf_fail(UNAVAILABLE, "PostgreSQL server is read-only now"));
	if (is_class(state, "57P") || is_class(state, "08") || is_class(state, "25P03"))
		return pgsql_connection_lost(p);
	return kf_fail(STORE, "PostgreSQL refused a statement");
}

kf_err pgsql_failure(struct pgsql *p, const PGresult *r)
{
	const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
	if (PQstatus(p->conn) == CONNECTION_BAD || !state)
		return pgsql_connection_lost(p);
	return by_state(p, state);
}

/* --- sending and receiving --- */

static kf_err flush(struct pgsql *p)
{
	int left;
	while ((left = PQflush(p->conn)) > 0) {
		kf_err err = pgsql_wait(p->conn, POLLIN | POLLOUT, p->db.deadline_ns);
		if (!kf_ok(err))
			return lost(p, err);
		if (!PQconsumeInput(p->conn))
			return pgsql_connection_lost(p);
	}
	return left < 0 ? pgsql_connection_lost(p) : KF_OK;
}

/* NULL at the end of a statement's results. */
kf_err pgsql_next_result(struct pgsql *p, PGresult **ret)
{
	while (PQisBusy(p->conn)) {
		kf_err err = pgsql_wait(p->conn, POLLIN, p->db.deadline_ns);
		if (!kf_ok(err))
			return lost(p, err);
		if (!PQconsumeInput(p->conn))
			return pgsql_connection_lost(p);
	}
	*ret = PQgetResult(p->conn);
	return KF_OK;
}

static int64_t big_endian(const char *p)
{
	uint64_t v = 0;
	for (int i = 0; i < 8; i++)
		v = v << 8 | (uint8_t)p[i];
	return (int64_t)v;
}

static struct value column(const PGresult *r, int row, int at)
{
	if (PQgetisnull(r, row, at))
		return (struct value){ 0 };
	const char *p = PQgetvalue(r, row, at);
	struct slice s = { (const uint8_t *)p, (size_t)PQgetlength(r, row, at) };
	switch (PQftype(r, at)) {
	case OID_INT8: return s.n == 8 ? value_int(big_endian(p)) : (struct value){ 0 };
	case OID_TEXT: return value_text(s);
	case OID_BYTEA: return value_bytes(s);
	default: return (struct value){ 0 };
	}
}

static kf_err give_rows(const PGresult *r, const struct query *q)
{
	struct value v[COLUMNS_MAX];
	int n = PQnfields(r);
	assert(n <= COLUMNS_MAX);
	for (int row = 0; q && q->row && row < PQntuples(r); row++) {
		for (int i = 0; i < n; i++)
			v[i] = column(r, row, i);
		KF_TRY(q->row(q->arg, v, (size_t)n));
	}
	return KF_OK;
}

static kf_err take_result(struct pgsql *p, const PGresult *r, const struct query *q)
{
	switch ((unsigned)PQresultStatus(r)) {
	case PGRES_COMMAND_OK:
	case PGRES_EMPTY_QUERY:
	case PGRES_PIPELINE_SYNC: return KF_OK;
	case PGRES_TUPLES_OK:
	case PGRES_SINGLE_TUPLE: return give_rows(r, q);
	case PGRES_PIPELINE_ABORTED:
		return kf_fail(STORE, "an earlier statement was refused");
	default: return pgsql_failure(p, r);
	}
}

/* Reads to the end of a statement whatever happens; the first failure counts.  *saw_sync: of a
 * pipeline.  is_commit: wants the server to say COMMIT, for a failed transaction says ROLLBACK. */
static kf_err drain(struct pgsql *p, const struct query *q, bool *saw_sync)
{
	kf_err first = KF_OK;
	for (;;) {
		PGresult *r = NULL;
		KF_TRY(pgsql_next_result(p, &r));
		if (!r)
			return first;
		kf_err err = kf_ok(first) ? take_result(p, r, q) : KF_OK;
		if (PQresultStatus(r) == PGRES_PIPELINE_SYNC)
			*saw_sync = true;
		PQclear(r);
		if (!kf_ok(err))
			first = err;
		if (*saw_sync)
			return first;
	}
}

kf_err pgsql_read_all(struct pgsql *p, const struct query *q)
{
	bool saw_sync = false;
	return drain(p, q, &saw_sync);
}

/* --- statements --- */

kf_err pgsql_send(struct pgsql *p, const char *sql)
{
	return PQsendQuery(p->conn, sql) ? flush(p) : pgsql_connection_lost(p);
}

/* To the end of a pipeline, whatever happens. */
static kf_err drain_pipeline(struct pgsql *p)
{
	kf_err first = KF_OK;
	for (bool saw_sync = false; !saw_sync;) {
		kf_err err = drain(p, NULL, &saw_sync);
		if (p->db.is_broken)
			return err;
		if (!saw_sync && PQstatus(p->conn) == CONNECTION_BAD)
			return pgsql_connection_lost(p);
		if (kf_ok(first))
			first = err;
	}
	return first;
}

static kf_err end_pipeline(struct pgsql *p)
{
	if (!PQpipelineSync(p->conn))
		return pgsql_connection_lost(p);
	KF_TRY(flush(p));
	kf_err err = drain_pipeline(p);
	if (!p->db.is_broken && !PQexitPipelineMode(p->conn))
		return pgsql_connection_lost(p);
	return err;
}

static kf_err settle(struct db *db)
{
	struct pgsql *p = of(db);
	if (!p->is_posting)
		return KF_OK;
	if (db->is_broken)
		return pgsql_connection_lost(p);
	p->is_posting = false;
	return end_pipeline(p);
}

static kf_err script(struct db *db, const char *sql)
{
	struct pgsql *p = of(db);
	KF_TRY(settle(db));
	KF_TRY(pgsql_send(p, sql));
	return pgsql_read_all(p, NULL);
}

static void name_of(size_t number, char ret[16])
{
	(void)snprintf(ret, 16, "k%u", (unsigned)number);
}

static Oid type_of(enum value_kind kind)
{
	static const Oid types[] = { 0, OID_INT8, OID_TEXT, OID_BYTEA };
	return types[kind];
}

static kf_err prepare(struct pgsql *p, const struct query *q, const char *name)
{
	Oid types[PARAMETERS_MAX];
	for (size_t i = 0; i < q->n; i++)
		types[i] = type_of(q->in[i].kind);
	if (!PQsendPrepare(p->conn, name, q->sql, (int)q->n, types))
		return pgsql_connection_lost(p);
	KF_TRY(flush(p));
	return pgsql_read_all(p, NULL);
}

static kf_err prepared(struct pgsql *p, const struct query *q, char name[16])
{
	assert(q->n <= PARAMETERS_MAX);
	for (size_t i = 0; i < p->n; i++)
		if (p->prepared[i] == q->sql) {
			name_of(i, name);
			return KF_OK;
		}
	assert(p->n < STATEMENTS_MAX);
	name_of(p->n, name);
	KF_TRY(settle(&p->db));
	KF_TRY(prepare(p, q, name));
	p->prepared[p->n++] = q->sql;
	return KF_OK;
}

/* All parameters travel in binary: integers as eight bytes, big-endian. */
struct parameters {
	const char *value[PARAMETERS_MAX];
	int length[PARAMETERS_MAX], format[PARAMETERS_MAX];
	uint8_t number[PARAMETERS_MAX][8];
};

static void put_number(uint8_t *p, int64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)((uint64_t)v >> (56 - 8 * i));
}

static void bind(const struct value *in, size_t n, struct parameters *ret)
{
	for (size_t i = 0; i < n; i++) {
		ret->format[i] = 1;
		ret->length[i] = in[i].kind == VALUE_INT ? 8 : (int)in[i].s.n;
		ret->value[i] = in[i].s.n ? (const char *)in[i].s.p : "";
		if (in[i].kind == VALUE_NULL)
			ret->value[i] = NULL;
		if (in[i].kind != VALUE_INT)
			continue;
		put_number(ret->number[i], in[i].i);
		ret->value[i] = (const char *)ret->number[i];
	}
}

static kf_err send_prepared(struct pgsql *p, const struct query *q, const char *name)
{
	struct parameters in;
	bind(q->in, q->n, &in);
	if (!PQsendQueryPrepared(
		    p->conn, name, (int)q->n, in.value, in.length, in.format, 1))
		return pgsql_connection_lost(p);
	return KF_OK;
}

/* libpq sends what the socket takes at once, and keeps the rest in memory: a group's objects may be large. */
static kf_err flush_some(struct pgsql *p, const struct query *q)
{
	for (size_t i = 0; i < q->n; i++)
		p->posted += q->in[i].kind == VALUE_INT ? sizeof(int64_t) : q->in[i].s.n;
	if (p->posted < POSTED_MAX)
		return KF_OK;
	p->posted = 0;
	return flush(p);
}

/* Into the pipeline, which is sent when it is long, or when somebody wants to know. */
static kf_err post(struct pgsql *p, const struct query *q, size_t times)
{
	char name[16];
	struct query one = *q;
	KF_TRY(prepared(p, q, name));
	if (!p->is_posting && !PQenterPipelineMode(p->conn))
		return pgsql_connection_lost(p);
	p->is_posting = true;
	for (size_t i = 0; i < times; i++, one.in += one.n) {
		KF_TRY(send_prepared(p, &one, name));
		KF_TRY(flush_some(p, &one));
	}
	return KF_OK;
}

static kf_err run(struct db *db, const struct query *q)
{
	struct pgsql *p = of(db);
	char name[16];
	if (db->defers && !q->row)
		return post(p, q, 1);
	KF_TRY(settle(db));
	KF_TRY(prepared(p, q, name));
	KF_TRY(send_prepared(p, q, name));
	if (q->row && !PQsetSingleRowMode(p->conn))
		return pgsql_connection_lost(p);
	KF_TRY(flush(p));
	return pgsql_read_all(p, q);
}

/* One round trip for all of them. */
static kf_err run_many(struct db *db, const struct query *q, size_t times)
{
	kf_err err = post(of(db), q, times);
	if (db->defers)
		return err;
	const kf_err settled = settle(db);
	return kf_ok(err) ? settled : err;
}

/* --- transactions --- */

static kf_err begin(struct db *db, bool is_write)
{
	return script(db, is_write ? "begin isolation level read committed read write"
				   : "begin isolation level repeatable read read only");
}

/* During a commit there is one warning to expect: that the wait for the synchronous standby was
 * cancelled.  Its text depends on the server's language, so any warning counts. */
static void note_warning(void *arg, const PGresult *r)
{
	const char *severity = PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);
	if (!severity || strcmp(severity, "WARNING") == 0)
		((struct pgsql *)arg)->was_warned = true;
}

/* "ROLLBACK" is how a transaction that had failed answers a commit. */
static kf_err read_commit(struct pgsql *p)
{
	bool is_committed = false;
	PGresult *r = NULL;
	KF_TRY(pgsql_next_result(p, &r));
	while (r) {
		is_committed = PQresultStatus(r) == PGRES_COMMAND_OK &&
			       strcmp(PQcmdStatus(r), "COMMIT") == 0;
		kf_err err = take_result(p, r, NULL);
		PQclear(r);
		KF_TRY(err);
		KF_TRY(pgsql_next_result(p, &r));
	}
	return is_committed ? KF_OK
			    : kf_fail(STORE, "PostgreSQL rolled the transaction back");
}

static kf_err commit(struct db *db)
{
	struct pgsql *p = of(db);
	KF_TRY(settle(db));
	p->was_warned = false;
	kf_err err = pgsql_send(p, "commit");
	if (kf_ok(err))
		err = read_commit(p);
	if (p->was_warned)
		p->db.is_broken = true;
	if (p->db.is_broken)
		return kf_fail(
			OUTCOME_UNKNOWN, "PostgreSQL has not confirmed the commit");
	return err;
}

static void rollback(struct db *db)
{
	const kf_err ignored = settle(db); /* what failed is rolled back, too */
	(void)ignored;
	if (!db->is_broken && !kf_ok(script(db, "rollback")))
		db->is_broken = true;
}

/* --- notices --- */

static kf_err announce(struct db *db) { return script(db, "notify keyfleet"); }

static int notice_fd(const struct db *db)
{
	return PQsocket(((const struct pgsql *)db)->conn);
}

/* Our own are nothing new.  Some came in with the answer of a statement: the socket is silent then. */
static kf_err take_notices(struct db *db, bool *any)
{
	struct pgsql *p = of(db);
	if (!PQconsumeInput(p->conn))
		return pgsql_connection_lost(p);
	PGnotify *notice;
	while ((notice = PQnotifies(p->conn))) {
		if (notice->be_pid != PQbackendPID(p->conn))
			*any = true;
		PQfreemem(notice);
	}
	return KF_OK;
}

/* --- open and close --- */

static void close_db(struct db *db)
{
	struct pgsql *p = of(db);
	if (!p)
		return;
	PQfinish(p->conn);
	free(p);
}

static kf_err pgsql_open(const struct db_target *to, struct db **ret)
{
	struct pgsql *p = calloc(1, sizeof(*p));
	if (!p)
		return kf_fail(NOMEM, "connecting to PostgreSQL");
	p->db.driver = &pgsql_driver;
	p->db.deadline_ns = to->deadline_ns;
	kf_err err = pgsql_connect(to, &p->conn);
	if (kf_ok(err)) {
		(void)PQsetNoticeReceiver(p->conn, note_warning, p);
		if (to->role == DB_OWNER)
			err = script(&p->db, session);
	}
	if (!kf_ok(err)) {
		close_db(&p->db);
		return err;
	}
	*ret = &p->db;
	return KF_OK;
}

const struct store_driver pgsql_driver = {
	.scheme = "postgresql:",
	.schema_lock = "select pg_advisory_xact_lock(5696, 1)",
	.is_shared = true,
	.open = pgsql_open,
	.close = close_db,
	.script = script,
	.run = run,
	.run_many = run_many,
	.settle = settle,
	.run_bulk = pgsql_run_bulk,
	.begin = begin,
	.commit = commit,
	.rollback = rollback,
	.announce = announce,
	.notice_fd = notice_fd,
	.take_notices = take_notices,
};
