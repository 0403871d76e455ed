/* SPDX-License-Identifier: Apache-2.0 */
#include "bytes.h"
#include "fixture.h"
#include "test.h"

static char location[128];

static const char *fresh_location(void)
{
	static int n;
	snprintf(location, sizeof(location), "sqlite:%s/%d.db", temporary_directory(),
		n++);
	return location;
}

/* --- a backup in memory --- */

static kf_err fill(struct store *s)
{
	struct spec a = { .id = "a", .name = "www", .material = "secret a" },
		    b = { .id = "b", .material = "secret b" };
	KF_TRY(put(s, &a));
	KF_TRY(put(s, &b));
	b = (struct spec){ .id = "b", .version = 2, .state = STATE_DESTROYED };
	KF_TRY(put_again(s, &b));
	KF_TRY(put_client(s, "bob", 0, 7));
	KF_TRY(put_limited(s, "g1", (struct grant_limits){ 3600, 20, 0 }));
	KF_TRY(put_grant(s, "g2", 0, PUT_GRANT));
	return put_grant(s, "g2", 1, DROP_GRANT);
}

static kf_err backup_of_a_store(struct buf *ret, struct store_backup_facts *facts)
{
	struct fixture f = { 0 };
	kf_err err = fixture_open(&f, fresh_location(), KEY_B KEY_A);
	if (kf_ok(err))
		err = fill(f.store);
	if (kf_ok(err))
		err = store_backup(f.store, into_buf, ret, facts);
	fixture_close(&f);
	return err;
}

static kf_err verify(struct slice s, const char *keys)
{
	unsigned line;
	struct keyring *k = NULL;
	struct store_backup_facts facts;
	KF_TRY(keyring_parse(slice_of(keys), &line, &k));
	kf_err err = store_backup_verify(k, from_slice, &s, &facts);
	keyring_free(k);
	return err;
}

static kf_err restore(struct slice s, const char *where, const char *keys)
{
	unsigned line;
	struct keyring *k = NULL;
	struct store_backup_facts facts;
	KF_TRY(keyring_parse(slice_of(keys), &line, &k));
	struct store_conf conf = { .location = where, .keyring = k };
	kf_err err = store_restore(&conf, from_slice, &s, &facts);
	keyring_free(k);
	return err;
}

TEST(what_is_restored_is_what_was_backed_up)
{
	autobuf b = buf_new(1 << 20);
	struct store_backup_facts facts;
	struct fixture f = { 0 };
	OK(kf_ok(backup_of_a_store(&b, &facts)));
	EQ(facts.objects, 2);
	EQ(facts.clients, 1);
	EQ(facts.grants, 2);
	EQ(facts.tampered, 0);
	OK(kf_ok(verify(buf_slice(&b), KEY_B KEY_A)));

	OK(kf_ok(restore(buf_slice(&b), fresh_location(), KEY_B KEY_A)));
	OK(kf_ok(fixture_open(&f, location, KEY_B KEY_A)));

	OK(holds(f.store, "a", "secret a"));
	const struct catalog *c = store_catalog(f.store);
	OK(catalog_find_name(c, "alice", SLICE_LIT("www")) != NULL);
	EQ(catalog_count(c), 2);
	OK(object_is_destroyed(catalog_find(c, SLICE_LIT("b"))));
	EQ(catalog_rights(c)->grants, 1);
	EQ(grant_of(f.store, "g1")->limits.rate_per_hour, 3600);
	EQ(grant_of(f.store, "g1")->limits.burst, 20);
	struct spec same_name = { .id = "c", .name = "www", .material = "x" };
	OK(kf_is(put(f.store, &same_name), KF_E_NAME_NOT_UNIQUE));
	struct spec next = { .id = "c", .name = "mail", .material = "x" };
	OK(kf_ok(put(f.store, &next)));
	fixture_close(&f);
}

struct adopting {
	struct buf *into;
	struct keyring *into_keyring, *from;
};

static kf_err adopt_meanwhile(void *arg, struct slice bytes)
{
	struct adopting *a = arg;
	KF_TRY(keyring_adopt(a->into_keyring, a->from));
	return into_buf(a->into, bytes);
}

TEST(a_backup_is_whole_though_a_new_master_key_comes_meanwhile)
{
	unsigned line;
	autobuf b = buf_new(1 << 20);
	struct fixture f = { 0 };
	struct store_backup_facts facts;
	struct adopting a = { .into = &b };
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	OK(kf_ok(fill(f.store)));
	OK(kf_ok(keyring_parse(SLICE_LIT(KEY_B KEY_A), &line, &a.from)));
	a.into_keyring = f.keyring;

	OK(kf_ok(store_backup(f.store, adopt_meanwhile, &a, &facts)));

	OK(kf_ok(verify(buf_slice(&b), KEY_A)));
	keyring_free(a.from);
	fixture_close(&f);
}

