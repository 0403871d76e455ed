/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "ttlv/ttlv.h"

#define MESSAGE                                                                          \
	"\x42\0\x79\1\0\0\0\x40"                                                         \
	"\x42\0\x94\7\0\0\0\5ab-12\0\0\0"                                                \
	"\x42\0\x2b\1\0\0\0\x10"                                                         \
	"\x42\0\x5f\5\0\0\0\4\0\0\0\x0a\0\0\0\0"                                         \
	"\x42\0\xc2\10\0\0\0\x0a"                                                        \
	"0123456789\0\0\0\0\0\0"

struct seen {
	struct slice uid, data;
	uint32_t padding;
	bool data_is_there;
};

static kf_err read_message(
	struct slice in, uint16_t version, bool lenient, struct seen *ret)
{
	struct ttlv_reader r = ttlv_read_as(in, version, lenient);
	ttlv_open(&r, TAG_REQUEST_PAYLOAD);
	ttlv_get_text(&r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	if (ttlv_open_opt(&r, TAG_CRYPTOGRAPHIC_PARAMETERS)) {
		ttlv_opt_enum(&r, TAG_PADDING_METHOD, &ret->padding);
		ttlv_close(&r);
	}
	ret->data_is_there = ttlv_opt_bytes(&r, TAG_DATA, &ret->data);
	ttlv_close(&r);
	return ttlv_done(&r);
}

TEST(message_is_the_list_of_its_fields)
{
	struct seen s = { 0 };

	OK(kf_ok(read_message(SLICE_LIT(MESSAGE), 0x0104, false, &s)));

	OK(slice_is(s.uid, "ab-12"));
	OK(slice_is(s.data, "0123456789"));
	EQ(s.padding, KMIP_PADDING_METHOD_PSS);
}

TEST(cut_at_every_byte_is_refused)
{
	struct slice whole = SLICE_LIT(MESSAGE);
	for (size_t n = 0; n < whole.n; n++) {
		struct seen s = { 0 };
		OK(!kf_ok(read_message((struct slice){ whole.p, n }, 0x0104, false, &s)));
		OK(n == 0 || !kf_ok(ttlv_check((struct slice){ whole.p, n })));
	}
}

TEST(lie_in_every_length_is_refused)
{
	static const size_t lengths[] = { 4, 12, 28, 36, 52 };
	static const uint8_t lies[] = { 1, 3, 7, 0x11, 0x3f, 0x7f, 0xff };
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		for (size_t k = 0; k < 4 * sizeof(lies); k++) {
			uint8_t m[] = MESSAGE;
			size_t at = lengths[i] + k % 4;
			m[at] ^= lies[k / 4];
			struct seen s = { 0 };
			kf_err e = read_message(
				(struct slice){ m, sizeof(m) - 1 }, 0x0104, false, &s);
			/* A shorter text or byte string with the same padding is no lie. */
			bool is_padding = (at == 15 || at == 55) && kf_ok(e);
			OK(is_padding || !kf_ok(e));
		}
	}
}

TEST(field_newer_than_the_version_is_unknown_to_it)
{
	struct seen s = { 0 };
	/* Data came with 1.2 */
	OK(kf_is(
		read_message(SLICE_LIT(MESSAGE), 0x0101, false, &s), KF_E_INVALID_FIELD));
}

TEST(lenient_reader_skips_what_it_does_not_know)
{
	struct seen s = { 0 };
	OK(kf_ok(read_message(SLICE_LIT(MESSAGE), 0x0101, true, &s)));
	OK(!s.data_is_there);
}

TEST(lenient_reader_skips_in_the_middle)
{
	static const char m[] = "\x42\0\x79\1\0\0\0\x30"
				"\x42\x0f\xff\5\0\0\0\4\0\0\0\x0a\0\0\0\0"
				"\x42\0\x94\7\0\0\0\5ab-12\0\0\0"
				"\x42\x0f\xff\5\0\0\0\4\0\0\0\x0a\0\0\0\0";
	struct slice in = { (const uint8_t *)m, sizeof(m) - 1 };
	struct seen s = { 0 };
	OK(kf_ok(read_message(in, 0x0105, true, &s)));
	OK(slice_is(s.uid, "ab-12"));
	OK(kf_is(read_message(in, 0x0104, false, &s), KF_E_INVALID_FIELD));
}

TEST(field_given_twice_is_malformed)
{
	struct seen s = { 0 };
	OK(kf_is(read_message(SLICE_LIT("\x42\0\x79\1\0\0\0\x20"
					"\x42\0\x94\7\0\0\0\5ab-12\0\0\0"
					"\x42\0\x94\7\0\0\0\5ab-12\0\0\0"),
			 0x0104, false, &s),
		KF_E_MALFORMED));
}

static kf_err refused(struct slice s) { return ttlv_check(s); }

