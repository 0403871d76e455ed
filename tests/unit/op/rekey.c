/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/rekey.h"
#include "kmip/token_admin.h"
#include "op/replace.h"
#include "world.h"

static kf_err rekey(struct world *w, const struct id *id,
	const struct rekey_request *wish, struct id *ret)
{
	struct rekey_request q = wish ? *wish : (struct rekey_request){ 0 };
	struct rekey_response a;
	q.uid = uid(id);
	struct ttlv_writer out = question(w);
	rekey_put_request(&out, &q);
	KF_TRY(ttlv_written(&out));
	KF_TRY(ask(w, KMIP_OPERATION_RE_KEY));
	struct ttlv_reader r = answer(w);
	KF_TRY(rekey_get_response(&r, &a));
	keep_id(&a.uid, ret);
	return KF_OK;
}

static kf_err rekey_pair(struct world *w, const struct id *id,
	const struct rekey_pair_request *wish, struct pair *ret)
{
	struct rekey_pair_request q = wish ? *wish : (struct rekey_pair_request){ 0 };
	struct create_key_pair_response a;
	q.uid = uid(id);
	struct ttlv_writer out = question(w);
	rekey_pair_put_request(&out, &q);
	KF_TRY(ttlv_written(&out));
	KF_TRY(ask(w, KMIP_OPERATION_RE_KEY_KEY_PAIR));
	struct ttlv_reader r = answer(w);
	KF_TRY(create_key_pair_get_response(&r, &a));
	keep_id(&a.private_key, &ret->private_key);
	keep_id(&a.public_key, &ret->public_key);
	return KF_OK;
}

static kf_err create_dated(
	struct world *w, const char *name, const int64_t *dates, struct id *ret)
{
	static const uint32_t tags[] = { TAG_ACTIVATION_DATE, TAG_PROCESS_START_DATE,
		TAG_PROTECT_STOP_DATE, TAG_DEACTIVATION_DATE };
	autobuf attrs = buf_new(4096);
	add_symmetric(&attrs, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 128);
	attrs_add_name(&attrs, slice_of(name));
	attrs_add_text(&attrs, TAG_OBJECT_GROUP, slice_of("backup"));
	attrs_add_vendor_text(&attrs, slice_of("x"), slice_of("room"), slice_of("12"));
	for (int i = 0; i < 4; i++)
		if (dates[i])
			attrs_add_date(&attrs, tags[i], dates[i]);
	return create_object(w, OBJECT_SYMMETRIC_KEY, buf_slice(&attrs), ret);
}

static bool links_to(
	struct world *w, const struct id *from, uint32_t type, const struct id *to)
{
	struct slice id;
	return kf_ok(attributes(w, from)) &&
	       attrs_get_link(buf_slice(&w->attrs), type, &id) && slice_is(id, to->text);
}

static int64_t date_of(struct world *w, const struct id *id, uint32_t tag)
{
	int64_t at = -1;
	if (kf_ok(attributes(w, id)))
		(void)attrs_get_date(buf_slice(&w->attrs), tag, &at);
	return at;
}

static kf_err key_bytes(struct world *w, const struct id *id, uint8_t *ret, size_t n)
{
	struct get_response g;
	KF_TRY(get(w, id, &g));
	if (g.object.block.material.n != n)
		return kf_fail(TOO_BIG, "key of the test");
	memcpy(ret, g.object.block.material.p, n);
	return KF_OK;
}

TEST(who_may_replace_anothers_key_gets_no_other_right_by_its_group)
{
	struct id old, new;
	const int64_t dates[4] = { NOW - 100, 0, 0, 0 };
	autobuf wish = buf_new(1024);
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_dated(&w, "disk", dates, &old)));
	OK(kf_ok(add_grant(&w, "bob", "name:disk", PERM_REKEY, 0)));
	OK(kf_ok(add_grant(&w, "bob", "group:open", PERM_GET, 0)));
	attrs_add_text(&wish, TAG_OBJECT_GROUP, slice_of("open"));
	const struct rekey_request q = { .attributes = buf_slice(&wish) };

	be(&w, "bob", false);
	OK(kf_is(rekey(&w, &old, &q, &new), KF_E_DENIED));
	OK(kf_ok(rekey(&w, &old, NULL, &new)));
}

