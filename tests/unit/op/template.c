/* SPDX-License-Identifier: Apache-2.0 */
#include "attributes.h"

static void put_attribute(struct ttlv_writer *w, const char *name, const struct buf *set)
{
	struct ttlv_reader r = ttlv_read(buf_slice(set));
	struct ttlv_item it;
	if (!ttlv_next(&r, &it))
		return;
	ttlv_begin(w, TAG_ATTRIBUTE);
	ttlv_put_text(w, TAG_ATTRIBUTE_NAME, slice_of(name));
	ttlv_put_as(w, TAG_ATTRIBUTE_VALUE, &it);
	ttlv_end(w);
}

static void put_int(struct ttlv_writer *w, const char *name, enum ttlv_tag tag, int32_t v)
{
	autobuf set = buf_new(256);
	attrs_add_int(&set, tag, v);
	put_attribute(w, name, &set);
}

static void put_text(
	struct ttlv_writer *w, const char *name, enum ttlv_tag tag, const char *v)
{
	autobuf set = buf_new(256);
	attrs_add_text(&set, tag, slice_of(v));
	put_attribute(w, name, &set);
}

static void put_name(struct ttlv_writer *w, const char *name)
{
	autobuf set = buf_new(1024);
	attrs_add_name(&set, slice_of(name));
	put_attribute(w, "Name", &set);
}

/* AES, so many bits, one group; its name is among what it holds, or among its attributes. */
static kf_err add_template(
	struct world *w, const char *name, int32_t bits, const char *group, bool inner)
{
	autobuf algorithm = buf_new(256);
	attrs_add_enum(&algorithm, TAG_CRYPTOGRAPHIC_ALGORITHM, 3);
	struct ttlv_writer q = question(w);
	ttlv_put_enum(&q, TAG_OBJECT_TYPE, OBJECT_TEMPLATE);
	ttlv_begin(&q, TAG_TEMPLATE_ATTRIBUTE);
	if (!inner)
		put_name(&q, name);
	ttlv_end(&q);
	ttlv_begin(&q, TAG_TEMPLATE);
	put_attribute(&q, "Cryptographic Algorithm", &algorithm);
	put_int(&q, "Cryptographic Length", TAG_CRYPTOGRAPHIC_LENGTH, bits);
	put_text(&q, "Object Group", TAG_OBJECT_GROUP, group);
	if (inner)
		put_name(&q, name);
	ttlv_end(&q);
	KF_TRY(ttlv_written(&q));
	return ask(w, KMIP_OPERATION_REGISTER);
}

/* A key by one template or two, with a usage mask, and perhaps a length of its own. */
static kf_err create_by(struct world *w, const char *first, const char *second,
	int32_t bits, struct id *ret)
{
	const char *const names[] = { first, second };
	struct ttlv_writer q = question(w);
	ttlv_put_enum(&q, TAG_OBJECT_TYPE, OBJECT_SYMMETRIC_KEY);
	ttlv_begin(&q, TAG_TEMPLATE_ATTRIBUTE);
	for (int i = 0; i < 2 && names[i]; i++) {
		ttlv_begin(&q, TAG_NAME);
		ttlv_put_text(&q, TAG_NAME_VALUE, slice_of(names[i]));
		ttlv_put_enum(&q, TAG_NAME_TYPE, 1);
		ttlv_end(&q);
	}
	put_int(&q, "Cryptographic Usage Mask", TAG_CRYPTOGRAPHIC_USAGE_MASK, 12);
	if (bits)
		put_int(&q, "Cryptographic Length", TAG_CRYPTOGRAPHIC_LENGTH, bits);
	ttlv_end(&q);
	KF_TRY(ttlv_written(&q));
	KF_TRY(ask(w, KMIP_OPERATION_CREATE));
	struct create_response a;
	struct ttlv_reader r = answer(w);
	KF_TRY(create_get_response(&r, &a));
	keep_id(&a.uid, ret);
	return KF_OK;
}

static int32_t length_of(struct world *w, const struct id *id)
{
	const struct object *o = catalog_find(w->server.catalog, slice_of(id->text));
	return o ? (int32_t)o->length : -1;
}

static size_t groups_of(struct world *w, const struct id *id)
{
	const struct object *o = catalog_find(w->server.catalog, slice_of(id->text));
	return attrs_count(o->attrs, TAG_OBJECT_GROUP);
}

TEST(a_template_says_what_the_request_does_not)
{
	WORLD(w);
	struct id id;
	OK(kf_ok(let_alice_create(&w)));
	for (uint16_t version = KMIP_1_0; version <= KMIP_1_4; version++) {
		char name[16];
		w.version = version;
		snprintf(name, sizeof(name), "t%u", version);
		OK(kf_ok(add_template(&w, name, 192, "g", false)));
		OK(kf_ok(create_by(&w, name, NULL, 0, &id)));
		EQ(length_of(&w, &id), 192);
		OK(has_text(&w, &id, TAG_OBJECT_GROUP, "g"));
		OK(kf_ok(create_by(&w, name, NULL, 256, &id)));
		EQ(length_of(&w, &id), 256);
	}
}

