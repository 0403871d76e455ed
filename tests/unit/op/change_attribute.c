/* SPDX-License-Identifier: Apache-2.0 */
#include "attributes.h"

static const uint16_t versions[] = { KMIP_1_0, KMIP_1_1, KMIP_1_2, KMIP_1_3, KMIP_1_4,
	KMIP_2_0, KMIP_2_1 };
enum { VERSIONS = sizeof(versions) / sizeof(*versions) };

#define EACH_VERSION(w)                                                                  \
	for (size_t v_ = 0; v_ < VERSIONS && ((w).version = versions[v_]); v_++)

static struct id new_key(struct world *w)
{
	struct id id = { "" };
	return kf_ok(create_aes(w, NULL, &id)) ? id : (struct id){ "" };
}

static const struct object *object_of(struct world *w, const struct id *id)
{
	return catalog_find(w->server.catalog, slice_of(id->text));
}

/* --- adding, modifying, deleting --- */

TEST(attributes_are_added_changed_and_deleted_in_every_version)
{
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	EACH_VERSION(w)
	{
		const struct id id = new_key(&w);
		const uint32_t tag = TAG_CONTACT_INFORMATION;
		OK(kf_ok(change_text(&w, ATTRIBUTE_ADD, &id, tag, "me")));
		OK(has_text(&w, &id, tag, "me"));
		OK(kf_is(change_text(&w, ATTRIBUTE_ADD, &id, tag, "you"),
			KF_E_SINGLE_VALUED));
		OK(kf_ok(change_text(&w, ATTRIBUTE_MODIFY, &id, tag, "you")));
		OK(has_text(&w, &id, tag, "you"));
		OK(kf_ok(delete_attribute(&w, &id, tag, -1)));
		OK(!has_text(&w, &id, tag, "you"));
		OK(kf_is(delete_attribute(&w, &id, tag, -1), KF_E_NOTHING_TO_DELETE));
		OK(kf_is(change_text(&w, ATTRIBUTE_MODIFY, &id, tag, "me"),
			KF_E_NO_ATTRIBUTE));
	}
}

TEST(of_an_attribute_that_nobody_knows_1_x_has_nothing_to_delete)
{
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	w.version = KMIP_1_3;
	const struct id id = new_key(&w);
	struct ttlv_writer q = question(&w);
	const struct kmip_uid u = uid(&id);
	kmip_put_uid(&q, TAG_UNIQUE_IDENTIFIER, &u);
	ttlv_put_text(&q, TAG_ATTRIBUTE_NAME, slice_of("Colour"));
	OK(kf_is(ask(&w, KMIP_OPERATION_DELETE_ATTRIBUTE), KF_E_NOTHING_TO_DELETE));
}

TEST(a_change_is_one_new_version_with_its_date)
{
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	const struct id id = new_key(&w);
	int64_t changed = 0;

	w.now_s = NOW + 5;
	OK(kf_ok(change_text(&w, ATTRIBUTE_ADD, &id, TAG_DESCRIPTION, "d")));
	EQ(object_of(&w, &id)->version, 2);
	OK(attrs_get_date(object_of(&w, &id)->attrs, TAG_LAST_CHANGE_DATE, &changed));
	EQ(changed, NOW + 5);
	struct get_response a;
	OK(kf_ok(get(&w, &id, &a))); /* the material came along */
}

static kf_err modify_at(
	struct world *w, const struct id *id, int32_t index, const char *text)
{
	autobuf set = buf_new(1024);
	attrs_add_text(&set, TAG_OBJECT_GROUP, slice_of(text));
	return change(w, ATTRIBUTE_MODIFY,
		&(struct change_attribute_request){ .uid = uid(id),
			.new_attribute = buf_slice(&set),
			.index = { index >= 0, index } });
}

static int32_t answered_index(struct world *w)
{
	autobuf set = buf_new(4096);
	struct change_attribute_response a;
	struct ttlv_reader r = answer(w);
	if (!kf_ok(change_attribute_get_response(&r, &set, &a)))
		return -1;
	return a.index;
}

