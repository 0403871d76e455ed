/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit heads of the key servers of one database: read all, then put ours, by a connection of its own, so
 * that nobody else waits.
 */
#include "base/clock.h"
#include "store/rows.h"
#include "store/work.h"

enum { HEADS_MS = 5000, HEADS_MAX = 256 };

struct reader {
	store_head_row row;
	void *arg;
	size_t n;
};

static kf_err read_head(void *arg, const struct value *v, size_t n)
{
	struct reader *r = arg;
	if (n == 2 && r->n++ < HEADS_MAX)
		r->row(r->arg, v[0].s, v[1].s);
	return KF_OK;
}

static kf_err exchange(struct db *db, const struct store_head *own, struct reader *r)
{
	struct value in[] = { value_text(own->origin), value_text(own->line),
		value_int(clock_wall_s()) };
	struct query all = { .sql = "select origin,line from audit_head order by at desc",
		.row = read_head,
		.arg = r };
	struct query put = {
		.sql = "insert into audit_head (origin,line,at) "
		       "values ($1,$2,$3) on conflict (origin) do update set "
		       "line=excluded.line,at=excluded.at",
		.in = in,
		.n = 3
	};
	KF_TRY(db->driver->run(db, &all));
	return db->driver->run(db, &put);
}

static kf_err exchange_by(struct db *db, const struct store_head *own, struct reader *r)
{
	KF_TRY(db->driver->begin(db, true));
	KF_TRY(exchange(db, own, r));
	return db->driver->commit(db);
}

bool store_is_shared(const struct store *s) { return s->driver->is_shared; }

kf_err store_exchange_heads(
	struct store *s, const struct store_head *own, store_head_row row, void *arg)
{
	struct reader r = { .row = row, .arg = arg };
	struct db_target to = { .where = s->where, .role = DB_OWNER };
	struct db *db = NULL;
	if (!store_is_shared(s))
		return KF_OK;
	to.deadline_ns = clock_monotonic_ns() + HEADS_MS * UINT64_C(1000000);
	KF_TRY(s->driver->open(&to, &db));
	db->deadline_ns = to.deadline_ns;
	kf_err err = exchange_by(db, own, &r);
	s->driver->close(db);
	return err;
}
