/* SPDX-License-Identifier: Apache-2.0
 *
 * Somebody who can write to the database gets refusals, not keys.
 */
#include "fixture.h"
#include "test.h"
#include <sqlite3.h>

static char path[96], location[128], seen[96];

static void fresh(void)
{
	static int n;
	snprintf(path, sizeof(path), "%s/%d.db", temporary_directory(), n);
	snprintf(location, sizeof(location), "sqlite:%s", path);
	snprintf(seen, sizeof(seen), "%s/%d.seen", directory, n++);
}

static bool sql(const char *text)
{
	sqlite3 *db = NULL;
	char *why = NULL;
	bool is_done = sqlite3_open(path, &db) == SQLITE_OK &&
		       sqlite3_exec(db, text, NULL, NULL, &why) == SQLITE_OK;
	if (why)
		printf("# %s\n", why);
	sqlite3_free(why);
	sqlite3_close(db);
	return is_done;
}

/* Two objects, one of them twice; a client; a grant that was dropped and one that was not. */
static kf_err fill(struct store *s)
{
	struct spec a = { .id = "a", .name = "a", .material = "secret a" },
		    b = { .id = "b", .name = "b", .material = "secret b" };
	KF_TRY(put(s, &a));
	KF_TRY(put(s, &b));
	KF_TRY(put_client(s, "bob", 0, 7));
	KF_TRY(put_grant(s, "g1", 0, PUT_GRANT));
	return put_grant(s, "g2", 0, PUT_GRANT);
}

static kf_err filled(const char *keys)
{
	struct fixture f = { .conf.seen = seen };
	fresh();
	kf_err err = fixture_open(&f, location, keys);
	if (kf_ok(err))
		err = fill(f.store);
	fixture_close(&f);
	return err;
}

static kf_err reopen(struct fixture *f, const char *keys)
{
	*f = (struct fixture){ .conf.seen = seen };
	return fixture_open(f, location, keys);
}

static uint64_t tampered(struct fixture *f)
{
	struct store_status status;
	store_status(f->store, &status);
	return status.tampered;
}

TEST(an_edited_row_is_refused_alone)
{
	static const char *const edits[] = {
		"update object set state=1 where id='a'",
		"update object set owner='mallory' where id='a'",
		"update object set attrs=zeroblob(0) where id='a'",
		"update object set deactivation_date=1 where id='a'",
		"update object set sealed=x'00' where id='a'",
		"update object set type=4 where id='a'",
	};
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		struct fixture f;
		OK(kf_ok(filled(KEY_A)));
		OK(sql(edits[i]));

		OK(kf_ok(reopen(&f, KEY_A)));

		EQ(tampered(&f), 1);
		OK(strcmp(f.event_what, "a") == 0);
		OK(catalog_find(store_catalog(f.store), SLICE_LIT("a")) == NULL);
		OK(holds(f.store, "b", "secret b"));
		fixture_close(&f);
	}
}

TEST(an_edited_grant_or_client_is_refused)
{
	struct fixture f;
	OK(kf_ok(filled(KEY_A)));
	OK(sql("update grant_ set permissions=65535 where id='g1';"
	       "update client set certificates=randomblob(40)"));

	OK(kf_ok(reopen(&f, KEY_A)));

	EQ(tampered(&f), 2);
	EQ(catalog_rights(store_catalog(f.store))->grants, 1);
	EQ(catalog_rights(store_catalog(f.store))->clients, 0);
	fixture_close(&f);
}

TEST(a_limit_that_was_taken_out_or_put_in_is_noticed)
{
	static const char *const edits[] = {
		"update grant_ set rate=null,burst=null,concurrency=null where id='l'",
		"update grant_ set burst=null where id='l'",
		"update grant_ set concurrency=null where id='l'",
		"update grant_ set rate=7200 where id='l'",
		"update grant_ set rate=3600 where id='g1'",
		"update grant_ set concurrency=0 where id='g1'",
	};
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		struct fixture f;
		OK(kf_ok(filled(KEY_A)));
		OK(kf_ok(reopen(&f, KEY_A)));
		OK(kf_ok(put_limited(f.store, "l", (struct grant_limits){ 3600, 2, 3 })));
		fixture_close(&f);
		OK(sql(edits[i]));

		OK(kf_ok(reopen(&f, KEY_A)));

		EQ(tampered(&f), 1);
		EQ(catalog_rights(store_catalog(f.store))->grants, 2);
		fixture_close(&f);
	}
}