TEST(indices_of_1_x_stay_when_instances_go)
{
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	w.version = KMIP_1_2;
	const struct id id = new_key(&w);
	const char *const texts[] = { "zero", "one", "two" };
	for (int32_t i = 0; i < 3; i++) {
		OK(kf_ok(
			change_text(&w, ATTRIBUTE_ADD, &id, TAG_OBJECT_GROUP, texts[i])));
		EQ(answered_index(&w), i);
	}

	OK(kf_ok(delete_attribute(&w, &id, TAG_OBJECT_GROUP, 1)));
	EQ(answered_index(&w), 1);
	OK(kf_ok(modify_at(&w, &id, 2, "deux")));
	EQ(answered_index(&w), 2);
	OK(kf_is(modify_at(&w, &id, 1, "un"), KF_E_NO_INSTANCE));
	OK(kf_is(modify_at(&w, &id, 3, "trois"), KF_E_NO_INSTANCE));
	OK(kf_ok(modify_at(&w, &id, -1, "nul"))); /* no index is 0 */
	OK(kf_ok(delete_attribute(&w, &id, TAG_OBJECT_GROUP, 0)));
	OK(kf_is(delete_attribute(&w, &id, TAG_OBJECT_GROUP, 0), KF_E_NO_INSTANCE));
	OK(has_text(&w, &id, TAG_OBJECT_GROUP, "deux"));
	OK(kf_ok(change_text(&w, ATTRIBUTE_ADD, &id, TAG_OBJECT_GROUP, "three")));
	EQ(answered_index(&w), 3);
}

TEST(a_new_attribute_of_1_x_has_no_index)
{
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	w.version = KMIP_1_4;
	const struct id id = new_key(&w);
	autobuf set = buf_new(1024);
	attrs_add_text(&set, TAG_OBJECT_GROUP, slice_of("g"));
	const struct change_attribute_request q = {
		.uid = uid(&id), .new_attribute = buf_slice(&set), .index = { true, 1 }
	};
	OK(kf_is(change(&w, ATTRIBUTE_ADD, &q), KF_E_INVALID_FIELD));
}

static kf_err change_group(struct world *w, enum attribute_change kind,
	const struct id *id, const char *was, const char *is)
{
	autobuf old = buf_new(1024), set = buf_new(1024);
	attrs_add_text(&old, TAG_OBJECT_GROUP, slice_of(was));
	if (is)
		attrs_add_text(&set, TAG_OBJECT_GROUP, slice_of(is));
	return change(w, kind,
		&(struct change_attribute_request){ .uid = uid(id),
			.new_attribute = buf_slice(&set),
			.current_attribute = buf_slice(&old) });
}

TEST(instances_of_2_x_are_named_by_value)
{
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	const struct id id = new_key(&w);
	OK(kf_ok(change_text(&w, ATTRIBUTE_ADD, &id, TAG_OBJECT_GROUP, "a")));
	OK(kf_ok(change_text(&w, ATTRIBUTE_ADD, &id, TAG_OBJECT_GROUP, "b")));

	OK(kf_ok(change_group(&w, ATTRIBUTE_MODIFY, &id, "b", "c")));
	OK(kf_is(change_group(&w, ATTRIBUTE_MODIFY, &id, "b", "d"), KF_E_NO_INSTANCE));
	OK(kf_is(change_text(&w, ATTRIBUTE_MODIFY, &id, TAG_OBJECT_GROUP, "e"),
		KF_E_NO_INSTANCE)); /* which one? */
	OK(kf_ok(change_group(&w, ATTRIBUTE_DELETE, &id, "a", NULL)));
	OK(kf_is(change_group(&w, ATTRIBUTE_DELETE, &id, "a", NULL), KF_E_NO_INSTANCE));
	OK(has_text(&w, &id, TAG_OBJECT_GROUP, "c"));
	EQ(attrs_count(object_of(&w, &id)->attrs, TAG_OBJECT_GROUP), 1);
	OK(kf_ok(change_text(&w, ATTRIBUTE_ADD, &id, TAG_OBJECT_GROUP, "f")));
	OK(kf_ok(delete_attribute(&w, &id, TAG_OBJECT_GROUP, -1)));
	EQ(attrs_count(object_of(&w, &id)->attrs, TAG_OBJECT_GROUP), 0);
}

