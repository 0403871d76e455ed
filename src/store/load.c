/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/epoch.h"
#include "kmip/attrs.h"
#include "store/backup.h"
#include "store/crew.h"
#include "store/work.h"
#include "token/token.h"
#include <stdlib.h>
#include <string.h>

enum { MATERIAL_MAX = 4 << 20, PATIENCE_MS = 2000, PROGRESS_ROWS = 65536 };

/* What was read, published only when the whole fits. */
struct news {
	struct news *next;
	enum table_id table;
	bool is_dropped;
	kf_err unloaded; /* why the engine has no key of the object */
	union {
		struct object *object;
		struct client_row client;
		struct grant_row grant;
	};
};

struct loader {
	struct store *s;
	struct crew *
		crew; /* nobody reads the catalog yet: publish while reading; else NULL */
	uint64_t rows;
	struct news *news, **end;
};

/* --- one record --- */

static bool has_same_digest(const struct object *a, const struct object *b)
{
	struct ttlv_item one = { 0 }, two = { 0 };
	(void)attrs_find(a->attrs, TAG_DIGEST, 0, &one);
	(void)attrs_find(b->attrs, TAG_DIGEST, 0, &two);
	return slice_eq(one.whole, two.whole);
}

/* An object's material does not change, unless Import replaces it or a key on tokens gets a copy in software or
 * loses it, and then its Digest does.  To make the key anew would cost time for each that another server has
 * changed, and memory for keys that may not be there. */
static struct token_key *kept_key(const struct store *s, const struct object *o)
{
	const struct object *was = catalog_find(s->catalog, slice_of(o->id));
	return was && has_same_digest(was, o) ? token_key_get(was->key) : NULL;
}

static kf_err load_key(const struct loader *l, struct object *o)
{
	struct store *s = l->s;
	if (!object_has_handle(o) || !o->sealed.n || !s->conf.load_key)
		return KF_OK;
	autobuf material = buf_new(MATERIAL_MAX);
	struct token_key *key = l->crew ? NULL : kept_key(s, o);
	if (key) {
		object_set_key(o, key);
		return KF_OK;
	}
	KF_TRY(store_unseal(s, o, &material));
	KF_TRY(s->conf.load_key(o, buf_slice(&material), &key));
	object_set_key(o, key);
	return KF_OK;
}

/* An object whose key the token refuses (a newer algorithm) is still there for Get. */
static kf_err decode_object(
	const struct loader *l, const struct record *r, struct news *into)
{
	CLEANUP(object_unrefp) struct object *o = NULL;
	KF_TRY(record_to_object(r, &o));
	kf_err err = load_key(l, o);
	if (kf_is(err, KF_E_TAMPERED))
		return err;
	into->unloaded = err;
	into->object = o;
	o = NULL;
	return KF_OK;
}

/* On any thread while the store is opened. */
static kf_err decode(const struct loader *l, const struct record *r, struct news *into)
{
	into->table = r->table;
	KF_TRY(record_check(l->s->conf.keyring, r));
	switch (r->table) {
	case TABLE_OBJECT: return decode_object(l, r, into);
	case TABLE_CLIENT: return record_to_client(r, &into->client);
	case TABLE_GRANT: return record_to_grant(r, &into->grant, &into->is_dropped);
	case TABLES: break;
	}
	return kf_fail(INTERNAL, "unknown table");
}

static void tell_unloaded(struct store *s, const struct news *n)
{
	if (n->table != TABLE_OBJECT || kf_ok(n->unloaded))
		return;
	atomic_fetch_add(&s->status.unloaded, 1);
	store_event(s, n->unloaded, n->object->id);
}

static kf_err publish(struct store *s, struct news *n)
{
	switch (n->table) {
	case TABLE_OBJECT: return catalog_put(s->catalog, n->object);
	case TABLE_CLIENT: return catalog_put_client(s->catalog, &n->client);
	case TABLE_GRANT:
		return n->is_dropped ? catalog_drop_grant(s->catalog, n->grant.id)
				     : catalog_put_grant(s->catalog, &n->grant);
	case TABLES: break;
	}
	return KF_OK;
}

static void append(struct loader *l, struct news *n)
{
	n->next = NULL;
	*l->end = n;
	l->end = &n->next;
}

