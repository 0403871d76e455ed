/* SPDX-License-Identifier: Apache-2.0 */
#include "vhsm/apdu.h"
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

TEST_MAIN