TEST(current_and_new_are_the_same_attribute)
{
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	const struct id id = new_key(&w);
	autobuf old = buf_new(1024), set = buf_new(1024);
	attrs_add_text(&old, TAG_OBJECT_GROUP, slice_of("a"));
	attrs_add_text(&set, TAG_CONTACT_INFORMATION, slice_of("a"));
	const struct change_attribute_request q = { .uid = uid(&id),
		.new_attribute = buf_slice(&set),
		.current_attribute = buf_slice(&old) };
	OK(kf_is(change(&w, ATTRIBUTE_MODIFY, &q), KF_E_INVALID_FIELD));
}

/* --- Set and Adjust --- */

TEST(setting_adds_or_replaces_the_only_value)
{
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	const struct id id = new_key(&w);
	OK(kf_ok(change_text(&w, ATTRIBUTE_SET, &id, TAG_COMMENT, "a")));
	OK(kf_ok(change_text(&w, ATTRIBUTE_SET, &id, TAG_COMMENT, "b")));
	OK(has_text(&w, &id, TAG_COMMENT, "b"));
	EQ(attrs_count(object_of(&w, &id)->attrs, TAG_COMMENT), 1);
	OK(kf_is(change_text(&w, ATTRIBUTE_SET, &id, TAG_OBJECT_GROUP, "g"),
		KF_E_MULTI_VALUED));
	w.version = KMIP_1_4;
	OK(kf_is(
		change_text(&w, ATTRIBUTE_SET, &id, TAG_COMMENT, "c"), KF_E_UNSUPPORTED));
}

static kf_err adjust(struct world *w, const struct id *id, const struct attr_ref *ref,
	uint32_t type, const struct buf *by)
{
	struct change_attribute_request q = {
		.uid = uid(id), .has_ref = true, .ref = *ref, .adjustment_type = type
	};
	struct ttlv_reader r = ttlv_read(by ? buf_slice(by) : (struct slice){ 0 });
	(void)ttlv_next(&r, &q.adjustment_value);
	return change(w, ATTRIBUTE_ADJUST, &q);
}

static kf_err adjust_by(
	struct world *w, const struct id *id, uint32_t tag, uint32_t type, int64_t n)
{
	autobuf by = buf_new(64);
	attrs_add_date(&by, TAG_ADJUSTMENT_VALUE, n);
	return adjust(w, id, &(struct attr_ref){ .tag = tag }, type, &by);
}

TEST(dates_and_numbers_are_adjusted)
{
	WORLD(w);
	int64_t date = 0;
	OK(kf_ok(let_alice_create(&w)));
	const struct id id = new_key(&w);
	const uint32_t up = KMIP_ADJUSTMENT_TYPE_INCREMENT;
	const uint32_t down = KMIP_ADJUSTMENT_TYPE_DECREMENT;

	OK(kf_is(adjust_by(&w, &id, TAG_ACTIVATION_DATE, up, 1),
		KF_E_UNSUPPORTED_ATTRIBUTE));
	OK(kf_ok(change_date(&w, ATTRIBUTE_ADD, &id, TAG_ACTIVATION_DATE, NOW + 100)));
	OK(kf_ok(adjust_by(&w, &id, TAG_ACTIVATION_DATE, up, 50)));
	OK(attrs_get_date(object_of(&w, &id)->attrs, TAG_ACTIVATION_DATE, &date));
	EQ(date, NOW + 150);
	OK(kf_is(adjust_by(&w, &id, TAG_ACTIVATION_DATE, up, INT64_MAX),
		KF_E_NUMERIC_RANGE));
	OK(kf_is(adjust_by(&w, &id, TAG_ACTIVATION_DATE, 9, 1), KF_E_INVALID_FIELD));
	OK(kf_ok(adjust_by(&w, &id, TAG_ACTIVATION_DATE, down, 150)));
	EQ(state_of(&w, &id), STATE_ACTIVE);
	OK(kf_is(adjust_by(&w, &id, TAG_ACTIVATION_DATE, down, 1), KF_E_STATE));
	OK(kf_is(
		adjust_by(&w, &id, TAG_CRYPTOGRAPHIC_LENGTH, up, 1), KF_E_ADD_READ_ONLY));
	OK(kf_is(adjust_by(&w, &id, TAG_NAME, up, 1), KF_E_MULTI_VALUED));
}

