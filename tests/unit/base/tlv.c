/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tlv.h"
#include "test.h"
#include <stdlib.h>

static bool comes_back(uint32_t tag, size_t n)
{
	static uint8_t value[70000];
	autobuf b = buf_new(80000);
	struct tlv t;
	value[n - 1] = 7;
	tlv_add(&b, tag, (struct slice){ value, n });
	struct slice rest = buf_slice(&b);
	return tlv_next(&rest, &t) && rest.n == 0 && t.tag == tag &&
	       slice_eq(t.value, (struct slice){ value, n }) && t.whole.n == b.n;
}

TEST(elements_of_any_size_come_back)
{
	static const size_t sizes[] = { 1, 127, 128, 255, 256, 65535, 65536 };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		OK(comes_back(0x30, sizes[i]) && comes_back(0x7f49, sizes[i]));
}

TEST(an_element_cut_at_any_byte_is_none)
{
	autobuf b = buf_new(1000);
	struct tlv t;
	tlv_add(&b, 0x7f49, (struct slice){ (const uint8_t[300]){ 1 }, 300 });
	for (size_t n = 0; n < b.n; n++) {
		struct slice rest = { b.p, n };
		OK(!tlv_next(&rest, &t) && rest.n == n);
	}
}

TEST(lengths_that_lie_are_refused)
{
	static const char *const lies[] = { "\x04\x80\x00\x00", "\x04\x84\x00\x00",
		"\x04\x03\x00\x00", "\x1f\x81\x01\x00", "\x04\x82\xff\xff" };
	struct tlv t;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct slice rest = { (const uint8_t *)lies[i], 4 };
		OK(!tlv_next(&rest, &t) && rest.n == 4);
	}
}

TEST(an_element_is_found_by_its_tag)
{
	autobuf b = buf_new(100);
	tlv_add_byte(&b, 0x81, 1);
	tlv_add_byte(&b, 0x5f20, 2);
	struct slice s = tlv_find(buf_slice(&b), 0x5f20);
	OK(s.n == 1 && s.p[0] == 2 && tlv_is_sound(buf_slice(&b)));
	OK(!tlv_find(buf_slice(&b), 0x82).p);
}

TEST_MAIN
