/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy.h"
#include "base/clock.h"
#include "kmip/attrs.h"
#include "test.h"
#include <stdlib.h>

enum { GRANTS_MAX = 20000 };

static struct grant_row rows[GRANTS_MAX];
static const struct grant_row *sorted[GRANTS_MAX], *by_key[GRANTS_MAX];
static size_t n_rows;
static struct client_row client;
static const struct client_row *clients[1] = { &client };

static int by_who_key_id(const void *a, const void *b)
{
	const struct grant_row *x = *(const struct grant_row *const *)a;
	const struct grant_row *y = *(const struct grant_row *const *)b;
	int order = strcmp(x->who, y->who);
	if (!order)
		order = strcmp(x->key, y->key);
	return order ? order : strcmp(x->id, y->id);
}

static int by_key_who_id(const void *a, const void *b)
{
	const struct grant_row *x = *(const struct grant_row *const *)a;
	const struct grant_row *y = *(const struct grant_row *const *)b;
	int order = strcmp(x->key, y->key);
	return order ? order : by_who_key_id(a, b);
}

static void reset(void) { n_rows = 0; }

static void grant(
	const char *who, const char *key, uint32_t permissions, uint32_t constraints)
{
	struct grant_row *g = &rows[n_rows];
	*g = (struct grant_row){ .permissions = permissions, .constraints = constraints };
	snprintf(g->id, sizeof(g->id), "grant-%zu", n_rows);
	snprintf(g->who, sizeof(g->who), "%s", who);
	snprintf(g->key, sizeof(g->key), "%s", key);
	n_rows++;
}

static struct rights rights(void)
{
	for (size_t i = 0; i < n_rows; i++)
		sorted[i] = by_key[i] = &rows[i];
	qsort(sorted, n_rows, sizeof(*sorted), by_who_key_id);
	qsort(by_key, n_rows, sizeof(*by_key), by_key_who_id);
	return (struct rights){ .generation = 7,
		.clients = 1,
		.client = clients,
		.grants = n_rows,
		.grant = sorted,
		.by_key = by_key };
}

static struct who named(const char *name)
{
	struct who w = { 0 };
	snprintf(w.name, sizeof(w.name), "%s", name);
	return w;
}

struct thing {
	struct object o;
	struct buf attrs;
};

static void thing_free(struct thing *t) { buf_free(&t->attrs); }
#define AUTO CLEANUP(thing_free) struct thing

static struct thing thing(enum object_type type, const char *id, const char *owner)
{
	struct thing t = { .o = { .type = type }, .attrs = buf_new(4096) };
	snprintf(t.o.id, sizeof(t.o.id), "%s", id);
	snprintf(t.o.owner, sizeof(t.o.owner), "%s", owner);
	return t;
}

static void name_it(struct thing *t, const char *name)
{
	attrs_add_name(&t->attrs, slice_of(name));
	t->o.attrs = buf_slice(&t->attrs);
}

static void group_it(struct thing *t, const char *group)
{
	attrs_add_text(&t->attrs, TAG_OBJECT_GROUP, slice_of(group));
	t->o.attrs = buf_slice(&t->attrs);
}

static bool may(const char *who, enum permission p, const struct thing *t)
{
	struct rights r = rights();
	struct who w = named(who);
	struct decision unbound = policy_decide(&r, &w, p, t ? &t->o : NULL);
	policy_bind(&r, &w);
	struct decision bound = policy_decide(&r, &w, p, t ? &t->o : NULL);
	if (bound.is_allowed != unbound.is_allowed || bound.rule != unbound.rule ||
		bound.constraints != unbound.constraints)
		abort();
	return bound.is_allowed;
}

static const uint32_t each[] = {
#define X(name, bit, text, manual) bit,
#include "policy/permission.def"
#undef X
};
enum { N = sizeof(each) / sizeof(*each) };

