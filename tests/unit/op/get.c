/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "crypt/keygen.h"
#include "kmip/get_attribute_list.h"
#include "world.h"
#include <openssl/sha.h>
#include <string.h>

enum { RAW = 1, FORMAT_PKCS1 = 3, FORMAT_PKCS8 = 4, FORMAT_X509 = 5, FORMAT_SEC1 = 6 };

static bool is_true(struct world *w, uint32_t tag)
{
	bool v = false;
	return attrs_get_bool(buf_slice(&w->attrs), tag, &v) && v;
}

TEST(a_symmetric_key_comes_back_with_its_length_and_digest)
{
	WORLD(w);
	struct id id;
	struct get_response a;
	uint8_t digest[32];
	struct ttlv_item it;
	struct slice value = { 0 };
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, NULL, &id)));

	OK(kf_ok(get(&w, &id, &a)));

	EQ(a.object_type, OBJECT_SYMMETRIC_KEY);
	EQ(a.object.block.format, RAW);
	EQ(a.object.block.algorithm, 3);
	EQ(a.object.block.length, 256);
	EQ(a.object.block.material.n, 32);
	SHA256(a.object.block.material.p, 32, digest);
	OK(kf_ok(attributes(&w, &id)));
	OK(attrs_find(buf_slice(&w.attrs), TAG_DIGEST, 0, &it));
	struct ttlv_reader r = ttlv_read(it.value);
	uint32_t hash = 0;
	ttlv_get_enum(&r, TAG_HASHING_ALGORITHM, &hash);
	ttlv_get_bytes(&r, TAG_DIGEST_VALUE, &value);
	EQ(hash, 6);
	OK(slice_eq(value, (struct slice){ digest, 32 }));
}

TEST(two_keys_differ)
{
	WORLD(w);
	struct id one, two;
	struct get_response a;
	uint8_t first[32];
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, NULL, &one)));
	OK(kf_ok(create_aes(&w, NULL, &two)));

	OK(kf_ok(get(&w, &one, &a)));
	memcpy(first, a.object.block.material.p, 32);
	OK(kf_ok(get(&w, &two, &a)));

	OK(memcmp(first, a.object.block.material.p, 32));
}

TEST(a_private_key_made_here_stays_here)
{
	WORLD(w);
	struct pair p;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_p256(&w, NULL, &p)));

	OK(kf_is(get(&w, &p.private_key, &a), KF_E_SENSITIVE));
	OK(kf_ok(attributes(&w, &p.private_key)));
	OK(is_true(&w, TAG_SENSITIVE) && is_true(&w, TAG_ALWAYS_SENSITIVE));
	OK(!is_true(&w, TAG_EXTRACTABLE) && is_true(&w, TAG_NEVER_EXTRACTABLE));
	be(&w, "root", true);
	OK(kf_is(get(&w, &p.private_key, &a), KF_E_SENSITIVE));
}

static kf_err create_open_pair(
	struct world *w, bool sensitive, bool extractable, struct pair *ret)
{
	autobuf extra = buf_new(1024);
	attrs_add_bool(&extra, TAG_SENSITIVE, sensitive);
	attrs_add_bool(&extra, TAG_EXTRACTABLE, extractable);
	return create_pair(w,
		&(struct pair_wish){ .algorithm = 6,
			.curve = 7,
			.is_active = true,
			.private_extra = buf_slice(&extra) },
		ret);
}

TEST(whoever_asks_for_it_at_creation_gets_the_private_key)
{
	WORLD(w);
	struct pair p, locked;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_open_pair(&w, false, true, &p)));
	OK(kf_ok(create_open_pair(&w, false, false, &locked)));

	OK(kf_ok(get(&w, &p.private_key, &a)));
	EQ(a.object.block.format, FORMAT_PKCS8);
	OK(kf_ok(get_as(&w, &p.private_key, FORMAT_SEC1, &a)));
	EQ(a.object.block.format, FORMAT_SEC1);
	OK(kf_is(get_as(&w, &p.private_key, FORMAT_PKCS1, &a), KF_E_KEY_FORMAT));
	OK(kf_is(get_as(&w, &p.private_key, 99, &a), KF_E_KEY_FORMAT));
	OK(kf_is(get(&w, &locked.private_key, &a), KF_E_NOT_EXTRACTABLE));
}

