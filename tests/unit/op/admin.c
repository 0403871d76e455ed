/* SPDX-License-Identifier: Apache-2.0 */
#include "op/backup.h"
#include "world.h"

static kf_err client_add(
	struct world *w, const char *name, uint8_t mark, int64_t not_after)
{
	uint8_t fingerprint[32];
	memset(fingerprint, mark, sizeof(fingerprint));
	struct ttlv_writer q = question(w);
	client_add_put_request(&q, &(struct client_add_request){ .name = slice_of(name),
					   .fingerprint = { fingerprint, 32 },
					   .not_after = not_after });
	return ask(w, KMIP_OPERATION_CLIENT_ADD);
}

static kf_err client_revoke(struct world *w, const char *name)
{
	struct ttlv_writer q = question(w);
	client_revoke_put_request(
		&q, &(struct client_revoke_request){ .name = slice_of(name) });
	return ask(w, KMIP_OPERATION_CLIENT_REVOKE);
}

static kf_err list(
	struct world *w, uint32_t code, struct page p, struct list_response *ret)
{
	struct ttlv_writer q = question(w);
	page_put_request(&q, &p);
	KF_TRY(ask(w, code));
	struct ttlv_reader r = answer(w);
	return list_get_response(&r, ret);
}

static const struct rights *rights(struct world *w)
{
	return catalog_rights(w->server.catalog);
}

TEST(administration_is_for_the_administrator)
{
	WORLD(w);
	struct list_response a;

	OK(kf_is(client_add(&w, "www", 1, NOW + 1), KF_E_DENIED));
	OK(kf_is(client_revoke(&w, "www"), KF_E_DENIED));
	OK(kf_is(list(&w, KMIP_OPERATION_CLIENT_LIST, (struct page){ 0 }, &a),
		KF_E_DENIED));
	OK(kf_is(list(&w, KMIP_OPERATION_GRANT_LIST, (struct page){ 0 }, &a),
		KF_E_DENIED));
	OK(kf_is(list(&w, KMIP_OPERATION_STATUS, (struct page){ 0 }, &a), KF_E_DENIED));
	EQ(rights(&w)->clients, 0);
}

TEST(a_client_is_added_renewed_revoked_and_added_anew)
{
	WORLD(w);
	be(&w, "root", true);

	OK(kf_ok(client_add(&w, "www", 1, NOW + 100)));
	OK(kf_ok(client_add(&w, "www", 2, NOW + 200)));
	EQ(rights_client(rights(&w), "www")->certificates, 2);
	OK(kf_is(client_add(&w, "other", 2, NOW + 200), KF_E_EXISTS));

	OK(kf_ok(client_revoke(&w, "www")));
	OK(rights_client(rights(&w), "www")->is_revoked);
	OK(kf_is(client_revoke(&w, "www"), KF_E_STATE));
	OK(kf_is(client_revoke(&w, "none"), KF_E_NOT_FOUND));

	OK(kf_ok(client_add(&w, "www", 3, NOW + 300)));
	OK(!rights_client(rights(&w), "www")->is_revoked);
	EQ(rights_client(rights(&w), "www")->certificates, 1);
}

TEST(certificates_have_a_limit_and_expired_ones_make_room)
{
	WORLD(w);
	be(&w, "root", true);
	for (uint8_t i = 1; i <= 4; i++)
		OK(kf_ok(client_add(&w, "www", i, NOW + i * 10)));

	OK(kf_is(client_add(&w, "www", 5, NOW + 100), KF_E_LIMIT));
	w.now_s = NOW + 25;
	OK(kf_ok(client_add(&w, "www", 5, NOW + 100)));
	EQ(rights_client(rights(&w), "www")->certificates, 3);
}

TEST(odd_names_are_refused)
{
	WORLD(w);
	const char *bad[] = { "", "-x", "*", "a b", "a\nb", "a=b", "\xc3\xa4", "admin",
		NULL };
	be(&w, "root", true);

	for (const char **name = bad; *name; name++)
		OK(kf_is(client_add(&w, *name, 1, NOW + 1), KF_E_INVALID_FIELD));
	OK(kf_ok(client_add(&w, "web-1.example_org@x", 1, NOW + 1)));
}

