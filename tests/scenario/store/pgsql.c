/* SPDX-License-Identifier: Apache-2.0
 *
 * The suite of the store on PostgreSQL, and what only a shared database can do to it.  Run by
 * tests/scenario/with-postgresql.
 */
#include "store/bytes.h"
#include "store/schema3.h"
#include "store/suite.h"
#include "token/token.h"
#include <libpq-fe.h>
#include <poll.h>
#include <sys/stat.h>

static char location[256], database[32];

static bool sql_in(const char *name, const char *text)
{
	char conninfo[256];
	snprintf(conninfo, sizeof(conninfo), "%s dbname=%s", getenv("KEYFLEET_PG"), name);
	PGconn *conn = PQconnectdb(conninfo);
	PGresult *r = PQexec(conn, text);
	ExecStatusType status = PQresultStatus(r);
	bool is_done = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
	if (!is_done)
		printf("# %s\n", PQerrorMessage(conn));
	PQclear(r);
	PQfinish(conn);
	return is_done;
}

static bool sql(const char *text) { return sql_in(database, text); }

static bool sql_has_no(const char *text)
{
	char conninfo[256];
	snprintf(conninfo, sizeof(conninfo), "%s dbname=%s", getenv("KEYFLEET_PG"),
		database);
	PGconn *conn = PQconnectdb(conninfo);
	PGresult *r = PQexec(conn, text);
	bool is_empty = PQntuples(r) == 0;
	PQclear(r);
	PQfinish(conn);
	return is_empty;
}

static const char *fresh_location(void)
{
	static int n;
	char text[64];
	snprintf(database, sizeof(database), "k%d", n++);
	snprintf(text, sizeof(text), "create database %s", database);
	if (!sql_in("postgres", text))
		abort();
	snprintf(location, sizeof(location), "postgresql:%s dbname=%s",
		getenv("KEYFLEET_PG"), database);
	return location;
}

static bool control(const char *what)
{
	char command[512];
	snprintf(command, sizeof(command), "%s %s", getenv("KEYFLEET_PG_CTL"), what);
	return system(command) == 0;
}

/* Until it is so, at most ten seconds. */
#define EVENTUALLY(condition)                                                            \
	do {                                                                             \
		for (int i_ = 0; i_ < 500 && !(condition); i_++)                         \
			usleep(20000);                                                   \
		OK(condition);                                                           \
	} while (0)

static struct store_status status_of(struct fixture *f)
{
	struct store_status s;
	store_status(f->store, &s);
	return s;
}

static bool has(struct fixture *f, const char *id)
{
	return catalog_find(store_catalog(f->store), slice_of(id)) != NULL;
}

TEST(servers_see_each_others_changes)
{
	const char *where = fresh_location();
	struct fixture f = { 0 }, g = { .conf.poll_ms = 60000 };
	OK(kf_ok(fixture_open(&f, where, KEY_A)));
	OK(kf_ok(fixture_open(&g, where, KEY_A)));
	struct spec a = { .id = "a", .name = "www", .material = "secret" };

	OK(kf_ok(put(f.store, &a)));
	OK(kf_ok(put_grant(f.store, "g1", 0, PUT_GRANT)));
	EVENTUALLY(holds(g.store, "a", "secret")); /* by notice: it polls once a minute */
	EVENTUALLY(catalog_rights(store_catalog(g.store))->grants == 1);

	a.version = 2;
	a.material = NULL;
	OK(kf_ok(put_again(g.store, &a)));
	OK(kf_ok(put_grant(g.store, "g1", 1, DROP_GRANT)));
	EVENTUALLY(catalog_find(store_catalog(f.store), SLICE_LIT("a"))->version == 2);
	EVENTUALLY(catalog_rights(store_catalog(f.store))->grants == 0);
	OK(holds(f.store, "a", "secret"));

	/* Both in turn, each on what the other made. */
	for (int i = 0; i < 20; i++) {
		char id[16];
		snprintf(id, sizeof(id), "x%d", i);
		struct spec x = { .id = id, .material = "m" };
		OK(kf_ok(put(i % 2 ? f.store : g.store, &x)));
		OK(kf_is(put(i % 2 ? g.store : f.store, &x), KF_E_EXISTS));
	}
	EQ(status_of(&f).sequence, status_of(&g).sequence);
	fixture_close(&f);
	fixture_close(&g);
}

