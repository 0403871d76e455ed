/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/change_attribute.h"
#include "kmip/archive.h"
#include "kmip/check.h"
#include "kmip/lease.h"
#include "test.h"

static const uint16_t versions[] = { KMIP_1_0, KMIP_1_1, KMIP_1_2, KMIP_1_3, KMIP_1_4,
	KMIP_2_0, KMIP_2_1 };
enum { VERSIONS = sizeof(versions) / sizeof(*versions) };

static struct kmip_uid uid(void) { return kmip_uid_text(slice_of("key")); }

static bool is_key(const struct kmip_uid *u)
{
	return u->kind == KMIP_UID_TEXT && slice_is(u->text, "key");
}

static kf_err read_request(enum attribute_change kind, uint16_t version,
	struct slice bytes, struct buf *set, struct change_attribute_request *ret)
{
	struct ttlv_reader r = ttlv_read_as(bytes, version, false);
	buf_clear(set);
	return change_attribute_get_request(&r, kind, set, ret);
}

/* What the last one read points into. */
static uint8_t kept[4096];

static void goes_round(enum attribute_change kind, uint16_t version,
	const struct change_attribute_request *q, struct buf *set,
	struct change_attribute_request *ret)
{
	autobuf b = buf_new(sizeof(kept));
	struct ttlv_writer w = ttlv_write(&b, version);

	change_attribute_put_request(&w, kind, q);
	OK(kf_ok(ttlv_written(&w)));
	for (size_t n = 0; n < b.n; n++) {
		struct slice cut = { b.p, n };
		OK(!kf_ok(read_request(kind, version, cut, set, ret)) || n % 8 == 0);
	}
	memcpy(kept, b.p, b.n);
	OK(kf_ok(read_request(kind, version, (struct slice){ kept, b.n }, set, ret)));
	OK(is_key(&ret->uid));
}

TEST(an_attribute_is_added_in_every_version)
{
	for (size_t v = 0; v < VERSIONS; v++) {
		autobuf one = buf_new(1024), set = buf_new(1024);
		struct change_attribute_request got;
		attrs_add_name(&one, slice_of("n"));
		const struct change_attribute_request q = {
			.uid = uid(),
			.new_attribute = buf_slice(&one),
		};
		goes_round(ATTRIBUTE_ADD, versions[v], &q, &set, &got);
		OK(slice_eq(got.new_attribute, buf_slice(&one)));
		OK(!got.index.is_given && !got.has_ref);
	}
}

TEST(an_instance_is_named_by_index_in_1_x_and_by_value_in_2_x)
{
	for (size_t v = 0; v < VERSIONS; v++) {
		autobuf was = buf_new(1024), is = buf_new(1024), set = buf_new(1024);
		struct change_attribute_request got;
		attrs_add_text(&was, TAG_OBJECT_GROUP, slice_of("old"));
		attrs_add_text(&is, TAG_OBJECT_GROUP, slice_of("new"));
		const struct change_attribute_request q = {
			.uid = uid(),
			.new_attribute = buf_slice(&is),
			.current_attribute = buf_slice(&was),
			.index = { true, 3 },
		};
		goes_round(ATTRIBUTE_MODIFY, versions[v], &q, &set, &got);
		OK(slice_eq(got.new_attribute, buf_slice(&is)));
		const bool is_2 = kmip_is_2(versions[v]);
		EQ(got.index.value, is_2 ? 0 : 3);
		EQ(got.current_attribute.n, is_2 ? was.n : 0);
	}
}

TEST(what_is_deleted_is_named_in_every_version)
{
	for (size_t v = 0; v < VERSIONS; v++) {
		autobuf set = buf_new(1024);
		struct change_attribute_request got;
		const struct change_attribute_request q = {
			.uid = uid(),
			.has_ref = true,
			.ref = { TAG_ATTRIBUTE, slice_of("x"), slice_of("a") },
			.index = { true, 2 },
		};
		goes_round(ATTRIBUTE_DELETE, versions[v], &q, &set, &got);
		OK(got.has_ref && attr_ref_eq(&got.ref, &q.ref));
		EQ(got.index.value, kmip_is_2(versions[v]) ? 0 : 2);
	}
}

TEST(adjusting_says_how_and_by_how_much)
{
	for (size_t v = 5; v < VERSIONS; v++) {
		autobuf set = buf_new(1024), by = buf_new(64);
		struct change_attribute_request got;
		struct change_attribute_request q = {
			.uid = uid(),
			.has_ref = true,
			.ref = { .tag = TAG_PROTECTION_PERIOD },
			.adjustment_type = KMIP_ADJUSTMENT_TYPE_DECREMENT,
		};
		struct ttlv_writer w = ttlv_write(&by, 0);
		ttlv_put_interval(&w, TAG_ADJUSTMENT_VALUE, 60);
		struct ttlv_reader r = ttlv_read(buf_slice(&by));
		OK(ttlv_next(&r, &q.adjustment_value));
		goes_round(ATTRIBUTE_ADJUST, versions[v], &q, &set, &got);
		EQ(got.adjustment_type, KMIP_ADJUSTMENT_TYPE_DECREMENT);
		EQ(ttlv_item_int(&got.adjustment_value), 60);
		EQ(got.ref.tag, TAG_PROTECTION_PERIOD);
	}
}

