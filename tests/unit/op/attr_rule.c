/* SPDX-License-Identifier: Apache-2.0 */
#include "op/attr_rule.h"
#include "attributes.h"
#include "kmip/certify.h"
#include "kmip/token_admin.h"
#include "op/token_key.h"
#include "op/usage.h"
#include <string.h>

static struct id new_key(struct world *w)
{
	struct id id = { "" };
	return kf_ok(create_aes(w, NULL, &id)) ? id : (struct id){ "" };
}

static const struct object *object_of(struct world *w, const struct id *id)
{
	return catalog_find(w->server.catalog, slice_of(id->text));
}

/* --- dates --- */

TEST(dates_that_have_come_change_the_state)
{
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	const struct id id = new_key(&w);
	const uint32_t start = TAG_ACTIVATION_DATE, end = TAG_DEACTIVATION_DATE;

	OK(kf_ok(change_date(&w, ATTRIBUTE_ADD, &id, start, NOW + 100)));
	EQ(state_of(&w, &id), STATE_PRE_ACTIVE);
	OK(kf_is(change_date(&w, ATTRIBUTE_ADD, &id, end, NOW + 99), KF_E_INVALID_FIELD));
	OK(kf_ok(change_date(&w, ATTRIBUTE_MODIFY, &id, start, NOW - 5)));
	EQ(state_of(&w, &id), STATE_ACTIVE);
	OK(kf_is(change_date(&w, ATTRIBUTE_MODIFY, &id, start, NOW), KF_E_STATE));
	OK(kf_ok(change_date(&w, ATTRIBUTE_ADD, &id, end, NOW + 10)));
	OK(kf_ok(change_date(&w, ATTRIBUTE_MODIFY, &id, end, NOW)));
	EQ(state_of(&w, &id), STATE_DEACTIVATED);
	OK(kf_is(change_date(&w, ATTRIBUTE_MODIFY, &id, end, NOW + 10), KF_E_STATE));
	OK(kf_is(delete_attribute(&w, &id, end, -1), KF_E_READ_ONLY));
}

TEST(a_state_that_time_brought_is_written_down)
{
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	const struct id id = new_key(&w);
	OK(kf_ok(change_date(&w, ATTRIBUTE_ADD, &id, TAG_ACTIVATION_DATE, NOW + 10)));
	EQ(object_of(&w, &id)->stored_state, STATE_PRE_ACTIVE);
	w.now_s = NOW + 20;
	OK(kf_is(change_date(&w, ATTRIBUTE_MODIFY, &id, TAG_ACTIVATION_DATE, NOW + 99),
		KF_E_STATE));
	OK(kf_ok(change_text(&w, ATTRIBUTE_ADD, &id, TAG_COMMENT, "c")));
	EQ(object_of(&w, &id)->stored_state, STATE_ACTIVE);
}

TEST(the_time_of_use_lies_within_the_active_time_and_ahead)
{
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	const struct id id = new_key(&w);
	const uint32_t from = TAG_PROCESS_START_DATE, to = TAG_PROTECT_STOP_DATE;
	OK(kf_ok(change_date(&w, ATTRIBUTE_ADD, &id, TAG_ACTIVATION_DATE, NOW)));
	OK(kf_ok(change_date(&w, ATTRIBUTE_ADD, &id, TAG_DEACTIVATION_DATE, NOW + 100)));

	OK(kf_is(change_date(&w, ATTRIBUTE_ADD, &id, to, NOW + 101), KF_E_INVALID_FIELD));
	OK(kf_is(change_date(&w, ATTRIBUTE_ADD, &id, from, NOW - 1), KF_E_INVALID_FIELD));
	OK(kf_ok(change_date(&w, ATTRIBUTE_ADD, &id, from, NOW + 10)));
	OK(kf_ok(change_date(&w, ATTRIBUTE_ADD, &id, to, NOW + 90)));
	w.now_s = NOW + 10;
	OK(kf_is(change_date(&w, ATTRIBUTE_MODIFY, &id, from, NOW + 20), KF_E_STATE));
	OK(kf_ok(change_date(&w, ATTRIBUTE_MODIFY, &id, to, NOW + 80)));
}

