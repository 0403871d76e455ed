/* SPDX-License-Identifier: Apache-2.0
 *
 * pgsql_copy: all rows of a large table, by COPY in its binary form (PostgreSQL 15, COPY, Binary Format).
 *
 * libpq makes a result of each row otherwise, with the names of all columns.  The rows come in the order of an index:
 * a planner that knows nothing of a fresh table yet would sort all of it on disk.
 */
#include "store/pgsql.h"
#include <assert.h>
#include <poll.h>
#include <string.h>

enum { COLUMNS_MAX = 32, HEADER_SIZE = 19, SQL_MAX = 4096 };

/* The signature, no flags, nothing added. */
static const uint8_t header[HEADER_SIZE] = "PGCOPY\n\377\r\n";

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

static kf_err take_row(const struct pgsql_copy *c, struct slice *in)
{
	struct value v[COLUMNS_MAX];
	for (size_t i = 0; i < c->columns; i++)
		if (!take_value(in, c->kinds[i], &v[i]))
			return kf_fail(
				STORE, "PostgreSQL copies rows that end too early");
	return c->q->row(c->q->arg, v, c->columns);
}

static kf_err take_header(struct pgsql_copy *c, struct slice *in)
{
	struct slice is;
	if (c->has_begun)
		return KF_OK;
	if (!take(in, HEADER_SIZE, &is) || memcmp(is.p, header, HEADER_SIZE) != 0)
		return kf_fail(STORE, "PostgreSQL copies without a header");
	c->has_begun = true;
	return KF_OK;
}

kf_err pgsql_copy_take(struct pgsql_copy *c, struct slice message)
{
	int64_t columns;
	KF_TRY(take_header(c, &message));
	while (message.n) {
		if (!take_number(&message, 2, &columns))
			return kf_fail(
				STORE, "PostgreSQL copies rows that end too early");
		if (columns == UINT16_MAX)
			return KF_OK;
		if ((uint64_t)columns != c->columns)
			return kf_fail(STORE,
				"PostgreSQL copies rows with other columns than were "
				"asked for");
		KF_TRY(take_row(c, &message));
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

static kf_err begin(struct pgsql *p, const struct query *q)
{
	PGresult *r = NULL;
	autobuf sql = buf_new(SQL_MAX);
	KF_TRY(put_statement(q, &sql));
	KF_TRY(p->db.driver->script(&p->db, "set local enable_sort=off"));
	KF_TRY(pgsql_send(p, (const char *)sql.p));
	KF_TRY(pgsql_next_result(p, &r));
	const bool is_begun = PQresultStatus(r) == PGRES_COPY_OUT;
	const kf_err err = is_begun ? KF_OK : pgsql_failure(p, r);
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

/* To the end whatever happens: the connection is good for something else then.  After a failure of libpq itself (-2: no
 * memory) there is no end. */
static kf_err take_all(struct pgsql *p, struct pgsql_copy *c)
{
	kf_err first = KF_OK;
	for (;;) {
		char *bytes = NULL;
		int n = 0;
		KF_TRY(next_message(p, &bytes, &n));
		if (n < -1)
			return pgsql_connection_lost(p);
		if (n < 0)
			return first;
		const struct slice message = { (const uint8_t *)bytes, (size_t)n };
		if (kf_ok(first))
			first = pgsql_copy_take(c, message);
		PQfreemem(bytes);
	}
}

kf_err pgsql_run_bulk(struct db *db, const struct query *q, const enum value_kind *kinds,
	size_t columns)
{
	struct pgsql *p = (struct pgsql *)db;
	struct pgsql_copy c = { .q = q, .kinds = kinds, .columns = columns };
	assert(columns <= COLUMNS_MAX);
	kf_err err = begin(p, q);
	if (kf_ok(err))
		err = take_all(p, &c);
	if (db->is_broken)
		return err;
	const kf_err ended = pgsql_read_all(p, NULL);
	return kf_ok(err) ? ended : err;
}
