/* SPDX-License-Identifier: Apache-2.0
 *
 * One suite for every driver: the file that includes it says where its stores are.
 *
 *     const char *fresh_location(void);   an empty store, the same until the next call
 */
#pragma once
#include "fixture.h"
#include "test.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>

static const char *fresh_location(void);

#include "gate.h"

TEST(what_was_acknowledged_is_there_after_a_restart)
{
	const char *where = fresh_location();
	struct fixture f = { 0 }, g = { 0 };
	OK(kf_ok(fixture_open(&f, where, KEY_A)));
	struct spec spec = { .id = "one", .name = "www", .material = "secret" };

	OK(kf_ok(put(f.store, &spec)));
	OK(kf_ok(put_client(f.store, "bob", 0, 7)));
	OK(kf_ok(put_grant(f.store, "g1", 0, PUT_GRANT)));
	OK(holds(f.store, "one", "secret"));
	if (strcmp(where, "memory:") == 0) {
		fixture_close(&f);
		return;
	}
	fixture_close(&f);
	OK(kf_ok(fixture_open(&g, where, KEY_A)));

	OK(holds(g.store, "one", "secret"));
	const struct catalog *c = store_catalog(g.store);
	OK(catalog_find_name(c, "alice", SLICE_LIT("www")) != NULL);
	OK(catalog_find_name(c, NULL, SLICE_LIT("www")) != NULL);
	OK(catalog_find_name(c, "bob", SLICE_LIT("www")) == NULL);
	OK(rights_client(catalog_rights(c), "bob") != NULL);
	EQ(catalog_rights(c)->grants, 1);
	fixture_close(&g);
}

TEST(a_stale_version_is_a_conflict_and_changes_nothing)
{
	struct fixture f = { 0 };
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	struct spec spec = { .id = "one", .material = "secret" };
	OK(kf_ok(put(f.store, &spec)));
	OK(kf_is(put(f.store, &spec), KF_E_EXISTS));

	spec.version = 2;
	spec.name = "renamed";
	OK(kf_ok(put_again(f.store, &spec)));
	struct change late = { 0 };
	OK(kf_ok(add_put(&late, &spec, NULL)));
	OK(kf_is(submit_and_wait(f.store, &late), KF_E_CONFLICT));

	OK(holds(f.store, "one", "secret"));
	EQ(catalog_find(store_catalog(f.store), SLICE_LIT("one"))->version, 2);
	OK(kf_is(put_client(f.store, "nobody", 3, 1), KF_E_NOT_FOUND));
	fixture_close(&f);
}

TEST(names_are_unique_among_the_living_objects_of_an_owner)
{
	struct fixture f = { 0 };
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	struct spec a = { .id = "a", .name = "www", .material = "x" },
		    b = { .id = "b", .name = "www", .material = "y" };
	OK(kf_ok(put(f.store, &a)));
	OK(kf_is(put(f.store, &b), KF_E_NAME_NOT_UNIQUE));

	a.version = 2;
	a.material = NULL;
	a.state = STATE_DESTROYED;
	OK(kf_ok(put_again(f.store, &a)));
	OK(catalog_find(store_catalog(f.store), SLICE_LIT("a"))->sealed.n == 0);
	OK(kf_ok(put(f.store, &b)));

	const struct object *o =
		catalog_find_name(store_catalog(f.store), "alice", SLICE_LIT("www"));
	OK(o && strcmp(o->id, "b") == 0);
	fixture_close(&f);
}

TEST(a_name_moves_in_one_change)
{
	struct fixture f = { 0 };
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	struct spec old = { .id = "old", .name = "www", .material = "x" };
	OK(kf_ok(put(f.store, &old)));

	struct change c = { 0 };
	old = (struct spec){ .id = "old", .version = 2 };
	struct spec new = { .id = "new", .name = "www", .material = "y" };
	OK(kf_ok(add_put(
		&c, &old, catalog_find(store_catalog(f.store), SLICE_LIT("old")))));
	OK(kf_ok(add_put(&c, &new, NULL)));
	OK(kf_ok(submit_and_wait(f.store, &c)));

	const struct object *o =
		catalog_find_name(store_catalog(f.store), "alice", SLICE_LIT("www"));
	OK(o && strcmp(o->id, "new") == 0);
	OK(holds(f.store, "old", "x"));
	fixture_close(&f);
}