/* --- secrecy --- */

TEST(secrets_only_become_more_secret)
{
	WORLD(w);
	struct get_response a;
	bool always = true, never = true;
	OK(kf_ok(let_alice_create(&w)));
	const struct id id = new_key(&w);
	OK(kf_ok(get(&w, &id, &a)));

	OK(kf_ok(change_bool(&w, ATTRIBUTE_MODIFY, &id, TAG_EXTRACTABLE, false)));
	OK(kf_is(get(&w, &id, &a), KF_E_NOT_EXTRACTABLE));
	OK(kf_is(change_bool(&w, ATTRIBUTE_MODIFY, &id, TAG_EXTRACTABLE, true),
		KF_E_DENIED));
	OK(kf_ok(change_bool(&w, ATTRIBUTE_SET, &id, TAG_SENSITIVE, true)));
	OK(kf_is(get(&w, &id, &a), KF_E_SENSITIVE));
	OK(kf_is(change_bool(&w, ATTRIBUTE_SET, &id, TAG_SENSITIVE, false), KF_E_DENIED));
	OK(kf_is(delete_attribute(&w, &id, TAG_SENSITIVE, -1), KF_E_READ_ONLY));
	const struct slice attrs = object_of(&w, &id)->attrs;
	OK(attrs_get_bool(attrs, TAG_ALWAYS_SENSITIVE, &always) && !always);
	OK(attrs_get_bool(attrs, TAG_NEVER_EXTRACTABLE, &never) && !never);
}

/* --- usage limits --- */

static kf_err change_limits(
	struct world *w, enum attribute_change kind, const struct id *id, int64_t total)
{
	autobuf set = buf_new(1024);
	usage_set(
		&set, &(struct usage){ total, total + 7, KMIP_USAGE_LIMITS_UNIT_OBJECT });
	return change_to(w, kind, id, &set);
}

TEST(limits_stand_once_something_was_counted)
{
	WORLD(w);
	struct pair p;
	struct usage u;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_p256(&w, NULL, &p)));
	const struct id *id = &p.private_key;

	OK(kf_ok(change_limits(&w, ATTRIBUTE_ADD, id, 5)));
	OK(kf_ok(change_limits(&w, ATTRIBUTE_MODIFY, id, 2)));
	OK(usage_get(object_of(&w, id)->attrs, &u) && u.total == 2 && u.count == 2);
	OK(kf_ok(sign_text(&w, id, "once")));
	OK(kf_is(change_limits(&w, ATTRIBUTE_MODIFY, id, 9), KF_E_READ_ONLY));
	OK(kf_is(delete_attribute(&w, id, TAG_USAGE_LIMITS, -1), KF_E_READ_ONLY));
	OK(kf_ok(sign_text(&w, id, "twice")));
	OK(kf_is(sign_text(&w, id, "thrice"), KF_E_DENIED));
}

/* --- names --- */

/* The quickest of a hundred: what else the machine does is not in it. */
static void name_hundred(
	struct world *w, const struct id *id, unsigned from, uint64_t *ret_ns)
{
	char name[32];
	*ret_ns = UINT64_MAX;
	for (unsigned i = from; i < from + 100; i++) {
		snprintf(name, sizeof(name), "name-%u", i);
		const uint64_t began = clock_monotonic_ns();
		OK(kf_ok(change_name(w, ATTRIBUTE_ADD, id, name)));
		const uint64_t took = clock_monotonic_ns() - began;
		*ret_ns = took < *ret_ns ? took : *ret_ns;
	}
}

