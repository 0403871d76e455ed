/* SPDX-License-Identifier: Apache-2.0 */
#include "net/frame.h"

enum { TAG_FIRST_BYTE = 0x42, TYPE_AT = 3, TYPE_STRUCTURE = 1, LENGTH_AT = 4 };

static size_t read32(const uint8_t *p)
{
	return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
}

static bool can_be_structure(struct slice s)
{
	return (s.n == 0 || s.p[0] == TAG_FIRST_BYTE) &&
	       (s.n <= TYPE_AT || s.p[TYPE_AT] == TYPE_STRUCTURE);
}

enum frame_result frame_next(struct slice *rest, size_t max, struct slice *ret)
{
	if (!can_be_structure(*rest))
		return FRAME_MALFORMED;
	if (rest->n < FRAME_HEADER)
		return FRAME_MORE;
	size_t length = read32(rest->p + LENGTH_AT);
	if (length % 8) /* items of a structure are padded to eight bytes */
		return FRAME_MALFORMED;
	if (max < FRAME_HEADER || length > max - FRAME_HEADER)
		return FRAME_TOO_BIG;
	size_t n = FRAME_HEADER + length;
	if (rest->n < n)
		return FRAME_MORE;
	*ret = (struct slice){ rest->p, n };
	*rest = (struct slice){ rest->p + n, rest->n - n };
	return FRAME_READY;
}
