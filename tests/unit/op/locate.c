/* SPDX-License-Identifier: Apache-2.0 */
#include "attributes.h"

struct garden {
	struct id aes[3];
	struct pair pair;
};

/* Three AES keys at NOW, NOW + 10 and NOW + 20, then a pair at NOW + 30. */
static kf_err plant(struct world *w, struct garden *g)
{
	static const char *const names[] = { "one", "two", "three" };
	KF_TRY(let_alice_create(w));
	for (int i = 0; i < 3; i++, w->now_s += 10)
		KF_TRY(create_aes(w, names[i], &g->aes[i]));
	return create_p256(w, "key", &g->pair);
}

#define GARDEN(w, g)                                                                     \
	WORLD(w);                                                                        \
	struct garden g;                                                                 \
	OK(kf_ok(plant(&w, &g)))

static int with_enum(struct world *w, uint32_t tag, uint32_t v)
{
	autobuf attrs = buf_new(1024);
	attrs_add_enum(&attrs, tag, v);
	return located(w, buf_slice(&attrs), NULL);
}

TEST(without_attributes_everything_is_found_newest_first)
{
	GARDEN(w, g);
	struct id first;

	EQ(located(&w, (struct slice){ 0 }, &first), 5);
	OK(!strcmp(first.text, g.pair.public_key.text) ||
		!strcmp(first.text, g.pair.private_key.text));
}

TEST(names_types_states_and_algorithms_match)
{
	GARDEN(w, g);
	struct id found;

	EQ(located_by_name(&w, "two", &found), 1);
	OK(!strcmp(found.text, g.aes[1].text));
	EQ(located_by_name(&w, "tw", NULL), 0);
	EQ(with_enum(&w, TAG_OBJECT_TYPE, OBJECT_SYMMETRIC_KEY), 3);
	EQ(with_enum(&w, TAG_OBJECT_TYPE, OBJECT_PRIVATE_KEY), 1);
	EQ(with_enum(&w, TAG_CRYPTOGRAPHIC_ALGORITHM, 3), 3);
	EQ(with_enum(&w, TAG_STATE, STATE_PRE_ACTIVE), 3);
	EQ(with_enum(&w, TAG_STATE, STATE_ACTIVE), 2);
	EQ(with_enum(&w, TAG_STATE, STATE_DEACTIVATED), 0);
}

TEST(an_identifier_is_found_and_others_are_not)
{
	GARDEN(w, g);
	autobuf attrs = buf_new(1024);
	struct id found;
	attrs_add_text(&attrs, TAG_UNIQUE_IDENTIFIER, slice_of(g.aes[1].text));

	EQ(located(&w, buf_slice(&attrs), &found), 1);
	OK(!strcmp(found.text, g.aes[1].text));
	be(&w, "mallory", false);
	EQ(located(&w, buf_slice(&attrs), NULL), 0);
}

TEST(one_name_in_several_scopes_is_found_newest_first)
{
	GARDEN(w, g);
	struct id newest, found;
	char who[16];
	OK(kf_ok(add_grant(&w, "*", "*", PERM_CREATE, 0)));
	for (int i = 0; i < 70; i++) { /* more than the index likes */
		snprintf(who, sizeof(who), "c%d", i);
		be(&w, who, false);
		OK(kf_ok(create_aes(&w, "two", &newest)));
		EQ(located_by_name(&w, "two", &found), 1);
		OK(!strcmp(found.text, newest.text));
		be(&w, "root", true);
		EQ(located_by_name(&w, "two", &found), i + 2);
		OK(!strcmp(found.text, newest.text));
	}
}

TEST(all_attributes_must_match)
{
	GARDEN(w, g);
	autobuf attrs = buf_new(1024);
	attrs_add_enum(&attrs, TAG_OBJECT_TYPE, OBJECT_SYMMETRIC_KEY);
	attrs_add_name(&attrs, SLICE_LIT("two"));

	EQ(located(&w, buf_slice(&attrs), NULL), 1);
	attrs_add_enum(&attrs, TAG_STATE, STATE_ACTIVE);
	EQ(located(&w, buf_slice(&attrs), NULL), 0);
}

static int in_range(struct world *w, int64_t from, int64_t to)
{
	autobuf attrs = buf_new(1024);
	attrs_add_date(&attrs, TAG_INITIAL_DATE, from);
	if (to)
		attrs_add_date(&attrs, TAG_INITIAL_DATE, to);
	return located(w, buf_slice(&attrs), NULL);
}