TEST(lists_come_in_pages)
{
	WORLD(w);
	struct list_response a;
	struct admin_client c;
	char name[16];
	be(&w, "root", true);
	for (uint8_t i = 1; i <= 7; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		OK(kf_ok(client_add(&w, name, i, NOW + i)));
	}

	OK(kf_ok(list(&w, KMIP_OPERATION_CLIENT_LIST, (struct page){ 5, 10 }, &a)));
	EQ(a.total, 7);
	struct ttlv_reader r = ttlv_read(a.items);
	OK(admin_client_next(&r, &c) && slice_is(c.name, "c6") && c.not_after == NOW + 6);
	OK(admin_client_next(&r, &c) && slice_is(c.name, "c7"));
	OK(!admin_client_next(&r, &c));
}

static kf_err grant_remove(struct world *w, struct slice id)
{
	autobuf copy = buf_new(64);
	buf_add_slice(&copy, id);
	struct ttlv_writer q = question(w);
	grant_id_put(&q, &(struct grant_id){ buf_slice(&copy) });
	return ask(w, KMIP_OPERATION_GRANT_REMOVE);
}

TEST(a_grant_counts_from_its_commit_to_its_removal)
{
	WORLD(w);
	struct list_response a;
	struct admin_grant g;
	struct id id;
	OK(kf_is(create_aes(&w, NULL, &id), KF_E_DENIED));
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, NULL, &id)));

	be(&w, "root", true);
	OK(kf_ok(list(&w, KMIP_OPERATION_GRANT_LIST, (struct page){ 0 }, &a)));
	EQ(a.total, 1);
	struct ttlv_reader r = ttlv_read(a.items);
	OK(admin_grant_next(&r, &g));
	OK(slice_is(g.who, "alice") && slice_is(g.key, "*"));
	OK(kf_ok(grant_remove(&w, g.id)));

	OK(kf_is(grant_remove(&w, SLICE_LIT("none")), KF_E_NOT_FOUND));
	be(&w, "alice", false);
	OK(kf_is(create_aes(&w, NULL, &id), KF_E_DENIED));
}

TEST(grants_that_cannot_be_are_refused)
{
	WORLD(w);

	OK(!kf_ok(add_grant(&w, "www", "k", PERM_ADMINISTER, 0)));
	OK(!kf_ok(add_grant(&w, "www", "k", PERM_SIGN | PERM_ADMINISTER, 0)));
	OK(!kf_ok(add_grant(&w, "www", "k", 0x40000000, 0)));
	OK(!kf_ok(add_grant(&w, "www", "k", 0, 0)));
	OK(!kf_ok(add_grant(&w, "www", "k", PERM_SIGN, 0x80)));
	OK(!kf_ok(add_grant(&w, "", "k", PERM_SIGN, 0)));
	OK(!kf_ok(add_grant(&w, "www", "", PERM_SIGN, 0)));
	EQ(rights(&w)->grants, 0);
}

static void two_lines(void *arg, struct buf *ret)
{
	(void)arg;
	buf_add_text(ret, "audit.records=5\nno equals\nx=a=b\n");
}

TEST(status_tells_facts_as_pairs)
{
	WORLD(w);
	struct list_response a;
	struct status_pair p;
	unsigned seen = 0;
	be(&w, "root", true);
	w.server.status = two_lines;

	OK(kf_ok(list(&w, KMIP_OPERATION_STATUS, (struct page){ 0 }, &a)));
	struct ttlv_reader r = ttlv_read(a.items);
	while (status_pair_next(&r, &p)) {
		seen |= slice_is(p.name, "version") && slice_is(p.value, "1.2.3") ? 1 : 0;
		seen |= slice_is(p.name, "audit.records") && slice_is(p.value, "5") ? 2
										    : 0;
		seen |= slice_is(p.name, "x") && slice_is(p.value, "a=b") ? 4 : 0;
		seen |= slice_is(p.name, "store.objects") ? 8 : 0;
	}
	EQ(seen, 15);
}

/* --- policy test --- */

struct verdict {
	char allowed[8], rule[64], why[128], key[64], constraints[64], limits[64],
		client[64];
};

static kf_err read_verdict(struct slice items, struct verdict *ret)
{
	struct ttlv_reader r = ttlv_read(items);
	struct status_pair p;
	const struct {
		const char *name;
		char *to;
		size_t size;
	} facts[] = { { "allowed", ret->allowed, 8 }, { "rule", ret->rule, 64 },
		{ "why", ret->why, 128 }, { "key", ret->key, 64 },
		{ "constraints", ret->constraints, 64 }, { "limits", ret->limits, 64 },
		{ "client-limits", ret->client, 64 } };
	while (status_pair_next(&r, &p))
		for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
			if (slice_is(p.name, facts[i].name))
				KF_TRY(slice_to_text(
					p.value, facts[i].to, facts[i].size));
	return r.err;
}