TEST(answers_of_1_x_show_the_attribute)
{
	for (size_t v = 0; v < VERSIONS; v++) {
		autobuf one = buf_new(1024), b = buf_new(1024), set = buf_new(1024);
		struct change_attribute_response got;
		attrs_add_text(&one, TAG_OBJECT_GROUP, slice_of("g"));
		struct ttlv_writer w = ttlv_write(&b, versions[v]);
		change_attribute_put_response(&w,
			&(struct change_attribute_response){ uid(), buf_slice(&one), 4 });
		OK(kf_ok(ttlv_written(&w)));
		struct ttlv_reader r = ttlv_read_as(buf_slice(&b), versions[v], false);
		OK(kf_ok(change_attribute_get_response(&r, &set, &got)));
		OK(is_key(&got.uid));
		const bool is_2 = kmip_is_2(versions[v]);
		EQ(got.attribute.n, is_2 ? 0 : one.n);
		EQ(got.index, is_2 ? 0 : 4);
	}
}

TEST(a_request_without_an_attribute_is_refused)
{
	static const enum attribute_change kinds[] = { ATTRIBUTE_ADD, ATTRIBUTE_MODIFY,
		ATTRIBUTE_DELETE, ATTRIBUTE_SET, ATTRIBUTE_ADJUST };
	for (size_t v = 0; v < VERSIONS; v++)
		for (size_t k = 0; k < 5; k++) {
			autobuf b = buf_new(1024), set = buf_new(1024);
			struct change_attribute_request got;
			const struct kmip_uid u = uid();
			struct ttlv_writer w = ttlv_write(&b, versions[v]);
			kmip_put_uid(&w, TAG_UNIQUE_IDENTIFIER, &u);
			OK(!kf_ok(read_request(
				kinds[k], versions[v], buf_slice(&b), &set, &got)));
		}
}

TEST(two_new_attributes_are_refused)
{
	autobuf b = buf_new(1024), set = buf_new(1024);
	struct change_attribute_request got;
	struct ttlv_writer w = ttlv_write(&b, KMIP_2_1);
	ttlv_begin(&w, TAG_NEW_ATTRIBUTE);
	ttlv_put_text(&w, TAG_DESCRIPTION, slice_of("a"));
	ttlv_put_text(&w, TAG_COMMENT, slice_of("b"));
	ttlv_end(&w);
	OK(kf_is(read_request(ATTRIBUTE_SET, KMIP_2_1, buf_slice(&b), &set, &got),
		KF_E_INVALID_FIELD));
}

TEST(check_goes_round)
{
	for (size_t v = 0; v < VERSIONS; v++) {
		autobuf b = buf_new(1024);
		struct check_request got;
		const struct check_request q = { uid(), true, true, true, 5, 12, 600 };
		struct ttlv_writer w = ttlv_write(&b, versions[v]);
		check_put_request(&w, &q);
		OK(kf_ok(ttlv_written(&w)));
		for (size_t n = 0; n < b.n; n++) {
			struct ttlv_reader r = ttlv_read_as(
				(struct slice){ b.p, n }, versions[v], false);
			OK(!kf_ok(check_get_request(&r, &got)) || n % 8 == 0);
		}
		struct ttlv_reader r = ttlv_read_as(buf_slice(&b), versions[v], false);
		OK(kf_ok(check_get_request(&r, &got)));
		EQ(got.usage_limits_count, 5);
		EQ(got.usage_mask, 12);
		EQ(got.lease_time, 600);
		OK(got.has_count && got.has_mask && got.has_lease && is_key(&got.uid));
	}
}

TEST(leases_and_allocations_go_round)
{
	for (size_t v = 0; v < VERSIONS; v++) {
		autobuf b = buf_new(1024), c = buf_new(1024);
		struct obtain_lease_response lease;
		struct get_usage_allocation_request want;
		struct ttlv_writer w = ttlv_write(&b, versions[v]);
		obtain_lease_put_response(
			&w, &(struct obtain_lease_response){ uid(), 3600, 77 });
		struct ttlv_reader r = ttlv_read_as(buf_slice(&b), versions[v], false);
		OK(kf_ok(obtain_lease_get_response(&r, &lease)));
		OK(lease.lease_time == 3600 && lease.last_change_date == 77);

		w = ttlv_write(&c, versions[v]);
		get_usage_allocation_put_request(
			&w, &(struct get_usage_allocation_request){ uid(), 9 });
		r = ttlv_read_as(buf_slice(&c), versions[v], false);
		OK(kf_ok(get_usage_allocation_get_request(&r, &want)));
		EQ(want.usage_limits_count, 9);
	}
}

TEST(archive_goes_round)
{
	autobuf b = buf_new(1024);
	struct archive_request q;
	struct ttlv_writer w = ttlv_write(&b, KMIP_1_0);
	archive_put_request(&w, &(struct archive_request){ uid() });
	struct ttlv_reader r = ttlv_read_as(buf_slice(&b), KMIP_1_0, false);
	OK(kf_ok(archive_get_request(&r, &q)) && is_key(&q.uid));
}

TEST_MAIN
