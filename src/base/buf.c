/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/check.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

struct buf buf_new(size_t limit) { return (struct buf){ .limit = limit }; }

void buf_free(struct buf *b)
{
	if (b->p)
		explicit_bzero(b->p, b->cap);
	free(b->p);
	*b = (struct buf){ 0 };
}

/* No realloc: it may leave an unwiped copy of the old bytes behind. */
static kf_err grow(struct buf *b, size_t n)
{
	if (n > b->limit - b->n)
		return kf_fail(TOO_BIG, "buffer limit reached");
	if (n <= b->cap - b->n)
		return KF_OK;

	size_t cap = b->cap ? b->cap : 256;
	while (cap < b->n + n)
		cap *= 2;
	uint8_t *p = malloc(cap);
	if (!p)
		return kf_fail(NOMEM, "growing a buffer");
	if (b->p) {
		memcpy(p, b->p, b->n);
		explicit_bzero(b->p, b->cap);
		free(b->p);
	}
	b->p = p;
	b->cap = cap;
	return KF_OK;
}

void buf_clear(struct buf *b)
{
	if (b->n)
		explicit_bzero(b->p, b->n);
	b->n = 0;
	b->err = KF_OK;
}

void buf_consume(struct buf *b, size_t n)
{
	if (!KF_HOLDS(&b->err, n <= b->n, "dropping more than there is"))
		return;
	if (n == 0)
		return;
	memmove(b->p, b->p + n, b->n - n);
	explicit_bzero(b->p + b->n - n, n);
	b->n -= n;
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
	if (kf_ok(b->err))
		b->err = grow(b, n);
	return kf_ok(b->err) ? b->p + b->n : NULL;
}

void buf_commit(struct buf *b, size_t n)
{
	if (!KF_HOLDS(&b->err, n <= b->cap - b->n, "committing more than was reserved"))
		return;
	b->n += n;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
	if (!kf_ok(b->err) || n == 0)
		return;
	b->err = grow(b, n);
	if (!kf_ok(b->err))
		return;
	memcpy(b->p + b->n, p, n);
	b->n += n;
}

void buf_add_slice(struct buf *b, struct slice s) { buf_add(b, s.p, s.n); }
void buf_add_text(struct buf *b, const char *text) { buf_add(b, text, strlen(text)); }
void buf_add_u8(struct buf *b, uint8_t v) { buf_add(b, &v, 1); }

void buf_printf(struct buf *b, const char *format, ...)
{
	char text[1024];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(text)) {
		if (kf_ok(b->err))
			b->err = kf_fail(TOO_BIG, "text does not fit a line");
		return;
	}
	buf_add(b, text, (size_t)n);
}

void buf_add_u32(struct buf *b, uint32_t v)
{
	uint8_t be[4];
	put32(be, v);
	buf_add(b, be, sizeof(be));
}

void buf_add_u64(struct buf *b, uint64_t v)
{
	buf_add_u32(b, (uint32_t)(v >> 32));
	buf_add_u32(b, (uint32_t)v);
}

void buf_set_u32(struct buf *b, size_t at, uint32_t v)
{
	if (!kf_ok(b->err) || !KF_HOLDS(&b->err, at <= b->n && b->n - at >= 4,
				      "setting beyond the end"))
		return;
	put32(b->p + at, v);
}

void buf_fail(struct buf *b, kf_err err)
{
	if (kf_ok(b->err))
		b->err = err;
}

kf_err buf_err(const struct buf *b) { return b->err; }
struct slice buf_slice(const struct buf *b) { return (struct slice){ b->p, b->n }; }

struct slice slice_of(const char *text)
{
	return text ? (struct slice){ (const uint8_t *)text, strlen(text) }
		    : (struct slice){ 0 };
}

bool slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool slice_is(struct slice s, const char *text) { return slice_eq(s, slice_of(text)); }

char *slice_dup(struct slice s) { return strndup(s.n ? (const char *)s.p : "", s.n); }

bool slice_is_space(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

struct slice slice_trimmed(struct slice s)
{
	while (s.n && slice_is_space(s.p[s.n - 1]))
		s.n--;
	while (s.n && slice_is_space(s.p[0])) {
		s.p++;
		s.n--;
	}
	return s;
}

struct slice slice_take_line(struct slice *text)
{
	const struct slice whole = *text;
	const uint8_t *end = whole.n ? memchr(whole.p, '\n', whole.n) : NULL;
	if (!end) {
		*text = (struct slice){ 0 };
		return whole;
	}
	const size_t n = (size_t)(end - whole.p);
	*text = (struct slice){ end + 1, whole.n - n - 1 };
	return (struct slice){ whole.p, n };
}

kf_err slice_to_text(struct slice s, char *ret, size_t size)
{
	if (s.n >= size)
		return kf_fail(TOO_BIG, "text is too long");
	if (s.n && memchr(s.p, 0, s.n))
		return kf_fail(MALFORMED, "text holds a NUL byte");
	if (s.n)
		memcpy(ret, s.p, s.n);
	ret[s.n] = 0;
	return KF_OK;
}
