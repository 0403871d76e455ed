/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "ttlv/ttlv.h"

/* The standard's own vectors (KMIP 1.4, 9.1.2) use tag 420020. */
#define T ((enum ttlv_tag)0x420020)

static struct ttlv_item typed(enum ttlv_type type, struct slice value)
{
	return (struct ttlv_item){ .type = type, .value = value };
}

#define VECTOR(id, type, value, bytes)                                                   \
	TEST(id)                                                                         \
	{                                                                                \
		autobuf b = buf_new(256);                                                \
		struct ttlv_writer w = ttlv_write(&b, 0);                                \
		struct ttlv_item it = typed(TTLV_##type, SLICE_LIT(value));              \
                                                                                         \
		ttlv_put_as(&w, T, &it);                                                 \
                                                                                         \
		OK(kf_ok(ttlv_written(&w)));                                             \
		MEMEQ(b.p, b.n, bytes);                                                  \
	}

VECTOR(vector_integer, INT, "\0\0\0\10", "\x42\0\x20\2\0\0\0\4\0\0\0\10\0\0\0\0")
VECTOR(vector_long, LONG, "\x01\xb6\x9b\x4b\xa5\x74\x92\0",
	"\x42\0\x20\3\0\0\0\10\x01\xb6\x9b\x4b\xa5\x74\x92\0")
VECTOR(vector_text, TEXT, "Hello World", "\x42\0\x20\7\0\0\0\13Hello World\0\0\0\0\0")
VECTOR(vector_bytes, BYTES, "\1\2\3", "\x42\0\x20\10\0\0\0\3\1\2\3\0\0\0\0\0")
VECTOR(vector_bigint, BIGINT, "\0\0\0\0\x03\xfd\x35\xeb\x6b\xc2\xdf\x46\x18\x08\0\0",
	"\x42\0\x20\4\0\0\0\20\0\0\0\0\x03\xfd\x35\xeb\x6b\xc2\xdf\x46\x18\x08\0\0")

TEST(typed_putters_write_the_vectors_of_the_standard)
{
	autobuf b = buf_new(256);
	struct ttlv_writer w = ttlv_write(&b, 0);

	ttlv_put_int(&w, T, 8);
	ttlv_put_long(&w, T, 123456789000000000);
	ttlv_put_enum(&w, T, 255);
	ttlv_put_bool(&w, T, true);
	ttlv_put_date(&w, T, 0x47da67f8);
	ttlv_put_interval(&w, T, 864000);

	MEMEQ(b.p, b.n,
		"\x42\0\x20\2\0\0\0\4\0\0\0\10\0\0\0\0"
		"\x42\0\x20\3\0\0\0\10\x01\xb6\x9b\x4b\xa5\x74\x92\0"
		"\x42\0\x20\5\0\0\0\4\0\0\0\xff\0\0\0\0"
		"\x42\0\x20\6\0\0\0\10\0\0\0\0\0\0\0\1"
		"\x42\0\x20\x09\0\0\0\10\0\0\0\0\x47\xda\x67\xf8"
		"\x42\0\x20\x0a\0\0\0\4\0\x0d\x2f\0\0\0\0\0");
}

TEST(structure_is_as_long_as_its_padded_children)
{
	autobuf b = buf_new(256);
	struct ttlv_writer w = ttlv_write(&b, 0);

	ttlv_begin(&w, T);
	ttlv_put_enum(&w, (enum ttlv_tag)0x420004, 254);
	ttlv_put_int(&w, (enum ttlv_tag)0x420005, 255);
	ttlv_end(&w);

	MEMEQ(b.p, b.n,
		"\x42\0\x20\1\0\0\0\x20"
		"\x42\0\x04\5\0\0\0\4\0\0\0\xfe\0\0\0\0"
		"\x42\0\x05\2\0\0\0\4\0\0\0\xff\0\0\0\0");
}

TEST(no_tag_newer_than_the_version_leaves)
{
	static const uint16_t versions[] = { 0x100, 0x101, 0x102, 0x103, 0x104, 0x200,
		0x201 };
	for (size_t v = 0; v < 7; v++) {
		for (uint32_t tag = 0x420001; tag < 0x420200; tag++) {
			const struct ttlv_tag_info *info = ttlv_tag(tag);
			autobuf b = buf_new(64);
			struct ttlv_writer w = ttlv_write(&b, versions[v]);
			struct ttlv_item it = typed(TTLV_STRUCT, (struct slice){ 0 });
			for (unsigned t = 1; info && t <= 10; t++) {
				if (info->types & 1u << t)
					it.type = (enum ttlv_type)t;
			}
			ttlv_put_as(&w, tag, &it);
			bool left = kf_ok(buf_err(&b));
			OK(left == (info && ttlv_tag_in(tag, versions[v])));
			OK(left || b.n == 0);
		}
	}
}

TEST(no_value_newer_than_the_version_leaves)
{
	autobuf b = buf_new(256);
	struct ttlv_writer w = ttlv_write(&b, 0x0103);

	ttlv_put_enum(&w, TAG_RESULT_REASON, KMIP_RESULT_REASON_ITEM_NOT_FOUND);
	OK(kf_ok(buf_err(&b)));
	ttlv_put_enum(&w, TAG_RESULT_REASON, KMIP_RESULT_REASON_SENSITIVE);
	OK(kf_is(buf_err(&b), KF_E_INTERNAL));
}

TEST(mask_bits_of_the_other_family_do_not_leave)
{
	autobuf b = buf_new(256);
	struct ttlv_writer w = ttlv_write(&b, 0x0201);

	ttlv_put_int(
		&w, TAG_CRYPTOGRAPHIC_USAGE_MASK, KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN);
	OK(kf_ok(buf_err(&b)));
	ttlv_put_int(&w, TAG_CRYPTOGRAPHIC_USAGE_MASK,
		KMIP_CRYPTOGRAPHIC_USAGE_MASK_TRANSLATE_WRAP);
	OK(kf_is(buf_err(&b), KF_E_INTERNAL));
}

TEST(our_own_tags_leave_only_where_allowed)
{
	autobuf b = buf_new(256);
	struct ttlv_writer w = ttlv_write(&b, 0x0104);
	w.allows_vendor = true;
	ttlv_put_int(&w, TAG_LOAD, 7);
	OK(kf_ok(ttlv_written(&w)));

	w.allows_vendor = false;
	ttlv_put_int(&w, TAG_LOAD, 7);
	OK(kf_is(ttlv_written(&w), KF_E_INTERNAL));
}

TEST(wrong_type_does_not_leave)
{
	autobuf b = buf_new(256);
	struct ttlv_writer w = ttlv_write(&b, 0x0104);
	ttlv_put_int(&w, TAG_UNIQUE_BATCH_ITEM_ID, 1);
	OK(kf_is(ttlv_written(&w), KF_E_INTERNAL));
}

TEST(stored_items_are_judged_as_deep_as_they_go)
{
	autobuf b = buf_new(256);
	struct ttlv_writer w = ttlv_write(&b, 0);
	ttlv_begin(&w, TAG_CRYPTOGRAPHIC_PARAMETERS);
	ttlv_put_int(&w, TAG_SALT_LENGTH, 20);
	ttlv_end(&w);

	OK(ttlv_fits(buf_slice(&b), 0x0104));
	OK(!ttlv_fits(buf_slice(&b), 0x0103));
}

TEST(limit_of_the_buffer_is_sticky)
{
	autobuf b = buf_new(40);
	struct ttlv_writer w = ttlv_write(&b, 0x0104);
	for (int i = 0; i < 4; i++)
		ttlv_put_int(&w, TAG_BATCH_COUNT, 1);
	OK(kf_is(ttlv_written(&w), KF_E_TOO_BIG));
}

TEST(structure_left_open_is_noticed)
{
	autobuf b = buf_new(256);
	struct ttlv_writer w = ttlv_write(&b, 0x0104);
	ttlv_begin(&w, TAG_REQUEST_MESSAGE);
	OK(kf_is(ttlv_written(&w), KF_E_INTERNAL));
}

TEST_MAIN