/* A loop stands still meanwhile: with the cube of their number it would be a tenth of a second for 400. */
TEST(another_name_is_not_held_against_each_pair_of_hundreds)
{
	WORLD(w);
	uint64_t took[4];
	OK(kf_ok(let_alice_create(&w)));
	const struct id id = new_key(&w);
	for (unsigned i = 0; i < 4; i++)
		name_hundred(&w, &id, i * 100, &took[i]);
	OK(took[3] < 8 * took[1]);
	OK(kf_is(change_name(&w, ATTRIBUTE_ADD, &id, "name-399"), KF_E_NAME_TAKEN));
	OK(kf_is(change_name(&w, ATTRIBUTE_ADD, &id, ""), KF_E_INVALID_FIELD));
}

/* --- application data --- */

static void add_namespace(struct buf *set, const char *name)
{
	struct ttlv_writer w = ttlv_write(set, 0);
	ttlv_begin(&w, TAG_APPLICATION_SPECIFIC_INFORMATION);
	ttlv_put_text(&w, TAG_APPLICATION_NAMESPACE, slice_of(name));
	ttlv_end(&w);
}

TEST(application_data_is_made_where_it_is_left_out)
{
	WORLD(w);
	autobuf set = buf_new(1024);
	struct ttlv_item it;
	OK(kf_ok(let_alice_create(&w)));
	const struct id id = new_key(&w);
	add_namespace(&set, "LIBRARY-LTO4");
	OK(kf_ok(change_to(&w, ATTRIBUTE_ADD, &id, &set)));

	OK(attrs_find(
		object_of(&w, &id)->attrs, TAG_APPLICATION_SPECIFIC_INFORMATION, 0, &it));
	struct ttlv_reader r = ttlv_read(it.value);
	struct slice namespace = { 0 }, data = { 0 };
	ttlv_get_text(&r, TAG_APPLICATION_NAMESPACE, &namespace);
	ttlv_get_text(&r, TAG_APPLICATION_DATA, &data);
	OK(kf_ok(ttlv_done(&r)) && slice_is(namespace, "LIBRARY-LTO4") && data.n == 36);
}

/* --- archive --- */

TEST(what_is_archived_serves_nobody_until_it_is_recovered)
{
	WORLD(w);
	struct get_response a;
	struct pair p;
	int64_t date = 0;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_p256(&w, "k", &p)));
	const struct id *id = &p.private_key;

	OK(kf_ok(move(&w, KMIP_OPERATION_ARCHIVE, id)));
	OK(kf_is(get(&w, id, &a), KF_E_ARCHIVED));
	w.version = KMIP_1_4;
	OK(kf_is(attributes(&w, id), KF_E_ARCHIVED));
	w.version = KMIP_2_0;
	OK(kf_ok(attributes(&w, id)));
	OK(attrs_get_date(buf_slice(&w.attrs), TAG_ARCHIVE_DATE, &date));
	w.version = KMIP_2_1;
	OK(kf_is(sign_text(&w, id, "t"), KF_E_ARCHIVED));
	OK(kf_is(activate(&w, id), KF_E_ARCHIVED));
	OK(kf_is(revoke(&w, id, 1), KF_E_ARCHIVED));
	OK(kf_is(destroy(&w, id), KF_E_ARCHIVED));
	OK(kf_is(change_text(&w, ATTRIBUTE_ADD, id, TAG_COMMENT, "c"), KF_E_ARCHIVED));
	OK(kf_is(move(&w, KMIP_OPERATION_ARCHIVE, id), KF_E_ARCHIVED));
	EQ(located_by_name(&w, "k", NULL), 0);
	OK(attrs_get_date(object_of(&w, id)->attrs, TAG_ARCHIVE_DATE, &date));
	EQ(date, NOW);

	OK(kf_ok(move(&w, KMIP_OPERATION_RECOVER, id)));
	OK(kf_ok(sign_text(&w, id, "t")));
	EQ(located_by_name(&w, "k", NULL), 1);
	OK(!attrs_get_date(object_of(&w, id)->attrs, TAG_ARCHIVE_DATE, &date));
}

/* --- what only the server says --- */