TEST(nobody_may_anything_but_query_without_a_grant)
{
	AUTO key = thing(OBJECT_PRIVATE_KEY, "k1", "somebody");

	reset();

	for (size_t i = 0; i < N; i++) {
		EQ(may("www", each[i], &key), each[i] == PERM_QUERY);
		EQ(may("www", each[i], NULL), each[i] == PERM_QUERY);
	}
}

static struct decision sign_kept(const char *who, const struct thing *t, uint32_t kept);

static bool widens(struct thing *before, struct thing *after)
{
	const struct rights r = rights();
	return policy_widens(&r, &before->o, &after->o);
}

TEST(a_name_widens_if_somebody_has_more_by_it)
{
	AUTO was = thing(OBJECT_PRIVATE_KEY, "k1", "alice");
	AUTO is = thing(OBJECT_PRIVATE_KEY, "k1", "alice");
	name_it(&was, "a");
	name_it(&is, "b");

	reset();
	OK(!widens(&was, &is));
	grant("bob", "name:b", PERM_SIGN, 0);
	OK(widens(&was, &is) && !widens(&is, &was));
	grant("bob", "name:a", PERM_SIGN, CONSTRAINT_TLS_ONLY);
	OK(widens(&was, &is)); /* without the constraint */
	grant("bob", "name:a", PERM_SIGN, 0);
	OK(!widens(&was, &is));
	grant("bob", "name:b", PERM_CSR, 0);
	OK(widens(&was, &is));
}

TEST(a_name_widens_if_it_lets_through_more_at_a_time)
{
	AUTO was = thing(OBJECT_PRIVATE_KEY, "k1", "alice");
	AUTO is = thing(OBJECT_PRIVATE_KEY, "k1", "alice");
	name_it(&was, "a");
	name_it(&is, "b");

	reset();
	grant("bob", "name:a", PERM_SIGN, 0);
	rows[0].limits.rate_per_hour = 10;
	grant("bob", "name:b", PERM_SIGN, 0);
	rows[1].limits.rate_per_hour = 10;
	OK(!widens(&was, &is));
	rows[1].limits.rate_per_hour = 11;
	OK(widens(&was, &is));
}

TEST(a_name_that_goes_widens_if_it_narrowed_the_owner)
{
	AUTO was = thing(OBJECT_PRIVATE_KEY, "k1", "alice");
	AUTO is = thing(OBJECT_PRIVATE_KEY, "k1", "alice");
	name_it(&was, "a");

	reset();
	grant("*", "name:a", PERM_SIGN, CONSTRAINT_TLS_ONLY);
	OK(widens(&was, &is));
	grant("alice", "*", PERM_SIGN, CONSTRAINT_TLS_ONLY);
	OK(!widens(&was, &is));
}

/* --- at random: whoever gains is noticed --- */