/* Servers are upgraded one after the other. */
TEST(a_server_of_before_goes_on_writing_while_others_are_upgraded)
{
	const char *where = fresh_location();
	struct fixture f = { 0 }, g = { 0 };
	OK(kf_ok(fixture_open(&f, where, KEY_A)));
	OK(kf_ok(put(
		f.store, &(struct spec){ .id = "a", .name = "www", .material = "x" })));
	OK(sql(SCHEMA_3));
	OK(!sql_has_no(SCHEMA_3_ROWS));

	OK(kf_ok(fixture_open(&g, where, KEY_A)));

	OK(sql_has_no(SCHEMA_3_ROWS));
	OK(sql(SCHEMA_3_WRITES));
	OK(holds(g.store, "a", "x"));
	OK(kf_ok(put(
		f.store, &(struct spec){ .id = "b", .name = "other", .material = "y" })));
	EVENTUALLY(has(&g, "b"));
	fixture_close(&f);
	fixture_close(&g);
}

TEST(a_repeated_request_is_known_to_every_server)
{
	const char *where = fresh_location();
	struct fixture f = { 0 }, g = { 0 };
	OK(kf_ok(fixture_open(&f, where, KEY_A)));
	OK(kf_ok(fixture_open(&g, where, KEY_A)));
	struct spec a = { .id = "a", .material = "x" },
		    b = { .id = "b", .material = "y" };
	struct change first = request(1, 1, "a"), again = request(1, 1, "b");
	OK(kf_ok(add_put(&first, &a, NULL)));
	OK(kf_ok(add_put(&again, &b, NULL)));

	OK(kf_ok(submit_and_wait(f.store, &first)));
	OK(kf_ok(submit_and_wait(g.store, &again)));

	OK(again.is_replay);
	OK(slice_is(buf_slice(&again.answer), "a"));
	OK(!has(&g, "b"));
	buf_free(&first.answer);
	buf_free(&again.answer);
	fixture_close(&f);
	fixture_close(&g);
}

TEST(a_row_put_back_while_servers_run_stops_their_writing)
{
	struct fixture f = { 0 };
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	OK(kf_ok(put_grant(f.store, "g1", 0, PUT_GRANT)));
	OK(sql("create table old as select * from head"));
	OK(kf_ok(put_grant(f.store, "g2", 0, PUT_GRANT)));
	OK(sql("delete from head; insert into head select * from old"));

	OK(says(put_grant(f.store, "g3", 0, PUT_GRANT), KF_E_TAMPERED, "rolled back"));

	OK(status_of(&f).is_rolled_back);
	EQ(catalog_rights(store_catalog(f.store))->grants, 2);
	fixture_close(&f);
}

/* Whoever may make triggers changes rows on their way to the other servers. */
static bool plant(const char *table, const char *change)
{
	char text[512];
	snprintf(text, sizeof(text),
		"create function spoil_%s() returns trigger language plpgsql as "
		"$$ begin %s; return new; end $$; create trigger spoil before update on "
		"%s "
		"for each row execute function spoil_%s()",
		table, change, table, table);
	return sql(text);
}