static void add_vendor_int(struct buf *set, const char *name, int32_t v)
{
	struct ttlv_writer w = ttlv_write(set, 0);
	ttlv_begin(&w, TAG_ATTRIBUTE);
	ttlv_put_text(&w, TAG_VENDOR_IDENTIFICATION, slice_of("x"));
	ttlv_put_text(&w, TAG_ATTRIBUTE_NAME, slice_of(name));
	ttlv_put_int(&w, TAG_ATTRIBUTE_VALUE, v);
	ttlv_end(&w);
}

TEST(vendor_numbers_are_adjusted_by_one_where_nothing_is_said)
{
	WORLD(w);
	autobuf set = buf_new(1024);
	struct ttlv_item it;
	const struct attr_ref ref = { TAG_ATTRIBUTE, slice_of("x"), slice_of("n") };
	OK(kf_ok(let_alice_create(&w)));
	const struct id id = new_key(&w);
	add_vendor_int(&set, "n", INT32_MAX - 1);
	OK(kf_ok(change_to(&w, ATTRIBUTE_ADD, &id, &set)));

	OK(kf_ok(adjust(&w, &id, &ref, KMIP_ADJUSTMENT_TYPE_INCREMENT, NULL)));
	OK(kf_is(adjust(&w, &id, &ref, KMIP_ADJUSTMENT_TYPE_INCREMENT, NULL),
		KF_E_NUMERIC_RANGE));
	OK(kf_ok(adjust(&w, &id, &ref, KMIP_ADJUSTMENT_TYPE_NEGATE, NULL)));
	OK(attrs_find_ref(object_of(&w, &id)->attrs, &ref, 0, &it));
	buf_clear(&set);
	add_vendor_int(&set, "n", -INT32_MAX);
	OK(slice_eq(it.whole, buf_slice(&set)));
}

TEST(truth_is_negated)
{
	WORLD(w);
	bool is = false;
	OK(kf_ok(let_alice_create(&w)));
	const struct id id = new_key(&w);
	const struct attr_ref ref = { .tag = TAG_SENSITIVE };
	OK(kf_is(adjust(&w, &id, &ref, KMIP_ADJUSTMENT_TYPE_INCREMENT, NULL),
		KF_E_DATA_TYPE));
	OK(kf_ok(adjust(&w, &id, &ref, KMIP_ADJUSTMENT_TYPE_NEGATE, NULL)));
	OK(attrs_get_bool(object_of(&w, &id)->attrs, TAG_SENSITIVE, &is) && is);
	OK(kf_is(adjust(&w, &id, &ref, KMIP_ADJUSTMENT_TYPE_NEGATE, NULL), KF_E_DENIED));
}

/* --- whose attributes --- */

/* A value that fits the attribute's tag. */
static void add_any(struct buf *set, const struct attr_info *info)
{
	const uint16_t types = ttlv_tag(info->tag)->types;
	if (types & 1 << TTLV_TEXT)
		attrs_add_text(set, info->tag, slice_of("t"));
	else if (types & 1 << TTLV_ENUM)
		attrs_add_enum(set, info->tag, 1);
	else if (types & 1 << TTLV_INT)
		attrs_add_int(set, info->tag, 1);
	else if (types & 1 << TTLV_BOOL)
		attrs_add_bool(set, info->tag, true);
	else if (types & 1 << TTLV_DATE)
		attrs_add_date(set, info->tag, NOW);
	else if (types & 1 << TTLV_INTERVAL) {
		struct ttlv_writer w = ttlv_write(set, 0);
		ttlv_put_interval(&w, (enum ttlv_tag)info->tag, 1);
	}
}

TEST(what_is_the_servers_is_nobody_elses_in_any_version)
{
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	EACH_VERSION(w)
	{
		const struct id id = new_key(&w);
		const struct attr_info *info;
		for (size_t i = 0; (info = attr_info_each(i)); i++) {
			autobuf set = buf_new(1024);
			add_any(&set, info);
			if (info->is_modifiable || !set.n || info->since > w.version ||
				info->until < w.version)
				continue;
			OK(kf_is(change_to(&w, ATTRIBUTE_ADD, &id, &set),
				KF_E_ADD_READ_ONLY));
			OK(kf_is(change_to(&w, ATTRIBUTE_MODIFY, &id, &set),
				KF_E_READ_ONLY));
			OK(kf_is(delete_attribute(&w, &id, info->tag, -1),
				KF_E_READ_ONLY));
		}
		EQ(object_of(&w, &id)->version, 1);
	}
}