static unsigned dice(unsigned n)
{
	static uint64_t seed = 5;
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

static const char *const people[] = { "alice", "bob", "carol", "dave" };

static void some_grants(void)
{
	static const char *const keys[] = { "name:a", "name:b", "name:c", "group:g",
		"group:h", "k1", "*" };
	static const uint32_t constraints[] = { 0, 0, CONSTRAINT_TLS_ONLY,
		CONSTRAINT_PSS_ONLY };
	reset();
	for (unsigned n = dice(40); n; n--)
		grant(dice(6) ? people[dice(4)] : "*", keys[dice(7)],
			each[dice(N)] | each[dice(N)], constraints[dice(4)]);
}

static struct thing some_thing(void)
{
	struct thing t = thing(OBJECT_PRIVATE_KEY, "k1", "alice");
	static const char *const names[] = { "a", "b", "c" };
	for (unsigned i = 0; i < 3; i++)
		if (dice(2))
			name_it(&t, names[i]);
	if (dice(2))
		group_it(&t, dice(2) ? "g" : "h");
	return t;
}

/* What keeps no constraint. */
static bool signs_anything(const char *who, const struct thing *t)
{
	const struct decision d = sign_kept(who, t, 0);
	return d.is_allowed && !d.unkept;
}

static bool somebody_gains(const struct thing *before, const struct thing *after)
{
	for (size_t i = 0; i < 4; i++) {
		for (size_t k = 0; k < N; k++)
			if (!may(people[i], each[k], before) &&
				may(people[i], each[k], after))
				return true;
		if (!signs_anything(people[i], before) &&
			signs_anything(people[i], after))
			return true;
	}
	return false;
}

TEST(whoever_gains_by_a_name_or_a_group_is_noticed)
{
	unsigned gains = 0, narrow = 0;
	for (unsigned i = 0; i < 1500; i++) {
		AUTO before = some_thing();
		AUTO after = some_thing();
		some_grants();
		const bool is_gain = somebody_gains(&before, &after);
		const bool is_wider = widens(&before, &after);
		OK(!is_gain || is_wider);
		gains += is_gain;
		narrow += !is_wider;
	}
	OK(gains > 100 && narrow > 100);
}

/* Of clients who gain nothing a few are looked at, and of thousands it is not said that none gains. */
TEST(clients_without_number_are_not_compared_one_by_one)
{
	AUTO was = thing(OBJECT_PRIVATE_KEY, "k1", "alice");
	AUTO is = thing(OBJECT_PRIVATE_KEY, "k1", "alice");
	char description[1025], who[32];
	memset(description, 'x', 1024);
	description[1024] = '\0';
	attrs_add_text(&was.attrs, TAG_DESCRIPTION, slice_of(description));
	attrs_add_text(&is.attrs, TAG_DESCRIPTION, slice_of(description));
	name_it(&was, "a");
	name_it(&is, "b");

	reset();
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(who, sizeof(who), "host-%u", i);
		grant(who, i < 300 ? "name:a" : "name:elsewhere", PERM_SIGN, 0);
		grant(who, i < 300 ? "name:b" : "group:elsewhere", PERM_SIGN, 0);
		if (i == 299)
			OK(!widens(&was, &is));
	}
	OK(!widens(&was, &is));
	for (unsigned i = 0; i < 1500; i++) {
		snprintf(who, sizeof(who), "more-%u", i);
		grant(who, "name:a", PERM_SIGN, 0);
		grant(who, "name:b", PERM_SIGN, 0);
	}
	OK(widens(&was, &is));
}

TEST(the_administrator_may_everything_by_the_rule_admin)
{
	AUTO key = thing(OBJECT_PRIVATE_KEY, "k1", "somebody");
	reset();
	struct rights r = rights();
	struct who w = named("root");
	w.is_admin = true;

	for (size_t i = 0; i < N; i++) {
		struct decision d = policy_decide(&r, &w, each[i], &key.o);
		OK(d.is_allowed && !d.constraints && !strcmp(d.rule, "admin"));
	}
}

TEST(an_owner_may_everything_with_its_own_but_administer)
{
	AUTO key = thing(OBJECT_PRIVATE_KEY, "k1", "www");

	reset();

	for (size_t i = 0; i < N; i++)
		EQ(may("www", each[i], &key), each[i] != PERM_ADMINISTER);
	OK(!may("www2", PERM_SIGN, &key));
	OK(!may("ww", PERM_SIGN, &key));
}