TEST(one_date_is_a_moment_and_two_are_a_range)
{
	GARDEN(w, g);

	EQ(in_range(&w, NOW + 10, 0), 1);
	EQ(in_range(&w, NOW + 11, 0), 0);
	EQ(in_range(&w, NOW, NOW + 20), 3);
	EQ(in_range(&w, NOW + 1, NOW + 20), 2);
	EQ(in_range(&w, NOW, NOW + 100), 5);
	EQ(in_range(&w, NOW + 40, NOW + 100), 0);
}

static int with_mask(struct world *w, int32_t mask)
{
	autobuf attrs = buf_new(1024);
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, mask);
	return located(w, buf_slice(&attrs), NULL);
}

TEST(a_usage_mask_matches_its_supersets)
{
	GARDEN(w, g);

	EQ(with_mask(&w, 4), 3);
	EQ(with_mask(&w, 12), 3);
	EQ(with_mask(&w, 13), 0);
	EQ(with_mask(&w, 1), 1);
}

TEST(a_part_of_a_structure_is_enough)
{
	GARDEN(w, g);
	autobuf attrs = buf_new(1024);
	struct ttlv_writer p = ttlv_write(&attrs, 0);
	ttlv_begin(&p, TAG_NAME);
	ttlv_put_text(&p, TAG_NAME_VALUE, SLICE_LIT("three"));
	ttlv_end(&p);

	EQ(located(&w, buf_slice(&attrs), NULL), 1);
}

static kf_err page(
	struct world *w, int32_t offset, int32_t maximum, struct locate_response *ret)
{
	struct ttlv_writer q = question(w);
	locate_put_request(&q, &(struct locate_request){ .maximum_items = maximum,
				       .offset_items = offset });
	KF_TRY(ask(w, KMIP_OPERATION_LOCATE));
	struct ttlv_reader r = answer(w);
	return locate_get_response(&r, ret);
}

static int count(const struct locate_response *a)
{
	struct ttlv_reader each = ttlv_read(a->uids);
	struct slice text;
	int n = 0;
	while (locate_next_uid(&each, &text))
		n++;
	return n;
}

TEST(pages_are_cut_out_of_the_whole)
{
	GARDEN(w, g);
	struct locate_response a;

	OK(kf_ok(page(&w, 0, 2, &a)));
	EQ(count(&a), 2);
	EQ(a.located_items, 5);
	OK(kf_ok(page(&w, -1, 2, &a)));
	EQ(count(&a), 2);
	EQ(a.located_items, -1);
	OK(kf_ok(page(&w, 4, 2, &a)));
	EQ(count(&a), 1);
	OK(kf_ok(page(&w, 5, 2, &a)));
	EQ(count(&a), 0);
	OK(kf_ok(page(&w, 0, 0, &a)));
	EQ(count(&a), 0);
	EQ(a.located_items, 5);
	OK(kf_ok(page(&w, -1, -1, &a)));
	EQ(count(&a), 5);
	EQ(a.located_items, -1);
}

/* The default object of group "g"; NULL: there is none. */
static const char *default_of(struct world *w, struct id *ret)
{
	autobuf group = buf_new(256);
	struct locate_response a;
	struct slice uid = { 0 };
	attrs_add_text(&group, TAG_OBJECT_GROUP, slice_of("g"));
	struct ttlv_writer q = question(w);
	locate_put_request(
		&q, &(struct locate_request){ .maximum_items = 1,
			    .offset_items = -1,
			    .object_group_member =
				    KMIP_OBJECT_GROUP_MEMBER_GROUP_MEMBER_DEFAULT,
			    .attributes = buf_slice(&group) });
	if (!kf_ok(ask(w, KMIP_OPERATION_LOCATE)))
		return NULL;
	struct ttlv_reader r = answer(w);
	if (!kf_ok(locate_get_response(&r, &a)))
		return NULL;
	struct ttlv_reader each = ttlv_read(a.uids);
	if (!locate_next_uid(&each, &uid))
		return NULL;
	keep_id(&(struct kmip_uid){ .text = uid }, ret);
	return ret->text;
}

static kf_err create_in_group(struct world *w, const char *group, struct id *ret)
{
	autobuf attrs = buf_new(1024);
	add_symmetric(&attrs, KMIP_CRYPTOGRAPHIC_ALGORITHM_AES, 128);
	attrs_add_text(&attrs, TAG_OBJECT_GROUP, slice_of(group));
	return create_object(w, OBJECT_SYMMETRIC_KEY, buf_slice(&attrs), ret);
}