TEST(a_change_is_all_or_nothing)
{
	struct fixture f = { 0 };
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	struct spec there = { .id = "there", .material = "x" },
		    fresh = { .id = "fresh", .material = "y" };
	OK(kf_ok(put(f.store, &there)));

	struct change c = { 0 };
	OK(kf_ok(add_put(&c, &fresh, NULL)));
	OK(kf_ok(add_put(&c, &there, NULL)));
	OK(kf_is(submit_and_wait(f.store, &c), KF_E_EXISTS));

	OK(catalog_find(store_catalog(f.store), SLICE_LIT("fresh")) == NULL);
	OK(kf_ok(put(f.store, &fresh)));
	fixture_close(&f);
}

/* A new version without attributes. */
static kf_err make_void(struct store *s, const char *id, uint64_t expected)
{
	struct change c = { .n = 1,
		.m = { { .kind = PUT_OBJECT, .expected_version = expected } } };
	const struct object_parts parts = { .id = slice_of(id),
		.owner = SLICE_LIT("alice"),
		.type = OBJECT_SECRET_DATA,
		.version = expected + 1 };
	KF_TRY(object_new(&parts, &c.m[0].object.object));
	return submit_and_wait(s, &c);
}

static bool sees(void *arg, const struct object *o)
{
	bool *is_seen = arg;
	*is_seen |= strcmp(o->id, "gone") == 0;
	return true;
}

static bool is_seen(struct store *s)
{
	bool is_found = false;
	const struct catalog *c = store_catalog(s);
	catalog_each(c, sees, &is_found);
	(void)catalog_each_named(c, SLICE_LIT("www"), sees, &is_found);
	return is_found || catalog_find(c, SLICE_LIT("gone")) ||
	       catalog_find_name(c, NULL, SLICE_LIT("www"));
}

TEST(a_void_object_is_not_there_and_its_id_is_not_used_again)
{
	const char *where = fresh_location();
	struct fixture f = { 0 };
	OK(kf_ok(fixture_open(&f, where, KEY_A)));
	struct spec spec = { .id = "gone", .name = "www", .material = "secret" };
	OK(kf_ok(put(f.store, &spec)));
	OK(is_seen(f.store));

	OK(kf_ok(make_void(f.store, "gone", 1)));

	OK(!is_seen(f.store));
	OK(kf_is(put(f.store, &spec), KF_E_EXISTS));
	struct spec heir = { .id = "heir", .name = "www", .material = "other" };
	OK(kf_ok(put(f.store, &heir)));
	if (strcmp(where, "memory:") != 0) {
		fixture_close(&f);
		OK(kf_ok(fixture_open(&f, where, KEY_A)));
		OK(!catalog_find(store_catalog(f.store), SLICE_LIT("gone")));
		OK(holds(f.store, "heir", "other"));
	}
	fixture_close(&f);
}

enum { MANY_MUTATIONS = CHANGE_MUTATIONS + 7 };

TEST(a_change_may_be_of_many_objects)
{
	struct fixture f = { 0 };
	char id[MANY_MUTATIONS][8];
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	struct change c = { .more = calloc(
				    MANY_MUTATIONS - CHANGE_MUTATIONS, sizeof(*c.more)) };
	for (size_t i = 0; i < MANY_MUTATIONS; i++) {
		snprintf(id[i], sizeof(id[i]), "m%zu", i);
		struct mutation *m = change_mutation(&c, c.n++);
		*m = (struct mutation){ .kind = PUT_OBJECT };
		OK(kf_ok(make_object(&(struct spec){ .id = id[i] }, &m->object.object)));
		m->object.material = buf_new(64);
		buf_add_text(&m->object.material, id[i]);
	}

	OK(kf_ok(submit_and_wait(f.store, &c)));

	for (size_t i = 0; i < MANY_MUTATIONS; i++)
		OK(holds(f.store, id[i], id[i]));
	free(c.more);
	fixture_close(&f);
}

static void hold_up(struct change *c)
{
	while (sem_wait(c->arg))
		;
}

/* What is answered is queued no more: what is queued from now on is in no group with it. */
static bool is_held_up(struct store *s)
{
	struct store_status status = { .queued = 1 };
	for (int i = 0; i < 1000 && status.queued; i++) {
		usleep(1000);
		store_status(s, &status);
	}
	return !status.queued;
}

