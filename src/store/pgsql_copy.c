/* SPDX-License-Identifier: Apache-2.0
 *
 * pgsql_copy: all rows of a large table, by COPY in its binary form (PostgreSQL 15, COPY, Binary Format).
 *
 * libpq makes a result of each row otherwise, with the names of all columns.  The rows come in the order of an index:
 * a planner that knows nothing of a fresh table yet would sort all of it on disk.
 */
#include "store/pgsql.h"
#include <poll.h>

enum { COLUMNS_MAX = 32, HEADER_SIZE = 19, SQL_MAX = 4096 };

struct copy {
	struct pgsql *p;
	const struct query *q;
	const enum value_kind *kinds;
	bool has_begun; /* the header has come */
};

/* --- rows --- */

static bool take(struct slice *in, size_t n, struct slice *ret)
{
	if (n > in->n)
		return false;
	*ret = (struct slice){ in->p, n };
	in->p += n;
	in->n -= n;
	return true;
}

static bool take_number(struct slice *in, size_t bytes, int64_t *ret)
{
	struct slice s;
	uint64_t v = 0;
	if (!take(in, bytes, &s))
		return false;
	for (size_t i = 0; i < bytes; i++)
		v = v << 8 | s.p[i];
	*ret = (int64_t)v;
	return true;
}

static bool take_value(struct slice *in, enum value_kind kind, struct value *ret)
{
	int64_t n;
	*ret = (struct value){ 0 };
	if (!take_number(in, 4, &n))
		return false;
	if (n == UINT32_MAX)
		return true; /* null */
	ret->kind = kind;
	if (kind == VALUE_INT)
		return n == 8 && take_number(in, 8, &ret->i);
	return take(in, (size_t)n, &ret->s);
}

static kf_err take_row(struct copy *c, struct slice *in, size_t columns)
{
	struct value v[COLUMNS_MAX];
	if (columns > COLUMNS_MAX)
		return kf_fail(STORE, "PostgreSQL copies rows that are too long");
	for (size_t i = 0; i < columns; i++)
		if (!take_value(in, c->kinds[i], &v[i]))
			return kf_fail(
				STORE, "PostgreSQL copies rows that end too early");
	return c->q->row(c->q->arg, v, columns);
}

/* One row, the first one behind the header; in the end there is none, which is said by a negative number. */
static kf_err take_message(struct copy *c, struct slice in)
{
	struct slice header;
	int64_t columns;
	if (!c->has_begun && !take(&in, HEADER_SIZE, &header))
		return kf_fail(STORE, "PostgreSQL copies without a header");
	c->has_begun = true;
	while (in.n) {
		if (!take_number(&in, 2, &columns))
			return kf_fail(
				STORE, "PostgreSQL copies rows that end too early");
		if (columns == UINT16_MAX)
			return KF_OK;
		KF_TRY(take_row(c, &in, (size_t)columns));
	}
	return KF_OK;
}

/* --- the statement --- */

/* The whole text of it. */
static kf_err put_statement(const struct query *q, struct buf *ret)
{
	buf_add_text(ret, "copy (");
	buf_add_text(ret, q->sql);
	buf_add(ret, ") to stdout (format binary)",
		sizeof(") to stdout (format binary)"));
	return buf_err(ret);
}

static kf_err begin(struct copy *c)
{
	PGresult *r = NULL;
	autobuf sql = buf_new(SQL_MAX);
	KF_TRY(put_statement(c->q, &sql));
	KF_TRY(c->p->db.driver->script(&c->p->db, "set local enable_sort=off"));
	KF_TRY(pgsql_send(c->p, (const char *)sql.p));
	KF_TRY(pgsql_next_result(c->p, &r));
	const bool is_begun = PQresultStatus(r) == PGRES_COPY_OUT;
	const kf_err err = is_begun ? KF_OK : pgsql_failure(c->p, r);
	PQclear(r);
	return err;
}

/* *ret: 0 at the end. */
static kf_err next_message(struct pgsql *p, char **ret_bytes, int *ret)
{
	while ((*ret = PQgetCopyData(p->conn, ret_bytes, true)) == 0) {
		kf_err err = pgsql_wait(p->conn, POLLIN, p->db.deadline_ns);
		if (!kf_ok(err)) {
			p->db.is_broken = true;
			return err;
		}
		if (!PQconsumeInput(p->conn))
			return pgsql_connection_lost(p);
	}
	return KF_OK;
}

/* To the end whatever happens: the connection is good for something else then. */
static kf_err take_all(struct copy *c)
{
	kf_err first = KF_OK;
	for (;;) {
		char *bytes = NULL;
		int n = 0;
		KF_TRY(next_message(c->p, &bytes, &n));
		if (n < 0)
			return first;
		const struct slice message = { (const uint8_t *)bytes, (size_t)n };
		if (kf_ok(first))
			first = take_message(c, message);
		PQfreemem(bytes);
	}
}

kf_err pgsql_run_bulk(struct db *db, const struct query *q, const enum value_kind *kinds)
{
	struct copy c = { .p = (struct pgsql *)db, .q = q, .kinds = kinds };
	kf_err err = begin(&c);
	if (kf_ok(err))
		err = take_all(&c);
	if (db->is_broken)
		return err;
	const kf_err ended = pgsql_read_all(c.p, NULL);
	return kf_ok(err) ? ended : err;
}