TEST(the_new_key_has_the_name_and_what_was_said_of_the_old_one)
{
	struct id old, new, found;
	uint8_t was[16], is[16];
	const int64_t dates[4] = { NOW - 100, 0, 0, NOW + 1000 };
	struct slice text;
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_dated(&w, "disk", dates, &old)));
	OK(kf_ok(key_bytes(&w, &old, was, 16)));
	w.now_s += 10;

	OK(kf_ok(rekey(&w, &old, NULL, &new)));

	OK(strcmp(old.text, new.text) != 0);
	OK(kf_ok(key_bytes(&w, &new, is, 16)) && memcmp(was, is, 16) != 0);
	EQ(located_by_name(&w, "disk", &found), 1);
	OK(!strcmp(found.text, new.text));
	OK(links_to(&w, &old, KMIP_LINK_TYPE_REPLACEMENT_OBJECT_LINK, &new));
	OK(links_to(&w, &new, KMIP_LINK_TYPE_REPLACED_OBJECT_LINK, &old));
	EQ(attrs_count(buf_slice(&w.attrs), TAG_DIGEST), 1);
	OK(attrs_get_text(buf_slice(&w.attrs), TAG_OBJECT_GROUP, &text) &&
		slice_is(text, "backup"));
	EQ(attrs_count(buf_slice(&w.attrs), TAG_ATTRIBUTE), 1);
	EQ(date_of(&w, &new, TAG_INITIAL_DATE), NOW + 10);
	EQ(date_of(&w, &new, TAG_ACTIVATION_DATE), NOW - 100);
	EQ(date_of(&w, &new, TAG_DEACTIVATION_DATE), NOW + 1000);
	EQ(state_of(&w, &new), STATE_ACTIVE);
	EQ(state_of(&w, &old), STATE_ACTIVE);
	OK(kf_ok(attributes(&w, &old)) && !attrs_count(buf_slice(&w.attrs), TAG_NAME));
}

static const struct object *object_of(struct world *w, const struct id *id)
{
	return catalog_find(w->server.catalog, slice_of(id->text));
}

static bool has_own(struct world *w, const struct id *id, const char *name)
{
	const struct attr_ref ref = { .tag = TAG_ATTRIBUTE,
		.vendor = slice_of(TOKEN_ATTRIBUTE_VENDOR),
		.name = slice_of(name) };
	struct ttlv_item it;
	return attrs_find_ref(object_of(w, id)->attrs, &ref, 0, &it);
}

/* What no client can. */
static kf_err set_as_server(struct world *w, const struct id *id, struct slice extra)
{
	struct op_call *call = w->call;
	autobuf attrs = buf_new(4096);
	kf_err err = KF_OK;
	buf_add_slice(&attrs, object_of(w, id)->attrs);
	buf_add_slice(&attrs, extra);
	call->op = op_find(KMIP_OPERATION_ADD_ATTRIBUTE);
	KF_TRY(op_replace_other(call, object_of(w, id), &attrs, true));
	submit_and_wait(w, &call->change, &err);
	if (kf_ok(err))
		err = call->change.err;
	op_clear(call);
	return err;
}

TEST(a_lease_ends_with_the_rotation_and_a_copy_in_software_is_the_old_key_s)
{
	struct id old, new;
	autobuf attrs = buf_new(4096);
	const struct slice ours = slice_of(TOKEN_ATTRIBUTE_VENDOR);
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	add_symmetric(&attrs, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 128);
	attrs_add_vendor_text(
		&attrs, ours, slice_of(TOKEN_ATTRIBUTE_COPIES), slice_of("1"));
	OK(kf_ok(create_object(&w, OBJECT_SYMMETRIC_KEY, buf_slice(&attrs), &old)));
	buf_clear(&attrs);
	attrs_add_vendor_text(
		&attrs, ours, slice_of(TOKEN_ATTRIBUTE_OVERFLOW), slice_of("software"));
	replace_put_lease(&attrs, NOW + 300);
	OK(kf_ok(set_as_server(&w, &old, buf_slice(&attrs))));
	OK(replace_is_leased(object_of(&w, &old), NOW));

	OK(kf_ok(rekey(&w, &old, NULL, &new)));

	OK(!has_own(&w, &old, TOKEN_ATTRIBUTE_LEASE));
	OK(has_own(&w, &old, TOKEN_ATTRIBUTE_OVERFLOW));
	OK(!has_own(&w, &new, TOKEN_ATTRIBUTE_LEASE));
	OK(!has_own(&w, &new, TOKEN_ATTRIBUTE_OVERFLOW));
	OK(has_own(&w, &new, TOKEN_ATTRIBUTE_COPIES));
}

