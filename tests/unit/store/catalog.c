/* SPDX-License-Identifier: Apache-2.0
 *
 * Readers and the writer together (worth most under ThreadSanitizer), and what reading costs.
 */
#include "store/catalog.h"
#include "fixture.h"
#include "test.h"
#include <stdatomic.h>

/* Counts allocations where the library's own can still be reached. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__clang__)
static size_t allocations(void) { return 0; }
#else
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
static _Atomic size_t allocated;
void *malloc(size_t n)
{
	allocated++;
	return __libc_malloc(n);
}
void *calloc(size_t n, size_t size)
{
	allocated++;
	return __libc_calloc(n, size);
}
static size_t allocations(void) { return allocated; }
#endif

enum { OBJECTS = 500, READERS = 2, VERSIONS = 20 };

static kf_err put_into(struct catalog *c, int i, uint64_t version, const char *name)
{
	char id[16];
	struct object *o = NULL;
	snprintf(id, sizeof(id), "id-%d", i);
	struct spec spec = { .id = id, .name = name, .version = version };
	KF_TRY(make_object(&spec, &o));
	return catalog_put(c, o);
}

static kf_err put_named(struct catalog *c, int i, uint64_t version)
{
	char name[32];
	snprintf(name, sizeof(name), "name-%d-%d", i, (int)version / 2);
	return put_into(c, i, version, name);
}

struct reading {
	struct catalog *catalog;
	struct epoch *epoch;
	atomic_bool is_over;
	atomic_int wrong;
};

static bool is_newer(void *arg, const struct object *o)
{
	int *last = arg, n = atoi(o->id + 3);
	bool is_right = n < *last;
	*last = is_right ? n : -1;
	return is_right;
}

static bool is_whole(const struct reading *r, uint64_t *seen)
{
	for (int i = 0; i < OBJECTS; i += 7) {
		char id[16];
		snprintf(id, sizeof(id), "id-%d", i);
		const struct object *o = catalog_find(r->catalog, slice_of(id));
		if (o && (strcmp(o->id, id) != 0 || o->version < seen[i]))
			return false;
		seen[i] = o ? o->version : seen[i];
	}
	int last = OBJECTS;
	catalog_each(r->catalog, is_newer, &last);
	const struct rights *rights = catalog_rights(r->catalog);
	for (size_t i = 0; i < rights->clients; i++)
		if (rights_client(rights, rights->client[i]->name) != rights->client[i])
			return false;
	return last >= 0;
}

static void *read_on(void *arg)
{
	struct reading *r = arg;
	uint64_t seen[OBJECTS] = { 0 };
	struct epoch_reader *reader = NULL;
	if (!kf_ok(epoch_register(r->epoch, &reader)))
		abort();
	epoch_online(reader);
	while (!r->is_over) {
		if (!is_whole(r, seen))
			r->wrong++;
		epoch_quiescent(reader);
	}
	epoch_offline(reader);
	epoch_unregister(reader);
	return NULL;
}

static kf_err write_all(struct reading *r)
{
	for (uint64_t version = 1; version <= VERSIONS; version++) {
		struct client_row client = { .version = version };
		snprintf(client.name, sizeof(client.name), "client-%d", (int)version % 7);
		KF_TRY(catalog_put_client(r->catalog, &client));
		for (int i = 0; i < OBJECTS; i++)
			KF_TRY(put_named(r->catalog, i, version));
		epoch_reclaim(r->epoch);
	}
	return KF_OK;
}

TEST(readers_see_whole_objects_that_never_grow_older)
{
	struct reading r = { 0 };
	pthread_t thread[READERS];
	OK(kf_ok(epoch_new(&r.epoch)));
	OK(kf_ok(catalog_new(r.epoch, &r.catalog)));
	for (int i = 0; i < READERS; i++)
		OK(pthread_create(&thread[i], NULL, read_on, &r) == 0);

	kf_err err = write_all(&r);

	r.is_over = true;
	for (int i = 0; i < READERS; i++)
		pthread_join(thread[i], NULL);
	OK(kf_ok(err));
	EQ(r.wrong, 0);
	EQ(catalog_count(r.catalog), OBJECTS);
	OK(catalog_find_name(r.catalog, "alice", SLICE_LIT("name-3-10")) != NULL);
	OK(catalog_find_name(r.catalog, "alice", SLICE_LIT("name-3-9")) == NULL);
	catalog_free(r.catalog);
	epoch_free(r.epoch);
}

TEST(reading_allocates_nothing)
{
	struct epoch *epoch = NULL;
	struct catalog *c = NULL;
	OK(kf_ok(epoch_new(&epoch)));
	OK(kf_ok(catalog_new(epoch, &c)));
	for (int i = 0; i < 100; i++)
		OK(kf_ok(put_named(c, i, 1)));

	size_t before = allocations();
	for (int i = 0; i < 1000; i++) {
		const struct object *o = catalog_find(c, SLICE_LIT("id-42"));
		OK(o && o->usage_mask == 1);
		object_unref(object_ref(o));
		OK(catalog_find_name(c, NULL, SLICE_LIT("name-42-0")) == o);
		OK(rights_client(catalog_rights(c), "nobody") == NULL);
	}
	EQ(allocations(), before);

	catalog_free(c);
	epoch_free(epoch);
}

static kf_err grant(struct catalog *c, const char *id, const char *key, uint64_t version)
{
	struct grant_row row = { .version = version, .who = "alice" };
	snprintf(row.id, sizeof(row.id), "%s", id);
	snprintf(row.key, sizeof(row.key), "%s", key);
	return catalog_put_grant(c, &row);
}

/* Each of the grants once, by what it covers. */
static bool is_by_key(const struct rights *r)
{
	size_t found = 0;
	for (size_t i = 0; i < r->grants; i++) {
		for (size_t k = 0; k < r->grants; k++)
			found += r->by_key[i] == r->grant[k];
		if (i && strcmp(r->by_key[i - 1]->key, r->by_key[i]->key) > 0)
			return false;
	}
	return found == r->grants;
}

