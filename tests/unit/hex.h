/* SPDX-License-Identifier: Apache-2.0
 *
 * hex: bytes as the standards' test vectors print them; white space between digits is fine.
 */
#pragma once
#include "base/buf.h"
#include <ctype.h>
#include <stdlib.h>

struct hex {
	uint8_t p[512];
	size_t n;
};

static inline unsigned hex_digit(char c)
{
	if (!isxdigit((unsigned char)c))
		abort();
	return isdigit((unsigned char)c)
		       ? (unsigned)(c - '0')
		       : (unsigned)(tolower((unsigned char)c) - 'a' + 10);
}

static inline struct hex hex(const char *text)
{
	struct hex h = { .n = 0 };
	unsigned high = 0, digits = 0;

	for (; *text; text++) {
		if (isspace((unsigned char)*text))
			continue;
		high = high << 4 | hex_digit(*text);
		if (++digits % 2)
			continue;
		if (h.n == sizeof(h.p))
			abort();
		h.p[h.n++] = (uint8_t)high;
		high = 0;
	}
	return h;
}

static inline struct slice hex_slice(const struct hex *h)
{
	return (struct slice){ h->p, h->n };
}

static inline bool hex_is(struct slice have, const char *text)
{
	const struct hex want = hex(text);
	return slice_eq(have, (struct slice){ want.p, want.n });
}