/* A key whose attributes are these. */
static kf_err plain(struct buf *attrs, struct object **ret)
{
	const struct object_parts parts = { .id = slice_of("x"),
		.owner = slice_of("alice"),
		.attrs = buf_slice(attrs),
		.type = OBJECT_PRIVATE_KEY,
		.version = 1 };
	KF_TRY(buf_err(attrs));
	return object_new(&parts, ret);
}

TEST(a_lease_is_longer_than_tokens_take_for_a_key_and_no_longer_than_the_interval)
{
	static const struct {
		uint32_t interval, lease;
	} rows[] = { { 5, 5 }, { 3600, 3600 }, { 86400, 3600 } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		autobuf attrs = buf_new(4096);
		struct object *o;
		struct ttlv_writer w = ttlv_write(&attrs, 0);
		ttlv_put_interval(&w, TAG_ROTATE_INTERVAL, rows[i].interval);
		OK(kf_ok(plain(&attrs, &o)));
		EQ(replace_lease_s(o), rows[i].lease);
		object_unref(o);
	}
}

TEST(a_lease_is_over_in_time_whatever_clocks_say)
{
	autobuf attrs = buf_new(4096), bad = buf_new(4096);
	struct object *o, *damaged;
	replace_put_lease(&attrs, NOW + 900);
	replace_put_lease(&attrs, NOW + 300);
	attrs_add_vendor_text(&bad, slice_of(TOKEN_ATTRIBUTE_VENDOR),
		slice_of(TOKEN_ATTRIBUTE_LEASE), slice_of("99999999999999999999x"));
	OK(kf_ok(plain(&attrs, &o)) && kf_ok(plain(&bad, &damaged)));

	OK(replace_is_leased(o, NOW) && replace_is_leased(o, NOW + 299));
	OK(!replace_is_leased(o, NOW + 300));
	OK(!replace_is_leased(o, NOW + 300 - ROTATION_LEASE_MOST_S - 1));
	OK(!replace_is_leased(damaged, NOW));
	replace_end_lease(&attrs);
	EQ(attrs.n, 0);
	object_unref(o);
	object_unref(damaged);
}

static int64_t rotates_at(int64_t since, uint32_t interval, uint32_t other_tag)
{
	autobuf attrs = buf_new(4096);
	struct object *o = NULL;
	struct ttlv_writer w = ttlv_write(&attrs, 0);
	ttlv_put_bool(&w, TAG_ROTATE_AUTOMATIC, true);
	ttlv_put_interval(&w, TAG_ROTATE_INTERVAL, interval);
	ttlv_put_date(&w, TAG_ROTATE_DATE, since);
	if (other_tag == TAG_REVOCATION_REASON) {
		ttlv_begin(&w, TAG_REVOCATION_REASON);
		ttlv_put_enum(&w, TAG_REVOCATION_REASON_CODE,
			KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE);
		ttlv_end(&w);
	} else if (other_tag) {
		ttlv_put_date(&w, other_tag, NOW);
	}
	if (!kf_ok(ttlv_written(&w)) || !kf_ok(plain(&attrs, &o)))
		return -1;
	const int64_t at = object_rotates_at(o);
	object_unref(o);
	return at;
}

TEST(what_is_over_or_never_due_is_not_rotated)
{
	EQ(rotates_at(NOW, 60, 0), NOW + 60);
	EQ(rotates_at(NOW, UINT32_MAX, 0), NOW + UINT32_MAX);
	EQ(rotates_at(NOW, 60, TAG_DEACTIVATION_DATE), NOW + 60);
	EQ(rotates_at(NOW, 60, TAG_REVOCATION_REASON), DATE_UNSET);
	EQ(rotates_at(NOW, 60, TAG_ARCHIVE_DATE), DATE_UNSET);
	EQ(rotates_at(NOW, 0, 0), DATE_UNSET);
	EQ(rotates_at(INT64_MAX - 59, 60, 0), DATE_UNSET);
}