TEST(an_attribute_that_the_version_does_not_know_is_refused)
{
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	EACH_VERSION(w)
	{
		const struct id id = new_key(&w);
		const struct attr_info *info;
		for (size_t i = 0; (info = attr_info_each(i)); i++) {
			if (info->since <= w.version && info->until >= w.version)
				continue;
			autobuf set = buf_new(1024);
			add_any(&set, info);
			struct ttlv_writer q = question(&w);
			const struct kmip_uid u = uid(&id);
			kmip_put_uid(&q, TAG_UNIQUE_IDENTIFIER, &u);
			if (kmip_is_2(w.version)) {
				ttlv_begin(&q, TAG_NEW_ATTRIBUTE);
				q.version = 0;
				ttlv_put_items(&q, buf_slice(&set));
				ttlv_end(&q);
			} else {
				struct ttlv_reader r = ttlv_read(buf_slice(&set));
				struct ttlv_item it;
				if (!ttlv_next(&r, &it))
					continue;
				ttlv_begin(&q, TAG_ATTRIBUTE);
				ttlv_put_text(&q, TAG_ATTRIBUTE_NAME,
					slice_of(attr_name(info)));
				ttlv_put_as(&q, TAG_ATTRIBUTE_VALUE, &it);
				ttlv_end(&q);
			}
			if (set.n)
				OK(!kf_ok(ask(&w, KMIP_OPERATION_ADD_ATTRIBUTE)));
		}
		EQ(object_of(&w, &id)->version, 1);
	}
}

TEST(attributes_of_other_kinds_of_objects_are_refused)
{
	WORLD(w);
	struct pair p;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_p256(&w, NULL, &p)));
	const struct id id = new_key(&w);
	autobuf set = buf_new(1024);
	attrs_add_enum(&set, TAG_OPAQUE_DATA_TYPE, 0x80000001);
	OK(!kf_ok(change_to(&w, ATTRIBUTE_ADD, &id, &set)));
}

TEST(attributes_of_servers_are_not_for_clients)
{
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	const struct id id = new_key(&w);
	const char *const vendors[] = { "y", "keyfleet" };
	for (size_t i = 0; i < 2; i++) {
		autobuf set = buf_new(1024);
		attrs_add_vendor_text(
			&set, slice_of(vendors[i]), slice_of("copies"), slice_of("9"));
		OK(kf_is(change_to(&w, ATTRIBUTE_ADD, &id, &set), KF_E_ADD_READ_ONLY));
		OK(kf_is(change_to(&w, ATTRIBUTE_MODIFY, &id, &set), KF_E_READ_ONLY));
	}
}

TEST(custom_attributes_may_be_structures)
{
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	w.version = KMIP_1_2;
	const struct id id = new_key(&w);
	autobuf set = buf_new(1024);
	struct ttlv_writer out = ttlv_write(&set, 0);
	ttlv_begin(&out, TAG_ATTRIBUTE);
	ttlv_put_text(&out, TAG_VENDOR_IDENTIFICATION, slice_of("x"));
	ttlv_put_text(&out, TAG_ATTRIBUTE_NAME, slice_of("s"));
	ttlv_begin(&out, TAG_ATTRIBUTE_VALUE);
	ttlv_put_int(&out, TAG_CRYPTOGRAPHIC_LENGTH, 7);
	ttlv_put_text(&out, TAG_USERNAME, slice_of("u"));
	ttlv_end(&out);
	ttlv_end(&out);

	OK(kf_ok(change_to(&w, ATTRIBUTE_ADD, &id, &set)));
	OK(kf_ok(change_to(&w, ATTRIBUTE_ADD, &id, &set)));
	const struct attr_ref ref = { TAG_ATTRIBUTE, slice_of("x"), slice_of("s") };
	struct ttlv_item it;
	EQ(attrs_count_ref(object_of(&w, &id)->attrs, &ref), 2);
	OK(kf_ok(attributes(&w, &id)));
	OK(attrs_find_ref(buf_slice(&w.attrs), &ref, 1, &it));
	OK(slice_eq(it.whole, buf_slice(&set)));
}

