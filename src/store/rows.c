/* SPDX-License-Identifier: Apache-2.0 */
#include "store/rows.h"
#include "base/clock.h"
#include <assert.h>
#include <string.h>

/* clang-format off */
#define CORE "id,version,sequence,created,master,mac"
#define CORE_SET "version=excluded.version,sequence=excluded.sequence,master=excluded.master,mac=excluded.mac"
#define OBJECT CORE ",type,owner,state,initial_date,activation_date,process_start_date," \
	"protect_stop_date,deactivation_date,destroy_date,attrs,sealed"
#define CLIENT CORE ",is_revoked,certificates"
#define GRANT CORE ",is_dropped,who,target,permissions,constraints,rate,burst,concurrency"

static const struct statements {
	const char *all, *since, *other, *count_other, *put;
} statements[TABLES] = {
	[TABLE_OBJECT] = {
		.all = "select " OBJECT " from object order by created",
		.since = "select " OBJECT " from object where sequence>$1 order by created",
		.other = "select " OBJECT " from object where master<>$1 and created>$2 order by created limit $3",
		.count_other = "select count(*) from object where master<>$1",
		.put = "insert into object (" OBJECT ") values "
			"($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17) "
			"on conflict (id) do update set " CORE_SET ",owner=excluded.owner,"
			"state=excluded.state,initial_date=excluded.initial_date,"
			"activation_date=excluded.activation_date,"
			"process_start_date=excluded.process_start_date,"
			"protect_stop_date=excluded.protect_stop_date,"
			"deactivation_date=excluded.deactivation_date,"
			"destroy_date=excluded.destroy_date,attrs=excluded.attrs,sealed=excluded.sealed",
	},
	[TABLE_CLIENT] = {
		.all = "select " CLIENT " from client order by created",
		.since = "select " CLIENT " from client where sequence>$1 order by created",
		.other = "select " CLIENT " from client where master<>$1 and created>$2 order by created limit $3",
		.count_other = "select count(*) from client where master<>$1",
		.put = "insert into client (" CLIENT ") values ($1,$2,$3,$4,$5,$6,$7,$8) "
			"on conflict (id) do update set " CORE_SET
			",is_revoked=excluded.is_revoked,certificates=excluded.certificates",
	},
	[TABLE_GRANT] = {
		.all = "select " GRANT " from grant_ order by created",
		.since = "select " GRANT " from grant_ where sequence>$1 order by created",
		.other = "select " GRANT " from grant_ where master<>$1 and created>$2 order by created limit $3",
		.count_other = "select count(*) from grant_ where master<>$1",
		.put = "insert into grant_ (" GRANT ") values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14) "
			"on conflict (id) do update set " CORE_SET
			",is_dropped=excluded.is_dropped,who=excluded.who,target=excluded.target,"
			"permissions=excluded.permissions,constraints=excluded.constraints,"
			"rate=excluded.rate,burst=excluded.burst,concurrency=excluded.concurrency",
	},
};
/* clang-format on */

static struct slice bytes(const uint8_t *p, size_t n) { return (struct slice){ p, n }; }

/* --- records --- */

struct visitor {
	enum table_id table;
	rows_visit visit;
	void *arg;
};

static kf_err visit_row(void *arg, const struct value *v, size_t n)
{
	const struct visitor *to = arg;
	return to->visit(to->arg, to->table, v, n);
}

static kf_err each_in_bulk(struct db *db, enum table_id table, struct visitor *to)
{
	enum value_kind kinds[RECORD_COLUMNS];
	struct query q = { .sql = statements[table].all, .row = visit_row, .arg = to };
	for (size_t i = 0; i < record_columns(table); i++)
		kinds[i] = record_kind(table, i);
	return db->driver->run_bulk(db, &q, kinds, record_columns(table));
}

kf_err rows_each(
	struct db *db, enum table_id table, uint64_t since, rows_visit visit, void *arg)
{
	struct visitor to = { table, visit, arg };
	if (!since && db->driver->run_bulk)
		return each_in_bulk(db, table, &to);
	struct value in = value_int((int64_t)since);
	struct query q = { statements[table].since, &in, 1, visit_row, &to };
	return db->driver->run(db, &q);
}