TEST(an_offset_moves_all_dates)
{
	struct id old, new;
	const int64_t dates[4] = { NOW - 100, NOW + 50, NOW + 500, NOW + 1000 };
	const struct rekey_request wish = { .has_offset = true, .offset_s = 7 };
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_dated(&w, "disk", dates, &old)));
	w.now_s += 10;

	OK(kf_ok(rekey(&w, &old, &wish, &new)));

	EQ(date_of(&w, &new, TAG_ACTIVATION_DATE), NOW + 17);
	EQ(date_of(&w, &new, TAG_PROCESS_START_DATE), NOW + 167);
	EQ(date_of(&w, &new, TAG_PROTECT_STOP_DATE), NOW + 617);
	EQ(date_of(&w, &new, TAG_DEACTIVATION_DATE), NOW + 1117);
	EQ(state_of(&w, &new), STATE_PRE_ACTIVE);
	EQ(date_of(&w, &old, TAG_DEACTIVATION_DATE), NOW + 1000);
}

TEST(an_offset_has_rules)
{
	struct id old, new;
	const int64_t no_start[4] = { 0, 0, 0, NOW + 1000 }, none[4] = { 0 };
	autobuf said = buf_new(1024);
	struct rekey_request wish = { .has_offset = true };
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_dated(&w, "a", no_start, &old)));
	OK(kf_is(rekey(&w, &old, &wish, &new), KF_E_NO_ACTIVATION));
	attrs_add_date(&said, TAG_DEACTIVATION_DATE, NOW + 5);
	wish.attributes = buf_slice(&said);
	OK(kf_is(rekey(&w, &old, &wish, &new), KF_E_MALFORMED));
	EQ(located_by_name(&w, "a", NULL), 1);
	OK(kf_ok(create_dated(&w, "b", none, &old)));
	wish.attributes = (struct slice){ 0 };
	OK(kf_ok(rekey(&w, &old, &wish, &new)));
	EQ(date_of(&w, &new, TAG_ACTIVATION_DATE), NOW);
}

TEST(what_the_request_says_goes_before_and_names_are_added)
{
	struct id old, new, found;
	const int64_t dates[4] = { NOW - 100, 0, 0, 0 };
	autobuf said = buf_new(1024);
	int32_t bits = 0;
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_dated(&w, "disk", dates, &old)));
	attrs_add_int(&said, TAG_CRYPTOGRAPHIC_LENGTH, 256);
	attrs_add_name(&said, slice_of("disk"));
	attrs_add_name(&said, slice_of("disk-new"));
	attrs_add_vendor_text(&said, slice_of("x"), slice_of("room"), slice_of("13"));

	OK(kf_ok(rekey(&w, &old,
		&(struct rekey_request){ .attributes = buf_slice(&said) }, &new)));

	OK(kf_ok(attributes(&w, &new)));
	OK(attrs_get_int(buf_slice(&w.attrs), TAG_CRYPTOGRAPHIC_LENGTH, &bits));
	EQ(bits, 256);
	EQ(attrs_count(buf_slice(&w.attrs), TAG_NAME), 2);
	EQ(attrs_count(buf_slice(&w.attrs), TAG_ATTRIBUTE), 1);
	EQ(located_by_name(&w, "disk", &found), 1);
	EQ(located_by_name(&w, "disk-new", &found), 1);
	OK(!strcmp(found.text, new.text));
}

TEST(generations_are_counted_and_one_is_the_latest)
{
	struct id key[3];
	const int64_t dates[4] = { NOW - 100, 0, 0, 0 };
	bool is_latest;
	int32_t n;
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_dated(&w, "disk", dates, &key[0])));
	OK(kf_ok(rekey(&w, &key[0], NULL, &key[1])));
	w.now_s += 5;
	OK(kf_ok(rekey(&w, &key[1], NULL, &key[2])));
	for (int i = 0; i < 3; i++) {
		OK(kf_ok(attributes(&w, &key[i])));
		OK(attrs_get_bool(buf_slice(&w.attrs), TAG_ROTATE_LATEST, &is_latest));
		EQ(is_latest, i == 2);
		n = 0;
		(void)attrs_get_int(buf_slice(&w.attrs), TAG_ROTATE_GENERATION, &n);
		EQ(n, i);
	}
	EQ(date_of(&w, &key[2], TAG_ROTATE_DATE), NOW + 5);
	EQ(links_to(&w, &key[1], KMIP_LINK_TYPE_REPLACED_OBJECT_LINK, &key[0]), 1);
}