/* Whose id is known to all who know its public key. */
TEST(nobody_has_keys_of_others_deleted_from_tokens_by_a_claim)
{
	WORLD(w);
	autobuf claim = buf_new(1024);
	uint8_t theirs[KEY_ID_SIZE];
	char hex[2 * KEY_ID_SIZE + 1], found[OBJECT_ID_SIZE];
	struct pair p;
	OK(kf_ok(let_alice_create(&w)));
	memset(theirs, 0xab, sizeof(theirs));
	for (size_t i = 0; i < KEY_ID_SIZE; i++)
		memcpy(hex + 2 * i, "ab", 3);
	attrs_add_vendor_text(&claim, slice_of(TOKEN_ATTRIBUTE_VENDOR),
		slice_of(TOKEN_ATTRIBUTE_KEY_ID), slice_of(hex));

	const struct pair_wish wish = {
		.algorithm = 6, .curve = 7, .private_extra = buf_slice(&claim)
	};
	if (kf_ok(create_pair(&w, &wish, &p)))
		OK(kf_ok(destroy(&w, &p.private_key)));

	OK(!token_key_is_buried(w.server.catalog, theirs, found));
	OK(kf_is(create_pair(&w, &wish, &p), KF_E_READ_ONLY));
}

static kf_err register_with(struct world *w, const char *name)
{
	static const uint8_t bytes[16] = { 1 };
	autobuf attrs = buf_new(1024);
	struct id id;
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, 12);
	attrs_add_vendor_text(
		&attrs, slice_of(TOKEN_ATTRIBUTE_VENDOR), slice_of(name), slice_of("x"));
	return register_object(w, buf_slice(&attrs),
		&(struct kmip_object){ .type = OBJECT_SYMMETRIC_KEY,
			.block = { .format = KMIP_KEY_FORMAT_TYPE_RAW,
				.algorithm = 3,
				.length = 128,
				.has_value = true,
				.material = { bytes, 16 } } },
		&id);
}

static kf_err create_with(struct world *w, const char *name)
{
	autobuf attrs = buf_new(1024);
	struct id made;
	add_symmetric(&attrs, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 128);
	attrs_add_vendor_text(
		&attrs, slice_of(TOKEN_ATTRIBUTE_VENDOR), slice_of(name), slice_of("x"));
	return create_object(w, OBJECT_SYMMETRIC_KEY, buf_slice(&attrs), &made);
}

static kf_err create_pair_with(struct world *w, const char *name)
{
	autobuf extra = buf_new(1024);
	struct pair p;
	attrs_add_vendor_text(
		&extra, slice_of(TOKEN_ATTRIBUTE_VENDOR), slice_of(name), slice_of("x"));
	return create_pair(w,
		&(struct pair_wish){
			.algorithm = 6, .curve = 7, .private_extra = buf_slice(&extra) },
		&p);
}

TEST(what_servers_say_of_an_object_no_request_for_a_new_one_says)
{
	static const char *const servers[] = { CERTIFY_ATTRIBUTE_CHAIN,
		CERTIFY_ATTRIBUTE_CA, CERTIFY_ATTRIBUTE_PROFILE, TOKEN_ATTRIBUTE_OVERFLOW,
		TOKEN_ATTRIBUTE_COUNTER, TOKEN_ATTRIBUTE_LEASE, "anything-else" };
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	for (size_t i = 0; i < sizeof(servers) / sizeof(*servers); i++)
		for (int v = 0; v < 2; v++) {
			w.version = v ? KMIP_2_0 : KMIP_2_1; /* 1.x cannot say it */
			OK(kf_is(register_with(&w, servers[i]), KF_E_READ_ONLY));
			OK(kf_is(create_with(&w, servers[i]), KF_E_READ_ONLY));
			OK(kf_is(create_pair_with(&w, servers[i]), KF_E_READ_ONLY));
		}
	/* a wish, where keys are made */
	OK(kf_ok(create_with(&w, TOKEN_ATTRIBUTE_COPIES)));
	OK(kf_is(register_with(&w, TOKEN_ATTRIBUTE_COPIES), KF_E_READ_ONLY));
}

TEST_MAIN