TEST(what_was_edited_on_its_way_is_not_served_in_its_old_form_either)
{
	const char *where = fresh_location();
	struct fixture f = { 0 }, g = { 0 };
	OK(kf_ok(fixture_open(&f, where, KEY_A)));
	OK(kf_ok(fixture_open(&g, where, KEY_A)));
	struct spec a = { .id = "a", .name = "www", .material = "secret" },
		    last = { .id = "last", .material = "x" };
	OK(kf_ok(put(f.store, &a)));
	OK(kf_ok(put_client(f.store, "alice", 0, 7)));
	OK(kf_ok(put_grant(f.store, "g1", 0, PUT_GRANT)));
	EVENTUALLY(catalog_rights(store_catalog(g.store))->grants == 1);
	OK(plant("object", "new.state = 2") && plant("client", "new.is_revoked = 0") &&
		plant("grant_", "new.is_dropped = 0"));

	a.version = 2;
	a.state = STATE_COMPROMISED;
	a.material = NULL;
	struct change revoke = { .n = 1,
		.m = { { .kind = PUT_CLIENT, .expected_version = 1 } } };
	strcpy(revoke.m[0].client.name, "alice");
	revoke.m[0].client.is_revoked = true;
	OK(kf_ok(put_again(f.store, &a)));
	OK(kf_ok(submit_and_wait(f.store, &revoke)));
	OK(kf_ok(put_grant(f.store, "g1", 1, DROP_GRANT)));
	OK(kf_ok(put(f.store, &last)));

	EVENTUALLY(has(&g, "last"));
	EQ(status_of(&g).tampered, 3);
	OK(!catalog_find(store_catalog(g.store), SLICE_LIT("a")));
	OK(!catalog_find_name(store_catalog(g.store), NULL, SLICE_LIT("www")));
	EQ(catalog_rights(store_catalog(g.store))->grants, 0);
	const struct client_row *c =
		rights_client(catalog_rights(store_catalog(g.store)), "alice");
	OK(c && c->is_revoked);
	fixture_close(&f);
	fixture_close(&g);
}

static bool has_grant_once(struct fixture *f)
{
	return catalog_rights(store_catalog(f->store))->grants == 1;
}

TEST(a_rotation_reaches_the_other_servers)
{
	const char *where = fresh_location();
	struct fixture f = { 0 }, g = { 0 };
	OK(kf_ok(fixture_open(&f, where, KEY_A KEY_B)));
	struct spec a = { .id = "a", .name = "www", .material = "secret" };
	OK(kf_ok(put(f.store, &a)));
	OK(kf_ok(put_client(f.store, "alice", 0, 7)));
	OK(kf_ok(put_grant(f.store, "g1", 0, PUT_GRANT)));

	OK(kf_ok(fixture_open(&g, where, KEY_B KEY_A)));
	store_rotate_master(g.store);
	EVENTUALLY(status_of(&g).old_master_keys == 0);
	EVENTUALLY(status_of(&f).sequence == status_of(&g).sequence);
	OK(holds(f.store, "a", "secret"));
	OK(has_grant_once(&f));

	OK(kf_ok(put_grant(g.store, "g1", 1, DROP_GRANT)));
	EVENTUALLY(catalog_rights(store_catalog(f.store))->grants == 0);
	fixture_close(&f);
	fixture_close(&g);
}

static kf_err load_slowly(
	const struct object *o, struct slice material, struct token_key **ret)
{
	(void)o;
	(void)material;
	*ret = NULL;
	usleep(15000);
	return KF_OK;
}

TEST(a_server_catches_up_with_more_than_its_deadline_has_time_for)
{
	enum { N = 128 }; /* a rotation moves 64 at a time, which takes a second here */
	const char *where = fresh_location();
	struct fixture f = { .conf = { .deadline_ms = 100, .load_key = load_slowly } },
		       g = { 0 };
	OK(kf_ok(fixture_open(&f, where, KEY_A)));
	OK(kf_ok(fixture_open(&g, where, KEY_A)));
	for (int i = 0; i < N; i++) {
		char id[16];
		snprintf(id, sizeof(id), "o%d", i);
		struct spec spec = {
			.id = id, .type = OBJECT_PRIVATE_KEY, .material = "k"
		};
		OK(kf_ok(put(g.store, &spec)));
	}
	OK(kf_ok(adopt(&f, KEY_B KEY_A)) && kf_ok(adopt(&g, KEY_B KEY_A)));
	store_rotate_master(g.store);
	EVENTUALLY(status_of(&g).old_master_keys == 0);

	EVENTUALLY(status_of(&f).sequence == status_of(&g).sequence);
	EVENTUALLY(status_of(&f).is_reachable);
	fixture_close(&f);
	fixture_close(&g);
}