static void refuse(struct store *s, const struct record *r, kf_err why)
{
	char id[CLIENT_NAME_SIZE] = "?";
	if (!kf_ok(slice_to_text(r->v[COL_ID].s, id, sizeof(id))))
		strcpy(id, "?");
	atomic_fetch_add(&s->status.tampered, 1);
	store_event(s, why, id);
}

/* --- a refused record of which there was a right one before --- */

/* The old form must not go on being served: the new one may have been a revocation.  An object
 * keeps its place, without a state, material or name. */
static kf_err withdraw_object(struct store *s, const struct record *r, struct news *into)
{
	const struct object *was = catalog_find(s->catalog, r->v[COL_ID].s);
	if (!was)
		return kf_fail(NOT_FOUND, "object was not served");
	const struct object_parts parts = {
		.id = r->v[COL_ID].s,
		.owner = slice_of(was->owner),
		.type = was->type,
		.version = (uint64_t)r->v[COL_VERSION].i,
	};
	return object_new(&parts, &into->object);
}

static kf_err withdraw_client(struct store *s, const struct record *r, struct news *into)
{
	char name[CLIENT_NAME_SIZE];
	KF_TRY(slice_to_text(r->v[COL_ID].s, name, sizeof(name)));
	const struct client_row *was = rights_client(catalog_rights(s->catalog), name);
	if (!was)
		return kf_fail(NOT_FOUND, "client was not known");
	into->client = *was;
	into->client.version = (uint64_t)r->v[COL_VERSION].i;
	into->client.is_revoked = true;
	return KF_OK;
}

static kf_err withdraw(struct store *s, const struct record *r, struct news *into)
{
	*into = (struct news){ .table = r->table, .is_dropped = true };
	switch (r->table) {
	case TABLE_OBJECT: return withdraw_object(s, r, into);
	case TABLE_CLIENT: return withdraw_client(s, r, into);
	case TABLE_GRANT:
		return slice_to_text(
			r->v[COL_ID].s, into->grant.id, sizeof(into->grant.id));
	case TABLES: break;
	}
	return kf_fail(INTERNAL, "unknown table");
}

/* --- all records --- */

/* A database that gives rows is not given up, however many there are: a server that was away while all
 * of them changed would never catch up. */
static void allow_time(struct store *s)
{
	uint64_t soon = clock_monotonic_ns() + PATIENCE_MS * UINT64_C(1000000);
	if (s->db && s->db->deadline_ns && s->db->deadline_ns < soon)
		s->db->deadline_ns = soon;
}

static void tell_progress(struct loader *l)
{
	const struct store_conf *c = &l->s->conf;
	const unsigned every = c->progress_rows ? c->progress_rows : PROGRESS_ROWS;
	if (l->crew && c->progress && ++l->rows % every == 0)
		c->progress(c->event_arg, l->rows);
}

/* --- the first time: by a crew ---
 *
 * The sum counts what is there, right or wrong, so that one edited row costs one row. */

struct row {
	struct record r; /* of the copy */
	uint8_t *copy;
	struct fact fact;
	struct news news;
	struct catalog_ready ready; /* of an object that is not refused */
	kf_err not_counted, refused;
};

static void work_on_row(void *arg, void *item)
{
	const struct loader *l = arg;
	struct row *row = item;
	row->not_counted = fact_of(l->s->conf.keyring, &row->r, &row->fact);
	row->refused = kf_ok(row->not_counted) ? decode(l, &row->r, &row->news)
					       : row->not_counted;
	if (row->r.table == TABLE_OBJECT && kf_ok(row->refused))
		catalog_make_ready(l->s->catalog, row->news.object, &row->ready);
}

static void expect_row(void *arg, const void *item)
{
	const struct loader *l = arg;
	const struct row *row = item;
	catalog_expect_put(l->s->catalog, &row->ready);
}

static kf_err publish_row(struct store *s, struct row *row)
{
	if (row->news.table != TABLE_OBJECT)
		return publish(s, &row->news);
	struct object *o = row->news.object;
	row->news.object = NULL;
	return catalog_put_ready(s->catalog, o, &row->ready);
}

