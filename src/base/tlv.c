/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tlv.h"

static bool take(struct slice *s, uint8_t *ret)
{
	if (s->n == 0)
		return false;
	*ret = s->p[0];
	*s = (struct slice){ s->p + 1, s->n - 1 };
	return true;
}

static bool take_tag(struct slice *s, uint32_t *ret)
{
	uint8_t first, second;
	if (!take(s, &first))
		return false;
	*ret = first;
	if ((first & 0x1f) != 0x1f)
		return true;
	if (!take(s, &second) || second & 0x80)
		return false;
	*ret = (uint32_t)(first << 8 | second);
	return true;
}

static bool take_length(struct slice *s, size_t *ret)
{
	uint8_t byte;
	if (!take(s, &byte))
		return false;
	*ret = byte;
	if (byte < 0x80)
		return true;
	if (byte == 0x80 || byte > 0x83)
		return false;
	*ret = 0;
	for (int n = byte & 0x7f; n > 0; n--) {
		if (!take(s, &byte))
			return false;
		*ret = *ret << 8 | byte;
	}
	return true;
}

bool tlv_next(struct slice *rest, struct tlv *ret)
{
	struct slice s = *rest;
	size_t n;
	if (!take_tag(&s, &ret->tag) || !take_length(&s, &n) || n > s.n)
		return false;
	ret->value = (struct slice){ s.p, n };
	ret->whole = (struct slice){ rest->p, (size_t)(s.p - rest->p) + n };
	*rest = (struct slice){ s.p + n, s.n - n };
	return true;
}

struct slice tlv_find(struct slice in, uint32_t tag)
{
	struct tlv t;
	while (tlv_next(&in, &t))
		if (t.tag == tag)
			return t.value;
	return (struct slice){ NULL, 0 };
}

bool tlv_is_sound(struct slice in)
{
	struct tlv t;
	while (tlv_next(&in, &t))
		;
	return in.n == 0;
}

static void add_length(struct buf *to, size_t n)
{
	if (n >= 0x80)
		buf_add_u8(to, n > 0xffff ? 0x83 : n > 0xff ? 0x82 : 0x81);
	for (int shift = n > 0xffff ? 16 : n > 0xff ? 8 : 0; shift >= 0; shift -= 8)
		buf_add_u8(to, (uint8_t)(n >> shift));
}

void tlv_add(struct buf *to, uint32_t tag, struct slice value)
{
	if (tag > 0xff)
		buf_add_u8(to, (uint8_t)(tag >> 8));
	buf_add_u8(to, (uint8_t)tag);
	add_length(to, value.n);
	buf_add_slice(to, value);
}

void tlv_add_byte(struct buf *to, uint32_t tag, uint8_t value)
{
	tlv_add(to, tag, (struct slice){ &value, 1 });
}