static atomic_int keys_made;

static void forget_key(struct token_key *key) { (void)key; }

static kf_err load_once(
	const struct object *o, struct slice material, struct token_key **ret)
{
	static const struct token_ops ops = { .free_key = forget_key };
	static struct token_key key = { .ops = &ops };
	(void)o;
	(void)material;
	if (atomic_fetch_add(&keys_made, 1) > 0)
		return kf_fail(NOMEM, "memory for keys is used up");
	atomic_init(&key.refs, 1);
	*ret = &key;
	return KF_OK;
}

TEST(a_key_that_another_server_changes_is_not_made_anew)
{
	const char *where = fresh_location();
	struct fixture f = { .conf.load_key = load_once }, g = { 0 };
	struct spec a = { .id = "a", .type = OBJECT_PRIVATE_KEY, .material = "k" };
	OK(kf_ok(fixture_open(&f, where, KEY_A)));
	OK(kf_ok(fixture_open(&g, where, KEY_A)));
	OK(kf_ok(put(g.store, &a)));
	EVENTUALLY(has(&f, "a"));
	const struct object *o = catalog_find(store_catalog(f.store), SLICE_LIT("a"));
	OK(o->key);

	a.version = 2;
	a.material = NULL;
	OK(kf_ok(put_again(g.store, &a)));

	EVENTUALLY(catalog_find(store_catalog(f.store), SLICE_LIT("a"))->version == 2);
	OK(catalog_find(store_catalog(f.store), SLICE_LIT("a"))->key);
	EQ(keys_made, 1);
	fixture_close(&f);
	fixture_close(&g);
}

static enum kf_code last_event(struct fixture *f)
{
	pthread_mutex_lock(&event_lock);
	enum kf_code code = f->event.code;
	pthread_mutex_unlock(&event_lock);
	return code;
}

TEST(a_server_without_the_new_master_key_says_so_until_it_is_reloaded)
{
	const char *where = fresh_location();
	struct fixture f = { 0 }, g = { 0 };
	struct spec a = { .id = "a", .material = "first" },
		    b = { .id = "b", .material = "second" };
	OK(kf_ok(fixture_open(&f, where, KEY_A)));
	OK(kf_ok(fixture_open(&g, where, KEY_A)));
	OK(kf_ok(put(f.store, &a)));
	EVENTUALLY(has(&g, "a"));

	OK(kf_ok(adopt(&g, KEY_B KEY_A)));
	store_rotate_master(g.store);
	EVENTUALLY(status_of(&g).old_master_keys == 0);
	OK(kf_ok(put(g.store, &b)));
	EVENTUALLY(last_event(&f) == KF_E_CONFIG);
	OK(holds(f.store, "a", "first"));
	OK(!has(&f, "b"));
	EVENTUALLY(!status_of(&f).is_writable);

	OK(kf_ok(adopt(&f, KEY_B KEY_A)));
	EVENTUALLY(has(&f, "b"));
	EVENTUALLY(status_of(&f).is_writable);
	OK(holds(f.store, "a", "first") && holds(f.store, "b", "second"));
	fixture_close(&f);
	fixture_close(&g);
}

TEST(two_master_keys_of_one_name_do_not_both_seal)
{
	const char *where = fresh_location();
	struct fixture f = { 0 }, g = { 0 };
	struct spec a = { .id = "a", .material = "x" };
	OK(kf_ok(fixture_open(&f, where, KEY_A)));
	OK(kf_ok(fixture_open(&g, where, KEY_A)));
	OK(kf_ok(adopt(&f, KEY_B KEY_A)));
	EVENTUALLY(!sql_has_no("select 1 from master where id='b'"));

	OK(kf_ok(adopt(&g, KEY_B_WRONG KEY_A)));

	OK(says(put(g.store, &a), KF_E_CONFIG, "wrong master key"));
	OK(kf_ok(put(f.store, &a)));
	fixture_close(&f);
	fixture_close(&g);
}

