/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows under the newest master key, a batch a transaction, between the groups of changes.  Versions
 * stay: nobody's change is in conflict with it.  The sequence grows, so that other servers load the
 * rows again.  A row that is refused stays under its old key, and keeps that key in use.
 */
#include "crypt/seal.h"
#include "store/work.h"
#include "token/token.h"

enum { RECORD_MAX = 8 << 20, SEALED_MAX = (4 << 20) + 1024 };

/* Copies, because a connection does one thing at a time. */
struct batch {
	size_t n;
	struct buf row[ROTATE_MAX];
};

static void batch_free(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		buf_free(&b->row[i]);
}

static kf_err copy_row(void *arg, enum table_id table, const struct value *v, size_t n)
{
	struct batch *b = arg;
	struct record r;
	KF_TRY(record_read(table, v, n, &r));
	struct buf *row = &b->row[b->n++];
	*row = buf_new(RECORD_MAX);
	record_write(&r, row);
	return buf_err(row);
}

static kf_err reseal(struct store *s, struct record *r, struct buf *sealed)
{
	CLEANUP(object_unrefp) struct object *o = NULL;
	autobuf binding = buf_new(1024);
	if (r->table != TABLE_OBJECT || !r->v[OBJECT_SEALED].s.n)
		return KF_OK;
	KF_TRY(record_to_object(r, &o));
	KF_TRY(object_binding(o, &binding));
	KF_TRY(reseal_object(s->conf.keyring, o->sealed, buf_slice(&binding), sealed));
	r->v[OBJECT_SEALED] = value_bytes(buf_slice(sealed));
	return KF_OK;
}

static kf_err keep_object(struct store *s, const struct record *r)
{
	struct object *o = NULL;
	if (r->table != TABLE_OBJECT)
		return KF_OK;
	KF_TRY(record_to_object(r, &o));
	const struct object *was = catalog_find(s->catalog, r->v[COL_ID].s);
	object_set_key(o, was ? token_key_get(was->key) : NULL);
	s->rotation.object[s->rotation.n++] = o;
	return KF_OK;
}

static kf_err rotate_row(struct store *s, struct slice row)
{
	struct record r;
	uint8_t mac[MAC_SIZE];
	autobuf sealed = buf_new(SEALED_MAX);
	KF_TRY(record_parse(row, &r));
	s->rotation.created = (uint64_t)r.v[COL_CREATED].i;
	if (!kf_ok(record_check(s->conf.keyring, &r)))
		return KF_OK;
	KF_TRY(reseal(s, &r, &sealed));
	r.v[COL_SEQUENCE] = value_int((int64_t)++s->facts.next.sequence);
	KF_TRY(record_sign(s->conf.keyring, &r, mac));
	KF_TRY(rows_put(s->db, &r));
	KF_TRY(facts_put(&s->facts, s->conf.keyring, &r));
	return keep_object(s, &r);
}

static kf_err rotate_rows(struct store *s, struct batch *b)
{
	struct rows_page page = { s->rotation.table, slice_of(s->rotation.master),
		s->rotation.created, ROTATE_MAX };
	KF_TRY(rows_under_other(s->db, &page, copy_row, b));
	for (size_t i = 0; i < b->n; i++)
		KF_TRY(rotate_row(s, buf_slice(&b->row[i])));
	if (b->n < ROTATE_MAX) {
		s->rotation.table++;
		s->rotation.created = 0;
	}
	return KF_OK;
}

kf_err rotate_count(struct store *s)
{
	uint64_t old = 0;
	KF_TRY(rows_count_under_other(
		s->db, slice_of(keyring_id(s->conf.keyring, 0)), &old));
	atomic_store(&s->status.old_master_keys, old);
	return KF_OK;
}

/* Nothing needs the other keys any more, not even the head of a store without rows. */
static kf_err drop_others(struct store *s)
{
	KF_TRY(rows_put_head(s->db, s->conf.keyring, &s->facts.next));
	return rows_drop_other_masters(s->db, slice_of(s->rotation.master));
}

kf_err rotate_batch(struct store *s)
{
	struct batch b = { 0 };
	if (!s->rotation.master)
		s->rotation.master = s->new_master;
	kf_err err = rotate_rows(s, &b);
	batch_free(&b);
	KF_TRY(err);
	KF_TRY(rotate_count(s));
	bool is_all = s->rotation.table == TABLES &&
		      s->rotation.master == keyring_id(s->conf.keyring, 0);
	return is_all && !atomic_load(&s->status.old_master_keys) ? drop_others(s)
								  : KF_OK;
}

void rotate_publish(struct store *s, bool is_committed)
{
	for (size_t i = 0; i < s->rotation.n; i++) {
		struct object *o = s->rotation.object[i];
		if (!is_committed)
			object_unref(o);
		else
			must(catalog_put(s->catalog, o));
	}
	s->rotation.n = 0;
}
