/* SPDX-License-Identifier: Apache-2.0
 *
 * The derived rows: for people, for Locate, and for what a database can enforce among servers
 * (unique names, unique certificates).
 */
#include "base/mem.h"
#include "store/rows.h"
#include "ttlv/ttlv.h"
#include <stdlib.h>
#include <string.h>

enum { INSTANCES_MAX = 512, SEARCH_MAX = 64, ATTRIBUTE_COLUMNS = 5 };

static kf_err run(struct db *db, const char *sql, const struct value *in, size_t n)
{
	struct query q = { .sql = sql, .in = in, .n = n };
	return db->driver->run(db, &q);
}

static kf_err run_many(
	struct db *db, const char *sql, const struct value *in, size_t n, size_t times)
{
	struct query q = { .sql = sql, .in = in, .n = n };
	return times ? db->driver->run_many(db, &q, times) : KF_OK;
}

/* --- what is collected of an object, then written at once --- */

struct derived {
	struct value object;
	size_t attributes, names, links, groups;
	struct value attribute[INSTANCES_MAX][ATTRIBUTE_COLUMNS];
	struct value name[INSTANCES_MAX][3], link[INSTANCES_MAX][3],
		group[INSTANCES_MAX][2];
};

/* How many instances of the same tag came before. */
static int64_t instance(const struct derived *d, uint32_t tag)
{
	int64_t n = 0;
	for (size_t i = 0; i < d->attributes; i++)
		n += d->attribute[i][1].i == tag;
	return n;
}

/* Plain values, cut to what an index bears. */
static struct value search(const struct ttlv_item *it)
{
	if (it->type == TTLV_STRUCT)
		return (struct value){ 0 };
	struct slice s = it->value;
	if (s.n > SEARCH_MAX)
		s.n = SEARCH_MAX;
	return value_bytes(s);
}

static void add_link(struct derived *d, const struct ttlv_item *it)
{
	struct ttlv_reader r = ttlv_read(it->value);
	uint32_t type = 0;
	struct slice target = { 0 };
	ttlv_get_enum(&r, TAG_LINK_TYPE, &type);
	ttlv_get_text(&r, TAG_LINKED_OBJECT_IDENTIFIER, &target);
	if (!ttlv_ok(&r))
		return; /* a link to something that is no identifier: not searchable */
	struct value *v = d->link[d->links++];
	v[0] = d->object;
	v[1] = value_int(type);
	v[2] = value_text(target);
}

static void add_attribute(struct derived *d, const struct ttlv_item *it)
{
	struct value *v = d->attribute[d->attributes];
	v[0] = d->object;
	v[1] = value_int(it->tag);
	v[2] = value_int(instance(d, it->tag));
	v[3] = value_bytes(it->whole);
	v[4] = search(it);
	d->attributes++;
}

static void add_item(struct derived *d, const struct ttlv_item *it)
{
	add_attribute(d, it);
	if (it->tag == TAG_LINK)
		add_link(d, it);
	if (it->tag == TAG_OBJECT_GROUP && it->type == TTLV_TEXT) {
		d->group[d->groups][0] = d->object;
		d->group[d->groups++][1] = value_text(it->value);
	}
}

static kf_err collect(const struct object *o, struct derived *d)
{
	struct ttlv_reader r = ttlv_read(o->attrs);
	struct ttlv_item it;
	while (ttlv_next(&r, &it)) {
		if (d->attributes == INSTANCES_MAX)
			return kf_fail(LIMIT, "object has too many attributes");
		add_item(d, &it);
	}
	struct slice name;
	for (; !object_is_destroyed(o) && object_name(o, d->names, &name); d->names++) {
		d->name[d->names][0] = value_text(slice_of(o->owner));
		d->name[d->names][1] = value_text(name);
		d->name[d->names][2] = d->object;
	}
	return ttlv_done(&r);
}

static kf_err write_derived(struct db *db, const struct derived *d)
{
	KF_TRY(run_many(db,
		"insert into attribute (object,tag,idx,item,search) values "
		"($1,$2,$3,$4,$5)",
		d->attribute[0], ATTRIBUTE_COLUMNS, d->attributes));
	KF_TRY(run_many(db,
		"insert into link (object,type,target) values ($1,$2,$3) "
		"on conflict do nothing",
		d->link[0], 3, d->links));
	KF_TRY(run_many(db,
		"insert into group_ (object,name) values ($1,$2) "
		"on conflict do nothing",
		d->group[0], 2, d->groups));
	kf_err err =
		run_many(db, "insert into name (owner,name,object) values ($1,$2,$3)",
			d->name[0], 3, d->names);
	if (kf_is(err, KF_E_EXISTS))
		return kf_fail(
			NAME_NOT_UNIQUE, "another object of this owner has the name");
	return err;
}

static kf_err drop_derived(struct db *db, const struct value *id)
{
	KF_TRY(run(db, "delete from attribute where object=$1", id, 1));
	KF_TRY(run(db, "delete from link where object=$1", id, 1));
	KF_TRY(run(db, "delete from group_ where object=$1", id, 1));
	return run(db, "delete from name where object=$1", id, 1);
}

kf_err index_object(struct db *db, const struct object *o)
{
	CLEANUP(mem_freep) struct derived *d = malloc(sizeof(*d));
	if (!d)
		return kf_fail(NOMEM, "indexing an object");
	d->attributes = d->names = d->links = d->groups = 0;
	d->object = value_text(slice_of(o->id));
	KF_TRY(collect(o, d));
	if (o->version > 1)
		KF_TRY(drop_derived(db, &d->object));
	return write_derived(db, d);
}

kf_err index_client(struct db *db, const struct client_row *row)
{
	struct value name = value_text(slice_of(row->name));
	KF_TRY(run(db, "delete from client_certificate where client=$1", &name, 1));
	struct value v[sizeof(row->certificate) / sizeof(row->certificate[0])][3];
	for (size_t i = 0; i < row->certificates; i++) {
		const struct client_certificate *c = &row->certificate[i];
		v[i][0] = value_bytes(
			(struct slice){ c->fingerprint, sizeof(c->fingerprint) });
		v[i][1] = name;
		v[i][2] = value_int(c->not_after);
	}
	kf_err err = run_many(db,
		"insert into client_certificate "
		"(fingerprint,client,not_after) values ($1,$2,$3)",
		v[0], 3, row->certificates);
	if (kf_is(err, KF_E_EXISTS))
		return kf_fail(EXISTS, "certificate belongs to another client");
	return err;
}
