/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/attrs.h"
#include "test.h"

static const struct attr_ref group = { .tag = TAG_OBJECT_GROUP };

static void fill(struct buf *set, size_t n)
{
	static const char *const names[] = { "a", "b", "c", "d", "e" };
	attrs_add_enum(set, TAG_STATE, 1);
	for (size_t i = 0; i < n; i++) {
		attrs_add_text(set, TAG_OBJECT_GROUP, slice_of(names[i]));
		attrs_add_name(set, slice_of(names[i]));
	}
}

static bool at(struct slice set, int32_t index, const char *text)
{
	struct ttlv_item it;
	return attrs_find_index(set, &group, index, &it) && slice_is(it.value, text) &&
	       attrs_index_of(set, &it) == index;
}

static void take_out(struct buf *set, int32_t index)
{
	struct ttlv_item it;
	OK(attrs_find_index(buf_slice(set), &group, index, &it));
	attrs_take_out(set, &it);
	OK(kf_ok(buf_err(set)) && kf_ok(ttlv_check(buf_slice(set))));
}

TEST(indices_of_the_others_stay_when_an_instance_goes)
{
	autobuf set = buf_new(4096);
	struct ttlv_item it;
	fill(&set, 4);

	take_out(&set, 1);
	const struct slice s = buf_slice(&set);
	OK(at(s, 0, "a") && at(s, 2, "c") && at(s, 3, "d"));
	OK(!attrs_find_index(s, &group, 1, &it) && !attrs_find_index(s, &group, 4, &it));
	EQ(attrs_count_ref(s, &group), 3);
	EQ(attrs_count(s, TAG_NAME), 4);
}

TEST(gaps_of_neighbours_become_one)
{
	autobuf set = buf_new(4096), once = buf_new(4096);
	fill(&set, 5);

	take_out(&set, 0);
	buf_add_slice(&once, buf_slice(&set));
	take_out(&set, 2);
	take_out(&set, 1);
	OK(at(buf_slice(&set), 3, "d") && at(buf_slice(&set), 4, "e"));
	EQ(attrs_count(buf_slice(&set), TAG_ATTRIBUTE_GAP), 1);
	OK(set.n < once.n);
}

TEST(behind_the_last_instance_no_gap_is_kept)
{
	autobuf set = buf_new(4096);
	fill(&set, 3);

	take_out(&set, 1);
	take_out(&set, 2);
	EQ(attrs_count(buf_slice(&set), TAG_ATTRIBUTE_GAP), 0);
	take_out(&set, 0);
	EQ(attrs_count_ref(buf_slice(&set), &group), 0);
	attrs_add_text(&set, TAG_OBJECT_GROUP, slice_of("new"));
	OK(at(buf_slice(&set), 0, "new"));
}

/* A window of instances that moves for ever must not make the set grow. */
TEST(a_set_does_not_grow_by_adding_and_deleting)
{
	autobuf set = buf_new(4096);
	struct ttlv_item it;
	size_t n = 0;
	fill(&set, 2);

	for (int i = 0; i < 1000; i++) {
		attrs_add_text(&set, TAG_OBJECT_GROUP, slice_of("x"));
		OK(attrs_find_ref(buf_slice(&set), &group, 0, &it));
		attrs_take_out(&set, &it);
		n = i == 1 ? set.n : n;
		OK(i < 2 || set.n == n);
	}
	OK(at(buf_slice(&set), 1001, "x"));
}

TEST(gaps_never_leave)
{
	autobuf set = buf_new(4096), out = buf_new(4096);
	fill(&set, 3);
	take_out(&set, 0);

	for (int i = 0; i < 2; i++) {
		struct ttlv_writer w = ttlv_write(&out, i ? KMIP_2_1 : KMIP_1_4);
		buf_clear(&out);
		attrs_put_list(&w, buf_slice(&set));
		OK(kf_ok(ttlv_written(&w)));
		autobuf text = buf_new(1 << 16);
		OK(kf_ok(ttlv_print(buf_slice(&out), false, &text)));
		buf_add_u8(&text, 0);
		OK(!strstr((const char *)text.p, "Gap") && text.n > 1);
		OK(i || strstr((const char *)text.p, "Attribute Index = Integer 2"));
	}
}

TEST(what_is_picked_keeps_its_indices)
{
	autobuf set = buf_new(4096), picked = buf_new(4096);
	fill(&set, 4);
	take_out(&set, 2);

	attrs_pick(buf_slice(&set), &group, &picked);
	OK(at(buf_slice(&picked), 3, "d") && at(buf_slice(&picked), 1, "b"));
}

TEST(all_instances_go_with_their_gaps)
{
	autobuf set = buf_new(4096);
	fill(&set, 4);
	take_out(&set, 0);
	attrs_take_out_all(&set, &group);
	EQ(attrs_count_ref(buf_slice(&set), &group), 0);
	EQ(attrs_count(buf_slice(&set), TAG_ATTRIBUTE_GAP), 0);
	EQ(attrs_count(buf_slice(&set), TAG_NAME), 4);
}

TEST(vendor_attributes_have_indices_by_vendor_and_name)
{
	autobuf set = buf_new(4096);
	const struct attr_ref ref = { TAG_ATTRIBUTE, slice_of("x"), slice_of("a") };
	struct ttlv_item it;
	attrs_add_vendor_text(&set, slice_of("x"), slice_of("a"), slice_of("0"));
	attrs_add_vendor_text(&set, slice_of("x"), slice_of("b"), slice_of("0"));
	attrs_add_vendor_text(&set, slice_of("x"), slice_of("a"), slice_of("1"));

	OK(attrs_find_index(buf_slice(&set), &ref, 0, &it));
	attrs_take_out(&set, &it);
	OK(attrs_find_index(buf_slice(&set), &ref, 1, &it));
	EQ(attrs_index_of(buf_slice(&set), &it), 1);
	EQ(attrs_count(buf_slice(&set), TAG_ATTRIBUTE), 2);
}

TEST_MAIN