kf_err rows_put(struct db *db, const struct record *r)
{
	struct query q = { .sql = statements[r->table].put, .in = r->v };
	q.n = record_columns(r->table);
	return db->driver->run(db, &q);
}

kf_err rows_under_other(
	struct db *db, const struct rows_page *page, rows_visit visit, void *arg)
{
	struct visitor to = { page->table, visit, arg };
	struct value in[] = { value_text(page->master), value_int((int64_t)page->created),
		value_int((int64_t)page->max) };
	struct query q = { statements[page->table].other, in, 3, visit_row, &to };
	return db->driver->run(db, &q);
}

static kf_err add_count(void *arg, const struct value *v, size_t n)
{
	if (n != 1 || v->kind != VALUE_INT)
		return kf_fail(STORE, "database cannot count");
	*(uint64_t *)arg += (uint64_t)v->i;
	return KF_OK;
}

kf_err rows_count_under_other(struct db *db, struct slice master, uint64_t *ret)
{
	uint64_t sum = 0;
	struct value in = value_text(master);
	for (size_t i = 0; i < TABLES; i++) {
		struct query q = { statements[i].count_other, &in, 1, add_count, &sum };
		KF_TRY(db->driver->run(db, &q));
	}
	*ret = sum;
	return KF_OK;
}

/* --- the head --- */

struct head_reader {
	const struct keyring *k;
	struct head head;
	bool is_there;
};

static kf_err read_head(void *arg, const struct value *v, size_t n)
{
	struct head_reader *r = arg;
	r->is_there = true;
	if (n != 6 || v[0].kind != VALUE_INT || v[1].kind != VALUE_INT ||
		v[2].kind != VALUE_INT || v[3].kind != VALUE_BYTES ||
		v[3].s.n != MAC_SIZE || v[4].kind != VALUE_TEXT ||
		v[5].kind != VALUE_BYTES)
		return kf_fail(
			TAMPERED, "head of the store is malformed: restore a backup");
	r->head.incarnation = v[0].i;
	r->head.sequence = (uint64_t)v[1].i;
	r->head.rows = (uint64_t)v[2].i;
	memcpy(r->head.sum, v[3].s.p, MAC_SIZE);
	kf_err err = head_check(r->k, &r->head, v[4].s, v[5].s);
	if (kf_is(err, KF_E_TAMPERED))
		return kf_fail(TAMPERED, "head of the store was changed outside "
					 "keyfleet: restore a backup");
	return err;
}

#define HEAD "select incarnation,sequence,rows,sum,master,mac from head where one=1"

kf_err rows_head(
	struct db *db, const struct keyring *k, bool is_locking, struct head *ret)
{
	struct head_reader r = { .k = k };
	bool is_for_update = is_locking && db->driver->is_shared;
	struct query q = { .sql = is_for_update ? HEAD " for update" : HEAD,
		.row = read_head,
		.arg = &r };
	KF_TRY(db->driver->run(db, &q));
	if (!r.is_there)
		return kf_fail(NOT_FOUND, "store has no head");
	*ret = r.head;
	return KF_OK;
}

kf_err rows_put_head(struct db *db, const struct keyring *k, const struct head *h)
{
	struct slice master = slice_of(keyring_id(k, 0));
	uint8_t mac[MAC_SIZE];
	KF_TRY(head_sign(k, h, master, mac));
	struct value in[] = { value_int(1), value_int(h->incarnation),
		value_int((int64_t)h->sequence), value_int((int64_t)h->rows),
		value_bytes(bytes(h->sum, MAC_SIZE)), value_text(master),
		value_bytes(bytes(mac, MAC_SIZE)) };
	struct query q = {
		.sql = "insert into head (one,incarnation,sequence,rows,sum,master,mac)"
		       " values ($1,$2,$3,$4,$5,$6,$7) on conflict (one) do update set"
		       " incarnation=excluded.incarnation,sequence=excluded.sequence,"
		       "rows=excluded.rows,sum=excluded.sum,master=excluded.master,"
		       "mac=excluded.mac",
		.in = in,
		.n = 7
	};
	return db->driver->run(db, &q);
}