TEST(each_grant_gives_its_permission_and_what_it_implies_and_nothing_else)
{
	AUTO key = thing(OBJECT_PRIVATE_KEY, "k1", "somebody");
	const uint32_t use = PERM_SIGN | PERM_CSR | PERM_DECRYPT | PERM_DECRYPT_TLS |
			     PERM_ENCRYPT | PERM_MAC | PERM_MAC_VERIFY | PERM_CERTIFY;

	for (size_t g = 0; g < N; g++) {
		reset();
		grant("www", "k1", each[g], 0);
		for (size_t p = 0; p < N; p++) {
			bool implied = (each[g] & use) &&
				       (each[p] == PERM_LOCATE ||
					       each[p] == PERM_GET_ATTRIBUTES);
			bool want = each[p] == PERM_QUERY ||
				    (each[p] != PERM_ADMINISTER &&
					    (each[p] == each[g] || implied));
			EQ(may("www", each[p], &key), want);
			EQ(may("other", each[p], &key), each[p] == PERM_QUERY);
		}
	}
}

TEST(a_grant_covers_by_id_name_group_or_star)
{
	AUTO key = thing(OBJECT_PRIVATE_KEY, "k1", "somebody");
	AUTO other = thing(OBJECT_PRIVATE_KEY, "k12", "somebody");
	const char *keys[] = { "k1", "name:www-key", "name:second", "group:web", "*" };
	name_it(&key, "www-key");
	name_it(&key, "second");
	group_it(&key, "web");

	for (size_t i = 0; i < 5; i++) {
		reset();
		grant("www", keys[i], PERM_SIGN, 0);
		OK(may("www", PERM_SIGN, &key));
		EQ(may("www", PERM_SIGN, &other), i == 4);
	}
	const char *near[] = { "k", "name:www-ke", "name:www-key2", "group:we",
		"group:www-key", "name:web", "www-key", "**", "" };
	for (size_t i = 0; i < sizeof(near) / sizeof(*near); i++) {
		reset();
		grant("www", near[i], PERM_SIGN, 0);
		OK(!may("www", PERM_SIGN, &key));
	}
}

TEST(what_has_no_object_needs_a_grant_for_every_key)
{
	reset();
	grant("www", "k1", PERM_CREATE, 0);
	OK(!may("www", PERM_CREATE, NULL));

	grant("www", "*", PERM_CREATE, 0);
	OK(may("www", PERM_CREATE, NULL));
	OK(!may("www", PERM_REGISTER, NULL));
}

TEST(a_grant_for_all_clients_counts_for_each)
{
	AUTO key = thing(OBJECT_PRIVATE_KEY, "k1", "somebody");

	reset();
	grant("*", "k1", PERM_SIGN, CONSTRAINT_TLS_ONLY);

	OK(may("www", PERM_SIGN, &key));
	OK(may("!odd", PERM_SIGN, &key));
}

static struct decision sign_decision(const char *who, const struct thing *t)
{
	struct rights r = rights();
	struct who w = named(who);
	return policy_decide(&r, &w, PERM_SIGN, &t->o);
}

TEST(a_constraint_holds_unless_a_grant_without_it_matches)
{
	AUTO key = thing(OBJECT_PRIVATE_KEY, "k1", "somebody");

	reset();
	grant("www", "k1", PERM_SIGN, CONSTRAINT_TLS_ONLY);
	EQ(sign_decision("www", &key).constraints, CONSTRAINT_TLS_ONLY);
	grant("www", "k1", PERM_GET, 0);
	EQ(sign_decision("www", &key).constraints, CONSTRAINT_TLS_ONLY);
	grant("www", "other", PERM_SIGN, 0);
	EQ(sign_decision("www", &key).constraints, CONSTRAINT_TLS_ONLY);
	OK(!sign_decision("www", &key).may_sign_csr);

	grant("*", "*", PERM_SIGN, 0);
	EQ(sign_decision("www", &key).constraints, 0);
}

TEST(a_csr_grant_is_seen_beside_a_tls_only_grant_and_alone)
{
	AUTO key = thing(OBJECT_PRIVATE_KEY, "k1", "somebody");

	reset();
	grant("www", "k1", PERM_CSR, 0);
	struct decision d = sign_decision("www", &key);
	OK(!d.is_allowed && d.may_sign_csr);

	grant("www", "k1", PERM_SIGN, CONSTRAINT_TLS_ONLY);
	d = sign_decision("www", &key);
	OK(d.is_allowed && d.may_sign_csr);
	EQ(d.constraints, CONSTRAINT_TLS_ONLY);
}

