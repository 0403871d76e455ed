/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "store/rows.h"

static const struct step {
	int64_t version;
	const char *name, *text;
} steps[] = {
#define X(version, name, text) { version, name, text },
#include "store/schema.def"
#undef X
};
enum { STEPS = sizeof(steps) / sizeof(steps[0]) };

static kf_err read_version(void *arg, const struct value *v, size_t n)
{
	if (n == 1 && v[0].kind == VALUE_INT)
		*(int64_t *)arg = v[0].i;
	return KF_OK;
}

static kf_err apply(struct db *db, const struct step *step)
{
	struct value in[] = { value_int(step->version), value_int(clock_wall_s()) };
	struct query q = {
		.sql = "insert into schema_version (version,at) values ($1,$2)",
		.in = in,
		.n = 2
	};
	KF_TRY(db->driver->script(db, step->text));
	return db->driver->run(db, &q);
}

int64_t schema_newest(void) { return STEPS; }

kf_err schema_have(struct db *db, int64_t *ret)
{
	*ret = 0;
	struct query q = { .sql = "select max(version) from schema_version",
		.row = read_version,
		.arg = ret };
	if (db->driver->schema_lock)
		KF_TRY(db->driver->script(db, db->driver->schema_lock));
	KF_TRY(db->driver->script(db,
		"create table if not exists schema_version "
		"(version bigint primary key, at bigint not null)"));
	return db->driver->run(db, &q);
}

kf_err schema_migrate(struct db *db, bool *is_new)
{
	int64_t have;
	KF_TRY(schema_have(db, &have));
	if (have > STEPS)
		return kf_fail(CONFIG,
			"store was made by a newer keyfleet: upgrade this server");
	for (int64_t i = have; i < STEPS; i++)
		KF_TRY(apply(db, &steps[i]));
	*is_new = have == 0;
	return KF_OK;
}
