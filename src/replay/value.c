/* SPDX-License-Identifier: Apache-2.0 */
#include "replay/value.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const types[] = {
	[TTLV_STRUCT] = "Structure",
	[TTLV_INT] = "Integer",
	[TTLV_LONG] = "LongInteger",
	[TTLV_BIGINT] = "BigInteger",
	[TTLV_ENUM] = "Enumeration",
	[TTLV_BOOL] = "Boolean",
	[TTLV_TEXT] = "TextString",
	[TTLV_BYTES] = "ByteString",
	[TTLV_DATE] = "DateTime",
	[TTLV_INTERVAL] = "Interval",
	[TTLV_DATE_EXTENDED] = "DateTimeExtended",
};
enum { TYPES = sizeof(types) / sizeof(types[0]) };

enum ttlv_type replay_type(struct slice name)
{
	/* Of 3.0, where they are texts with a meaning. */
	if (slice_is(name, "Identifier") || slice_is(name, "Reference") ||
		slice_is(name, "NameReference"))
		return TTLV_TEXT;
	for (unsigned i = TTLV_STRUCT; i < TYPES; i++)
		if (slice_is(name, types[i]))
			return (enum ttlv_type)i;
	return (enum ttlv_type)0;
}

uint32_t replay_tag(struct slice name) { return ttlv_tag_find_words(name); }

static struct slice text_of(const struct replay_node *n)
{
	return (struct slice){ (const uint8_t *)n->text, n->n };
}

uint32_t replay_subject(const struct replay_node *n)
{
	if (n->tag != TAG_ATTRIBUTE_VALUE || !n->parent)
		return n->tag;
	const struct replay_node *name = replay_child(n->parent, TAG_ATTRIBUTE_NAME);
	uint32_t tag = name ? replay_tag(text_of(name)) : 0;
	return tag ? tag : n->tag;
}

bool replay_is_now(const struct replay_node *n)
{
	return !strncmp(n->text, "$NOW", 4) && (!n->text[4] || strchr("+-", n->text[4]));
}

bool replay_is_variable(const struct replay_node *n)
{
	return n->text[0] == '$' && n->n > 1 && !replay_is_now(n);
}

/* ---- numbers ---- */

static bool is_hex(const char *s) { return s[0] == '0' && (s[1] | 0x20) == 'x'; }

static kf_err read_number(const char *s, int64_t *ret)
{
	char *end;
	if (!*s || slice_is_space((uint8_t)*s))
		return kf_fail(MALFORMED, "a number is missing");
	int64_t v = is_hex(s) ? (int64_t)strtoull(s + 2, &end, 16) : strtoll(s, &end, 10);
	if (*end || (is_hex(s) && !s[2]))
		return kf_fail(MALFORMED, "neither a number nor a name that is known");
	*ret = v;
	return KF_OK;
}

/* A name that begins with digits has them moved to the end of its first word: 3DES is DES3. */
static bool find_moved(enum ttlv_kind kind, struct slice word, uint32_t *ret)
{
	char moved[128];
	size_t digits = 0;
	while (digits < word.n && word.p[word.n - 1 - digits] >= '0' &&
		word.p[word.n - 1 - digits] <= '9')
		digits++;
	if (!digits || word.n >= sizeof(moved))
		return false;
	memcpy(moved, word.p + word.n - digits, digits);
	memcpy(moved + digits, word.p, word.n - digits);
	return ttlv_value_find(
		kind, (struct slice){ (const uint8_t *)moved, word.n }, ret);
}

static kf_err read_word(enum ttlv_kind kind, struct slice word, int64_t *ret)
{
	char number[32];
	uint32_t v;
	if (kind == TTLV_KIND_TAG && (v = replay_tag(word)))
		*ret = v;
	else if (ttlv_value_find(kind, word, &v) || find_moved(kind, word, &v))
		*ret = v;
	else {
		KF_TRY(slice_to_text(word, number, sizeof(number)));
		return read_number(number, ret);
	}
	return KF_OK;
}

static bool is_between(char c) { return c == '|' || slice_is_space((uint8_t)c); }

/* "Encrypt Decrypt", "Encrypt|Decrypt", "0x0c", "12". */
static kf_err read_mask(enum ttlv_kind kind, const char *s, int64_t *ret)
{
	int64_t sum = 0, one;
	size_t words = 0;
	while (*s) {
		size_t n = 0;
		while (s[n] && !is_between(s[n]))
			n++;
		if (n) {
			KF_TRY(read_word(
				kind, (struct slice){ (const uint8_t *)s, n }, &one));
			sum |= one;
			words++;
		}
		s += n + (s[n] != 0);
	}
	/* An empty mask is written as nothing. */
	*ret = words ? sum : 0;
	return KF_OK;
}