TEST(a_constrained_grant_narrows_the_owner_too)
{
	AUTO key = thing(OBJECT_PRIVATE_KEY, "k1", "www");
	AUTO pub = thing(OBJECT_PUBLIC_KEY, "k2", "www");

	reset();
	grant("www", "*", PERM_SIGN, CONSTRAINT_TLS_ONLY);

	EQ(sign_decision("www", &key).constraints, CONSTRAINT_TLS_ONLY);
	OK(!sign_decision("www", &key).may_sign_csr);
	OK(!may("www", PERM_GET, &key));
	OK(!may("www", PERM_DECRYPT, &key));
	OK(!may("www", PERM_DECRYPT_TLS, &key));
	OK(may("www", PERM_GET_ATTRIBUTES, &key));
	OK(may("www", PERM_LOCATE, &key));
	OK(may("www", PERM_DESTROY, &key));
	OK(may("www", PERM_GET, &pub));
	grant("www", "k1", PERM_GET, 0);
	OK(may("www", PERM_GET, &key));
}

static struct decision sign_kept(const char *who, const struct thing *t, uint32_t kept)
{
	struct rights r = rights();
	struct who w = named(who);
	return policy_decide_sign(&r, &w, &t->o, kept);
}

TEST(one_grant_must_allow_the_whole_request)
{
	AUTO key = thing(OBJECT_PRIVATE_KEY, "k1", "somebody");

	reset();
	grant("www", "k1", PERM_SIGN, CONSTRAINT_TLS_ONLY);
	grant("*", "k1", PERM_SIGN, CONSTRAINT_PSS_ONLY);

	OK(sign_kept("www", &key, CONSTRAINT_NO_SHA1).unkept);
	struct decision d = sign_kept("www", &key, CONSTRAINT_TLS_ONLY);
	OK(!d.unkept && !strcmp(d.rule, "grant-0"));
	d = sign_kept("www", &key, CONSTRAINT_PSS_ONLY);
	OK(!d.unkept && !strcmp(d.rule, "grant-1"));
	OK(sign_kept("mail", &key, CONSTRAINT_TLS_ONLY).unkept);
}

TEST(constraints_of_one_grant_hold_together)
{
	AUTO key = thing(OBJECT_PRIVATE_KEY, "k1", "somebody");
	const uint32_t both = CONSTRAINT_TLS_ONLY | CONSTRAINT_PSS_ONLY;

	reset();
	grant("www", "k1", PERM_SIGN, both);

	EQ(sign_kept("www", &key, CONSTRAINT_TLS_ONLY).unkept, CONSTRAINT_PSS_ONLY);
	EQ(sign_kept("www", &key, CONSTRAINT_PSS_ONLY).unkept, CONSTRAINT_TLS_ONLY);
	EQ(sign_kept("www", &key, both).unkept, 0);
}

TEST(two_constrained_grants_leave_the_owner_narrowed)
{
	AUTO key = thing(OBJECT_PRIVATE_KEY, "k1", "www");

	reset();
	grant("www", "k1", PERM_SIGN, CONSTRAINT_TLS_ONLY);
	grant("www", "*", PERM_SIGN, CONSTRAINT_PSS_ONLY);

	OK(sign_kept("www", &key, 0).unkept);
	OK(!may("www", PERM_GET, &key));
	grant("www", "*", PERM_SIGN, 0);
	OK(!sign_kept("www", &key, 0).unkept);
	OK(may("www", PERM_GET, &key));
}

