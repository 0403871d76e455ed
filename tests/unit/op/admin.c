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
	OK(!kf_ok(add_grant(&w, "www", "k", 0x10000, 0)));
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