TEST(a_name_asked_for_twice_is_an_invalid_message_in_1_x_and_answered_once_in_2_x)
{
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	EACH_VERSION(w)
	{
		const struct id id = new_key(&w);
		const struct kmip_uid u = uid(&id);
		const struct attr_ref ref = { .tag = TAG_STATE };
		struct ttlv_writer q = question(&w);
		kmip_put_uid(&q, TAG_UNIQUE_IDENTIFIER, &u);
		attr_ref_put(&q, &ref);
		attr_ref_put(&q, &ref);
		const kf_err err = ask(&w, KMIP_OPERATION_GET_ATTRIBUTES);
		OK(kmip_is_2(w.version) ? kf_ok(err) : kf_is(err, KF_E_MALFORMED));
		if (!kf_ok(err))
			continue;
		struct get_attributes_response a;
		struct ttlv_reader r = answer(&w);
		buf_clear(&w.attrs);
		OK(kf_ok(get_attributes_get_response(&r, &a, &w.attrs)));
		EQ(attrs_count(buf_slice(&w.attrs), TAG_STATE), 1);
	}
}

/* --- names --- */

TEST(names_are_unique_whoever_gives_them)
{
	WORLD(w);
	struct id first;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, "n", &first)));
	const struct id other = new_key(&w);

	OK(kf_is(change_name(&w, ATTRIBUTE_ADD, &other, "n"), KF_E_NAME_TAKEN));
	OK(kf_is(change_name(&w, ATTRIBUTE_ADD, &first, "n"), KF_E_NAME_TAKEN));
	OK(kf_is(change_name(&w, ATTRIBUTE_ADD, &other, ""), KF_E_INVALID_FIELD));
	OK(kf_ok(change_name(&w, ATTRIBUTE_MODIFY, &first, "m")));
	OK(kf_ok(change_name(&w, ATTRIBUTE_ADD, &other, "n")));
	EQ(located_by_name(&w, "n", NULL), 1);
	OK(kf_ok(delete_attribute(&w, &other, TAG_NAME, -1)));
	EQ(located_by_name(&w, "n", NULL), 0);
	be(&w, "root", true); /* the owner's names count, not the administrator's */
	OK(kf_is(change_name(&w, ATTRIBUTE_ADD, &other, "m"), KF_E_NAME_TAKEN));
}

static struct id rival;

static void want_name(struct world *w)
{
	OK(kf_ok(change_name(w, ATTRIBUTE_ADD, &rival, "wanted")));
}

static void take_name(struct world *w) { meanwhile(w, want_name); }

TEST(of_two_who_want_a_name_at_once_one_gets_it)
{
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	const struct id id = new_key(&w);
	rival = new_key(&w);
	w.before_commit = take_name;
	OK(kf_is(change_name(&w, ATTRIBUTE_ADD, &id, "wanted"), KF_E_NAME_TAKEN));
	EQ(located_by_name(&w, "wanted", NULL), 1);
}

static void comment_on_it(struct world *w)
{
	OK(kf_ok(change_text(w, ATTRIBUTE_ADD, &rival, TAG_COMMENT, "theirs")));
}

static void add_comment(struct world *w) { meanwhile(w, comment_on_it); }

TEST(changes_at_once_are_both_kept)
{
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	rival = new_key(&w);
	w.before_commit = add_comment;
	OK(kf_ok(change_text(&w, ATTRIBUTE_ADD, &rival, TAG_DESCRIPTION, "mine")));
	OK(has_text(&w, &rival, TAG_DESCRIPTION, "mine"));
	OK(has_text(&w, &rival, TAG_COMMENT, "theirs"));
	EQ(object_of(&w, &rival)->version, 3);
}

TEST(a_constrained_key_cannot_be_renamed_out_of_its_constraints)
{
	WORLD(w);
	struct pair p;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_p256(&w, "web", &p)));
	OK(kf_ok(add_grant(&w, "alice", "name:web", PERM_SIGN, CONSTRAINT_TLS_ONLY)));

	OK(kf_is(change_name(&w, ATTRIBUTE_MODIFY, &p.private_key, "free"), KF_E_DENIED));
	OK(kf_is(delete_attribute(&w, &p.private_key, TAG_NAME, -1), KF_E_DENIED));
	OK(kf_is(sign_text(&w, &p.private_key, "anything"), KF_E_DENIED));
	OK(kf_ok(change_text(&w, ATTRIBUTE_ADD, &p.private_key, TAG_COMMENT, "c")));
}

/* --- who --- */