/* --- master keys --- */

static kf_err check_master(void *arg, const struct value *v, size_t n)
{
	const struct keyring *k = arg;
	if (n != 2 || v[0].kind != VALUE_TEXT || v[1].kind != VALUE_BYTES)
		return kf_fail(
			TAMPERED, "list of master keys is malformed: restore a backup");
	if (!keyring_has(k, v[0].s))
		return kf_fail(CONFIG, "a master key that the store needs is not in the "
				       "master key file: put its line back");
	if (!kf_ok(keyring_check(k, v[0].s, v[1].s)))
		return kf_fail(CONFIG,
			"wrong master key: the store was sealed with another "
			"one of this name");
	return KF_OK;
}

kf_err rows_check_masters(struct db *db, const struct keyring *k)
{
	struct query q = { .sql = "select id,check_value from master order by id",
		.row = check_master,
		.arg = (void *)(uintptr_t)k };
	return db->driver->run(db, &q);
}

struct master_visitor {
	kf_err (*visit)(void *arg, struct slice id);
	void *arg;
};

static kf_err visit_master(void *arg, const struct value *v, size_t n)
{
	const struct master_visitor *to = arg;
	if (n != 1 || v[0].kind != VALUE_TEXT)
		return kf_fail(TAMPERED, "list of master keys is malformed");
	return to->visit(to->arg, v[0].s);
}

kf_err rows_each_master(
	struct db *db, kf_err (*visit)(void *arg, struct slice id), void *arg)
{
	struct master_visitor to = { visit, arg };
	struct query q = { .sql = "select id from master order by id",
		.row = visit_master,
		.arg = &to };
	return db->driver->run(db, &q);
}

kf_err rows_put_master(struct db *db, const struct keyring *k)
{
	return rows_put_master_id(db, k, slice_of(keyring_id(k, 0)));
}

kf_err rows_put_master_id(struct db *db, const struct keyring *k, struct slice id)
{
	uint8_t check[MAC_SIZE];
	KF_TRY(keyring_check_value(k, id, check));
	struct value in[] = { value_text(id), value_bytes(bytes(check, MAC_SIZE)) };
	struct query q = { .sql = "insert into master (id,check_value) values ($1,$2) "
				  "on conflict (id) do nothing",
		.in = in,
		.n = 2 };
	return db->driver->run(db, &q);
}

kf_err rows_drop_other_masters(struct db *db, struct slice master)
{
	struct value in = value_text(master);
	struct query q = { .sql = "delete from master where id<>$1", .in = &in, .n = 1 };
	return db->driver->run(db, &q);
}

/* --- the last commit of each server --- */

kf_err rows_put_writer(
	struct db *db, const uint8_t id[WRITER_SIZE], const uint8_t nonce[WRITER_SIZE])
{
	struct value in[] = { value_bytes(bytes(id, WRITER_SIZE)),
		value_bytes(bytes(nonce, WRITER_SIZE)), value_int(clock_wall_s()) };
	struct query q = { .sql = "insert into writer (id,nonce,at) values ($1,$2,$3) "
				  "on conflict (id) do update set nonce=excluded.nonce,"
				  "at=excluded.at",
		.in = in,
		.n = 3 };
	return db->driver->run(db, &q);
}

static kf_err note_row(void *arg, const struct value *v, size_t n)
{
	(void)v;
	(void)n;
	*(bool *)arg = true;
	return KF_OK;
}

kf_err rows_is_written(struct db *db, const uint8_t id[WRITER_SIZE],
	const uint8_t nonce[WRITER_SIZE], bool *ret)
{
	bool is_there = false;
	struct value in[] = { value_bytes(bytes(id, WRITER_SIZE)),
		value_bytes(bytes(nonce, WRITER_SIZE)) };
	struct query q = { "select at from writer where id=$1 and nonce=$2", in, 2,
		note_row, &is_there };
	KF_TRY(db->driver->run(db, &q));
	*ret = is_there;
	return KF_OK;
}