/* Keeps the store worker until everything behind it is queued: that is then one group.  sem_post() lets it go on. */
static bool hold_group(struct store *s, struct change *first, sem_t *all_queued)
{
	sem_init(all_queued, 0, 0);
	*first = (struct change){ .done = hold_up, .arg = all_queued };
	return kf_ok(store_submit(s, first)) && is_held_up(s);
}

static void wait_with(struct wait *w, struct change *c)
{
	*w = (struct wait){ PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };
	c->done = wait_done;
	c->arg = w;
}

static void wait_for(struct wait *w)
{
	pthread_mutex_lock(&w->lock);
	while (!w->done)
		pthread_cond_wait(&w->is_done, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

/* Each with a request id: of those that are undone and done again none counts twice. */
TEST(a_refused_change_spoils_no_neighbour_of_its_group)
{
	enum { N = 40 };
	static struct change changes[N], first;
	static struct wait waits[N];
	struct fixture f = { .conf.request_ids_max = 30 };
	sem_t all_queued;
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	OK(hold_group(f.store, &first, &all_queued));

	for (int i = 0; i < N; i++) {
		char id[16];
		snprintf(id, sizeof(id), "o%d", i % 4 == 3 ? 0 : i);
		struct spec spec = { .id = id, .material = "m" };
		changes[i] = request((uint8_t)i, 1, id);
		OK(kf_ok(add_put(&changes[i], &spec, NULL)));
		wait_with(&waits[i], &changes[i]);
	}
	for (int i = 0; i < N; i++)
		OK(kf_ok(store_submit(f.store, &changes[i])));
	sem_post(&all_queued);
	for (int i = 0; i < N; i++)
		wait_for(&waits[i]);

	for (int i = 0; i < N; i++) {
		EQ(changes[i].err.code, i % 4 == 3 ? KF_E_EXISTS : KF_E_NONE);
		buf_free(&changes[i].answer);
	}
	EQ(catalog_count(store_catalog(f.store)), 30);
	struct store_status status;
	store_status(f.store, &status);
	EQ(status.commits, 1);
	fixture_close(&f);
}

TEST(a_retry_makes_no_second_key)
{
	struct fixture f = { 0 };
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	struct spec one = { .id = "one", .material = "x" },
		    two = { .id = "two", .material = "y" };
	struct change first = request(1, 1, "one"), again = request(1, 1, "two"),
		      other = request(1, 2, "two"), stranger = request(1, 1, "two");
	strcpy(stranger.client, "mallory");
	OK(kf_ok(add_put(&first, &one, NULL)));
	OK(kf_ok(add_put(&again, &two, NULL)));
	OK(kf_ok(add_put(&other, &two, NULL)));
	OK(kf_ok(add_put(&stranger, &two, NULL)));

	OK(kf_ok(submit_and_wait(f.store, &first)));
	OK(!first.is_replay);
	OK(kf_ok(submit_and_wait(f.store, &again)));
	OK(again.is_replay);
	OK(slice_is(buf_slice(&again.answer), "one"));
	OK(catalog_find(store_catalog(f.store), SLICE_LIT("two")) == NULL);
	OK(kf_is(submit_and_wait(f.store, &other), KF_E_INVALID_FIELD));
	OK(kf_ok(submit_and_wait(f.store, &stranger)));
	OK(!stranger.is_replay);

	buf_free(&first.answer);
	buf_free(&again.answer);
	buf_free(&other.answer);
	buf_free(&stranger.answer);
	fixture_close(&f);
}

TEST(request_ids_have_a_quota)
{
	struct fixture f = { .conf.request_ids_max = 2 };
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));

	for (uint8_t i = 0; i < 3; i++) {
		char id[8];
		snprintf(id, sizeof(id), "q%d", i);
		struct spec spec = { .id = id, .material = "x" };
		struct change c = request(i, 1, "a");
		OK(kf_ok(add_put(&c, &spec, NULL)));
		kf_err err = submit_and_wait(f.store, &c);
		buf_free(&c.answer);
		EQ(err.code, i < 2 ? KF_E_NONE : KF_E_LIMIT);
	}
	fixture_close(&f);
}