/* Without memory nothing is known of the record, least of all that it is wrong. */
static kf_err take_row(void *arg, void *item)
{
	struct store *s = ((struct loader *)arg)->s;
	struct row *row = item;
	KF_TRY(row->not_counted);
	KF_TRY(facts_load(&s->facts, &row->fact));
	facts_keep(&s->facts);
	if (kf_is(row->refused, KF_E_NOMEM))
		return row->refused;
	if (!kf_ok(row->refused)) {
		refuse(s, &row->r, row->refused);
		return KF_OK;
	}
	tell_unloaded(s, &row->news);
	return publish_row(s, row);
}

static void drop_row(void *item)
{
	struct row *row = item;
	if (row->news.table == TABLE_OBJECT)
		object_unref(row->news.object);
	catalog_ready_free(&row->ready);
	free(row->copy);
}

/* What the driver gives is good until it gives the next. */
static kf_err copy_row(const struct record *from, size_t n, struct row *ret)
{
	ret->copy = malloc(n + 1);
	if (!ret->copy)
		return kf_fail(NOMEM, "loading the store");
	uint8_t *at = ret->copy;
	ret->r = *from;
	for (size_t i = 0; i < RECORD_COLUMNS; i++) {
		struct slice *s = &ret->r.v[i].s;
		if (s->n)
			s->p = memcpy(at, s->p, s->n);
		at += s->n;
	}
	return KF_OK;
}

static kf_err give_to_crew(struct loader *l, const struct record *r)
{
	void *row = NULL;
	size_t n = 0;
	for (size_t i = 0; i < RECORD_COLUMNS; i++)
		n += r->v[i].s.n;
	KF_TRY(crew_room(l->crew, &row));
	KF_TRY(copy_row(r, n, row));
	return crew_add(l->crew, n);
}

static kf_err open_crew(struct loader *l)
{
	static const struct crew_ops ops = { .item_size = sizeof(struct row),
		.work = work_on_row,
		.take = take_row,
		.expect = expect_row,
		.drop = drop_row };
	return crew_new(&ops, l, &l->crew);
}

static void loader_clear(struct loader *l) { crew_free(l->crew); }

/* --- later: what others changed --- */

static kf_err take_record(struct loader *l, const struct record *r, struct news *into)
{
	kf_err err = decode(l, r, into);
	if (kf_ok(err))
		tell_unloaded(l->s, into);
	if (kf_ok(err) || kf_is(err, KF_E_NOMEM))
		return err;
	refuse(l->s, r, err);
	return withdraw(l->s, r, into);
}

static kf_err take_news(struct loader *l, const struct record *r)
{
	struct fact fact;
	KF_TRY(fact_of(l->s->conf.keyring, r, &fact));
	KF_TRY(facts_load(&l->s->facts, &fact));
	struct news *news = calloc(1, sizeof(*news));
	if (!news)
		return kf_fail(NOMEM, "loading the store");
	kf_err err = take_record(l, r, news);
	if (!kf_ok(err)) {
		free(news);
		return kf_is(err, KF_E_NOMEM) ? err : KF_OK;
	}
	append(l, news);
	return KF_OK;
}

static kf_err visit(void *arg, enum table_id table, const struct value *v, size_t n)
{
	struct loader *l = arg;
	struct record r;
	tell_progress(l);
	allow_time(l->s);
	KF_TRY(record_read(table, v, n, &r));
	return l->crew ? give_to_crew(l, &r) : take_news(l, &r);
}

static kf_err read_tables(struct loader *l, uint64_t since)
{
	for (size_t i = 0; i < TABLES; i++)
		KF_TRY(rows_each(l->s->db, i, since, visit, l));
	return KF_OK;
}

/* --- everything --- */

static kf_err check_sum(const struct facts *f, const struct head *h)
{
	if (f->head.rows != h->rows)
		return kf_fail(TAMPERED,
			"rows were removed from or added to the store outside "
			"keyfleet: restore a backup");
	if (memcmp(f->head.sum, h->sum, MAC_SIZE) != 0)
		return kf_fail(TAMPERED,
			"rows of the store were replaced or rolled back outside "
			"keyfleet: restore a backup");
	return KF_OK;
}

static void take_head(struct store *s, const struct head *h)
{
	s->facts.head = s->facts.next = *h;
	atomic_store(&s->status.sequence, h->sequence);
	atomic_store(&s->status.incarnation_us, h->incarnation);
	kf_err err = seen_put(&s->seen, h);
	if (!kf_ok(err))
		store_event(s, err, s->conf.seen);
}

