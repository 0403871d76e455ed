/* SPDX-License-Identifier: Apache-2.0
 *
 * The checkpoints: each is chained like every line of the journal, names the value before it in full (so
 * that reading can begin at one), and the newest record of each loop.
 */
#include "audit/replay_private.h"
#include "audit/seal.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct sealed {
	struct slice event;
	uint64_t number, retired;
	uint8_t previous[CHAIN_SIZE], order[CHAIN_SIZE], chain[CHAIN_SIZE];
	uint8_t signature[SIGNER_SIGNATURE_SIZE];
	struct slice heads;
	/* of a segment's first line */
	uint64_t segment, after;
	uint8_t origin[CHAIN_ORIGIN_SIZE], public[SIGNER_PUBLIC_SIZE];
	struct slice key, server;
};

/* ---- reading ---- */

static bool read_common(const struct replay_text *t, struct sealed *ret)
{
	struct slice s = t->text;
	ret->event = field_find(s, "event");
	ret->heads = field_find(s, "heads");
	return field_number(field_find(s, "number"), &ret->number) &&
	       field_number(field_find(s, "retired"), &ret->retired) &&
	       chain_from_hex(field_find(s, "previous"), ret->previous, CHAIN_SIZE) &&
	       chain_from_hex(field_find(s, "order"), ret->order, CHAIN_SIZE) &&
	       chain_from_hex(t->chain, ret->chain, CHAIN_SIZE) &&
	       chain_from_hex(t->signature, ret->signature, sizeof(ret->signature));
}

static bool read_segment(struct slice s, struct sealed *ret)
{
	ret->key = field_find(s, "key");
	ret->server = field_find(s, "server");
	return field_number(field_find(s, "segment"), &ret->segment) &&
	       field_number(field_find(s, "after"), &ret->after) &&
	       chain_from_hex(field_find(s, "origin"), ret->origin, CHAIN_ORIGIN_SIZE) &&
	       chain_from_hex(
		       field_find(s, "public"), ret->public, sizeof(ret->public)) &&
	       ret->key.n <= MASTER_ID_MAX;
}

struct head {
	uint64_t loop, sequence;
	uint8_t value[CHAIN_SIZE];
};

static struct slice cut(struct slice *rest, uint8_t at)
{
	const uint8_t *end = rest->n ? memchr(rest->p, at, rest->n) : NULL;
	struct slice s = { rest->p, end ? (size_t)(end - rest->p) : rest->n };
	rest->p += s.n + (end != NULL);
	rest->n -= s.n + (end != NULL);
	return s;
}

/* LOOP:SEQUENCE:HEX, with a comma between. */
static bool next_head(struct slice *rest, struct head *ret)
{
	struct slice one = cut(rest, ',');
	return field_number(cut(&one, ':'), &ret->loop) && ret->loop < CHAIN_LOOPS_MAX &&
	       field_number(cut(&one, ':'), &ret->sequence) &&
	       chain_from_hex(one, ret->value, CHAIN_SIZE);
}

static bool heads_are_sound(struct slice rest)
{
	struct head h;
	if (slice_is(rest, "-"))
		return true;
	while (rest.n)
		if (!next_head(&rest, &h))
			return false;
	return true;
}

static bool is_whole(const struct replay_text *t, const struct sealed *s)
{
	struct chain own = { 0 };
	memcpy(own.head, s->previous, CHAIN_SIZE);
	chain_add(&own, t->text);
	return memcmp(own.head, s->chain, CHAIN_SIZE) == 0;
}

/* ---- signatures ---- */

static bool is_signed(const struct replay *r, const struct replay_unchecked *u)
{
	uint8_t room[SEAL_TO_SIGN];
	struct seal_claim claim = { r->at.origin, u->chain, u->number };
	return kf_ok(signer_check(r->public, seal_to_sign(&claim, room), u->signature));
}

static void say_unsigned(struct replay *r, const struct replay_unchecked *u)
{
	uint64_t segment = r->segment, line = r->line;
	r->segment = u->segment;
	r->line = u->line;
	replay_say(r, false,
		"checkpoint %" PRIu64 " is not signed by the server's key: somebody else "
		"has "
		"written it or what stands before it, from line %" PRIu64 " on",
		u->number, u->before + 1);
	r->segment = segment;
	r->line = line;
}

/* The newest speaks for all before it, for their values went into its own. */
void replay_check_signatures(struct replay *r)
{
	size_t n = r->unchecked_n;
	r->unchecked_n = 0;
	if (n == 0 || is_signed(r, &r->unchecked[n - 1]))
		return;
	for (size_t i = 0; i < n; i++) {
		if (is_signed(r, &r->unchecked[i]))
			continue;
		say_unsigned(r, &r->unchecked[i]);
		return;
	}
}

