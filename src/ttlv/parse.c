/* SPDX-License-Identifier: Apache-2.0 */
#include "ttlv/table.h"
#include "ttlv/text.h"
#include <string.h>
#include <time.h>

/* One line: `indent` tabs, "NAME" or "NAME = TYPE VALUE". */
struct line {
	unsigned indent;
	uint32_t tag;
	struct slice name, value;
	enum ttlv_type type;
};

struct parser {
	struct ttlv_writer w;
	struct buf scratch; /* decoded bytes of the value */
	struct slice attribute_name;
};

static struct slice rest(struct slice s, size_t n)
{
	return (struct slice){ s.p + n, s.n - n };
}

static struct slice trim(struct slice s)
{
	while (s.n && s.p[0] == ' ')
		s = rest(s, 1);
	while (s.n && s.p[s.n - 1] == ' ')
		s.n--;
	return s;
}

/* What stands before `mark`; *after is what follows it, untouched if there is none. */
static struct slice before(struct slice s, const char *mark, struct slice *after)
{
	size_t n = strlen(mark);
	const uint8_t *at = s.n ? memmem(s.p, s.n, mark, n) : NULL;
	if (!at)
		return s;
	size_t head = (size_t)(at - s.p);
	*after = rest(s, head + n);
	return (struct slice){ s.p, head };
}

static int digit_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

/* "-12", "0x1f". */
static kf_err parse_number(struct slice s, int64_t *ret)
{
	bool is_negative = s.n && s.p[0] == '-';
	if (is_negative)
		s = rest(s, 1);
	bool is_hex = s.n > 2 && s.p[0] == '0' && (s.p[1] | 0x20) == 'x';
	if (is_hex)
		s = rest(s, 2);
	int base = is_hex ? 16 : 10;
	if (s.n == 0)
		return kf_fail(MALFORMED, "a number is missing");
	uint64_t v = 0;
	for (size_t i = 0; i < s.n; i++) {
		int d = digit_value(s.p[i]);
		if (d >= base || __builtin_mul_overflow(v, (uint64_t)base, &v) ||
			__builtin_add_overflow(v, (uint64_t)d, &v))
			return kf_fail(MALFORMED, "not a number");
	}
	if (v > (uint64_t)INT64_MAX + is_negative)
		return kf_fail(MALFORMED, "number is too big");
	*ret = (int64_t)(is_negative ? 0 - v : v);
	return KF_OK;
}

static kf_err parse_hex(struct slice s, struct buf *ret)
{
	if (s.n % 2)
		return kf_fail(MALFORMED, "odd number of hexadecimal digits");
	for (size_t i = 0; i < s.n; i += 2) {
		int high = digit_value(s.p[i]), low = digit_value(s.p[i + 1]);
		if (high > 15 || low > 15)
			return kf_fail(MALFORMED, "not a hexadecimal digit");
		buf_add_u8(ret, (uint8_t)(high << 4 | low));
	}
	return buf_err(ret);
}

static kf_err parse_text(struct slice s, struct buf *ret)
{
	if (s.n < 2 || s.p[0] != '"' || s.p[s.n - 1] != '"')
		return kf_fail(MALFORMED, "text is not in quotes");
	s = (struct slice){ s.p + 1, s.n - 2 };
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '\\') {
			buf_add_u8(ret, s.p[i]);
			continue;
		}
		if (s.n - i < 4 || s.p[i + 1] != 'x')
			return kf_fail(MALFORMED, "unknown escape in text");
		KF_TRY(parse_hex((struct slice){ s.p + i + 2, 2 }, ret));
		i += 3;
	}
	return buf_err(ret);
}

static bool parse_digits(struct slice s, size_t at, size_t n, int *ret)
{
	*ret = 0;
	for (size_t i = at; i < at + n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		*ret = *ret * 10 + s.p[i] - '0';
	}
	return true;
}

/* "2026-01-31T12:00:00Z", or a number of seconds. */
static kf_err parse_date(struct slice s, int64_t *ret)
{
	struct tm tm = { 0 };
	if (s.n != 20 || s.p[10] != 'T' || s.p[19] != 'Z')
		return parse_number(s, ret);
	if (!parse_digits(s, 0, 4, &tm.tm_year) || !parse_digits(s, 5, 2, &tm.tm_mon) ||
		!parse_digits(s, 8, 2, &tm.tm_mday) ||
		!parse_digits(s, 11, 2, &tm.tm_hour) ||
		!parse_digits(s, 14, 2, &tm.tm_min) ||
		!parse_digits(s, 17, 2, &tm.tm_sec))
		return kf_fail(MALFORMED, "not a date");
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*ret = timegm(&tm);
	return KF_OK;
}

