/* SPDX-License-Identifier: Apache-2.0 */
#include "net/frame.h"
#include "test.h"

enum { MAX = 1024 };

static const uint8_t two[] = {
	0x42, 0x00, 0x78, 0x01, 0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7,
	8,                                  /* a message of 16 bytes */
	0x42, 0x00, 0x7b, 0x01, 0, 0, 0, 0, /* an empty one */
};

TEST(messages_are_cut_one_after_the_other)
{
	struct slice rest = { two, sizeof(two) }, m;
	EQ(frame_next(&rest, MAX, &m), FRAME_READY);
	OK(m.p == two && m.n == 16);
	EQ(frame_next(&rest, MAX, &m), FRAME_READY);
	OK(m.p == two + 16 && m.n == 8);
	EQ(frame_next(&rest, MAX, &m), FRAME_MORE);
	EQ(rest.n, 0);
}

TEST(a_cut_at_every_byte_waits_for_more)
{
	for (size_t n = 0; n < 16; n++) {
		struct slice rest = { two, n }, m;
		EQ(frame_next(&rest, MAX, &m), FRAME_MORE);
		EQ(rest.n, n);
	}
}

TEST(a_length_over_the_limit_is_refused_before_it_is_waited_for)
{
	uint8_t head[8] = { 0x42, 0, 0x78, 1, 0, 0, 0, 16 };
	struct slice rest = { head, 8 }, m;
	EQ(frame_next(&rest, 24, &m), FRAME_MORE);
	EQ(frame_next(&rest, 23, &m), FRAME_TOO_BIG);
	EQ(frame_next(&rest, 0, &m), FRAME_TOO_BIG);
	memset(head + 4, 0xff, 4);
	head[7] = 0xf8;
	EQ(frame_next(&rest, MAX, &m), FRAME_TOO_BIG);
	EQ(frame_next(&rest, SIZE_MAX, &m), FRAME_MORE);
}

TEST(what_is_no_structure_is_refused_at_once)
{
	struct slice rest = SLICE_LIT("G"), m;
	EQ(frame_next(&rest, MAX, &m), FRAME_MALFORMED);
	rest = SLICE_LIT("\x42\x00\x78\x02");
	EQ(frame_next(&rest, MAX, &m), FRAME_MALFORMED);
	rest = SLICE_LIT("\x42\x00\x78\x01\x00\x00\x00\x07");
	EQ(frame_next(&rest, MAX, &m), FRAME_MALFORMED);
}
TEST_MAIN
