/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/replay.h"
#include "audit/replay_private.h"
#include "audit/seal.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct replay *replay_new(replay_tell tell, void *arg)
{
	struct replay *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->tell = tell;
	r->arg = arg;
	return r;
}

void replay_free(struct replay *r) { free(r); }

void replay_freep(struct replay **r)
{
	replay_free(*r);
	*r = NULL;
}

kf_err replay_trust(struct replay *r, const uint8_t public[SIGNER_PUBLIC_SIZE])
{
	if (r->n_trusted == REPLAY_KEYS_MAX)
		return kf_fail(LIMIT, "too many audit keys");
	memcpy(r->trusted[r->n_trusted++], public, SIGNER_PUBLIC_SIZE);
	return KF_OK;
}

kf_err replay_trust_keyring(struct replay *r, const struct keyring *k)
{
	for (size_t i = 0; i < keyring_count(k); i++) {
		CLEANUP(signer_freep) struct signer *s = NULL;
		uint8_t public[SIGNER_PUBLIC_SIZE];
		KF_TRY(seal_signer(k, slice_of(keyring_id(k, i)), &s));
		signer_public(s, public);
		KF_TRY(replay_trust(r, public));
	}
	return KF_OK;
}

__attribute__((format(printf, 3, 0))) static void say(
	struct replay *r, struct replay_finding *f, const char *format, va_list a)
{
	f->segment = r->segment;
	f->line = r->line;
	vsnprintf(f->text, sizeof(f->text), format, a);
	r->tell(r->arg, f);
}

void replay_say(struct replay *r, bool is_note, const char *format, ...)
{
	struct replay_finding f = { .is_note = is_note };
	va_list args;
	va_start(args, format);
	say(r, &f, format, args);
	va_end(args);
	r->findings += !is_note;
	r->has_found |= !is_note;
}

/* The line itself is right.  What it says of another server is no finding in this log. */
__attribute__((format(printf, 3, 4))) static void say_alarm(
	struct replay *r, bool is_ours, const char *format, ...)
{
	struct replay_finding f = { .is_alarm = true, .is_note = !is_ours };
	va_list args;
	va_start(args, format);
	say(r, &f, format, args);
	va_end(args);
	r->findings += is_ours;
}

/* ---- gaps in a count ---- */

void replay_say_missing(struct replay *r, const char *what, uint64_t first, uint64_t last)
{
	if (first == last)
		replay_say(r, false, "%s %" PRIu64 " is missing before this line", what,
			first);
	else
		replay_say(r, false,
			"%ss %" PRIu64 " to %" PRIu64 " are missing before this line",
			what, first, last);
}

/* True: it is the line that has to follow. */
static bool is_next(
	struct replay *r, const struct chain *c, uint64_t number, const char *what)
{
	uint64_t next = c->sequence + 1;
	if (number > next)
		replay_say_missing(r, what, next, number - 1);
	else if (number < next)
		replay_say(r, false,
			"%s %" PRIu64 " stands here again or out of its place", what,
			number);
	return number == next;
}

/* ---- records ---- */

void replay_know_loops(struct replay *r, unsigned loops, bool are_known)
{
	for (unsigned i = r->at.loops; i < loops; i++)
		r->knows[i] = are_known;
	chains_grow(&r->at, loops);
}

/* Cuts " chain=DIGITS", and " signature=DIGITS" behind it, off. */
static bool cut_end(struct slice line, struct replay_text *ret)
{
	static const char chain[] = " chain=";
	enum { SIGNATURE_END = 11 + 2 * SIGNER_SIGNATURE_SIZE };
	*ret = (struct replay_text){ 0 };
	bool is_signed = fields_are_signed(line, &ret->signature);
	line.n -= is_signed ? SIGNATURE_END : 0;
	size_t value = is_signed ? 2 * CHAIN_SIZE : 2 * (size_t)CHAIN_SHOWN;
	size_t end = value + sizeof(chain) - 1;
	if (line.n < end || memcmp(line.p + line.n - end, chain, sizeof(chain) - 1) != 0)
		return false;
	ret->chain = (struct slice){ line.p + line.n - value, value };
	ret->text = (struct slice){ line.p, line.n - end };
	return true;
}

/* Adds to the chain if it is known, and says whether the line ends with its value. */
static bool fits(struct chain *c, bool is_known, const struct replay_text *t)
{
	uint8_t shown[CHAIN_SHOWN];
	if (!is_known)
		return true;
	uint64_t sequence = c->sequence;
	chain_add(c, t->text);
	c->sequence = sequence;
	return chain_from_hex(t->chain, shown, sizeof(shown)) &&
	       memcmp(shown, c->head, sizeof(shown)) == 0;
}

static void note_order(struct replay *r, const struct replay_text *t)
{
	struct chain shown = { 0 };
	if (!chain_from_hex(t->chain, shown.head, CHAIN_SHOWN))
		replay_say(r, false, "the line does not end with a chain value");
	chains_note(&r->at, &shown);
}