static kf_err join(struct world *w, const struct id *id, const char *group)
{
	return change_text(w, ATTRIBUTE_ADD, id, TAG_OBJECT_GROUP, group);
}

TEST(nobody_gets_rights_by_a_name_or_a_group_that_he_gives)
{
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	const struct id id = new_key(&w);
	OK(kf_ok(add_grant(&w, "bob", id.text, PERM_SET_ATTRIBUTES, 0)));
	OK(kf_ok(add_grant(&w, "bob", "name:mine", PERM_GET, 0)));
	OK(kf_ok(add_grant(&w, "carol", "group:hers", PERM_DESTROY, 0)));
	OK(kf_ok(add_grant(&w, "*", "group:everyone", PERM_LOCATE, 0)));
	OK(kf_ok(add_grant(&w, "bob", "group:known", PERM_LOCATE, 0)));

	be(&w, "bob", false);
	EACH_VERSION(w)
	{
		OK(kf_is(change_name(&w, ATTRIBUTE_ADD, &id, "mine"), KF_E_DENIED));
		OK(kf_is(join(&w, &id, "hers"), KF_E_DENIED));
		OK(kf_is(join(&w, &id, "everyone"), KF_E_DENIED));
	}
	OK(kf_ok(change_name(&w, ATTRIBUTE_ADD, &id, "plain")));
	OK(kf_is(change_name(&w, ATTRIBUTE_SET, &id, "mine"), KF_E_MULTI_VALUED));
	w.version = KMIP_1_4;
	OK(kf_is(change_name(&w, ATTRIBUTE_MODIFY, &id, "mine"), KF_E_DENIED));
	/* What it would bring is there already, or is nobody's. */
	OK(kf_ok(join(&w, &id, "nobody's")));
	OK(kf_is(join(&w, &id, "known"), KF_E_DENIED));
	OK(kf_ok(add_grant(&w, "bob", id.text, PERM_LOCATE, 0)));
	OK(kf_ok(join(&w, &id, "known")));
	/* The owner could have made it so. */
	be(&w, "alice", false);
	OK(kf_ok(join(&w, &id, "hers")));
}

TEST(nobody_rids_the_owner_of_constraints)
{
	WORLD(w);
	struct pair p;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_p256(&w, "web", &p)));
	OK(kf_ok(add_grant(&w, "alice", "name:web", PERM_SIGN, CONSTRAINT_TLS_ONLY)));
	OK(kf_ok(add_grant(&w, "bob", p.private_key.text, PERM_SET_ATTRIBUTES, 0)));
	be(&w, "bob", false);
	OK(kf_is(delete_attribute(&w, &p.private_key, TAG_NAME, -1), KF_E_DENIED));
}

TEST(attributes_of_others_are_changed_by_grant_only)
{
	WORLD(w);
	OK(kf_ok(let_alice_create(&w)));
	const struct id id = new_key(&w);
	be(&w, "bob", false);
	OK(kf_is(change_text(&w, ATTRIBUTE_ADD, &id, TAG_COMMENT, "c"), KF_E_NOT_FOUND));
	OK(kf_ok(add_grant(&w, "bob", id.text, PERM_SET_ATTRIBUTES, 0)));
	OK(kf_ok(change_text(&w, ATTRIBUTE_ADD, &id, TAG_COMMENT, "c")));
	/* What a date does is another matter. */
	OK(kf_is(change_date(&w, ATTRIBUTE_ADD, &id, TAG_ACTIVATION_DATE, NOW),
		KF_E_DENIED));
	OK(kf_ok(add_grant(&w, "bob", id.text, PERM_ACTIVATE, 0)));
	OK(kf_ok(change_date(&w, ATTRIBUTE_ADD, &id, TAG_ACTIVATION_DATE, NOW)));
	OK(kf_is(change_date(&w, ATTRIBUTE_ADD, &id, TAG_DEACTIVATION_DATE, NOW),
		KF_E_DENIED));
	OK(kf_is(change_bool(&w, ATTRIBUTE_ADD, &id, TAG_ROTATE_AUTOMATIC, true),
		KF_E_DENIED));
	OK(kf_ok(add_grant(&w, "bob", id.text, PERM_REKEY, 0)));
	OK(kf_ok(change_bool(&w, ATTRIBUTE_ADD, &id, TAG_ROTATE_AUTOMATIC, true)));
}

TEST_MAIN