TEST(values_are_checked)
{
	/* boolean 2, boolean of 4 bytes, invalid UTF-8, NUL in text, empty big integer,
	 * structure of 4, unknown types 0 and 12 */
	OK(!kf_ok(refused(SLICE_LIT("\x42\0\x20\6\0\0\0\10\0\0\0\0\0\0\0\2"))));
	OK(!kf_ok(refused(SLICE_LIT("\x42\0\xa8\6\0\0\0\10\0\0\0\0\0\0\0\2"))));
	OK(!kf_ok(refused(SLICE_LIT("\x42\0\xa8\6\0\0\0\4\0\0\0\1\0\0\0\0"))));
	OK(!kf_ok(refused(SLICE_LIT("\x42\0\x94\7\0\0\0\2\xc0\x80\0\0\0\0\0\0"))));
	OK(!kf_ok(refused(SLICE_LIT("\x42\0\x94\7\0\0\0\2\x41\0\0\0\0\0\0\0"))));
	OK(!kf_ok(refused(SLICE_LIT("\x42\0\x52\4\0\0\0\0"))));
	OK(!kf_ok(refused(SLICE_LIT("\x42\0\x79\1\0\0\0\4\0\0\0\0\0\0\0\0"))));
	OK(!kf_ok(refused(SLICE_LIT("\x42\xff\xff\0\0\0\0\0"))));
	OK(!kf_ok(refused(SLICE_LIT("\x42\xff\xff\x0c\0\0\0\0"))));
}

TEST(padding_may_be_anything)
{
	OK(kf_ok(ttlv_check(SLICE_LIT("\x42\0\x94\7\0\0\0\2\x41\x42\1\2\3\4\5\6"))));
}

TEST(utf8_is_checked_to_the_letter)
{
	OK(kf_ok(ttlv_check(SLICE_LIT("\x42\0\x94\7\0\0\0\3\xe2\x82\xac\0\0\0\0\0"))));
	OK(kf_ok(ttlv_check(SLICE_LIT("\x42\0\x94\7\0\0\0\4\xf0\x9f\x94\x91\0\0\0\0"))));
	/* surrogate, beyond U+10FFFF, cut off, overlong */
	OK(!kf_ok(ttlv_check(SLICE_LIT("\x42\0\x94\7\0\0\0\3\xed\xa0\x80\0\0\0\0\0"))));
	OK(!kf_ok(ttlv_check(SLICE_LIT("\x42\0\x94\7\0\0\0\4\xf4\x90\x80\x80\0\0\0\0"))));
	OK(!kf_ok(ttlv_check(SLICE_LIT("\x42\0\x94\7\0\0\0\2\xe2\x82\0\0\0\0\0\0"))));
	OK(!kf_ok(ttlv_check(SLICE_LIT("\x42\0\x94\7\0\0\0\3\xe0\x80\xaf\0\0\0\0\0"))));
}

TEST(depth_is_limited)
{
	for (unsigned depth = 30; depth < 40; depth++) {
		autobuf b = buf_new(1024);
		for (unsigned i = 0; i < depth; i++) {
			buf_add_u32(&b, 0x42007901);
			buf_add_u32(&b, 8 * (depth - 1 - i));
		}
		struct ttlv_reader r = ttlv_read(buf_slice(&b));
		for (unsigned i = 0; i < depth; i++)
			ttlv_open(&r, TAG_REQUEST_PAYLOAD);
		OK(kf_ok(r.err) == (depth <= TTLV_DEPTH));
		OK(kf_ok(ttlv_check(buf_slice(&b))) == (depth <= TTLV_DEPTH));
	}
}

TEST(first_error_stays)
{
	struct ttlv_reader r = ttlv_read(SLICE_LIT("\x42\0\x94\7\0\0\0\x7f"));
	struct slice s = { 0 };
	ttlv_get_text(&r, TAG_UNIQUE_IDENTIFIER, &s);
	ttlv_refuse(&r, kf_fail(DENIED, "later"));
	OK(kf_is(ttlv_done(&r), KF_E_SHORT));
	OK(!s.p);
}

TEST(item_may_have_each_of_its_types)
{
	struct ttlv_reader r =
		ttlv_read_as(SLICE_LIT("\x42\0\x07\6\0\0\0\10\0\0\0\0\0\0\0\1"
				       "\x42\0\x07\5\0\0\0\4\0\0\0\3\0\0\0\0"
				       "\x42\0\x07\2\0\0\0\4\0\0\0\3\0\0\0\0"),
			0x0104, false);
	struct ttlv_item it = { 0 };
	ttlv_get_item(&r, TAG_ASYNCHRONOUS_INDICATOR, &it);
	EQ(it.type, TTLV_BOOL);
	EQ(ttlv_item_long(&it), 1);
	ttlv_get_item(&r, TAG_ASYNCHRONOUS_INDICATOR, &it);
	EQ(it.type, TTLV_ENUM);
	EQ(ttlv_item_int(&it), 3);
	OK(ttlv_ok(&r));
	ttlv_get_item(&r, TAG_ASYNCHRONOUS_INDICATOR, &it);
	OK(kf_is(ttlv_done(&r), KF_E_MALFORMED));
}

TEST_MAIN