TEST(older_versions_re_key_and_see_nothing_of_later_ones)
{
	struct id old, new, found;
	const int64_t dates[4] = { NOW - 100, 0, 0, 0 };
	const uint16_t versions[] = { KMIP_1_0, KMIP_1_2, KMIP_1_4, KMIP_2_0 };
	for (size_t i = 0; i < 4; i++) {
		WORLD(w);
		OK(kf_ok(let_alice_create(&w)));
		w.version = versions[i];
		OK(kf_ok(create_dated(&w, "disk", dates, &old)));
		OK(kf_ok(rekey(
			&w, &old, &(struct rekey_request){ .has_offset = true }, &new)));
		EQ(located_by_name(&w, "disk", &found), 1);
		OK(!strcmp(found.text, new.text));
		OK(kf_ok(attributes(&w, &new)));
		EQ(attrs_count(buf_slice(&w.attrs), TAG_ROTATE_GENERATION), 0);
	}
}

TEST(what_cannot_be_re_keyed_is_refused)
{
	struct id old, new;
	struct pair pair, other;
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_p256(&w, "www", &pair)));
	OK(kf_is(rekey(&w, &pair.private_key, NULL, &new), KF_E_OBJECT_TYPE));
	OK(kf_is(rekey_pair(&w, &pair.public_key, NULL, &other), KF_E_OBJECT_TYPE));
	OK(kf_ok(create_aes(&w, "disk", &old)));
	OK(kf_is(rekey_pair(&w, &old, NULL, &other), KF_E_OBJECT_TYPE));
	be(&w, "mallory", false);
	OK(kf_is(rekey(&w, &old, NULL, &new), KF_E_NOT_FOUND));
	be(&w, "alice", false);
	OK(kf_ok(destroy(&w, &old)));
	OK(kf_is(rekey(&w, &old, NULL, &new), KF_E_DESTROYED));
	w.version = KMIP_1_0;
	OK(kf_is(rekey_pair(&w, &pair.private_key, NULL, &other), KF_E_UNSUPPORTED));
}

TEST(a_key_stays_its_owners_whoever_re_keys_it)
{
	struct id old, new, found;
	const int64_t dates[4] = { NOW - 100, 0, 0, 0 };
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_dated(&w, "disk", dates, &old)));
	be(&w, "root", true);
	OK(kf_ok(rekey(&w, &old, NULL, &new)));
	be(&w, "alice", false);
	EQ(located_by_name(&w, "disk", &found), 1);
	OK(!strcmp(found.text, new.text));
	OK(kf_ok(rekey(&w, &new, NULL, &found)));
}

static kf_err rekey_with(
	struct world *w, const struct id *id, uint32_t tag, bool v, struct id *ret)
{
	autobuf set = buf_new(1024);
	attrs_add_bool(&set, tag, v);
	return rekey(
		w, id, &(struct rekey_request){ .attributes = buf_slice(&set) }, ret);
}

/* It has the old one's name, by which others may read it. */
TEST(what_another_puts_in_the_place_of_a_secret_is_no_less_secret)
{
	WORLD(w);
	struct id id, next;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, "disk", &id)));
	OK(kf_ok(rekey_with(&w, &id, TAG_SENSITIVE, true, &next)));
	OK(kf_ok(rekey_with(&w, &next, TAG_EXTRACTABLE, false, &id)));
	OK(kf_ok(add_grant(&w, "bob", "name:disk", PERM_REKEY | PERM_GET, 0)));

	be(&w, "bob", false);
	OK(kf_is(rekey_with(&w, &id, TAG_SENSITIVE, false, &next), KF_E_DENIED));
	OK(kf_is(rekey_with(&w, &id, TAG_EXTRACTABLE, true, &next), KF_E_DENIED));
	OK(kf_ok(rekey_with(&w, &id, TAG_SENSITIVE, true, &next)));
	be(&w, "alice", false); /* her own, and her word */
	OK(kf_ok(rekey_with(&w, &next, TAG_SENSITIVE, false, &id)));
}