TEST(of_two_templates_the_later_one_holds_and_several_values_come_together)
{
	WORLD(w);
	struct id id;
	OK(kf_ok(let_alice_create(&w)));
	w.version = KMIP_1_2;
	OK(kf_ok(add_template(&w, "a", 128, "g", false)));
	OK(kf_ok(add_template(&w, "b", 192, "h", false)));
	OK(kf_ok(create_by(&w, "a", "b", 0, &id)));
	EQ(length_of(&w, &id), 192);
	EQ(groups_of(&w, &id), 2);
}

TEST(a_template_that_is_not_there_is_not_found)
{
	WORLD(w);
	struct id id;
	OK(kf_ok(let_alice_create(&w)));
	w.version = KMIP_1_1;
	OK(kf_ok(create_aes(&w, "key", &id)));
	OK(kf_is(create_by(&w, "none", NULL, 0, &id), KF_E_NOT_FOUND));
	OK(kf_is(create_by(&w, "key", NULL, 0, &id), KF_E_NOT_FOUND));
	OK(kf_ok(add_template(&w, "t", 128, "g", false)));
	be(&w, "bob", false);
	OK(kf_ok(add_grant(&w, "bob", "*", PERM_CREATE, 0)));
	OK(kf_is(create_by(&w, "t", NULL, 0, &id), KF_E_NOT_FOUND));
	OK(kf_ok(add_grant(&w, "bob", "name:t", PERM_GET, 0)));
	OK(kf_ok(create_by(&w, "t", NULL, 0, &id)));
}

/* It says what the keys are like, and in which groups: by which others have rights. */
TEST(nobody_puts_a_template_of_the_same_name_before_a_shared_one)
{
	WORLD(w);
	struct id id;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(add_grant(&w, "carol", "*", PERM_CREATE, 0)));
	OK(kf_ok(add_grant(&w, "mallory", "*", PERM_REGISTER, 0)));
	OK(kf_ok(add_grant(&w, "*", "name:disks", PERM_GET, 0)));
	w.version = KMIP_1_2;
	be(&w, "alice", false);
	OK(kf_ok(add_template(&w, "disks", 256, "ours", false)));
	be(&w, "carol", false);
	OK(kf_ok(create_by(&w, "disks", NULL, 0, &id)));
	OK(has_text(&w, &id, TAG_OBJECT_GROUP, "ours"));

	be(&w, "mallory", false);
	OK(kf_ok(add_template(&w, "disks", 128, "mallory's", false)));
	be(&w, "carol", false);
	OK(kf_is(create_by(&w, "disks", NULL, 0, &id), KF_E_NOT_FOUND));
	be(&w, "alice", false); /* her own is no matter of others' */
	OK(kf_ok(create_by(&w, "disks", NULL, 0, &id)));
	OK(has_text(&w, &id, TAG_OBJECT_GROUP, "ours"));
	be(&w, "root", true);
	memcpy(w.who.name, ADMIN_NAME, sizeof(ADMIN_NAME));
	OK(kf_ok(add_template(&w, "disks", 192, "site", false)));
	be(&w, "carol", false);
	OK(kf_ok(create_by(&w, "disks", NULL, 0, &id)));
	OK(has_text(&w, &id, TAG_OBJECT_GROUP, "site"));
}

TEST(a_name_that_a_template_holds_is_its_own)
{
	WORLD(w);
	struct id id = { "" };
	OK(kf_ok(let_alice_create(&w)));
	w.version = KMIP_1_0;
	OK(kf_ok(add_template(&w, "t", 192, "g", true)));
	OK(kf_is(add_template(&w, "t", 192, "g", true), KF_E_NAME_NOT_UNIQUE));
	OK(kf_ok(create_by(&w, "t", NULL, 0, &id)));
	const struct object *o = catalog_find(w.server.catalog, slice_of(id.text));
	EQ(o->length, 192);
	EQ(attrs_count(o->attrs, TAG_NAME), 0);
	EQ(located_by_name(&w, "t", &id), 1);
}

TEST(a_template_is_in_no_state)
{
	WORLD(w);
	struct id id = { "" };
	OK(kf_ok(let_alice_create(&w)));
	w.version = KMIP_1_2;
	OK(kf_ok(add_template(&w, "t", 128, "g", false)));
	EQ(located_by_name(&w, "t", &id), 1);
	OK(kf_is(activate(&w, &id), KF_E_ILLEGAL));
	OK(kf_is(revoke(&w, &id, 1), KF_E_ILLEGAL));
	struct get_response a;
	OK(kf_ok(get(&w, &id, &a)));
	EQ(a.object.type, OBJECT_TEMPLATE);
	OK(kf_ok(move(&w, KMIP_OPERATION_ARCHIVE, &id)));
	OK(kf_is(create_by(&w, "t", NULL, 0, &id), KF_E_ARCHIVED));
}

TEST(two_x_has_no_templates)
{
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	for (int i = 0; i < 2; i++) {
		w.version = i ? KMIP_2_1 : KMIP_2_0;
		struct ttlv_writer q = question(&w);
		ttlv_put_enum(&q, TAG_OBJECT_TYPE, OBJECT_TEMPLATE);
		ttlv_begin(&q, TAG_ATTRIBUTES);
		ttlv_end(&q);
		q.version = 0;
		ttlv_begin(&q, TAG_TEMPLATE);
		ttlv_end(&q);
		OK(!kf_ok(ask(&w, KMIP_OPERATION_REGISTER)));
	}
	EQ(catalog_count(w.server.catalog), 0);
}

TEST_MAIN