TEST(a_restart_of_the_database_loses_nothing_and_delays_only)
{
	struct fixture f = { .conf.deadline_ms = 20000 };
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	struct spec a = { .id = "a", .material = "x" },
		    b = { .id = "b", .material = "y" };
	OK(kf_ok(put(f.store, &a)));
	OK(control("stop -m immediate"));
	OK(holds(f.store, "a", "x"));
	struct change c = { 0 };
	struct wait w = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };
	OK(kf_ok(add_put(&c, &b, NULL)));
	c.done = wait_done;
	c.arg = &w;

	OK(kf_ok(store_submit(f.store, &c)));
	EVENTUALLY(!status_of(&f).is_reachable);
	OK(control("start"));

	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.is_done, &w.lock);
	pthread_mutex_unlock(&w.lock);
	OK(kf_ok(c.err));
	OK(holds(f.store, "b", "y"));
	EVENTUALLY(status_of(&f).is_writable);
	fixture_close(&f);
}

TEST(without_a_database_a_change_is_refused_at_its_deadline)
{
	struct fixture f = { .conf.deadline_ms = 300 };
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	OK(control("stop -m immediate"));

	uint64_t before = clock_monotonic_ns();
	kf_err err = put_grant(f.store, "g1", 0, PUT_GRANT);
	uint64_t took_ms = (clock_monotonic_ns() - before) / 1000000;
	struct fixture g = { 0 };
	kf_err opened = fixture_open(&g, location, KEY_A);
	OK(control("start"));

	OK(says(err, KF_E_UNAVAILABLE, "nothing was changed"));
	OK(took_ms < 1000);
	OK(kf_is(opened, KF_E_UNAVAILABLE));
	EVENTUALLY(status_of(&f).is_writable);
	OK(kf_ok(put_grant(f.store, "g1", 0, PUT_GRANT)));
	fixture_close(&g);
	fixture_close(&f);
}

/* A directory where the file should be. */
TEST(a_snapshot_that_cannot_be_put_in_its_place_leaves_nothing_behind)
{
	char snapshot[128], half[140];
	snprintf(snapshot, sizeof(snapshot), "%s/taken", temporary_directory());
	snprintf(half, sizeof(half), "%s.new", snapshot);
	OK(mkdir(snapshot, 0700) == 0);
	struct fixture f = { .conf.snapshot = snapshot };
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));

	EVENTUALLY(was_told(&f, snapshot));
	EVENTUALLY(last_event(&f) == KF_E_IO);
	OK(access(half, F_OK) != 0);
	fixture_close(&f);
}

TEST(a_server_with_a_snapshot_starts_without_the_database)
{
	char snapshot[128];
	const char *where = fresh_location();
	snprintf(snapshot, sizeof(snapshot), "%s/snapshot", temporary_directory());
	struct fixture f = { 0 }, g = { .conf.snapshot = snapshot },
		       h = { .conf.snapshot = snapshot, .conf.deadline_ms = 300 };
	OK(kf_ok(fixture_open(&f, where, KEY_A)));
	struct spec a = { .id = "a", .material = "x" },
		    b = { .id = "b", .material = "y" };
	OK(kf_ok(put(f.store, &a)));
	OK(kf_ok(fixture_open(&g, where, KEY_A)));
	EVENTUALLY(access(snapshot, R_OK) == 0);
	fixture_close(&g);
	OK(kf_ok(put(f.store, &b)));
	fixture_close(&f);
	OK(control("stop -m immediate"));

	kf_err err = fixture_open(&h, where, KEY_A);
	kf_err written = kf_ok(err) ? put_grant(h.store, "g1", 0, PUT_GRANT) : err;
	OK(control("start"));

	OK(kf_ok(err));
	OK(holds(h.store, "a", "x"));
	OK(kf_is(written, KF_E_UNAVAILABLE));
	EVENTUALLY(status_of(&h).is_writable);
	EVENTUALLY(holds(h.store, "b", "y"));
	OK(kf_ok(put_grant(h.store, "g1", 0, PUT_GRANT)));
	fixture_close(&h);
}

