/* SPDX-License-Identifier: Apache-2.0 */
#include "token/text.h"
#include <stdbool.h>
#include <string.h>

/* Longer forms than needed, surrogates, and what is above U+10FFFF: told by the second byte. */
static bool is_forbidden(uint8_t first, uint8_t second)
{
	return (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
	       (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
}

/* Bytes of the character at p if it is whole and printable; 0 if not. */
static size_t character(const uint8_t *p, size_t n)
{
	size_t size = *p < 0x80   ? 1
		      : *p < 0xc2 ? 0
		      : *p < 0xe0 ? 2
		      : *p < 0xf0 ? 3
		      : *p < 0xf5 ? 4
				  : 0;
	if (size > n || *p < 0x20 || *p == 0x7f || (size > 1 && is_forbidden(p[0], p[1])))
		return 0;
	for (size_t i = 1; i < size; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return size;
}

void text_of_field(const uint8_t *field, size_t n, char *ret, size_t size)
{
	size_t at = 0;
	n = strnlen((const char *)field, n);
	while (n && field[n - 1] == ' ')
		n--;
	for (size_t i = 0; i < n;) {
		size_t length = character(field + i, n - i);
		if (at + (length ? length : 1) >= size)
			break;
		if (length)
			memcpy(ret + at, field + i, length);
		else
			ret[at] = '?';
		at += length ? length : 1;
		i += length ? length : 1;
	}
	ret[at] = 0;
}

void text_to_field(const char *text, uint8_t *ret, size_t n)
{
	size_t length = strnlen(text, n);
	memcpy(ret, text, length);
	memset(ret + length, ' ', n - length);
}