static bool is_trusted(const struct replay *r, const uint8_t *public)
{
	for (size_t i = 0; i < r->n_trusted; i++)
		if (memcmp(r->trusted[i], public, SIGNER_PUBLIC_SIZE) == 0)
			return true;
	return false;
}

static void note_signature(struct replay *r, const struct sealed *s)
{
	struct replay_unchecked *u = &r->unchecked[r->unchecked_n++];
	*u = (struct replay_unchecked){ .segment = r->segment,
		.line = r->line,
		.number = s->number,
		.before = r->sealed_line < r->line ? r->sealed_line : 0 };
	memcpy(u->chain, s->chain, sizeof(u->chain));
	memcpy(u->signature, s->signature, sizeof(u->signature));
	if (r->unchecked_n == REPLAY_BATCH || r->has_coming)
		replay_check_signatures(r);
	if (!r->has_coming)
		return;
	r->has_coming = false;
	memcpy(r->public, r->coming, sizeof(r->public));
	memcpy(r->key, r->coming_key, sizeof(r->key));
	if (!is_trusted(r, r->coming))
		(void)!kf_ok(replay_trust(r, r->coming));
}

/* ---- a segment's first line ---- */

static void take_key(struct replay *r, const struct sealed *s)
{
	(void)!kf_ok(slice_to_text(s->key, r->key, sizeof(r->key)));
	if (r->is_begun && memcmp(r->public, s->public, sizeof(r->public)) == 0)
		return;
	replay_check_signatures(r);
	if (!r->is_begun && r->n_trusted == 0)
		(void)!kf_ok(replay_trust(r, s->public));
	if (!is_trusted(r, s->public))
		replay_say(
			r, false, "the segment is signed with a key that is not trusted");
	memcpy(r->public, s->public, sizeof(r->public));
}

static void begin(struct replay *r, const struct sealed *s)
{
	chains_init(&r->at, s->origin, 0);
	r->is_begun = true;
	r->knows_order = false;
	memcpy(r->at.journal.head, s->previous, CHAIN_SIZE);
	r->at.journal.sequence = s->number - 1;
	r->knows_journal = true;
	r->first_journal = s->number;
	r->first_after = s->after;
	r->after = s->after;
	field_text(s->server, r->server, sizeof(r->server));
}

static void check_place(struct replay *r, const struct sealed *s)
{
	if (s->segment != r->segment)
		replay_say(r, false,
			"this is segment %" PRIu64 " under the name of another",
			s->segment);
	if (s->after > r->after && r->after + 1 < s->segment)
		replay_say(r, false,
			"segment %" PRIu64
			" is missing, or nothing is left of it: this one "
			"follows it",
			s->after);
}

/* False: it is not of this server. */
static bool enter_segment(struct replay *r, const struct sealed *s)
{
	char server[FIELD_TEXT_SIZE];
	if (r->is_begun && memcmp(r->at.origin, s->origin, sizeof(s->origin)) != 0) {
		field_text(s->server, server, sizeof(server));
		replay_say(r, false, "the segment is of another server's audit (%s)",
			server);
		r->is_foreign = true;
		return false;
	}
	take_key(r, s);
	/* A new key was announced in lines that a crash has left without the old key's checkpoint. */
	r->has_coming = false;
	if (!r->is_begun)
		begin(r, s);
	check_place(r, s);
	return true;
}

/* ---- holding it against what was read ---- */

static void check_journal(struct replay *r, const struct sealed *s)
{
	uint64_t next = r->at.journal.sequence + 1;
	bool is_same = memcmp(r->at.journal.head, s->previous, CHAIN_SIZE) == 0;
	/* The signature of this one does not speak for what it was not written behind. */
	if (!r->knows_journal || !is_same || s->number != next)
		replay_check_signatures(r);
	if (s->number > next)
		replay_say_missing(r, "journal: line", next, s->number - 1);
	else if (s->number < next)
		replay_say(r, false,
			"journal: line %" PRIu64 " stands here again or out of its place",
			s->number);
	else if (r->knows_journal && !is_same && !r->has_found)
		replay_say(r, false,
			"what stands before this checkpoint is not what it was written "
			"behind");
}