TEST(a_csr_grant_is_bound_by_all_but_tls_only)
{
	AUTO key = thing(OBJECT_PRIVATE_KEY, "k1", "somebody");

	reset();
	grant("www", "k1", PERM_CSR, CONSTRAINT_TLS_ONLY | CONSTRAINT_PSS_ONLY);

	EQ(sign_kept("www", &key, 0).csr_unkept, CONSTRAINT_PSS_ONLY);
	EQ(sign_kept("www", &key, CONSTRAINT_PSS_ONLY).csr_unkept, 0);
}

static void limit(uint32_t rate, uint32_t concurrency)
{
	rows[n_rows - 1].limits = (struct grant_limits){ rate, 0, concurrency };
}

TEST(the_most_generous_grant_that_allows_a_request_limits_it)
{
	AUTO key = thing(OBJECT_PRIVATE_KEY, "k1", "somebody");

	reset();
	grant("www", "k1", PERM_SIGN, 0);
	limit(3600, 0);
	struct decision d = sign_kept("www", &key, 0);
	EQ(policy_limits(&d)->rate_per_hour, 3600);
	grant("www", "*", PERM_SIGN, 0);
	limit(7200, 5);
	d = sign_kept("www", &key, 0);
	EQ(policy_limits(&d)->rate_per_hour, 7200);
	OK(!strcmp(d.rule, "grant-1"));
	grant("*", "k1", PERM_SIGN, CONSTRAINT_TLS_ONLY);
	d = sign_kept("www", &key, 0);
	EQ(policy_limits(&d)->concurrency, 5);
	d = sign_kept("www", &key, CONSTRAINT_TLS_ONLY);
	OK(!policy_limits(&d) && !strcmp(d.rule, "grant-2"));
}

TEST(what_a_grant_implies_is_not_limited)
{
	AUTO key = thing(OBJECT_PRIVATE_KEY, "k1", "somebody");

	reset();
	grant("www", "k1", PERM_SIGN | PERM_GET, 0);
	limit(3600, 1);
	struct rights r = rights();
	struct who w = named("www");
	struct decision d = policy_decide(&r, &w, PERM_GET_ATTRIBUTES, &key.o);
	OK(d.is_allowed && !strcmp(d.rule, "grant-0") && !policy_limits(&d));
	d = policy_decide(&r, &w, PERM_GET, &key.o);
	OK(policy_limits(&d));
}

TEST(limits_hold_for_an_owner_and_not_for_the_administrator)
{
	AUTO key = thing(OBJECT_PRIVATE_KEY, "k1", "www");

	reset();
	grant("www", "k1", PERM_SIGN, 0);
	limit(3600, 1);
	struct decision d = sign_kept("www", &key, 0);
	OK(!strcmp(d.rule, "owner") && policy_limits(&d));
	struct rights r = rights();
	struct who w = named("root");
	w.is_admin = true;
	d = policy_decide_sign(&r, &w, &key.o, 0);
	OK(d.is_allowed && !policy_limits(&d));
}

TEST(the_rule_names_the_grant)
{
	AUTO key = thing(OBJECT_PRIVATE_KEY, "k1", "somebody");

	reset();
	grant("www", "k0", PERM_SIGN, 0);
	grant("www", "k1", PERM_SIGN, 0);

	OK(!strcmp(sign_decision("www", &key).rule, "grant-1"));
	OK(!sign_decision("nobody", &key).rule);
}

/* An oracle without any cleverness. */
static bool plainly(
	const char *who, uint32_t wanted, const struct object *o, const char *name)
{
	char by[200];
	snprintf(by, sizeof(by), "name:%s", name);
	for (size_t i = 0; i < n_rows; i++) {
		const struct grant_row *g = &rows[i];
		if ((!strcmp(g->who, who) || !strcmp(g->who, "*")) &&
			(g->permissions & wanted) &&
			(!strcmp(g->key, "*") || !strcmp(g->key, o->id) ||
				!strcmp(g->key, by)))
			return true;
	}
	return false;
}

