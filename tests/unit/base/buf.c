/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "test.h"
#include <stdlib.h>

static void free_text(char **text) { free(*text); }

TEST(a_new_buffer_is_empty_and_well)
{
	autobuf b = buf_new(64);
	EQ(b.n, 0);
	OK(kf_ok(buf_err(&b)));
}

TEST(numbers_are_big_endian)
{
	autobuf b = buf_new(64);
	buf_add_u32(&b, 0x01020304);
	MEMEQ(b.p, b.n, "\1\2\3\4");
}

TEST(the_first_failure_sticks)
{
	autobuf b = buf_new(4);
	buf_add_u64(&b, 1);
	buf_add_u32(&b, 1);
	OK(kf_is(buf_err(&b), KF_E_TOO_BIG));
	OK(strcmp(buf_err(&b).site->func, "grow") == 0);
	EQ(b.n, 4);
}

TEST(white_space_goes_from_both_ends_and_stays_inside)
{
	OK(slice_is(slice_trimmed(SLICE_LIT(" \t\r\n\v\fa b\r\n")), "a b"));
	OK(slice_is(slice_trimmed(SLICE_LIT(" \n ")), ""));
	OK(slice_is(slice_trimmed((struct slice){ 0 }), ""));
}

TEST(bytes_that_a_locale_calls_white_space_or_c_calls_the_end_are_no_white_space)
{
	OK(slice_eq(slice_trimmed(SLICE_LIT("\xa0\x85")), SLICE_LIT("\xa0\x85")));
	OK(slice_eq(slice_trimmed(SLICE_LIT("\0a\0")), SLICE_LIT("\0a\0")));
}

TEST(lines_are_taken_without_their_end_and_the_last_needs_none)
{
	struct slice text = SLICE_LIT("one\n\ntwo\r\nthree");

	OK(slice_is(slice_take_line(&text), "one"));
	OK(slice_is(slice_take_line(&text), ""));
	OK(slice_is(slice_take_line(&text), "two\r"));
	OK(slice_is(slice_take_line(&text), "three"));
	EQ(text.n, 0);
}

TEST(of_a_text_that_ends_with_a_line_nothing_is_left)
{
	struct slice text = SLICE_LIT("one\n");

	OK(slice_is(slice_take_line(&text), "one"));
	EQ(text.n, 0);
}

TEST(a_line_of_nothing_is_empty)
{
	struct slice text = { 0 };

	OK(slice_is(slice_take_line(&text), ""));
	EQ(text.n, 0);
}

TEST(a_copy_of_a_slice_is_a_text)
{
	CLEANUP(free_text) char *copy = slice_dup(SLICE_LIT("abc"));
	CLEANUP(free_text) char *nothing = slice_dup((struct slice){ 0 });

	OK(copy && strcmp(copy, "abc") == 0);
	OK(nothing && !*nothing);
}
TEST_MAIN