static void read_record(
	struct replay *r, const struct replay_text *t, uint64_t loop, uint64_t sequence)
{
	if (loop >= CHAIN_LOOPS_MAX) {
		replay_say(r, false, "the line is of a loop that cannot be");
		return;
	}
	replay_know_loops(r, (unsigned)loop + 1, r->is_begun);
	struct chain *c = &r->at.loop[loop];
	char what[48];
	snprintf(what, sizeof(what), "loop %u: record", (unsigned)loop);
	r->records++;
	note_order(r, t);
	if (!is_next(r, c, sequence, what))
		r->knows[loop] = false;
	if (sequence <= c->sequence)
		return;
	c->sequence = sequence;
	if (fits(c, r->knows[loop], t))
		return;
	replay_say(r, false, "loop %u: record %" PRIu64 " was changed", (unsigned)loop,
		sequence);
	r->knows[loop] = false;
}

/* ---- lines of the journal ---- */

static bool is_sealed(struct slice event)
{
	return slice_is(event, "checkpoint") || slice_is(event, "segment") ||
	       slice_is(event, "stop");
}

static void note_key(struct replay *r, struct slice text)
{
	r->has_coming = chain_from_hex(field_find(text, "public"), r->coming,
				sizeof(r->coming)) &&
			kf_ok(slice_to_text(field_find(text, "key"), r->coming_key,
				sizeof(r->coming_key)));
}

/* What the line says beyond being there.  What was deleted lawfully is not believed here, but where it is signed:
 * in the checkpoint behind it. */
static void heed_event(struct replay *r, struct slice event, struct slice text)
{
	char detail[FIELD_TEXT_SIZE];
	if (slice_is(event, "key"))
		note_key(r, text);
	if (!slice_is(event, "alarm"))
		return;
	field_text(field_find(text, "detail"), detail, sizeof(detail));
	bool is_ours = field_find(text, "about").n == 0;
	say_alarm(r, is_ours, "the server itself found: %s", detail);
}

static void read_event(struct replay *r, const struct replay_text *t, struct slice event,
	uint64_t number)
{
	struct chain *c = &r->at.journal;
	note_order(r, t);
	if (!is_next(r, c, number, "journal: line"))
		r->knows_journal = false;
	if (number <= c->sequence)
		return;
	c->sequence = number;
	if (!fits(c, r->knows_journal, t)) {
		replay_say(r, false, "journal: line %" PRIu64 " was changed", number);
		r->knows_journal = false;
		return;
	}
	heed_event(r, event, t->text);
}

/* ---- lines ---- */

struct start {
	struct slice event; /* or else: */
	uint64_t loop, number;
};

/* time=, then event= number=, or loop= sequence= */
static bool read_start(struct slice line, struct start *ret)
{
	struct field time, kind, number;
	if (!field_next(&line, &time) || !slice_is(time.key, "time") ||
		!field_next(&line, &kind) || !field_next(&line, &number))
		return false;
	*ret = (struct start){ 0 };
	if (slice_is(kind.key, "event"))
		ret->event = kind.value;
	else if (!slice_is(kind.key, "loop") || !field_number(kind.value, &ret->loop))
		return false;
	return slice_is(number.key, ret->event.p ? "number" : "sequence") &&
	       field_number(number.value, &ret->number);
}

static void read_line(struct replay *r, struct slice line)
{
	struct replay_text t;
	struct start s;
	if (!cut_end(line, &t) || !read_start(line, &s) || !fields_are_sound(line)) {
		replay_say(r, false, "this is no line of the audit");
		return;
	}
	if (r->is_over)
		replay_say(r, false, "the line stands behind the server's stop");
	if (!s.event.p)
		read_record(r, &t, s.loop, s.number);
	else if (is_sealed(s.event))
		replay_sealed(r, &t, s.event);
	else
		read_event(r, &t, s.event, s.number);
}

void replay_segment(struct replay *r, uint64_t number)
{
	r->segment = number;
	r->line = 0;
	r->is_over = false;
	r->is_foreign = false;
}

static bool is_header(struct slice line)
{
	return slice_is(field_find(line, "event"), "segment");
}

void replay_line(struct replay *r, struct slice line)
{
	r->line++;
	if (r->is_foreign)
		return;
	if (r->line == 1 && !is_header(line))
		replay_say(r, false, "the segment does not begin with its first line");
	read_line(r, line);
	if (r->line == 1 && !r->is_foreign) {
		r->first = r->first ? r->first : r->segment;
		r->after = r->segment;
	}
}

void replay_restart(struct replay *r)
{
	replay_end(r);
	r->is_begun = r->has_coming = false;
	r->first = 0;
}

void replay_end(struct replay *r) { replay_check_signatures(r); }