/* The class is decided on the object as it is found, before anything is answered. */
TEST(who_is_given_a_secret_or_has_a_key_wrap_waits_for_the_record)
{
	const enum object_type secrets[] = { OBJECT_PRIVATE_KEY, OBJECT_SYMMETRIC_KEY,
		OBJECT_SECRET_DATA };
	struct object other = { .type = OBJECT_PUBLIC_KEY };
	struct op_call call = { .op = op_find(KMIP_OPERATION_GET), .object = &other };

	EQ(op_audit_of(&call), AUDIT_QUEUED);
	strcpy(call.with, "the wrapping key");
	EQ(op_audit_of(&call), AUDIT_FIRST);
	call.with[0] = '\0';
	for (size_t i = 0; i < sizeof(secrets) / sizeof(*secrets); i++) {
		struct object secret = { .type = secrets[i] };
		call.object = &secret;
		EQ(op_audit_of(&call), AUDIT_FIRST);
	}
	call.object = &other;
	call.op = op_find(KMIP_OPERATION_SIGN);
	EQ(op_audit_of(&call), AUDIT_FIRST);
}

TEST(a_public_key_comes_in_the_format_asked_for)
{
	WORLD(w);
	struct pair p;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_pair(&w,
		&(struct pair_wish){ .algorithm = 4, .bits = 2048, .is_active = true },
		&p)));

	OK(kf_ok(get(&w, &p.public_key, &a)));
	EQ(a.object.block.format, FORMAT_PKCS1);
	OK(kf_ok(get_as(&w, &p.public_key, FORMAT_X509, &a)));
	EQ(a.object.block.format, FORMAT_X509);
	EQ(a.object.block.length, 2048);
}

TEST(wrapping_without_a_wrapping_key_is_refused)
{
	WORLD(w);
	struct id id;
	autobuf spec = buf_new(1024);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, NULL, &id)));
	struct ttlv_writer s = ttlv_write(&spec, 0);
	ttlv_begin(&s, TAG_KEY_WRAPPING_SPECIFICATION);
	ttlv_put_enum(&s, TAG_WRAPPING_METHOD, 1);
	ttlv_end(&s);

	struct ttlv_writer q = question(&w);
	get_put_request(&q, &(struct get_request){ .uid = uid(&id),
				    .key_wrapping_specification = buf_slice(&spec) });
	OK(kf_is(ask(&w, KMIP_OPERATION_GET), KF_E_MISSING));
}

TEST(the_halves_of_a_pair_link_to_each_other)
{
	WORLD(w);
	struct pair p;
	struct slice link;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_p256(&w, NULL, &p)));

	OK(kf_ok(attributes(&w, &p.private_key)));
	OK(attrs_get_link(buf_slice(&w.attrs), KMIP_LINK_TYPE_PUBLIC_KEY_LINK, &link));
	OK(slice_is(link, p.public_key.text));
	OK(kf_ok(attributes(&w, &p.public_key)));
	OK(attrs_get_link(buf_slice(&w.attrs), KMIP_LINK_TYPE_PRIVATE_KEY_LINK, &link));
	OK(slice_is(link, p.private_key.text));
}

TEST(attributes_by_name_are_those_and_no_others)
{
	WORLD(w);
	struct id id;
	autobuf names = buf_new(1024);
	struct get_attributes_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, "n", &id)));
	struct ttlv_writer n = ttlv_write(&names, w.version);
	attr_ref_put(&n, &(struct attr_ref){ .tag = TAG_STATE });
	attr_ref_put(&n, &(struct attr_ref){ .tag = TAG_NAME });
	attr_ref_put(&n, &(struct attr_ref){ .tag = TAG_DESTROY_DATE });

	struct ttlv_writer q = question(&w);
	get_attributes_put_request(&q, &(struct get_attributes_request){ .uid = uid(&id),
					       .names = buf_slice(&names) });
	OK(kf_ok(ask(&w, KMIP_OPERATION_GET_ATTRIBUTES)));
	struct ttlv_reader r = answer(&w);
	OK(kf_ok(get_attributes_get_response(&r, &a, &w.attrs)));

	EQ(attrs_count(buf_slice(&w.attrs), TAG_STATE), 1);
	EQ(attrs_count(buf_slice(&w.attrs), TAG_NAME), 1);
	EQ(attrs_count(buf_slice(&w.attrs), TAG_INITIAL_DATE), 0);
}