TEST(grants_are_found_by_what_they_cover)
{
	struct epoch *epoch = NULL;
	struct catalog *c = NULL;
	char id[16], key[16];
	OK(kf_ok(epoch_new(&epoch)));
	OK(kf_ok(catalog_new(epoch, &c)));
	for (unsigned i = 0; i < 200; i++) {
		snprintf(id, sizeof(id), "g%u", i * 7 % 50);
		snprintf(key, sizeof(key), "name:%u", i * 13 % 31);
		OK(kf_ok(grant(c, id, key, 1 + i / 50)));
		if (i % 3 == 0) {
			snprintf(id, sizeof(id), "g%u", i % 50);
			OK(kf_ok(catalog_drop_grant(c, id)));
		}
		OK(is_by_key(catalog_rights(c)));
	}
	OK(catalog_rights(c)->grants > 10);
	catalog_free(c);
	epoch_free(epoch);
}

/* Another server's rotation of the master key brings the same version once more. */
TEST(a_grant_that_comes_again_is_there_once)
{
	struct epoch *epoch = NULL;
	struct catalog *c = NULL;
	OK(kf_ok(epoch_new(&epoch)));
	OK(kf_ok(catalog_new(epoch, &c)));
	OK(kf_ok(grant(c, "g1", "*", 1)));
	OK(kf_ok(grant(c, "g2", "*", 1)));

	OK(kf_ok(grant(c, "g1", "*", 1)));
	EQ(catalog_rights(c)->grants, 2);
	OK(kf_ok(grant(c, "g1", "name:www", 2)));
	EQ(catalog_rights(c)->grants, 2);

	OK(kf_ok(catalog_drop_grant(c, "g1")));
	EQ(catalog_rights(c)->grants, 1);
	OK(strcmp(catalog_rights(c)->grant[0]->id, "g2") == 0);
	catalog_free(c);
	epoch_free(epoch);
}

TEST(the_state_follows_the_dates)
{
	struct spec spec = { .id = "x", .state = STATE_PRE_ACTIVE, .activation = 500 };
	CLEANUP(object_unrefp) struct object *o = NULL;
	OK(kf_ok(make_object(&spec, &o)));

	EQ(object_state(o, 499), STATE_PRE_ACTIVE);
	EQ(object_state(o, 500), STATE_ACTIVE);
	EQ(o->stored_state, STATE_PRE_ACTIVE);
	EQ(o->initial_date, 1000);
	EQ(o->deactivation_date, DATE_UNSET);
	OK(o->is_sensitive && o->is_extractable);
}

TEST(attributes_that_are_cut_or_of_the_wrong_type_are_refused)
{
	CLEANUP(object_unrefp) struct object *o = NULL;
	autobuf attrs = buf_new(256);
	struct ttlv_writer w = ttlv_write(&attrs, 0);
	ttlv_put_enum(&w, TAG_STATE, STATE_ACTIVE);
	ttlv_put_date(&w, TAG_INITIAL_DATE, 7);
	struct object_parts parts = { .id = SLICE_LIT("x"), .type = OBJECT_OPAQUE };
	for (size_t n = 1; n < attrs.n; n++) {
		parts.attrs = (struct slice){ attrs.p, n };
		OK(n == 16 || !kf_ok(object_new(&parts, &o)));
	}
	parts.attrs = buf_slice(&attrs);
	OK(kf_ok(object_new(&parts, &o)));
	attrs.p[3] = TTLV_INT; /* of the same length as the state's own type */
	OK(!kf_ok(object_new(&parts, &o)));
}
TEST_MAIN