TEST(a_backup_holds_no_plaintext)
{
	autobuf b = buf_new(1 << 20);
	struct store_backup_facts facts;
	OK(kf_ok(backup_of_a_store(&b, &facts)));
	OK(memmem(b.p, b.n, "secret", 6) == NULL);
}

TEST(a_backup_needs_its_master_keys)
{
	autobuf b = buf_new(1 << 20);
	struct store_backup_facts facts;
	OK(kf_ok(backup_of_a_store(&b, &facts)));

	OK(says(verify(buf_slice(&b), KEY_A), KF_E_CONFIG, "not in the master key file"));
	OK(says(restore(buf_slice(&b), fresh_location(), KEY_A), KF_E_CONFIG,
		"not in the"));
}

TEST(a_backup_cut_at_any_byte_is_refused)
{
	autobuf b = buf_new(1 << 20);
	struct store_backup_facts facts;
	OK(kf_ok(backup_of_a_store(&b, &facts)));
	for (size_t n = 0; n < b.n; n += n < 256 || b.n - n < 256 ? 1 : 7)
		OK(kf_is(verify((struct slice){ b.p, n }, KEY_B KEY_A), KF_E_SHORT));
}

TEST(a_backup_with_any_byte_changed_is_refused)
{
	autobuf b = buf_new(1 << 20);
	struct store_backup_facts facts;
	OK(kf_ok(backup_of_a_store(&b, &facts)));
	for (size_t i = 0; i < b.n; i += 3) {
		b.p[i] ^= 1;
		OK(!kf_ok(verify(buf_slice(&b), KEY_B KEY_A)));
		b.p[i] ^= 1;
	}
	OK(kf_ok(verify(buf_slice(&b), KEY_B KEY_A)));
}

TEST(a_store_that_is_not_empty_is_not_restored_into)
{
	autobuf b = buf_new(1 << 20);
	struct store_backup_facts facts;
	OK(kf_ok(backup_of_a_store(&b, &facts)));
	OK(says(restore(buf_slice(&b), location, KEY_B KEY_A), KF_E_EXISTS, "not empty"));
}

TEST(a_broken_backup_leaves_the_store_empty)
{
	autobuf b = buf_new(1 << 20);
	struct store_backup_facts facts;
	OK(kf_ok(backup_of_a_store(&b, &facts)));
	fresh_location();
	OK(kf_is(restore((struct slice){ b.p, b.n - 1 }, location, KEY_B KEY_A),
		KF_E_SHORT));
	OK(kf_ok(restore(buf_slice(&b), location, KEY_B KEY_A)));
}

/* What was destroyed before it is told by that from what was destroyed after it. */
TEST(a_restored_store_says_when_it_was_restored)
{
	autobuf b = buf_new(1 << 20);
	struct store_backup_facts facts;
	struct store_status status;
	struct fixture f = { 0 };
	OK(kf_ok(backup_of_a_store(&b, &facts)));
	const int64_t before = clock_wall_us();

	OK(kf_ok(restore(buf_slice(&b), fresh_location(), KEY_B KEY_A)));
	OK(kf_ok(fixture_open(&f, location, KEY_B KEY_A)));

	store_status(f.store, &status);
	OK(status.incarnation_us >= before);
	fixture_close(&f);
}

TEST(a_restored_store_is_newer_than_what_its_servers_have_seen)
{
	char seen[128];
	autobuf b = buf_new(1 << 20);
	struct store_backup_facts facts;
	struct fixture f = { .conf.seen = seen }, g = { .conf.seen = seen };
	fresh_location();
	snprintf(seen, sizeof(seen), "%s/seen", directory);
	OK(kf_ok(fixture_open(&f, location, KEY_A)));
	OK(kf_ok(fill(f.store)));
	OK(kf_ok(store_backup(f.store, into_buf, &b, &facts)));
	OK(kf_ok(put_grant(f.store, "g9", 0, PUT_GRANT)));
	fixture_close(&f);

	OK(kf_ok(restore(buf_slice(&b), fresh_location(), KEY_A)));

	OK(kf_ok(fixture_open(&g, location, KEY_A)));
	EQ(catalog_rights(store_catalog(g.store))->grants, 1);
	fixture_close(&g);
}
TEST_MAIN
