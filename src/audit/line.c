/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/line.h"
#include <assert.h>
#include <string.h>
#include <time.h>

static const char hex[] = "0123456789abcdef";

/* Every value is cut before, so a line always fits: see LINE_SIZE. */
static void put_bytes(struct line *l, const void *p, size_t n)
{
	assert(n <= sizeof(l->p) - l->n);
	memcpy(l->p + l->n, p, n);
	l->n += n;
}

#define PUT_LITERAL(l, text) put_bytes((l), (text), sizeof(text) - 1)

static void put_number(struct line *l, uint64_t v)
{
	uint8_t digits[20];
	size_t at = sizeof(digits);
	do {
		digits[--at] = (uint8_t)('0' + v % 10);
		v /= 10;
	} while (v);
	put_bytes(l, digits + at, sizeof(digits) - at);
}

static void put_hex(struct line *l, struct slice s)
{
	assert(2 * s.n <= sizeof(l->p) - l->n);
	uint8_t *to = l->p + l->n;
	for (size_t i = 0; i < s.n; i++) {
		*to++ = (uint8_t)hex[s.p[i] >> 4];
		*to++ = (uint8_t)hex[s.p[i] & 15];
	}
	l->n += 2 * s.n;
}

/* What needs quotes or escapes: a bit for each character. */
#define BIT(c) (1ULL << ((c)&63))
static const uint64_t special[4] = {
	(BIT(' ') << 1) - 1 + BIT('"') + BIT('='),
	BIT('\\') + BIT(0x7f),
	UINT64_MAX,
	UINT64_MAX,
};

static bool is_special(uint8_t c) { return special[c >> 6] >> (c & 63) & 1; }

/* To the end in any case: hardly a value has one. */
static bool is_all_plain(struct slice s)
{
	bool has_special = false;
	for (size_t i = 0; i < s.n; i++)
		has_special |= is_special(s.p[i]);
	return s.n > 0 && !has_special;
}

static size_t escape(uint8_t c, uint8_t *ret)
{
	if (!is_special(c) || c == ' ' || c == '=') {
		*ret = c;
		return 1;
	}
	const uint8_t code[] = { '\\', 'x', (uint8_t)hex[c >> 4], (uint8_t)hex[c & 15] };
	memcpy(ret, code, sizeof(code));
	return sizeof(code);
}

size_t line_value(struct slice s, size_t most, uint8_t *ret)
{
	if (s.n <= most && is_all_plain(s)) {
		memcpy(ret, s.p, s.n);
		return s.n;
	}
	size_t n = 0, kept = s.n > most ? most : s.n;
	ret[n++] = '"';
	for (size_t i = 0; i < kept; i++)
		n += escape(s.p[i], ret + n);
	for (int i = 0; kept < s.n && i < 3; i++)
		ret[n++] = '.';
	ret[n++] = '"';
	return n;
}

static void put_value(struct line *l, struct slice s)
{
	uint8_t value[LINE_VALUE_SIZE(LINE_TEXT_MAX)];
	put_bytes(l, value, line_value(s, LINE_TEXT_MAX, value));
}

static void put_message(struct line *l, struct slice s)
{
	uint8_t value[LINE_VALUE_SIZE(LINE_MESSAGE_MAX)];
	put_bytes(l, value, line_value(s, LINE_MESSAGE_MAX, value));
}

static void put_text(struct line *l, const char *text)
{
	put_value(l, slice_of(text ? text : "-"));
}

static void format_second(struct line_clock *c, int64_t second)
{
	time_t t = (time_t)second;
	struct tm tm;
	gmtime_r(&t, &tm);
	strftime(c->text, sizeof(c->text), "%Y-%m-%dT%H:%M:%S", &tm);
	c->second = second;
}

static void format_fraction(int64_t us, char ret[8])
{
	memcpy(ret, ".000000Z", 8);
	for (int i = 6; i >= 1; i--, us /= 10)
		ret[i] = (char)('0' + us % 10);
}

static void put_time(struct line *l, struct line_clock *c, int64_t time_us)
{
	char fraction[8];
	if (c->second != time_us / 1000000 || !c->text[0])
		format_second(c, time_us / 1000000);
	format_fraction(time_us % 1000000, fraction);
	PUT_LITERAL(l, "time=");
	put_bytes(l, c->text, strlen(c->text));
	put_bytes(l, fraction, sizeof(fraction));
}

void line_time(int64_t time_us, char ret[LINE_TIME_SIZE])
{
	struct line_clock c;
	format_second(&c, time_us / 1000000);
	size_t n = strlen(c.text);
	memcpy(ret, c.text, n);
	format_fraction(time_us % 1000000, ret + n);
	ret[n + 8] = 0;
}

static const char *phase_text(enum audit_phase phase)
{
	static const char *const text[] = {
		[AUDIT_ALLOWED] = "allowed",
		[AUDIT_DENIED] = "denied",
		[AUDIT_FAILED] = "failed",
		[AUDIT_DONE] = "done",
		[AUDIT_UNDONE] = "undone",
	};
	return text[phase];
}

static void put_options(struct line *l, const struct audit_record *r)
{
	if (r->digest.n) {
		PUT_LITERAL(l, " digest=");
		put_hex(l, (struct slice){
				   r->digest.p, r->digest.n < 64 ? r->digest.n : 64 });
	}
	if (r->correlation.n) {
		PUT_LITERAL(l, " correlation=");
		put_value(l, r->correlation);
	}
	if (r->message.n) {
		PUT_LITERAL(l, " message=");
		put_message(l, r->message);
	}
	if (r->server_correlation.n) {
		PUT_LITERAL(l, " server-correlation=");
		put_value(l, r->server_correlation);
	}
	if (r->op_id.n) {
		PUT_LITERAL(l, " op-id=");
		put_hex(l,
			(struct slice){ r->op_id.p, r->op_id.n < 64 ? r->op_id.n : 64 });
	}
	if (r->has_uid) {
		PUT_LITERAL(l, " uid=");
		put_number(l, r->uid);
	}
	if (r->with) {
		PUT_LITERAL(l, " with=");
		put_text(l, r->with);
	}
	if (r->token) {
		PUT_LITERAL(l, " token=");
		put_text(l, r->token);
	}
	if (r->why) {
		PUT_LITERAL(l, " why=");
		put_text(l, r->why);
	}
}

void line_write(struct line *l, struct line_clock *clock,
	const struct line_origin *origin, const struct audit_record *r)
{
	l->n = 0;
	put_time(l, clock, origin->time_us);
	PUT_LITERAL(l, " loop=");
	put_number(l, origin->loop);
	PUT_LITERAL(l, " sequence=");
	put_number(l, origin->sequence);
	PUT_LITERAL(l, " connection=");
	put_number(l, r->connection);
	PUT_LITERAL(l, " phase=");
	put_text(l, phase_text(r->phase));
	PUT_LITERAL(l, " client=");
	put_text(l, r->client);
	PUT_LITERAL(l, " operation=");
	put_text(l, r->operation);
	PUT_LITERAL(l, " object=");
	put_text(l, r->object);
	PUT_LITERAL(l, " rule=");
	put_text(l, r->rule);
	PUT_LITERAL(l, " mechanism=");
	put_text(l, r->mechanism);
	put_options(l, r);
	PUT_LITERAL(l, " chain=0000000000000000\n");
}