TEST(clients_are_found_by_certificate_and_a_certificate_has_one_client)
{
	struct fixture f = { 0 };
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	uint8_t print[32];
	memset(print, 9, sizeof(print));

	OK(kf_ok(put_client(f.store, "carol", 0, 9)));
	OK(kf_is(put_client(f.store, "dave", 0, 9), KF_E_EXISTS));
	uint64_t before = catalog_rights(store_catalog(f.store))->generation;
	OK(kf_ok(put_client(f.store, "carol", 1, 9)));

	const struct rights *r = catalog_rights(store_catalog(f.store));
	OK(r->generation > before);
	EQ(r->clients, 1);
	const struct client_row *c = rights_certificate(r, print);
	OK(c && strcmp(c->name, "carol") == 0);
	EQ(c->version, 2);
	print[31] = 1;
	OK(rights_certificate(r, print) == NULL);
	fixture_close(&f);
}

TEST(a_dropped_grant_is_gone)
{
	struct fixture f = { 0 };
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	OK(kf_ok(put_grant(f.store, "g1", 0, PUT_GRANT)));
	OK(kf_ok(put_grant(f.store, "g2", 0, PUT_GRANT)));

	OK(kf_ok(put_grant(f.store, "g1", 1, DROP_GRANT)));

	const struct rights *r = catalog_rights(store_catalog(f.store));
	EQ(r->grants, 1);
	OK(strcmp(r->grant[0]->id, "g2") == 0);
	fixture_close(&f);
}

static kf_err load_nothing(
	const struct object *o, struct slice material, struct token_key **ret)
{
	(void)o, (void)material, (void)ret;
	return kf_fail(KEY_FORMAT, "of another release");
}

/* Whoever must know every key has to know that there is one that he does not. */
TEST(keys_that_cannot_be_loaded_are_counted)
{
	const char *where = fresh_location();
	struct fixture f = { 0 }, g = { .conf.load_key = load_nothing };
	struct store_status status;
	struct spec spec = {
		.id = "one", .material = "from the future", .type = OBJECT_PRIVATE_KEY
	};
	OK(kf_ok(fixture_open(&f, where, KEY_A)));
	OK(kf_ok(put(f.store, &spec)));
	fixture_close(&f);
	if (strcmp(where, "memory:") == 0)
		return;

	OK(kf_ok(fixture_open(&g, where, KEY_A)));

	store_status(g.store, &status);
	EQ(status.unloaded, 1);
	EQ(status.tampered, 0);
	OK(catalog_find(store_catalog(g.store), SLICE_LIT("one")) != NULL);
	fixture_close(&g);
}

TEST(a_change_of_nothing_is_answered_and_writes_nothing)
{
	struct fixture f = { 0 };
	struct store_status status;
	struct change nothing = { 0 };
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	struct spec spec = { .id = "one", .material = "x" };
	OK(kf_ok(put(f.store, &spec)));

	OK(kf_ok(submit_and_wait(f.store, &nothing)));

	store_status(f.store, &status);
	EQ(status.sequence, 1);
	EQ(status.commits, 1);
	fixture_close(&f);
}

TEST(the_status_counts)
{
	struct fixture f = { 0 };
	struct store_status status;
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	struct spec spec = { .id = "one", .material = "x" };
	OK(kf_ok(put(f.store, &spec)));

	store_status(f.store, &status);

	OK(status.is_reachable && status.is_writable && !status.is_rolled_back);
	EQ(status.objects, 1);
	EQ(status.sequence, 1);
	EQ(status.tampered, 0);
	EQ(status.unloaded, 0);
	OK(status.incarnation_us <= clock_wall_us() &&
		status.incarnation_us > clock_wall_us() - INT64_C(60000000));
	fixture_close(&f);
}

static bool is_rotated(struct store *s)
{
	struct store_status status;
	for (int i = 0; i < 1000; i++) {
		store_status(s, &status);
		if (!status.old_master_keys)
			return true;
		usleep(10000);
	}
	return false;
}

