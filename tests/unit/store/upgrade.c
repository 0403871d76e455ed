/* SPDX-License-Identifier: Apache-2.0
 *
 * A store that an older keyfleet made.
 */
#include "fixture.h"
#include "schema3.h"
#include "test.h"
#include <sqlite3.h>

static char path[96], location[128];
static int upgrades;

static void fresh(void)
{
	static int n;
	snprintf(path, sizeof(path), "%s/%d.db", temporary_directory(), n++);
	snprintf(location, sizeof(location), "sqlite:%s", path);
}

static int count_row(void *rows, int n, char **value, char **name)
{
	(void)n, (void)value, (void)name;
	++*(int *)rows;
	return 0;
}

/* How many rows; -1: it cannot be done. */
static int sql(const char *text)
{
	sqlite3 *db = NULL;
	char *why = NULL;
	int rows = 0;
	if (sqlite3_open(path, &db) != SQLITE_OK ||
		sqlite3_exec(db, text, count_row, &rows, &why) != SQLITE_OK)
		rows = -1;
	if (why)
		printf("# %s\n", why);
	sqlite3_free(why);
	sqlite3_close(db);
	return rows;
}

static kf_err fill(void)
{
	struct fixture f = { 0 };
	fresh();
	kf_err err = fixture_open(&f, location, KEY_A);
	if (kf_ok(err))
		err = put(f.store,
			&(struct spec){ .id = "a", .name = "www", .material = "x" });
	fixture_close(&f);
	return err;
}

static void note_upgrade(void *arg, unsigned at_most_ms)
{
	(void)arg;
	upgrades += at_most_ms > 0;
}

TEST(who_waits_for_an_upgrade_hears_that_it_takes_time_once)
{
	struct fixture f = { .conf.upgrading = note_upgrade };
	fresh();
	OK(kf_ok(fixture_open(&f, location, KEY_A)));
	OK(kf_ok(put(f.store, &(struct spec){ .id = "a", .material = "x" })));
	fixture_close(&f);
	EQ(upgrades, 0);
	EQ(sql(SCHEMA_3), 0);

	for (int i = 0; i < 2; i++) {
		OK(kf_ok(fixture_open(&f, location, KEY_A)));
		EQ(upgrades, 1);
		fixture_close(&f);
	}
}

TEST(what_nobody_reads_is_cleared_from_a_store_of_before)
{
	struct fixture f = { 0 };
	OK(kf_ok(fill()));
	EQ(sql(SCHEMA_3), 0);
	EQ(sql(SCHEMA_3_ROWS), 3);

	OK(kf_ok(fixture_open(&f, location, KEY_A)));

	OK(holds(f.store, "a", "x"));
	OK(kf_is(
		put(f.store, &(struct spec){ .id = "b", .name = "www", .material = "y" }),
		KF_E_NAME_NOT_UNIQUE));
	OK(kf_ok(put(
		f.store, &(struct spec){ .id = "c", .name = "other", .material = "z" })));
	fixture_close(&f);
	EQ(sql(SCHEMA_3_ROWS), 0);
	EQ(sql("select * from schema_version where version=4"), 1);
}

TEST(a_store_that_a_newer_keyfleet_made_is_refused)
{
	struct fixture f = { 0 };
	OK(kf_ok(fill()));
	EQ(sql("insert into schema_version (version,at) values (1000,0)"), 0);

	kf_err err = fixture_open(&f, location, KEY_A);

	OK(kf_is(err, KF_E_CONFIG));
	OK(strstr(err.site->text, "upgrade this server") != NULL);
	fixture_close(&f);
}

TEST_MAIN
