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

static void put_byte(struct line *l, uint8_t c) { put_bytes(l, &c, 1); }

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
	for (size_t i = 0; i < s.n; i++) {
		put_byte(l, (uint8_t)hex[s.p[i] >> 4]);
		put_byte(l, (uint8_t)hex[s.p[i] & 15]);
	}
}

/* What needs neither quotes nor escapes. */
static bool is_plain(uint8_t c)
{
	return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '=';
}

static bool is_all_plain(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_plain(s.p[i]))
			return false;
	return s.n > 0;
}

static void put_escaped(struct line *l, uint8_t c)
{
	if (is_plain(c) || c == ' ' || c == '=') {
		put_byte(l, c);
		return;
	}
	PUT_LITERAL(l, "\\x");
	put_hex(l, (struct slice){ &c, 1 });
}

static void put_value(struct line *l, struct slice s)
{
	if (s.n <= LINE_TEXT_MAX && is_all_plain(s)) {
		put_bytes(l, s.p, s.n);
		return;
	}
	bool is_cut = s.n > LINE_TEXT_MAX;
	put_byte(l, '"');
	for (size_t i = 0; i < (is_cut ? LINE_TEXT_MAX : s.n); i++)
		put_escaped(l, s.p[i]);
	if (is_cut)
		PUT_LITERAL(l, "...");
	put_byte(l, '"');
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

static void put_time(struct line *l, struct line_clock *c, int64_t time_us)
{
	if (c->second != time_us / 1000000 || !c->text[0])
		format_second(c, time_us / 1000000);
	PUT_LITERAL(l, "time=");
	put_bytes(l, c->text, strlen(c->text));

	uint8_t fraction[8] = { '.', 0, 0, 0, 0, 0, 0, 'Z' };
	int64_t us = time_us % 1000000;
	for (int i = 6; i >= 1; i--, us /= 10)
		fraction[i] = (uint8_t)('0' + us % 10);
	put_bytes(l, fraction, sizeof(fraction));
}

static const char *phase_text(enum audit_phase phase)
{
	static const char *const text[] = {
		[AUDIT_ALLOWED] = "allowed",
		[AUDIT_DENIED] = "denied",
		[AUDIT_DONE] = "done",
		[AUDIT_FAILED] = "failed",
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
	if (r->op_id.n) {
		PUT_LITERAL(l, " op-id=");
		put_hex(l,
			(struct slice){ r->op_id.p, r->op_id.n < 64 ? r->op_id.n : 64 });
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
	put_byte(l, '\n');
}

void line_event(struct line *l, int64_t time_us, const char *event, const char *detail)
{
	struct line_clock clock = { 0 };
	l->n = 0;
	put_time(l, &clock, time_us);
	PUT_LITERAL(l, " event=");
	put_text(l, event);
	PUT_LITERAL(l, " detail=");
	put_text(l, detail);
	put_byte(l, '\n');
}