static void check_head(struct replay *r, const struct head *h)
{
	const struct chain *c = &r->at.loop[h->loop];
	unsigned loop = (unsigned)h->loop;
	bool is_same = memcmp(c->head, h->value, CHAIN_SIZE) == 0;
	char what[48];
	snprintf(what, sizeof(what), "loop %u: record", loop);
	if (h->sequence > c->sequence)
		replay_say_missing(r, what, c->sequence + 1, h->sequence);
	else if (h->sequence < c->sequence)
		replay_say(r, false,
			"loop %u: records %" PRIu64 " to %" PRIu64
			" were added before this checkpoint",
			loop, h->sequence + 1, c->sequence);
	else if (r->knows[loop] && !is_same)
		replay_say(r, false,
			"loop %u: a record before this checkpoint was changed", loop);
}

/* From here on it is known again where each loop is. */
static void take_heads(struct replay *r, struct slice rest, bool is_first)
{
	struct head h;
	while (rest.n && next_head(&rest, &h)) {
		replay_know_loops(r, (unsigned)h.loop + 1, !is_first);
		if (!is_first)
			check_head(r, &h);
		struct chain *c = &r->at.loop[h.loop];
		c->sequence = h.sequence;
		memcpy(c->head, h.value, CHAIN_SIZE);
		r->knows[h.loop] = true;
	}
}

/* A loop that no checkpoint speaks of has no new records. */
static void check_silent(struct replay *r)
{
	for (unsigned i = 0; i < r->at.loops; i++) {
		struct chain *c = &r->at.loop[i];
		if (c->sequence <= c->sealed || !r->knows[i])
			continue;
		replay_say(r, false,
			"loop %u: records up to %" PRIu64
			" were added before this checkpoint",
			i, c->sequence);
		r->knows[i] = false;
	}
}

static void mark_named(struct replay *r, struct slice rest)
{
	struct head h;
	while (rest.n && next_head(&rest, &h))
		if (h.loop < r->at.loops)
			r->at.loop[h.loop].sealed = r->at.loop[h.loop].sequence;
}

static void check_heads(struct replay *r, const struct sealed *s, bool is_first)
{
	struct slice heads = slice_is(s->heads, "-") ? (struct slice){ 0 } : s->heads;
	mark_named(r, heads);
	if (!is_first)
		check_silent(r);
	take_heads(r, heads, is_first);
}

static void check_order(struct replay *r, const struct sealed *s)
{
	uint8_t order[CHAIN_SIZE];
	chains_order(&r->at, order);
	if (r->knows_order && !r->has_found && memcmp(order, s->order, CHAIN_SIZE) != 0)
		replay_say(r, false,
			"the order of the lines between line %" PRIu64
			" and this checkpoint was changed",
			r->sealed_line);
}

static void settle(struct replay *r, const struct sealed *s)
{
	note_signature(r, s);
	memcpy(r->at.journal.head, s->chain, CHAIN_SIZE);
	chain_fold(&r->at.journal, (struct slice){ s->signature, sizeof(s->signature) });
	r->at.journal.sequence = s->number;
	r->knows_journal = true;
	if (s->retired > r->retired)
		r->retired = s->retired;
	r->is_over = slice_is(s->event, "stop");
	r->checkpoints++;
	if (r->mark)
		r->mark(r->arg, s->number, s->chain);
}

static void forget_interval(struct replay *r)
{
	chains_seal(&r->at);
	r->knows_order = true;
	r->has_found = false;
	r->sealed_line = r->line;
}

static void check(struct replay *r, const struct sealed *s)
{
	bool is_first = !r->is_begun;
	if (slice_is(s->event, "segment") && !enter_segment(r, s))
		return;
	if (!r->is_begun) {
		replay_say(r, false,
			"a checkpoint stands before the first line of a segment");
		return;
	}
	check_journal(r, s);
	check_heads(r, s, is_first);
	check_order(r, s);
	settle(r, s);
	forget_interval(r);
}

/* The next one says where the chains are. */
static void say_changed(struct replay *r, const struct sealed *s)
{
	replay_say(r, false, "the checkpoint was changed");
	if (s->number == r->at.journal.sequence + 1)
		r->at.journal.sequence++;
	forget_interval(r);
	r->knows_journal = r->knows_order = false;
	r->has_found = true;
}

void replay_sealed(struct replay *r, const struct replay_text *t, struct slice event)
{
	struct sealed s = { 0 };
	bool is_segment = slice_is(event, "segment");
	if (!read_common(t, &s) || (is_segment && !read_segment(t->text, &s)) ||
		!heads_are_sound(s.heads) || s.number == 0 || !is_whole(t, &s)) {
		say_changed(r, &s);
		return;
	}
	check(r, &s);
}