static kf_err read_4(const struct replay_node *n, struct buf *ret)
{
	uint32_t subject = replay_subject(n);
	const struct ttlv_tag_info *info = ttlv_tag(subject);
	enum ttlv_kind kind = info ? (enum ttlv_kind)info->kind : TTLV_KIND_NONE;
	int64_t v = 0;
	if (n->type == TTLV_ENUM)
		KF_TRY(read_word(kind, text_of(n), &v));
	else if (n->type == TTLV_INT)
		KF_TRY(read_mask(kind, n->text, &v));
	else
		KF_TRY(read_number(n->text, &v));
	if (v < INT32_MIN || v > UINT32_MAX)
		return kf_fail(MALFORMED, "the number is too big");
	buf_add_u32(ret, (uint32_t)v);
	return KF_OK;
}

/* ---- dates ---- */

static bool read_digits(const char *s, size_t n, int *ret)
{
	*ret = 0;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		*ret = *ret * 10 + s[i] - '0';
	}
	return true;
}

/* "Z", "+10:00"; nothing: UTC. */
static bool read_zone(const char *s, int *ret_seconds)
{
	int hours, minutes;
	*ret_seconds = 0;
	if (!*s || !strcmp(s, "Z"))
		return true;
	if (!strchr("+-", *s) || strlen(s) != 6 || s[3] != ':' ||
		!read_digits(s + 1, 2, &hours) || !read_digits(s + 4, 2, &minutes))
		return false;
	*ret_seconds = (hours * 60 + minutes) * (*s == '-' ? -60 : 60);
	return true;
}

static bool read_fraction(const char **s, int *ret_us)
{
	int places = 100000;
	*ret_us = 0;
	if (**s != '.')
		return true;
	for (++*s; **s >= '0' && **s <= '9'; ++*s, places /= 10)
		*ret_us += (**s - '0') * places;
	return true;
}

/* 2026-01-31T12:00:00[.123456][Z|+01:00] */
static kf_err read_date(const char *s, int64_t *ret_us)
{
	struct tm tm = { 0 };
	int zone = 0, us = 0;
	if (strlen(s) < 19 || s[4] != '-' || s[7] != '-' || s[10] != 'T' ||
		s[13] != ':' || s[16] != ':' || !read_digits(s, 4, &tm.tm_year) ||
		!read_digits(s + 5, 2, &tm.tm_mon) ||
		!read_digits(s + 8, 2, &tm.tm_mday) ||
		!read_digits(s + 11, 2, &tm.tm_hour) ||
		!read_digits(s + 14, 2, &tm.tm_min) ||
		!read_digits(s + 17, 2, &tm.tm_sec))
		return kf_fail(MALFORMED, "not a date");
	s += 19;
	if (!read_fraction(&s, &us) || !read_zone(s, &zone))
		return kf_fail(MALFORMED, "not a date");
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*ret_us = ((int64_t)timegm(&tm) - zone) * 1000000 + us;
	return KF_OK;
}

static kf_err read_moment(
	const struct replay_node *n, const struct replay_scope *s, int64_t *ret)
{
	bool is_extended = n->type == TTLV_DATE_EXTENDED;
	int64_t us = 0;
	if (is_hex(n->text))
		return read_number(n->text, ret);
	if (replay_is_now(n))
		us = (s->now + (int64_t)strtol(n->text + 4, NULL, 10)) * 1000000;
	else
		KF_TRY(read_date(n->text, &us));
	*ret = is_extended ? us : us / 1000000 - (us % 1000000 < 0);
	return KF_OK;
}

static kf_err read_8(
	const struct replay_node *n, const struct replay_scope *s, struct buf *ret)
{
	int64_t v = 0;
	if (n->type == TTLV_BOOL) {
		if (strcmp(n->text, "true") != 0 && strcmp(n->text, "false") != 0)
			return kf_fail(MALFORMED, "neither true nor false");
		v = n->text[0] == 't';
	} else if (n->type == TTLV_LONG) {
		KF_TRY(read_number(n->text, &v));
	} else {
		KF_TRY(read_moment(n, s, &v));
	}
	buf_add_u64(ret, (uint64_t)v);
	return KF_OK;
}

/* ---- bytes ---- */

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static kf_err read_hex(struct slice s, struct buf *ret)
{
	if (s.n % 2)
		return kf_fail(MALFORMED, "an odd number of hexadecimal digits");
	for (size_t i = 0; i < s.n; i += 2) {
		int high = digit_value((char)s.p[i]), low = digit_value((char)s.p[i + 1]);
		if (high < 0 || low < 0)
			return kf_fail(MALFORMED, "not hexadecimal");
		buf_add_u8(ret, (uint8_t)(high << 4 | low));
	}
	return KF_OK;
}

