/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "test.h"

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
TEST_MAIN