TEST(a_pair_is_followed_by_a_pair)
{
	struct pair old, new;
	struct id found;
	struct slice sig;
	const struct pair_wish wish = { .algorithm = 6,
		.curve = 7,
		.private_name = "www",
		.public_name = "www.pub",
		.is_active = true };
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_pair(&w, &wish, &old)));

	OK(kf_ok(rekey_pair(&w, &old.private_key, NULL, &new)));

	EQ(located_by_name(&w, "www", &found), 1);
	OK(!strcmp(found.text, new.private_key.text));
	EQ(located_by_name(&w, "www.pub", &found), 1);
	OK(!strcmp(found.text, new.public_key.text));
	OK(links_to(
		&w, &new.private_key, KMIP_LINK_TYPE_PUBLIC_KEY_LINK, &new.public_key));
	OK(links_to(
		&w, &new.public_key, KMIP_LINK_TYPE_PRIVATE_KEY_LINK, &new.private_key));
	OK(links_to(&w, &new.public_key, KMIP_LINK_TYPE_REPLACED_OBJECT_LINK,
		&old.public_key));
	OK(links_to(&w, &old.private_key, KMIP_LINK_TYPE_REPLACEMENT_OBJECT_LINK,
		&new.private_key));
	OK(links_to(
		&w, &old.private_key, KMIP_LINK_TYPE_PUBLIC_KEY_LINK, &old.public_key));
	const struct sign_wish s = { .data = slice_of("data"),
		.parameters = {
			.digital_signature_algorithm =
				KMIP_DIGITAL_SIGNATURE_ALGORITHM_ECDSA_WITH_SHA256 } };
	OK(kf_ok(sign(&w, &new.private_key, &s, &sig)) &&
		kf_ok(sign(&w, &old.private_key, &s, &sig)));
}

static struct id in_the_way;
static void activate_it(struct world *w) { OK(kf_ok(activate(w, &in_the_way))); }
static void somebody_activates_it(struct world *w) { meanwhile(w, activate_it); }

TEST(a_pair_that_is_changed_meanwhile_is_looked_at_again)
{
	struct pair old, new;
	struct id found;
	const struct pair_wish wish = {
		.algorithm = 6, .curve = 7, .private_name = "www"
	};
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_pair(&w, &wish, &old)));
	in_the_way = old.private_key;
	w.before_commit = somebody_activates_it;
	OK(kf_ok(rekey_pair(&w, &old.private_key, NULL, &new)));
	EQ(located_by_name(&w, "www", &found), 1);
	OK(!strcmp(found.text, new.private_key.text));
	EQ(state_of(&w, &new.private_key), STATE_ACTIVE);
	EQ(state_of(&w, &old.private_key), STATE_ACTIVE);
}

TEST(who_is_narrowed_by_a_name_does_not_get_rid_of_it_by_replacing_the_key)
{
	struct pair p, new;
	struct get_response a;
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_p256(&w, "web", &p)));
	OK(kf_ok(add_grant(&w, "alice", "name:web", PERM_SIGN, CONSTRAINT_TLS_ONLY)));
	OK(kf_is(rekey_pair(&w, &p.private_key, NULL, &new), KF_E_DENIED));
	OK(!kf_ok(get(&w, &p.private_key, &a)));
	OK(kf_is(sign_text(&w, &p.private_key, "anything"), KF_E_DENIED));
	be(&w, "root", true);
	OK(kf_is(rekey_pair(&w, &p.private_key, NULL, &new), KF_E_DENIED));
	be(&w, "alice", false);
	/* One that goes by the identifier stays with the old key. */
	OK(kf_ok(add_grant(
		&w, "alice", p.private_key.text, PERM_SIGN, CONSTRAINT_TLS_ONLY)));
	OK(kf_ok(rekey_pair(&w, &p.private_key, NULL, &new)));
	OK(kf_is(sign_text(&w, &p.private_key, "anything"), KF_E_DENIED));
	OK(!kf_ok(get(&w, &p.private_key, &a)));
}

TEST(a_request_that_is_repeated_makes_no_second_key)
{
	struct id old, new, again;
	const int64_t dates[4] = { NOW - 100, 0, 0, 0 };
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_dated(&w, "disk", dates, &old)));
	w.has_request_id = true;
	memset(w.request_id, 7, sizeof(w.request_id));
	OK(kf_ok(rekey(&w, &old, NULL, &new)));
	OK(kf_ok(rekey(&w, &old, NULL, &again)));
	OK(!strcmp(new.text, again.text));
}

TEST_MAIN