/* Words of eight bytes, the sign goes on to the left. */
static kf_err read_big(const struct replay_node *n, struct buf *ret)
{
	autobuf b = buf_new(n->n + 1);
	KF_TRY(read_hex(text_of(n), &b));
	if (!b.n)
		return kf_fail(MALFORMED, "a number is missing");
	uint8_t sign = b.p[0] & 0x80 ? 0xff : 0;
	for (size_t i = b.n; i % 8; i++)
		buf_add_u8(ret, sign);
	buf_add_slice(ret, buf_slice(&b));
	return KF_OK;
}

/* ---- variables ---- */

static struct slice name_of_field(const uint32_t *tag)
{
	return (struct slice){ (const uint8_t *)tag, sizeof(*tag) };
}

void replay_saw(struct replay_scope *s, uint32_t tag, struct slice value)
{
	replay_bind(&s->vars, name_of_field(&tag), value);
}

/* $MAC_DATA or $DATA_0, when the answers of a case state these as literals. */
static bool find_field(const struct replay_scope *s, struct slice name, struct slice *ret)
{
	size_t n = name.n;
	while (n > 1 && name.p[n - 1] >= '0' && name.p[n - 1] <= '9')
		n--;
	uint32_t tag = replay_tag((struct slice){ name.p, n });
	return tag && replay_find(&s->vars, name_of_field(&tag), ret);
}

static void name_of_literal(struct buf *to, const struct replay_node *n)
{
	buf_printf(to, "%06x=%s", (unsigned)n->tag, n->text);
}

void replay_stand_for(
	struct replay_scope *s, const struct replay_node *n, struct slice value)
{
	autobuf name = buf_new(REPLAY_FILE_MAX);
	name_of_literal(&name, n);
	if (kf_ok(buf_err(&name)))
		replay_bind(&s->vars, buf_slice(&name), value);
}

bool replay_stands_for(
	const struct replay_scope *s, const struct replay_node *n, struct slice *ret)
{
	autobuf name = buf_new(REPLAY_FILE_MAX);
	if (n->type != TTLV_BYTES || !n->n)
		return false;
	name_of_literal(&name, n);
	return kf_ok(buf_err(&name)) && replay_find(&s->vars, buf_slice(&name), ret);
}

kf_err replay_value(
	const struct replay_node *n, const struct replay_scope *s, struct buf *ret)
{
	struct slice bound;
	if (replay_stands_for(s, n, &bound)) {
		buf_add_slice(ret, bound);
		return buf_err(ret);
	}
	if (replay_is_variable(n)) {
		if (!replay_find(&s->vars, text_of(n), &bound) &&
			!find_field(s, text_of(n), &bound))
			return kf_fail(NOT_FOUND, "the variable is not bound");
		buf_add_slice(ret, bound);
		return buf_err(ret);
	}
	kf_err e = KF_OK;
	/* clang-format off */
	switch (n->type) {
	case TTLV_INT:
	case TTLV_ENUM:
	case TTLV_INTERVAL: e = read_4(n, ret); break;
	case TTLV_LONG:
	case TTLV_BOOL:
	case TTLV_DATE:
	case TTLV_DATE_EXTENDED: e = read_8(n, s, ret); break;
	case TTLV_BIGINT: e = read_big(n, ret); break;
	case TTLV_BYTES: e = read_hex(text_of(n), ret); break;
	case TTLV_TEXT: buf_add_slice(ret, text_of(n)); break;
	case TTLV_STRUCT: break;
	}
	/* clang-format on */
	KF_TRY(e);
	return buf_err(ret);
}

static kf_err put(
	struct ttlv_writer *w, const struct replay_node *n, const struct replay_scope *s)
{
	if (n->type == TTLV_STRUCT) {
		ttlv_begin(w, (enum ttlv_tag)n->tag);
		for (const struct replay_node *c = n->first; c; c = c->next)
			KF_TRY(put(w, c, s));
		ttlv_end(w);
		return KF_OK;
	}
	autobuf value = buf_new(REPLAY_FILE_MAX);
	KF_TRY(replay_value(n, s, &value));
	const struct ttlv_item it = { .type = n->type, .value = buf_slice(&value) };
	ttlv_put_as(w, n->tag, &it);
	return KF_OK;
}

kf_err replay_encode(
	const struct replay_node *n, const struct replay_scope *s, struct buf *ret)
{
	struct ttlv_writer w = ttlv_write(ret, 0);
	w.allows_vendor = true;
	KF_TRY(put(&w, n, s));
	return ttlv_written(&w);
}