TEST(the_attribute_list_names_each_once)
{
	WORLD(w);
	struct id id;
	struct get_attribute_list_response a;
	struct attr_ref ref;
	int states = 0, n = 0;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, "n", &id)));

	struct ttlv_writer q = question(&w);
	get_attribute_list_put_request(
		&q, &(struct get_attribute_list_request){ .uid = uid(&id) });
	OK(kf_ok(ask(&w, KMIP_OPERATION_GET_ATTRIBUTE_LIST)));
	struct ttlv_reader r = answer(&w);
	OK(kf_ok(get_attribute_list_get_response(&r, &a)));
	struct ttlv_reader each = ttlv_read_as(a.attributes, w.version, false);
	for (; attr_ref_get(&each, &ref); n++)
		states += ref.tag == TAG_STATE;

	EQ(states, 1);
	OK(n >= 10);
}

TEST(names_are_unique_for_their_owner)
{
	WORLD(w);
	struct id id;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(add_grant(&w, "bob", "*", PERM_CREATE, 0)));
	OK(kf_ok(create_aes(&w, "k", &id)));

	OK(kf_is(create_aes(&w, "k", &id), KF_E_NAME_NOT_UNIQUE));
	be(&w, "bob", false);
	OK(kf_ok(create_aes(&w, "k", &id)));
}

TEST(impossible_keys_are_not_made)
{
	WORLD(w);
	struct pair p;
	const struct pair_wish bad[] = {
		{ .algorithm = 4, .bits = 1024 },
		{ .algorithm = 4 },
		{ .algorithm = 6, .curve = 7, .bits = 384 },
		{ .algorithm = 6, .curve = 1 },
		{ .algorithm = 3, .bits = 256 },
		{ .algorithm = 6, .curve = 7, .private_name = "x", .public_name = "x" },
	};
	OK(kf_ok(let_alice_create(&w)));

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		OK(!kf_ok(create_pair(&w, &bad[i], &p)));
	EQ(catalog_count(w.server.catalog), 0);
}

/* The first Get opens the key, later ones find it open, as long as there is room for that. */
TEST(a_key_that_is_read_again_is_the_same_with_and_without_room_to_keep_it)
{
	enum { KEYS = 60 };
	WORLD(w);
	struct id id[KEYS], other;
	uint8_t first[KEYS][32];
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(secret_init(4096)));
	for (int i = 0; i < KEYS; i++) {
		OK(kf_ok(create_aes(&w, NULL, &id[i])));
		OK(kf_ok(get(&w, &id[i], &a)));
		memcpy(first[i], a.object.block.material.p, 32);
	}
	/* That they were served is noted in the store, behind which this comes; then they are open again. */
	OK(kf_ok(create_aes(&w, NULL, &other)));
	for (int i = 0; i < KEYS; i++)
		OK(kf_ok(get(&w, &id[i], &a)));
	const struct object *kept = catalog_find(w.server.catalog, slice_of(id[0].text));
	const struct object *last =
		catalog_find(w.server.catalog, slice_of(id[KEYS - 1].text));
	OK(kept->opened && !last->opened);

	for (int i = 0; i < KEYS; i++) {
		OK(kf_ok(get(&w, &id[i], &a)));
		OK(!memcmp(first[i], a.object.block.material.p, 32));
	}

	OK(kf_ok(destroy(&w, &id[0])));
	OK(kf_is(get(&w, &id[0], &a), KF_E_DESTROYED));
}

TEST_MAIN
