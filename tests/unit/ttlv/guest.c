/* SPDX-License-Identifier: Apache-2.0
 *
 * Built as for a plug-in: what must never happen is an error, not the end of somebody else's process.
 */
#include "test.h"
#include "ttlv/ttlv.h"

TEST(ending_what_was_not_begun_is_an_error)
{
	autobuf b = buf_new(64);
	struct ttlv_writer w = ttlv_write(&b, 0x0201);
	ttlv_end(&w);
	OK(kf_is(ttlv_written(&w), KF_E_INTERNAL));
}

TEST(closing_what_was_not_opened_is_an_error)
{
	struct ttlv_reader r = ttlv_read((struct slice){ 0 });
	ttlv_close(&r);
	OK(kf_is(ttlv_done(&r), KF_E_INTERNAL));
}

TEST(done_inside_of_a_structure_is_an_error)
{
	struct ttlv_reader r = ttlv_read(SLICE_LIT("\x42\0\x79\1\0\0\0\0"));
	ttlv_open(&r, TAG_REQUEST_PAYLOAD);
	OK(kf_is(ttlv_done(&r), KF_E_INTERNAL));
}

TEST(misuse_of_a_buffer_is_an_error)
{
	autobuf a = buf_new(64), b = buf_new(64), c = buf_new(64);
	buf_consume(&a, 1);
	buf_commit(&b, 1);
	buf_set_u32(&c, 0, 1);
	OK(kf_is(buf_err(&a), KF_E_INTERNAL));
	OK(kf_is(buf_err(&b), KF_E_INTERNAL));
	OK(kf_is(buf_err(&c), KF_E_INTERNAL));
	EQ(a.n + b.n + c.n, 0);
}

TEST_MAIN
