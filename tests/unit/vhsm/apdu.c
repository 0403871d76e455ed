/* SPDX-License-Identifier: Apache-2.0 */
#include "vhsm/apdu.h"
#include "base/tlv.h"
#include "test.h"

static struct apdu parsed;

#define PARSES(lit) (kf_ok(apdu_parse(SLICE_LIT(lit), &parsed)))

TEST(every_form_of_a_command_is_understood)
{
	OK(PARSES("\x00\x20\x00\x81"));
	OK(parsed.data.n == 0 && parsed.ne == 0 && parsed.p2 == 0x81);
	OK(PARSES("\x00\x84\x00\x00\x08"));
	OK(parsed.data.n == 0 && parsed.ne == 8);
	OK(PARSES("\x00\x84\x00\x00\x00"));
	EQ(parsed.ne, 256);
	OK(PARSES("\x00\xe4\x02\x00\x02\xce\x01"));
	OK(parsed.data.n == 2 && parsed.ne == 0 && !parsed.is_extended);
	OK(PARSES("\x00\xa4\x00\x00\x02\xce\x01\x00"));
	OK(parsed.data.n == 2 && parsed.ne == 256);
	OK(PARSES("\x80\x58\x00\x00\x00\x00\x00"));
	OK(parsed.data.n == 0 && parsed.ne == 65536 && parsed.is_extended);
	OK(PARSES("\x00\xb1\x00\x00\x00\x00\x02\x54\x00"));
	OK(parsed.data.n == 2 && parsed.ne == 0);
	OK(PARSES("\x00\xb1\x00\x00\x00\x00\x02\x54\x00\x04\x00"));
	OK(parsed.data.n == 2 && parsed.ne == 0x400);
}

TEST(a_command_cut_at_any_byte_is_refused_or_another_form)
{
	struct slice whole =
		SLICE_LIT("\x00\xb1\x00\x00\x00\x00\x04\x54\x02\x00\x00\x04\x00");
	for (size_t n = 0; n < whole.n; n++) {
		bool is_form = n == 4 || n == 5 || n == 7 || n == 11;
		OK(kf_ok(apdu_parse((struct slice){ whole.p, n }, &parsed)) == is_form);
	}
}

TEST(a_length_that_lies_is_refused)
{
	OK(!PARSES("\x00\x20\x00\x81\x05\x31\x32"));
	OK(!PARSES("\x00\x20\x00\x81\x01\x31\x32\x33"));
	OK(!PARSES("\x00\x20\x00\x81\x00\x31"));
	OK(!PARSES("\x00\x20\x00\x81\x00\x00\x00\x31"));
	OK(!PARSES("\x00\x20\x00\x81\x00\xff\xff\x31"));
}

TEST(elements_come_back_as_they_were_written)
{
	static const uint8_t bytes[70000];
	const size_t sizes[] = { 0, 1, 127, 128, 255, 256, 65535, 65536, 70000 };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		autobuf b = buf_new(80000);
		struct tlv t;
		tlv_add(&b, 0x7f49, (struct slice){ bytes, sizes[i] });
		struct slice rest = buf_slice(&b);
		OK(tlv_next(&rest, &t) && t.tag == 0x7f49 && t.value.n == sizes[i]);
		OK(rest.n == 0 && t.whole.n == b.n);
	}
}

TEST(an_element_cut_at_any_byte_is_refused)
{
	struct slice whole = SLICE_LIT("\x7f\x49\x82\x00\x03\x01\x02\x03");
	OK(tlv_is_sound(whole));
	for (size_t n = 1; n < whole.n; n++)
		OK(!tlv_is_sound((struct slice){ whole.p, n }));
	OK(!tlv_is_sound(SLICE_LIT("\x30\x80\x00\x00")));
	OK(!tlv_is_sound(SLICE_LIT("\x30\x84\x00\x00\x00\x00")));
	OK(!tlv_is_sound(SLICE_LIT("\x30\x83\xff\xff\xff\x00")));
}

TEST_MAIN
