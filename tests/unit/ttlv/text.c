/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "ttlv/ttlv.h"
#include <stdlib.h>

static const char sample[] = "Request Payload\n"
			     "\tObject Type = Enumeration Private Key\n"
			     "\tUnique Identifier = Text \"a\\x22b\\x5c\\x0a\"\n"
			     "\tCryptographic Usage Mask = Integer Sign | Verify\n"
			     "\tCryptographic Length = Integer -5\n"
			     "\tActivation Date = Date 2008-03-14T11:56:40Z\n"
			     "\tDeactivation Date = Date 9999999999999\n"
			     "\tLease Time = Interval 3600\n"
			     "\tUsage Limits Total = Long -7\n"
			     "\tModulus = BigInteger 00000000000000ff\n"
			     "\tSensitive = Boolean true\n"
			     "\tKey Block\n"
			     "\t\tKey Value\n"
			     "\t\t\tKey Material = Bytes 0102ff\n"
			     "\tAttribute\n"
			     "\t\tAttribute Name = Text \"Cryptographic Algorithm\"\n"
			     "\t\tAttribute Value = Enumeration RSA\n"
			     "\tAttribute Reference = Enumeration State\n"
			     "\t0x54fffe = Enumeration 0x80123456\n";

TEST(text_form_goes_both_ways)
{
	autobuf bytes = buf_new(4096), text = buf_new(8192), again = buf_new(4096);

	OK(kf_ok(ttlv_parse(slice_of(sample), &bytes)));
	OK(kf_ok(ttlv_print(buf_slice(&bytes), false, &text)));
	OK(slice_is(buf_slice(&text), sample));
	OK(kf_ok(ttlv_parse(buf_slice(&text), &again)));

	OK(slice_eq(buf_slice(&bytes), buf_slice(&again)));
}

static bool has(const struct buf *b, const char *text)
{
	return memmem(b->p, b->n, text, strlen(text)) != NULL;
}

TEST(secrets_are_masked)
{
	autobuf bytes = buf_new(4096), text = buf_new(8192);

	OK(kf_ok(ttlv_parse(slice_of(sample), &bytes)));
	OK(kf_ok(ttlv_print(buf_slice(&bytes), true, &text)));

	OK(has(&text, "Key Material = Bytes (masked, 3 bytes)"));
	OK(!has(&text, "0102ff"));
	OK(has(&text, "Cryptographic Algorithm"));
	autobuf again = buf_new(4096);
	OK(!kf_ok(ttlv_parse(buf_slice(&text), &again)));
}

TEST(everything_below_a_secret_is_masked)
{
	autobuf bytes = buf_new(4096), text = buf_new(8192);
	OK(kf_ok(ttlv_parse(slice_of("Key Value\n\tKey Material\n\t\tRecommended Curve = "
				     "Enumeration P-256\n"),
		&bytes)));
	OK(kf_ok(ttlv_print(buf_slice(&bytes), true, &text)));
	OK(!has(&text, "P-256"));
}

TEST(nonsense_is_refused)
{
	static const char *const bad[] = { "No Such Tag = Integer 1\n",
		"Batch Count = Integer x\n", "Batch Count = Number 1\n",
		"Batch Count = Integer 99999999999\n", "Batch Count = Integer\n",
		"\tBatch Count = Integer 1\n", "Data = Bytes 012\n", "Data = Bytes 0g\n",
		"Name Value = Text abc\n", "Name Value = Text \"\\n\"\n",
		"Sensitive = Boolean yes\n", "Modulus = BigInteger ff\n",
		"Operation = Enumeration Dance\n",
		"Batch Count = Integer 1\n\tBatch Count = Integer 1\n",
		"Activation Date = Date 2008-0x-14T11:56:40Z\n" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		autobuf b = buf_new(4096);
		OK(!kf_ok(ttlv_parse(slice_of(bad[i]), &b)));
	}
}

TEST(names_of_values_are_compared_by_their_letters)
{
	uint32_t v = 0;
	OK(ttlv_value_find(
		TTLV_KIND_CRYPTOGRAPHIC_ALGORITHM, slice_of("hmac_sha256"), &v));
	EQ(v, KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA256);
	OK(!ttlv_value_find(TTLV_KIND_CRYPTOGRAPHIC_ALGORITHM, slice_of("hmac"), &v));
	OK(!ttlv_value_find(TTLV_KIND_NONE, slice_of("hmac"), &v));
}

TEST(every_value_is_found_by_number_and_by_name){
#define X(kind, name, value, since, until, words)                                        \
	{                                                                                \
		uint32_t v = 0;                                                          \
		OK(!strcmp(ttlv_value_text(TTLV_KIND_##kind, (value)), words));          \
		OK(ttlv_value_find(TTLV_KIND_##kind, slice_of(words), &v));              \
		OK(v == (value));                                                        \
		OK(ttlv_value_in(TTLV_KIND_##kind, (value), (since)));                   \
	}
#include "ttlv/enum.def"
}

TEST(every_tag_is_found_by_number_and_by_name)
{
#define X(name, value, types, since, until, secret, kind, words)                         \
	OK(ttlv_tag_find(slice_of(words)) == (value));                                   \
	OK(!strcmp(ttlv_tag(value)->text, words));                                       \
	OK(ttlv_tag_in((value), (since)));                                               \
	OK(!ttlv_tag_in((value), (since)-1));
#include "ttlv/tag.def"
#undef X
}

TEST_MAIN