TEST(many_grants_are_decided_like_few)
{
	uint32_t seed = 1;
	char key[64], who[16], name[32];

	for (int round = 0; round < 40; round++) {
		reset();
		for (int i = 0; i < 200; i++) {
			seed = seed * 1664525 + 1013904223;
			snprintf(key, sizeof(key), seed >> 31 ? "name:n%u" : "k%u",
				(seed >> 16) % 150);
			snprintf(who, sizeof(who), i % 50 ? "w%u" : "*", (seed >> 8) % 4);
			grant(who, key, each[(seed >> 24) % 14], 0);
		}
		for (int i = 0; i < 150; i += 7) {
			snprintf(key, sizeof(key), "k%d", i);
			snprintf(name, sizeof(name), "n%d", 150 - i);
			AUTO t = thing(OBJECT_SYMMETRIC_KEY, key, "somebody");
			name_it(&t, name);
			for (size_t p = 0; p < 6; p++)
				EQ(may("w1", each[p], &t),
					plainly("w1", each[p], &t.o, name));
		}
	}
}

TEST(whoever_is_not_enrolled_any_more_is_no_client)
{
	reset();
	struct rights r = rights();
	const struct rights_certificate enrolled = { client.certificate[0].fingerprint,
		&client };
	r.certificates = 1;
	r.certificate = &enrolled;
	struct who w = named("www");
	memset(w.fingerprint, 9, sizeof(w.fingerprint));
	client = (struct client_row){ .name = "www", .certificates = 1 };
	memset(client.certificate[0].fingerprint, 9, 32);

	OK(policy_bind(&r, &w));
	EQ(w.generation, 7);
	client.is_revoked = true;
	OK(!policy_bind(&r, &w));
	client.is_revoked = false;
	client.certificate[0].fingerprint[31] = 8;
	OK(!policy_bind(&r, &w));
	w.is_admin = true;
	OK(policy_bind(&r, &w));
}

/* It would be the owner of all that administrators made. */
TEST(a_client_with_the_administrators_name_is_none)
{
	reset();
	struct rights r = rights();
	struct who w = named("admin");
	r.certificates = 1;
	static struct client_row impostor = { .name = "admin", .certificates = 1 };
	const struct rights_certificate row = { w.fingerprint, &impostor };
	r.certificate = &row;

	OK(!policy_bind(&r, &w));
	w.is_admin = true;
	OK(policy_bind(&r, &w));
}

static double decision_ns(const char *who_name, const struct thing *t)
{
	struct rights r = rights();
	struct who w = named(who_name);
	enum { ROUNDS = 20000 };
	unsigned allowed = 0;

	policy_bind(&r, &w);
	uint64_t start = clock_monotonic_ns();
	for (int i = 0; i < ROUNDS; i++)
		allowed += policy_decide(&r, &w, PERM_SIGN, &t->o).is_allowed;
	uint64_t ns = clock_monotonic_ns() - start;
	return allowed == ROUNDS ? (double)ns / ROUNDS : 1e9;
}

TEST(a_decision_costs_nanoseconds)
{
	AUTO key = thing(OBJECT_PRIVATE_KEY, "k19999", "somebody");
	char text[32];

	reset();
	for (int i = 0; i < 6; i++) {
		snprintf(text, sizeof(text), "k1999%d", i + 4);
		grant("www", text, PERM_SIGN, CONSTRAINT_TLS_ONLY);
	}
	for (int i = 0; i < 15000; i++) {
		snprintf(text, sizeof(text), "k%d", i + 5000);
		grant("big", text, PERM_SIGN, CONSTRAINT_TLS_ONLY);
	}
	double few = decision_ns("www", &key), many = decision_ns("big", &key);

	printf("# a handful of grants: %.0f ns, 15,000 grants: %.0f ns\n", few, many);
	/* Generous: the tests also run under sanitizers and on busy machines. */
	OK(few < 20000 && many < 50000);
}

TEST_MAIN