/* As the first schema left it. */
static bool make_older(void)
{
	return sql("alter table grant_ drop column rate;"
		   "alter table grant_ drop column burst;"
		   "alter table grant_ drop column concurrency;"
		   "delete from schema_version where version>1;"
		   "drop table audit_head");
}

TEST(a_store_without_limits_gets_them_and_keeps_its_grants)
{
	struct fixture f;
	OK(kf_ok(filled(KEY_A)));
	OK(make_older());

	OK(kf_ok(reopen(&f, KEY_A)));
	EQ(tampered(&f), 0);
	EQ(catalog_rights(store_catalog(f.store))->grants, 2);
	EQ(grant_of(f.store, "g1")->limits.rate_per_hour, 0);
	OK(kf_ok(put_limited(f.store, "l", (struct grant_limits){ 0, 0, 9 })));
	OK(kf_ok(put_grant(f.store, "g1", 1, DROP_GRANT)));
	fixture_close(&f);

	OK(kf_ok(reopen(&f, KEY_A)));
	EQ(tampered(&f), 0);
	EQ(grant_of(f.store, "l")->limits.concurrency, 9);
	EQ(grant_of(f.store, "l")->limits.rate_per_hour, 0);
	OK(grant_of(f.store, "g1") == NULL);
	fixture_close(&f);
}

TEST(swapped_material_is_refused_on_both_sides)
{
	struct fixture f;
	OK(kf_ok(filled(KEY_A)));
	OK(sql("create temp table t as select id,sealed from object;"
	       "update object set sealed=(select sealed from t where t.id<>object.id)"));

	OK(kf_ok(reopen(&f, KEY_A)));

	EQ(tampered(&f), 2);
	EQ(catalog_count(store_catalog(f.store)), 0);
	fixture_close(&f);
}

TEST(a_row_rolled_back_to_an_older_version_of_itself_refuses_the_store)
{
	struct fixture f;
	OK(kf_ok(filled(KEY_A)));
	OK(sql("create table old as select * from object where id='a'"));
	OK(kf_ok(reopen(&f, KEY_A)));
	struct spec a = {
		.id = "a", .name = "a", .version = 2, .state = STATE_COMPROMISED
	};
	OK(kf_ok(put_again(f.store, &a)));
	fixture_close(&f);
	OK(sql("delete from object where id='a'; insert into object select * from old"));

	OK(says(reopen(&f, KEY_A), KF_E_TAMPERED, "replaced or rolled back"));
	fixture_close(&f);
}

TEST(a_removed_row_refuses_the_store)
{
	static const char *const edits[] = { "delete from object where id='a'",
		"delete from client", "delete from grant_ where id='g2'" };
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		struct fixture f;
		OK(kf_ok(filled(KEY_A)));
		OK(sql(edits[i]));

		OK(says(reopen(&f, KEY_A), KF_E_TAMPERED, "removed"));
		fixture_close(&f);
	}
}

TEST(an_old_grant_that_is_put_back_refuses_the_store)
{
	struct fixture f;
	OK(kf_ok(filled(KEY_A)));
	OK(sql("create table old as select * from grant_ where id='g1'"));
	OK(kf_ok(reopen(&f, KEY_A)));
	OK(kf_ok(put_grant(f.store, "g1", 1, DROP_GRANT)));
	fixture_close(&f);
	OK(sql("delete from grant_ where id='g1'; insert into grant_ select * from old"));

	OK(says(reopen(&f, KEY_A), KF_E_TAMPERED, "replaced or rolled back"));
	fixture_close(&f);
}

TEST(an_edited_or_missing_head_refuses_the_store)
{
	struct fixture f;
	OK(kf_ok(filled(KEY_A)));
	OK(sql("update head set sequence=sequence+1"));
	OK(says(reopen(&f, KEY_A), KF_E_TAMPERED, "head of the store was changed"));
	fixture_close(&f);

	OK(kf_ok(filled(KEY_A)));
	OK(sql("delete from head"));
	OK(says(reopen(&f, KEY_A), KF_E_TAMPERED, "head of the store is missing"));
	fixture_close(&f);
}

