/* SPDX-License-Identifier: Apache-2.0 */
#include "op/served.h"
#include "attributes.h"
#include "kmip/get_attribute_list.h"

static const uint16_t versions[] = { KMIP_1_0, KMIP_1_1, KMIP_1_2, KMIP_1_3, KMIP_1_4,
	KMIP_2_0, KMIP_2_1 };
enum { VERSIONS = sizeof(versions) / sizeof(*versions) };

static bool says_fresh(struct world *w, const struct id *id)
{
	bool is = false;
	return kf_ok(attributes(w, id)) &&
	       attrs_get_bool(buf_slice(&w->attrs), TAG_FRESH, &is) && is;
}

static const struct object *object_of(struct world *w, const struct id *id)
{
	return catalog_find(w->server.catalog, slice_of(id->text));
}

TEST(an_object_is_fresh_until_it_is_served)
{
	WORLD(w);
	struct id id;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, NULL, &id)));
	OK(says_fresh(&w, &id));
	OK(says_fresh(&w, &id)); /* Get Attributes serves nothing */

	OK(kf_ok(get(&w, &id, &a)));
	OK(!says_fresh(&w, &id));
	OK(kf_ok(get(&w, &id, &a)));
	/* The store works in order: behind this change the note is there. */
	OK(kf_ok(change_text(&w, ATTRIBUTE_ADD, &id, TAG_COMMENT, "c")));
	OK(!object_of(&w, &id)->is_fresh && !says_fresh(&w, &id));
}

TEST(what_was_refused_was_not_served)
{
	WORLD(w);
	struct pair p;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_p256(&w, NULL, &p)));
	OK(kf_is(get(&w, &p.private_key, &a), KF_E_SENSITIVE));
	OK(says_fresh(&w, &p.private_key));
	OK(kf_ok(get(&w, &p.public_key, &a)));
	OK(!says_fresh(&w, &p.public_key));
}

/* Somebody changes the object at the very moment when it is first served. */
TEST(a_change_meanwhile_does_not_make_it_fresh_again)
{
	WORLD(w);
	struct id id;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, NULL, &id)));
	atomic_store(&((struct object *)(uintptr_t)object_of(&w, &id))->served, 1);
	OK(kf_ok(change_text(&w, ATTRIBUTE_ADD, &id, TAG_COMMENT, "c")));
	OK(!object_of(&w, &id)->is_fresh);
}

TEST(fresh_members_of_a_group_are_found)
{
	WORLD(w);
	struct id id, other;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, NULL, &id)));
	OK(kf_ok(create_aes(&w, NULL, &other)));
	OK(kf_ok(get(&w, &id, &a)));
	autobuf fresh = buf_new(64), used = buf_new(64);
	attrs_add_bool(&fresh, TAG_FRESH, true);
	attrs_add_bool(&used, TAG_FRESH, false);
	EQ(located(&w, buf_slice(&fresh), NULL), 1);
	EQ(located(&w, buf_slice(&used), NULL), 1);
}

TEST(an_object_is_found_by_its_short_identifier)
{
	WORLD(w);
	struct id id, found;
	struct ttlv_item it;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, NULL, &id)));
	OK(kf_ok(create_aes(&w, NULL, &found)));
	OK(kf_ok(attributes(&w, &id)));
	OK(attrs_find(buf_slice(&w.attrs), TAG_SHORT_UNIQUE_IDENTIFIER, 0, &it));
	EQ(it.value.n, 16);
	autobuf wanted = buf_new(64);
	buf_add_slice(&wanted, it.whole);
	EQ(located(&w, buf_slice(&wanted), &found), 1);
	EQ(strcmp(found.text, id.text), 0);
}

/* --- versions --- */

/* An AES key with every attribute that a client may add to it. */
static kf_err create_rich(struct world *w, struct id *ret)
{
	const struct attr_info *info;
	KF_TRY(create_aes(w, "rich", ret));
	for (size_t i = 0; (info = attr_info_each(i)); i++) {
		autobuf set = buf_new(1024);
		const uint16_t types = ttlv_tag(info->tag)->types;
		struct ttlv_writer out = ttlv_write(&set, 0);
		if (!info->is_modifiable || info->until < KMIP_2_1)
			continue;
		if (types & 1 << TTLV_TEXT)
			attrs_add_text(&set, info->tag, slice_of("t"));
		else if (types & 1 << TTLV_BOOL)
			attrs_add_bool(&set, info->tag, true);
		else if (types & 1 << TTLV_DATE)
			attrs_add_date(&set, info->tag, w->now_s + 100);
		else if (types & 1 << TTLV_INTERVAL)
			ttlv_put_interval(&out, (enum ttlv_tag)info->tag, 5);
		else if (types & 1 << TTLV_ENUM)
			attrs_add_enum(&set, info->tag, 1);
		if (set.n && !attrs_count(object_of(w, ret)->attrs, info->tag))
			KF_TRY(change_to(w, ATTRIBUTE_ADD, ret, &set));
	}
	return KF_OK;
}

static bool is_known(const struct attr_info *info, uint16_t version)
{
	return info && info->since <= version && version <= info->until;
}

/* Every name or tag in an answer is one that the version has. */
static bool all_known(struct slice answer, uint16_t version, size_t *n)
{
	struct ttlv_reader r = ttlv_read(answer);
	struct ttlv_item it;
	bool ok = true;
	while (ok && ttlv_next(&r, &it)) {
		struct ttlv_reader in = ttlv_read(it.value);
		struct slice name = it.value;
		if (it.tag == TAG_ATTRIBUTE && !kmip_is_2(version))
			ttlv_get_text(&in, TAG_ATTRIBUTE_NAME, &name);
		if (it.tag == TAG_ATTRIBUTES)
			ok = all_known(it.value, version, n);
		else if (it.tag == TAG_ATTRIBUTE_REFERENCE)
			ok = is_known(attr_info((uint32_t)ttlv_item_int(&it)), version);
		else if (!kmip_is_2(version) && it.tag != TAG_UNIQUE_IDENTIFIER)
			ok = is_known(attr_info_by_name(name), version);
		else
			ok = is_known(attr_info(it.tag), version);
		++*n;
	}
	return ok;
}

TEST(nothing_newer_than_the_version_leaves)
{
	WORLD(w);
	struct id id;
	size_t before = 0, first = 0;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_rich(&w, &id)));

	for (size_t v = 0; v < VERSIONS; v++) {
		size_t n = 0, listed = 0;
		w.version = versions[v];
		OK(kf_ok(attributes(&w, &id)));
		OK(ttlv_fits(buf_slice(&w.answer), w.version));
		OK(all_known(buf_slice(&w.answer), w.version, &n));
		struct ttlv_writer q = question(&w);
		get_attribute_list_put_request(
			&q, &(struct get_attribute_list_request){ uid(&id) });
		OK(kf_ok(ask(&w, KMIP_OPERATION_GET_ATTRIBUTE_LIST)));
		OK(ttlv_fits(buf_slice(&w.answer), w.version));
		OK(all_known(buf_slice(&w.answer), w.version, &listed));
		OK(n >= before && listed > 1);
		before = n;
		first = first ? first : n;
	}
	OK(before > first);
}

TEST_MAIN