TEST(a_rotated_store_needs_the_newest_master_key_only)
{
	enum { N = 70 };
	const char *where = fresh_location();
	struct fixture f = { 0 }, g = { 0 }, h = { 0 };
	if (strcmp(where, "memory:") == 0)
		return;
	OK(kf_ok(fixture_open(&f, where, KEY_A)));
	for (int i = 0; i < N; i++) {
		char id[16];
		snprintf(id, sizeof(id), "o%d", i);
		struct spec spec = { .id = id, .name = id, .material = id };
		OK(kf_ok(put(f.store, &spec)));
	}
	OK(kf_ok(put_client(f.store, "bob", 0, 7)));
	OK(kf_ok(put_grant(f.store, "g1", 0, PUT_GRANT)));
	fixture_close(&f);

	OK(kf_ok(fixture_open(&g, where, KEY_B KEY_A)));
	struct store_status status;
	store_status(g.store, &status);
	EQ(status.old_master_keys, N + 2);
	store_rotate_master(g.store);
	OK(is_rotated(g.store));
	OK(holds(g.store, "o0", "o0"));
	struct spec spec = { .id = "o69", .name = "o69", .version = 2 };
	OK(kf_ok(put_again(g.store, &spec)));
	fixture_close(&g);

	OK(kf_ok(fixture_open(&h, where, KEY_B)));
	OK(holds(h.store, "o0", "o0"));
	OK(holds(h.store, "o69", "o69"));
	EQ(catalog_rights(store_catalog(h.store))->clients, 1);
	store_status(h.store, &status);
	EQ(status.tampered, 0);
	fixture_close(&h);
}

static kf_err adopt(struct fixture *f, const char *keys)
{
	unsigned line = 0;
	struct keyring *from = NULL;
	KF_TRY(keyring_parse(slice_of(keys), &line, &from));
	kf_err err = keyring_adopt(f->keyring, from);
	keyring_free(from);
	return err;
}

/* As a reload does it; an empty store has its head to rotate.  A change that writes nothing comes first, and must not
 * pass for the one that told the other servers of the new key. */
TEST(a_running_server_rotates_to_a_new_master_key)
{
	const char *where = fresh_location();
	for (int rows = 0; rows < 2 && strcmp(where, "memory:") != 0; rows++) {
		struct fixture f = { 0 }, g = { 0 }, wrong = { 0 };
		where = fresh_location();
		struct spec a = { .id = "a", .material = "secret" };
		OK(kf_ok(fixture_open(&f, where, KEY_A)));
		OK(!rows || kf_ok(put(f.store, &a)));

		struct change nothing = { 0 };
		OK(kf_ok(adopt(&f, KEY_B KEY_A)));
		OK(kf_ok(submit_and_wait(f.store, &nothing)));
		store_rotate_master(f.store);
		OK(is_rotated(f.store));
		for (int i = 0; i < 500; i++)
			if (!was_told(&f, "rows are under the newest master key"))
				usleep(10000);
		fixture_close(&f);

		OK(says(fixture_open(&wrong, where, KEY_B_WRONG), KF_E_CONFIG,
			"wrong master key"));
		fixture_close(&wrong);
		OK(kf_ok(fixture_open(&g, where, KEY_B)));
		OK(!rows || holds(g.store, "a", "secret"));
		fixture_close(&g);
	}
}

/* --- killed in the middle --- */

static void say_id(int to, int i)
{
	if (write(to, &i, sizeof(i)) != sizeof(i))
		_exit(2);
}

/* Several changes are always under way; every acknowledgement is told at once. */
static void write_until_killed(const char *where, int to)
{
	struct fixture f = { 0 };
	if (!kf_ok(fixture_open(&f, where, KEY_A)))
		_exit(1);
	for (int i = 0;; i++) {
		char id[16];
		snprintf(id, sizeof(id), "k%d", i);
		struct spec spec = { .id = id, .name = id, .material = id };
		if (!kf_ok(put(f.store, &spec)))
			_exit(3);
		say_id(to, i);
	}
}

TEST(what_was_acknowledged_survives_a_kill_during_a_commit)
{
	const char *where = fresh_location();
	struct fixture f = { 0 };
	int pipes[2], acknowledged = -1, i;
	if (strcmp(where, "memory:") == 0)
		return;
	OK(pipe(pipes) == 0);
	pid_t child = fork();
	if (child == 0)
		write_until_killed(where, pipes[1]);
	close(pipes[1]);
	while (acknowledged < 60 && read(pipes[0], &i, sizeof(i)) == sizeof(i))
		acknowledged = i;
	kill(child, SIGKILL);
	while (read(pipes[0], &i, sizeof(i)) == sizeof(i))
		acknowledged = i;
	waitpid(child, NULL, 0);
	close(pipes[0]);
	OK(acknowledged >= 60);

	OK(kf_ok(fixture_open(&f, where, KEY_A)));

	for (i = 0; i <= acknowledged; i++) {
		char id[16];
		snprintf(id, sizeof(id), "k%d", i);
		OK(holds(f.store, id, id));
	}
	OK(catalog_count(store_catalog(f.store)) <= (size_t)acknowledged + 2);
	fixture_close(&f);
}