/* A standby that never comes: every commit waits for it. */
static bool want_standby(bool yes)
{
	return sql_in("postgres",
		       yes ? "alter system set synchronous_standby_names='nobody'"
			   : "alter system reset synchronous_standby_names") &&
	       sql_in("postgres", "select pg_reload_conf()");
}

/* The server's processes read their configuration when they get to it: until then no commit waits. */
static bool commits_wait(void)
{
	char conninfo[256], why[256];
	snprintf(conninfo, sizeof(conninfo), "%s dbname=postgres", getenv("KEYFLEET_PG"));
	PGconn *conn = PQconnectdb(conninfo);
	PGcancel *cancel = PQgetCancel(conn);
	struct pollfd answer = { .fd = PQsocket(conn), .events = POLLIN };
	bool is_sent = PQsendQuery(conn, "create table w(); drop table w");
	while (is_sent && poll(&answer, 1, 10) == 0 &&
		sql_has_no("select 1 from pg_stat_activity where wait_event='SyncRep'"))
		;
	bool is_waiting = is_sent && poll(&answer, 1, 0) == 0;
	if (is_waiting)
		(void)PQcancel(cancel, why, sizeof(why));
	PQfreeCancel(cancel);
	PQfinish(conn);
	return is_waiting;
}

static bool cancel_waits(void)
{
	return sql("select pg_cancel_backend(pid) from pg_stat_activity "
		   "where wait_event='SyncRep'");
}

TEST(a_commit_that_waits_for_its_standby_is_unknown_at_the_deadline)
{
	struct fixture f = { .conf.deadline_ms = 500 };
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	EVENTUALLY(status_of(&f).is_writable);
	OK(want_standby(true));
	EVENTUALLY(commits_wait());
	struct spec a = { .id = "a", .material = "x" };
	struct change first = request(1, 1, "a"), again = request(1, 1, "b");
	OK(kf_ok(add_put(&first, &a, NULL)));

	kf_err err = submit_and_wait(f.store, &first);
	bool was_writable = status_of(&f).is_writable, was_shown = has(&f, "a");
	kf_err second = put_grant(f.store, "g1", 0, PUT_GRANT);
	OK(want_standby(false));

	OK(kf_is(err, KF_E_OUTCOME_UNKNOWN));
	OK(!was_writable);
	OK(!was_shown);
	OK(kf_is(second, KF_E_UNAVAILABLE) || kf_is(second, KF_E_OUTCOME_UNKNOWN));
	EVENTUALLY(has(&f, "a")); /* the worker finds out and shows it */
	EVENTUALLY(status_of(&f).is_writable);
	OK(kf_ok(submit_and_wait(f.store, &again)));
	OK(again.is_replay);
	OK(slice_is(buf_slice(&again.answer), "a"));
	EQ(catalog_count(store_catalog(f.store)), 1);
	buf_free(&first.answer);
	buf_free(&again.answer);
	fixture_close(&f);
}

TEST(a_wait_that_somebody_cancels_is_no_success)
{
	struct fixture f = { .conf.deadline_ms = 3000 };
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	EVENTUALLY(status_of(&f).is_writable);
	OK(want_standby(true));
	EVENTUALLY(commits_wait());
	struct spec a = { .id = "a", .material = "x" };
	struct change c = { 0 };
	struct wait w = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };
	OK(kf_ok(add_put(&c, &a, NULL)));
	c.done = wait_done;
	c.arg = &w;

	OK(kf_ok(store_submit(f.store, &c)));
	bool is_done = false;
	for (int i = 0; i < 100 && !is_done; i++) {
		OK(cancel_waits());
		usleep(50000);
		pthread_mutex_lock(&w.lock);
		is_done = w.done;
		pthread_mutex_unlock(&w.lock);
	}
	OK(want_standby(false));

	OK(is_done);
	OK(kf_is(c.err, KF_E_OUTCOME_UNKNOWN));
	EVENTUALLY(has(&f, "a"));
	fixture_close(&f);
}