/* "Sign | Verify", "RSA", or a number. */
static kf_err parse_names(struct slice s, enum ttlv_kind kind, int64_t *ret)
{
	int64_t sum = 0;
	uint32_t v;
	if (s.n == 0)
		return kf_fail(MALFORMED, "a value is missing");
	while (s.n) {
		struct slice after = { 0 };
		struct slice word = trim(before(s, " | ", &after));
		if (!ttlv_value_find(kind, word, &v))
			return parse_number(s, ret);
		sum |= v;
		s = after;
	}
	*ret = sum;
	return KF_OK;
}

static kf_err parse_bool(struct slice s, int64_t *ret)
{
	if (!slice_is(s, "true") && !slice_is(s, "false"))
		return kf_fail(MALFORMED, "neither true nor false");
	*ret = slice_is(s, "true");
	return KF_OK;
}

static kf_err parse_4(struct parser *p, const struct line *l)
{
	int64_t v = 0;
	KF_TRY(parse_names(l->value, text_kind(l->tag, p->attribute_name), &v));
	if (v < INT32_MIN || v > UINT32_MAX)
		return kf_fail(MALFORMED, "number is too big");
	buf_add_u32(&p->scratch, (uint32_t)v);
	return KF_OK;
}

static kf_err parse_8(struct parser *p, const struct line *l)
{
	int64_t v = 0;
	if (l->type == TTLV_BOOL)
		KF_TRY(parse_bool(l->value, &v));
	else
		KF_TRY(parse_date(l->value, &v));
	buf_add_u64(&p->scratch, (uint64_t)v);
	return KF_OK;
}

static kf_err parse_value(struct parser *p, const struct line *l)
{
	buf_clear(&p->scratch);
	switch (l->type) {
	case TTLV_INT:
	case TTLV_ENUM:
	case TTLV_INTERVAL: return parse_4(p, l);
	case TTLV_LONG:
	case TTLV_BOOL:
	case TTLV_DATE:
	case TTLV_DATE_EXTENDED: return parse_8(p, l);
	case TTLV_TEXT: return parse_text(l->value, &p->scratch);
	case TTLV_BIGINT:
	case TTLV_BYTES: return parse_hex(l->value, &p->scratch);
	case TTLV_STRUCT: break;
	}
	return KF_OK;
}

static kf_err parse_tag(struct slice name, uint32_t *ret)
{
	int64_t v = 0;
	*ret = ttlv_tag_find(name);
	if (*ret)
		return KF_OK;
	if (name.n < 2 || name.p[0] != '0' || !kf_ok(parse_number(name, &v)) || v < 0 ||
		v > 0xffffff)
		return kf_fail(MALFORMED, "unknown tag");
	*ret = (uint32_t)v;
	return KF_OK;
}

static kf_err parse_line(struct slice text, struct line *ret)
{
	struct line l = { .type = TTLV_STRUCT };
	while (l.indent < text.n && text.p[l.indent] == '\t')
		l.indent++;
	struct slice typed = { 0 };
	l.name = trim(before(rest(text, l.indent), " = ", &typed));
	KF_TRY(parse_tag(l.name, &l.tag));
	if (typed.p) {
		l.type = text_type_find(before(typed, " ", &l.value));
		l.value = trim(l.value);
	}
	if (l.type == 0)
		return kf_fail(MALFORMED, "unknown type");
	*ret = l;
	return KF_OK;
}

static kf_err put_line(struct parser *p, const struct line *l)
{
	if (l->indent > p->w.depth)
		return kf_fail(MALFORMED, "a line is indented too far");
	while (p->w.depth > l->indent)
		ttlv_end(&p->w);
	if (l->type == TTLV_STRUCT) {
		ttlv_begin(&p->w, (enum ttlv_tag)l->tag);
		return buf_err(p->w.out);
	}
	KF_TRY(parse_value(p, l));
	struct ttlv_item it = { .type = l->type, .value = buf_slice(&p->scratch) };
	if (l->type == TTLV_BIGINT && (it.value.n == 0 || it.value.n % 8))
		return kf_fail(MALFORMED, "big integer is not in words of eight bytes");
	ttlv_put_as(&p->w, l->tag, &it);
	/* Still in quotes; good enough for the names of the standard. */
	if (l->tag == TAG_ATTRIBUTE_NAME && l->value.n >= 2)
		p->attribute_name = (struct slice){ l->value.p + 1, l->value.n - 2 };
	return buf_err(p->w.out);
}

static kf_err parse(struct parser *p, struct slice text)
{
	while (text.n) {
		struct slice after = { 0 };
		struct slice one = before(text, "\n", &after);
		struct line l;
		if (trim(one).n) {
			KF_TRY(parse_line(one, &l));
			KF_TRY(put_line(p, &l));
		}
		text = after;
	}
	while (p->w.depth > 0)
		ttlv_end(&p->w);
	return buf_err(p->w.out);
}

kf_err ttlv_parse(struct slice text, struct buf *ret)
{
	struct parser p = { .w = ttlv_write(ret, 0), .scratch = buf_new(text.n + 16) };
	kf_err e = parse(&p, text);
	buf_free(&p.scratch);
	return e;
}
