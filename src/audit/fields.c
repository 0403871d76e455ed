/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/fields.h"
#include <string.h>
#include <time.h>

static bool is_key(uint8_t c) { return (c >= 'a' && c <= 'z') || c == '-'; }

static struct slice take(struct slice *rest, size_t n, size_t beyond)
{
	struct slice s = { rest->p, n };
	rest->p += n + beyond;
	rest->n -= n + beyond;
	return s;
}

static bool take_key(struct slice *rest, struct slice *ret)
{
	size_t n = 0;
	while (n < rest->n && is_key(rest->p[n]))
		n++;
	if (n == 0 || n == rest->n || rest->p[n] != '=')
		return false;
	*ret = take(rest, n, 1);
	return true;
}

/* The blank behind a value, if there is one, goes with it; another field has to follow. */
static bool take_value(struct slice *rest, struct slice *ret)
{
	size_t quotes = rest->n && rest->p[0] == '"', n = 0;
	const uint8_t *p = rest->p + quotes;
	size_t most = rest->n - quotes;
	while (n < most && p[n] != '"' && (quotes || p[n] != ' '))
		n++;
	if (n < most && (p[n] == '"') != (quotes == 1))
		return false;
	if (quotes && n == most)
		return false;
	*ret = (struct slice){ p, n };
	n += 2 * quotes;
	bool has_blank = n < rest->n;
	if (has_blank && (rest->p[n] != ' ' || n + 1 == rest->n))
		return false;
	take(rest, n, has_blank);
	return true;
}

bool field_next(struct slice *rest, struct field *ret)
{
	struct slice at = *rest;
	if (!take_key(&at, &ret->key) || !take_value(&at, &ret->value))
		return false;
	*rest = at;
	return true;
}

bool fields_are_sound(struct slice line)
{
	struct field f;
	while (line.n)
		if (!field_next(&line, &f))
			return false;
	return true;
}

struct slice field_find(struct slice line, const char *key)
{
	struct field f;
	while (field_next(&line, &f))
		if (slice_is(f.key, key))
			return f.value;
	return (struct slice){ 0 };
}

static int digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* By its place from the end: peers may have written the word anywhere before. */
bool fields_are_signed(struct slice line, struct slice *ret)
{
	enum { DIGITS = 128 };
	static const char key[] = " signature=";
	size_t n = sizeof(key) - 1 + DIGITS;
	if (line.n < n || memcmp(line.p + line.n - n, key, sizeof(key) - 1) != 0)
		return false;
	*ret = (struct slice){ line.p + line.n - DIGITS, DIGITS };
	for (size_t i = 0; i < DIGITS; i++)
		if (digit(ret->p[i]) < 0)
			return false;
	return true;
}

bool field_number(struct slice value, uint64_t *ret)
{
	uint64_t v = 0;
	for (size_t i = 0; i < value.n; i++) {
		uint8_t c = value.p[i];
		if (c < '0' || c > '9' || __builtin_mul_overflow(v, 10, &v) ||
			__builtin_add_overflow(v, (uint64_t)(c - '0'), &v))
			return false;
	}
	*ret = v;
	return value.n > 0;
}

/* The byte that begins at p, and how many it takes. */
static size_t unescape(const uint8_t *p, size_t n, uint8_t *ret)
{
	*ret = p[0];
	if (n < 4 || p[0] != '\\' || p[1] != 'x' || digit(p[2]) < 0 || digit(p[3]) < 0)
		return 1;
	*ret = (uint8_t)(digit(p[2]) << 4 | digit(p[3]));
	return 4;
}

void field_text(struct slice value, char *ret, size_t size)
{
	size_t n = 0;
	for (size_t i = 0; i < value.n && n + 1 < size;) {
		uint8_t c;
		i += unescape(value.p + i, value.n - i, &c);
		ret[n++] = c >= ' ' && c < 0x7f ? (char)c : '?';
	}
	ret[n] = 0;
}

static bool number_at(struct slice s, size_t at, size_t n, int *ret)
{
	uint64_t v;
	if (at + n > s.n || !field_number((struct slice){ s.p + at, n }, &v))
		return false;
	*ret = (int)v;
	return true;
}

bool field_time(struct slice s, int64_t *ret_us)
{
	struct tm tm = { 0 };
	int us;
	bool is_time =
		s.n == 27 && s.p[26] == 'Z' && s.p[10] == 'T' && s.p[19] == '.' &&
		number_at(s, 0, 4, &tm.tm_year) && number_at(s, 5, 2, &tm.tm_mon) &&
		number_at(s, 8, 2, &tm.tm_mday) && number_at(s, 11, 2, &tm.tm_hour) &&
		number_at(s, 14, 2, &tm.tm_min) && number_at(s, 17, 2, &tm.tm_sec) &&
		number_at(s, 20, 6, &us);
	if (!is_time)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	*ret_us = (int64_t)timegm(&tm) * 1000000 + us;
	return true;
}