static kf_err read_all(struct store *s)
{
	struct head h;
	CLEANUP(loader_clear) struct loader l = { .s = s };
	KF_TRY(open_crew(&l));
	KF_TRY(rows_check_masters(s->db, s->conf.keyring));
	KF_TRY(rows_head(s->db, s->conf.keyring, false, &h));
	KF_TRY(seen_check(&s->seen, &h));
	KF_TRY(read_tables(&l, 0));
	KF_TRY(crew_finish(l.crew));
	KF_TRY(check_sum(&s->facts, &h));
	KF_TRY(rotate_count(s));
	take_head(s, &h);
	return quota_load(s);
}

kf_err load_all(struct store *s)
{
	KF_TRY(s->driver->begin(s->db, false));
	catalog_hold(s->catalog);
	kf_err err = read_all(s);
	kf_err released = catalog_release(s->catalog);
	s->driver->rollback(s->db);
	return kf_ok(err) ? released : err;
}

/* The database may be newer, and that is looked at when it is back: load_since() goes on from here. */
static kf_err visit_backup(void *arg, const struct record *r, bool is_right)
{
	(void)is_right; /* visit() sees for itself */
	return visit(arg, r->table, r->v, record_columns(r->table));
}

static kf_err read_backup(struct store *s, struct backup_reader *r)
{
	CLEANUP(loader_clear) struct loader l = { .s = s };
	KF_TRY(open_crew(&l));
	r->record = visit_backup;
	r->arg = &l;
	KF_TRY(backup_read(r));
	KF_TRY(crew_finish(l.crew));
	KF_TRY(check_sum(&s->facts, &r->head));
	take_head(s, &r->head);
	return KF_OK;
}

kf_err load_backup(struct store *s, struct backup_reader *r)
{
	catalog_hold(s->catalog);
	kf_err err = read_backup(s, r);
	kf_err released = catalog_release(s->catalog);
	return kf_ok(err) ? released : err;
}

/* --- what others changed --- */

/* Publishes in the order of the tables: objects before the grants that name them. */
static void publish_all(struct loader *l, bool is_right)
{
	catalog_hold(l->s->catalog);
	while (l->news) {
		struct news *n = l->news;
		l->news = n->next;
		if (is_right)
			must(publish(l->s, n));
		else if (n->table == TABLE_OBJECT)
			object_unref(n->object);
		free(n);
	}
	must(catalog_release(l->s->catalog));
	epoch_reclaim(l->s->conf.epoch);
}

static kf_err read_news(struct loader *l, const struct head *h)
{
	struct facts *f = &l->s->facts;
	KF_TRY(read_tables(l, f->head.sequence));
	f->next.sequence = h->sequence;
	if (!head_eq(&f->next, h))
		return kf_fail(TAMPERED,
			"rows of the store were changed outside keyfleet: stop "
			"the servers and restore a backup");
	return KF_OK;
}

static kf_err check_order(const struct head *have, const struct head *h)
{
	if (h->incarnation != have->incarnation)
		return kf_fail(
			TAMPERED, "store was replaced while this server ran: restart it");
	if (h->sequence < have->sequence)
		return kf_fail(TAMPERED,
			"store was rolled back while this server ran: restart "
			"it once the newest state is restored");
	if (h->sequence == have->sequence && !head_eq(h, have))
		return kf_fail(TAMPERED,
			"store has another history than this server: restart it "
			"once the right state is restored");
	return KF_OK;
}

kf_err load_since(struct store *s, const struct head *h)
{
	KF_TRY(seen_check(&s->seen, h));
	KF_TRY(check_order(&s->facts.head, h));
	if (h->sequence == s->facts.head.sequence)
		return KF_OK;
	struct loader l = { .s = s };
	l.end = &l.news;
	struct facts_mark mark = facts_mark(&s->facts);
	kf_err err = read_news(&l, h);
	publish_all(&l, kf_ok(err));
	if (!kf_ok(err)) {
		facts_back(&s->facts, mark);
		return err;
	}
	facts_keep(&s->facts);
	take_head(s, h);
	snapshot_want(s);
	return KF_OK;
}