static kf_err policy_test(struct world *w, const char *who, uint32_t permission,
	const char *key, struct verdict *ret)
{
	struct list_response a;
	*ret = (struct verdict){ 0 };
	be(w, "root", true);
	struct ttlv_writer q = question(w);
	policy_test_put_request(&q, &(struct policy_test_request){
					    slice_of(who), slice_of(key), permission });
	KF_TRY(ask(w, KMIP_OPERATION_POLICY_TEST));
	struct ttlv_reader r = answer(w);
	KF_TRY(list_get_response(&r, &a));
	return read_verdict(a.items, ret);
}

static bool may(struct world *w, const char *who, uint32_t permission, const char *key)
{
	struct verdict v;
	return kf_ok(policy_test(w, who, permission, key, &v)) &&
	       !strcmp(v.allowed, "yes") && !v.why[0];
}

static bool may_not(struct world *w, const char *who, uint32_t permission,
	const char *key, const char *why)
{
	struct verdict v;
	const kf_err e = policy_test(w, who, permission, key, &v);
	if (kf_ok(e) && !strcmp(v.allowed, "no") && strstr(v.why, why))
		return true;
	printf("# %s: %s %s\n", kf_code_name(e.code), v.allowed, v.why);
	return false;
}

static void enrol(struct world *w, const char *name, int64_t not_after)
{
	static uint8_t mark;
	be(w, "root", true);
	if (!kf_ok(client_add(w, name, ++mark, not_after)))
		abort();
}

TEST(policy_test_says_yes_and_by_which_rule)
{
	WORLD(w);
	struct pair p;
	struct verdict v;
	enrol(&w, "alice", NOW + 9);
	enrol(&w, "www", NOW + 9);
	OK(kf_ok(let_alice_create(&w)));
	be(&w, "alice", false);
	OK(kf_ok(create_p256(&w, "www-key", &p)));
	OK(kf_ok(add_grant(&w, "www", "name:www-key", PERM_SIGN, CONSTRAINT_TLS_ONLY)));

	OK(kf_ok(policy_test(&w, "www", PERM_SIGN, "www-key", &v)));
	OK(!strcmp(v.allowed, "yes") && strlen(v.rule) == 36);
	OK(!strcmp(v.constraints, "tls-only") && !strcmp(v.key, p.private_key.text));
	OK(kf_ok(policy_test(&w, "alice", PERM_SIGN, p.private_key.text, &v)));
	OK(!strcmp(v.allowed, "yes") && !strcmp(v.rule, "owner"));
	OK(kf_ok(policy_test(&w, "admin", PERM_DESTROY, "www-key", &v)));
	OK(!strcmp(v.allowed, "yes") && !strcmp(v.rule, "admin"));
	OK(may(&w, "www", PERM_GET_ATTRIBUTES, "www-key"));
	OK(may(&w, "www", PERM_GET, p.public_key.text));
	OK(may(&w, "www", PERM_QUERY, "www-key"));
	for (uint32_t one = PERM_SET_ATTRIBUTES; one <= PERM_REKEY; one <<= 1)
		if (one <= PERM_ARCHIVE || one >= PERM_MAC)
			OK(may(&w, "alice", one, "www-key"));
		else
			OK(kf_is(policy_test(&w, "alice", one, "www-key", &v),
				KF_E_INVALID_FIELD));
}

TEST(policy_test_says_no_and_why)
{
	WORLD(w);
	struct pair p, q;
	enrol(&w, "www", NOW + 9);
	enrol(&w, "late", NOW - 1);
	enrol(&w, "gone", NOW + 9);
	be(&w, "root", true);
	OK(kf_ok(create_p256(&w, "www-key", &p)));
	OK(kf_ok(create_p256(&w, "other", &q)));

	OK(may_not(&w, "www", PERM_SIGN, "www-key", "has no grant"));
	OK(kf_ok(add_grant(&w, "www", "name:www-key", PERM_SIGN, 0)));
	OK(may(&w, "www", PERM_SIGN, "www-key"));
	OK(may_not(&w, "www", PERM_SIGN, "other", "but for another key"));
	OK(may_not(&w, "www", PERM_DESTROY, "www-key", "no grant for this key names"));
	OK(may_not(&w, "www", PERM_CSR, "other", "for other keys and operations"));
	OK(may_not(&w, "admin", PERM_GET, "www-key", "sensitive"));
	OK(may_not(&w, "nobody", PERM_SIGN, "www-key", "no such client"));
	OK(may_not(&w, "late", PERM_SIGN, "www-key", "expired"));
	OK(kf_ok(client_revoke(&w, "gone")));
	OK(may_not(&w, "gone", PERM_SIGN, "www-key", "revoked"));
	OK(kf_ok(revoke(&w, &p.private_key, 1)));
	OK(may_not(&w, "www", PERM_SIGN, "www-key", "not active"));
	struct verdict v;
	OK(kf_is(policy_test(&w, "www", PERM_SIGN, "missing", &v), KF_E_NOT_FOUND));
	OK(kf_is(policy_test(&w, "www", PERM_SIGN | PERM_GET, "www-key", &v),
		KF_E_INVALID_FIELD));
}