TEST(the_default_object_of_a_group_is_the_oldest_that_is_fresh)
{
	WORLD(w);
	struct id id[3], found;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(!default_of(&w, &found));
	for (int i = 0; i < 3; i++) {
		w.now_s++;
		OK(kf_ok(create_in_group(&w, "g", &id[i])));
	}
	for (int i = 0; i < 3; i++) {
		OK(default_of(&w, &found) && !strcmp(found.text, id[i].text));
		OK(kf_ok(get(&w, &found, &a)));
	}
	OK(default_of(&w, &found) && !strcmp(found.text, id[0].text));
	OK(kf_ok(destroy(&w, &id[0])));
	OK(default_of(&w, &found) && !strcmp(found.text, id[1].text));
}

TEST(what_may_not_be_seen_is_not_even_counted)
{
	GARDEN(w, g);
	struct locate_response a;
	OK(kf_ok(add_grant(&w, "bob", "name:two", PERM_LOCATE, 0)));
	OK(kf_ok(add_grant(&w, "carol", "name:key", PERM_SIGN, CONSTRAINT_TLS_ONLY)));

	be(&w, "bob", false);
	OK(kf_ok(page(&w, 0, 10, &a)));
	EQ(a.located_items, 1);
	be(&w, "carol", false);
	OK(kf_ok(page(&w, 0, 10, &a)));
	EQ(a.located_items, 2); /* the key, and the public half that belongs to it */
	be(&w, "mallory", false);
	OK(kf_ok(page(&w, 0, 10, &a)));
	EQ(a.located_items, 0);
	be(&w, "root", true);
	OK(kf_ok(page(&w, 0, 10, &a)));
	EQ(a.located_items, 5);
}

TEST(the_placeholder_is_set_by_one_answer_and_emptied_by_several)
{
	GARDEN(w, g);

	EQ(located_by_name(&w, "two", NULL), 1);
	OK(!strcmp(w.call->placeholder, g.aes[1].text));
	EQ(located(&w, (struct slice){ 0 }, NULL), 5);
	OK(!w.call->placeholder[0]);
}

/* A vendor's attribute that is a structure of so many numbers. */
static void add_numbers(struct buf *set, int n)
{
	struct ttlv_writer w = ttlv_write(set, 0);
	ttlv_begin(&w, TAG_ATTRIBUTE);
	ttlv_put_text(&w, TAG_VENDOR_IDENTIFICATION, SLICE_LIT("x"));
	ttlv_put_text(&w, TAG_ATTRIBUTE_NAME, SLICE_LIT("numbers"));
	ttlv_begin(&w, TAG_ATTRIBUTE_VALUE);
	for (int i = n; i > 0; i--)
		ttlv_put_int(&w, TAG_CRYPTOGRAPHIC_LENGTH, i);
	ttlv_end(&w);
	ttlv_end(&w);
}

static kf_err give_numbers(struct world *w, const struct id *id, int n)
{
	autobuf set = buf_new(1 << 20);
	add_numbers(&set, n);
	return change_to(w, ATTRIBUTE_ADD, id, &set);
}

static bool is_worked(struct world *w, const struct buf *attrs, int found)
{
	w->worked = false;
	return located(w, buf_slice(attrs), NULL) == found && w->worked;
}

TEST(what_takes_long_to_be_compared_is_no_matter_for_a_loop)
{
	GARDEN(w, g);
	autobuf few = buf_new(1 << 16), many = buf_new(1 << 16), by_id = buf_new(1 << 16);
	OK(kf_ok(give_numbers(&w, &g.aes[0], 20000)));
	add_numbers(&few, 2);
	add_numbers(&many, 100);
	attrs_add_text(&by_id, TAG_UNIQUE_IDENTIFIER, slice_of(g.aes[0].text));
	w.worked = false;
	EQ(located(&w, buf_slice(&few), NULL), 1);
	EQ(located(&w, buf_slice(&by_id), NULL), 1);
	OK(!w.worked);
	OK(is_worked(&w, &many, 1));
	add_numbers(&by_id, 100);
	OK(is_worked(&w, &by_id, 1));
}

TEST(destroyed_objects_are_found_when_asked_for)
{
	GARDEN(w, g);
	OK(kf_ok(destroy(&w, &g.aes[0])));

	EQ(located(&w, (struct slice){ 0 }, NULL), 4);
	EQ(with_enum(&w, TAG_STATE, STATE_DESTROYED), 1);
	struct ttlv_writer q = question(&w);
	locate_put_request(&q, &(struct locate_request){ .maximum_items = -1,
				       .offset_items = -1,
				       .has_storage_status_mask = true,
				       .storage_status_mask = 4 });
	OK(kf_ok(ask(&w, KMIP_OPERATION_LOCATE)));
	struct locate_response a;
	struct ttlv_reader r = answer(&w);
	OK(kf_ok(locate_get_response(&r, &a)));
	EQ(count(&a), 1);
}

TEST_MAIN