TEST(a_wrong_or_missing_master_key_is_told_apart)
{
	struct fixture f;
	OK(kf_ok(filled(KEY_A)));

	OK(says(reopen(&f, KEY_A_WRONG), KF_E_CONFIG, "wrong master key"));
	fixture_close(&f);
	OK(says(reopen(&f, KEY_B), KF_E_CONFIG, "not in the master key file"));
	fixture_close(&f);
	OK(kf_ok(reopen(&f, KEY_B KEY_A)));
	OK(holds(f.store, "a", "secret a"));
	fixture_close(&f);
}

TEST(a_store_rolled_back_as_a_whole_is_noticed)
{
	struct fixture f;
	char command[512];
	OK(kf_ok(filled(KEY_A)));
	snprintf(command, sizeof(command), "cp '%s' '%s.old'", path, path);
	OK(system(command) == 0);
	OK(kf_ok(reopen(&f, KEY_A)));
	OK(kf_ok(put_grant(f.store, "g1", 1, DROP_GRANT)));
	fixture_close(&f);
	snprintf(command, sizeof(command), "mv '%s.old' '%s'; rm -f '%s'-*", path, path,
		path);
	OK(system(command) == 0);

	OK(says(reopen(&f, KEY_A), KF_E_TAMPERED,
		"older than what this server has seen"));
	fixture_close(&f);
}

TEST(a_store_that_was_emptied_is_noticed)
{
	struct fixture f;
	OK(kf_ok(filled(KEY_A)));
	OK(unlink(path) == 0);

	OK(says(reopen(&f, KEY_A), KF_E_TAMPERED, "store is empty"));
	fixture_close(&f);
}

TEST(a_recorded_answer_that_was_edited_is_refused)
{
	struct fixture f;
	OK(kf_ok(filled(KEY_A)));
	OK(kf_ok(reopen(&f, KEY_A)));
	struct change c = {
		.has_request_id = true, .client = "alice", .answer = buf_new(64)
	};
	struct spec spec = { .id = "c", .material = "x" };
	buf_add_text(&c.answer, "c");
	OK(kf_ok(add_put(&c, &spec, NULL)));
	OK(kf_ok(submit_and_wait(f.store, &c)));
	fixture_close(&f);
	OK(sql("update request_id set answer=x'61'"));
	OK(kf_ok(reopen(&f, KEY_A)));

	c.n = 0;
	OK(kf_is(submit_and_wait(f.store, &c), KF_E_TAMPERED));

	buf_free(&c.answer);
	fixture_close(&f);
}

TEST(nothing_secret_is_in_the_files)
{
	char command[256];
	OK(kf_ok(filled(KEY_A)));
	snprintf(command, sizeof(command), "grep -q 'secret a' '%s'*", path);
	OK(system(command) != 0);
}
enum { MANY = 600 }; /* more than one thread reads at once */

static kf_err fill_many(void)
{
	struct fixture f = { .conf.seen = seen };
	fresh();
	kf_err err = fixture_open(&f, location, KEY_A);
	for (int i = 0; i < MANY && kf_ok(err); i++) {
		char id[16];
		snprintf(id, sizeof(id), "m%d", i);
		err = put(f.store, &(struct spec){ .id = id, .material = id });
	}
	fixture_close(&f);
	return err;
}

TEST(among_many_rows_an_edited_one_is_refused_alone_and_a_removed_one_noticed)
{
	struct fixture f;
	OK(kf_ok(fill_many()));
	OK(sql("update object set owner='mallory' where id='m300'"));

	OK(kf_ok(reopen(&f, KEY_A)));
	EQ(tampered(&f), 1);
	EQ(catalog_count(store_catalog(f.store)), MANY - 1);
	OK(holds(f.store, "m299", "m299"));
	OK(!catalog_find(store_catalog(f.store), SLICE_LIT("m300")));
	OK(holds(f.store, "m301", "m301"));
	fixture_close(&f);

	OK(sql("delete from object where id='m400'"));
	OK(kf_is(reopen(&f, KEY_A), KF_E_TAMPERED));
	fixture_close(&f);
}

TEST_MAIN
