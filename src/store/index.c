/* SPDX-License-Identifier: Apache-2.0
 *
 * The derived rows: what a database can enforce among servers (unique names, unique certificates).
 */
#include "store/rows.h"
#include "ttlv/ttlv.h"

enum { ATTRIBUTES_MAX = 512, NAMES_AT_ONCE = 16 };

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

/* Who looks for an object looks at each of its attributes. */
static kf_err check_attributes(const struct object *o)
{
	struct ttlv_reader r = ttlv_read(o->attrs);
	struct ttlv_item it;
	for (size_t n = 0; ttlv_next(&r, &it); n++)
		if (n == ATTRIBUTES_MAX)
			return kf_fail(LIMIT, "object has too many attributes");
	return ttlv_done(&r);
}

/* --- names: of objects that are not destroyed --- */

static kf_err insert_names(struct db *db, const struct value v[][3], size_t n)
{
	kf_err err = run_many(
		db, "insert into name (owner,name,object) values ($1,$2,$3)", v[0], 3, n);
	if (kf_is(err, KF_E_EXISTS))
		return kf_fail(
			NAME_NOT_UNIQUE, "another object of this owner has the name");
	return err;
}

static kf_err put_names(struct db *db, const struct object *o)
{
	struct value v[NAMES_AT_ONCE][3];
	struct slice name;
	size_t n = 0;
	for (size_t i = 0; object_name(o, i, &name); i++) {
		v[n][0] = value_text(slice_of(o->owner));
		v[n][1] = value_text(name);
		v[n][2] = value_text(slice_of(o->id));
		if (++n < NAMES_AT_ONCE)
			continue;
		KF_TRY(insert_names(db, v, n));
		n = 0;
	}
	return insert_names(db, v, n);
}

static kf_err drop_names(struct db *db, const struct object *o)
{
	const struct value id = value_text(slice_of(o->id));
	return run(db, "delete from name where object=$1", &id, 1);
}

kf_err index_object(struct db *db, const struct object *o)
{
	KF_TRY(check_attributes(o));
	if (o->version > 1)
		KF_TRY(drop_names(db, o));
	return object_is_destroyed(o) ? KF_OK : put_names(db, o);
}

/* --- certificates --- */

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