TEST(a_server_that_stops_in_a_transaction_does_not_stop_the_others)
{
	const char *where = fresh_location();
	struct fixture f = { .conf.deadline_ms = 30000 };
	OK(kf_ok(fixture_open(&f, where, KEY_A)));
	char conninfo[256];
	snprintf(conninfo, sizeof(conninfo), "%s dbname=%s", getenv("KEYFLEET_PG"),
		database);
	PGconn *stopped = PQconnectdb(conninfo);
	PQclear(PQexec(stopped, "set idle_in_transaction_session_timeout='1s'; begin"));
	PQclear(PQexec(stopped, "select * from head for update"));

	kf_err err = put_grant(f.store, "g1", 0, PUT_GRANT);

	PQfinish(stopped);
	OK(kf_ok(err));
	fixture_close(&f);
}
/* Fills `from` (or takes what is there), carries it over to `to`, and looks there. */
static kf_err carry(const char *from, const char *to, bool is_new)
{
	struct fixture f = { 0 }, g = { 0 };
	struct store_backup_facts facts;
	struct spec a = { .id = "a", .name = "www", .material = "secret" };
	autobuf b = buf_new(1 << 20);
	kf_err err = fixture_open(&f, from, KEY_A);
	if (kf_ok(err) && is_new)
		err = put(f.store, &a);
	if (kf_ok(err))
		err = store_backup(f.store, into_buf, &b, &facts);
	fixture_close(&f);
	KF_TRY(err);
	KF_TRY(fixture_open(&g, "memory:", KEY_A)); /* for a keyring and an epoch */
	struct slice in = buf_slice(&b);
	struct store_conf conf = { .location = to, .keyring = g.keyring };
	err = store_restore(&conf, from_slice, &in, &facts);
	fixture_close(&g);
	return err;
}

TEST(a_backup_goes_from_either_kind_of_store_to_the_other)
{
	char file[128], other[128], from[256];
	struct fixture f = { 0 };
	snprintf(file, sizeof(file), "sqlite:%s/from.db", temporary_directory());
	snprintf(other, sizeof(other), "sqlite:%s/to.db", temporary_directory());
	strcpy(from, fresh_location());

	OK(kf_ok(carry(file, from, true)));
	OK(kf_ok(carry(from, other, false)));

	OK(kf_ok(fixture_open(&f, other, KEY_A)));
	OK(holds(f.store, "a", "secret"));
	fixture_close(&f);
}
/* More than a socket takes at once goes through one pipeline. */
TEST(a_group_of_large_objects_is_one_commit)
{
	enum { N = 24, LARGE = 400000 };
	static struct change changes[N], first;
	static struct wait waits[N];
	struct fixture f = { 0 };
	struct store_status status;
	sem_t all_queued;
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	OK(hold_group(f.store, &first, &all_queued));

	for (int i = 0; i < N; i++) {
		char id[16];
		snprintf(id, sizeof(id), "large%d", i);
		struct spec spec = { .id = id, .name = id };
		OK(kf_ok(add_put(&changes[i], &spec, NULL)));
		struct buf *material = &changes[i].m[0].object.material;
		buf_free(material);
		*material = buf_new(LARGE);
		memset(buf_reserve(material, LARGE), 'a' + i, LARGE);
		buf_commit(material, LARGE);
		wait_with(&waits[i], &changes[i]);
		OK(kf_ok(store_submit(f.store, &changes[i])));
	}
	sem_post(&all_queued);
	for (int i = 0; i < N; i++) {
		wait_for(&waits[i]);
		OK(kf_ok(changes[i].err));
	}
	store_status(f.store, &status);
	EQ(status.commits, 1);
	EQ(status.objects, N);
	fixture_close(&f);
}

TEST_MAIN