/* As the server decides: what is to be made has no name yet that a grant could mean. */
TEST(policy_test_lets_only_grants_for_every_key_make_some)
{
	WORLD(w);
	struct pair p;
	enrol(&w, "www", NOW + 9);
	be(&w, "root", true);
	OK(kf_ok(create_p256(&w, "www-key", &p)));
	const uint32_t both = PERM_CREATE | PERM_REGISTER;

	OK(kf_ok(add_grant(&w, "www", "name:www-key", both, 0)));
	OK(may_not(&w, "www", PERM_CREATE, "www-key", "but for another key"));
	OK(may_not(&w, "www", PERM_REGISTER, "www-key", "but for another key"));
	OK(kf_ok(add_grant(&w, "www", "*", both, 0)));
	OK(may(&w, "www", PERM_CREATE, "www-key"));
	OK(may(&w, "www", PERM_REGISTER, "www-key"));
}

TEST(policy_test_answers_for_certification_requests)
{
	WORLD(w);
	struct pair p;
	enrol(&w, "tls", NOW + 9);
	enrol(&w, "ra", NOW + 9);
	enrol(&w, "free", NOW + 9);
	be(&w, "root", true);
	OK(kf_ok(create_p256(&w, "www-key", &p)));
	OK(kf_ok(add_grant(&w, "tls", "*", PERM_SIGN, CONSTRAINT_TLS_ONLY)));
	OK(kf_ok(add_grant(&w, "ra", "*", PERM_CSR, 0)));
	OK(kf_ok(add_grant(&w, "free", "*", PERM_SIGN, 0)));

	OK(may_not(&w, "tls", PERM_CSR, "www-key", "constraints"));
	OK(may(&w, "ra", PERM_CSR, "www-key"));
	OK(may_not(&w, "ra", PERM_SIGN, "www-key", "names the operation"));
	OK(may(&w, "free", PERM_CSR, "www-key"));
}

/* --- backup --- */

static kf_err copy_digits(
	struct store *s, store_sink sink, void *arg, struct store_backup_facts *ret)
{
	(void)s;
	*ret = (struct store_backup_facts){ 0 };
	return sink(arg, SLICE_LIT("0123456789"));
}

static kf_err backup_part(
	struct world *w, int64_t offset, int32_t maximum, struct backup_response *ret)
{
	struct ttlv_writer q = question(w);
	backup_put_request(
		&q, &(struct backup_request){ .offset = offset, .maximum = maximum });
	KF_TRY(ask(w, KMIP_OPERATION_BACKUP));
	struct ttlv_reader r = answer(w);
	return backup_get_response(&r, ret);
}

TEST(a_backup_is_handed_out_in_parts)
{
	WORLD(w);
	struct backup_response a;
	struct op_backup *b = NULL;
	be(&w, "root", true);
	OK(kf_is(backup_part(&w, 0, 4, &a), KF_E_UNSUPPORTED));
	OK(kf_ok(op_backup_new(w.store, copy_digits, "/tmp", &b)));
	w.server.backup = b;

	const kf_err early = backup_part(&w, 4, 4, &a);
	const kf_err first = backup_part(&w, 0, 4, &a);
	const bool first_is = slice_is(a.chunk, "0123") && a.size == 10;
	const kf_err last = backup_part(&w, 8, 4, &a);
	const bool last_is = slice_is(a.chunk, "89");
	const kf_err end = backup_part(&w, 10, 4, &a);
	const bool end_is = a.chunk.n == 0;
	const kf_err behind = backup_part(&w, 11, 4, &a);
	op_backup_free(b);

	OK(kf_is(early, KF_E_INVALID_FIELD));
	OK(kf_ok(first) && first_is);
	OK(kf_ok(last) && last_is);
	OK(kf_ok(end) && end_is);
	OK(kf_is(behind, KF_E_INVALID_FIELD));
}

TEST_MAIN
