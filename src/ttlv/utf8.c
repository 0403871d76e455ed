/* SPDX-License-Identifier: Apache-2.0 */
#include "ttlv/utf8.h"
#include <string.h>

/* Bytes that follow the lead byte, and the range of the first of them: this keeps out overlong
 * forms, surrogates and code points beyond U+10FFFF. */
static size_t follow(uint8_t lead, uint8_t *low, uint8_t *high)
{
	*low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
	*high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
	if (lead >= 0xc2 && lead <= 0xdf)
		return 1;
	if (lead >= 0xe0 && lead <= 0xef)
		return 2;
	return lead >= 0xf0 && lead <= 0xf4 ? 3 : 0;
}

/* Length of the character at s.p[i]; 0: there is none. */
static size_t character(struct slice s, size_t i)
{
	uint8_t low, high;
	size_t n = follow(s.p[i], &low, &high);
	if (n == 0 || n > s.n - i - 1 || s.p[i + 1] < low || s.p[i + 1] > high)
		return 0;
	for (size_t k = 2; k <= n; k++) {
		if ((s.p[i + k] & 0xc0) != 0x80)
			return 0;
	}
	return n + 1;
}

/* Eight bytes at once: is none of them zero, and none above 0x7f? */
static bool is_plain(const uint8_t *p)
{
	const uint64_t ones = 0x0101010101010101, highs = ones << 7;
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return ((v | (v - ones)) & highs) == 0;
}

bool utf8_is_text(struct slice s)
{
	for (size_t i = 0; i < s.n;) {
		if (s.n - i >= 8 && is_plain(s.p + i)) {
			i += 8;
			continue;
		}
		if (s.p[i] > 0 && s.p[i] < 0x80) {
			i++;
			continue;
		}
		size_t n = character(s, i);
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}
