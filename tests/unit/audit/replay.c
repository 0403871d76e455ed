/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/replay.h"
#include "audit/fields.h"
#include "audit/line.h"
#include "audit/seal.h"
#include "audit/witness.h"
#include "keys.h"
#include "test.h"
#include <stdlib.h>

enum { TEXT_MAX = 32768, LINES_MAX = 64, BYTES_STEP = 7 };

/* ---- a segment as the worker writes it ---- */

static char text[TEXT_MAX];
static size_t text_n;
static char head[AUDIT_HEAD_SIZE]; /* of the last checkpoint */
static uint64_t sequence[2];

static void must(kf_err e)
{
	if (!kf_ok(e))
		abort();
}

static void append(const void *p, size_t n)
{
	if (n > sizeof(text) - text_n)
		abort();
	memcpy(text + text_n, p, n);
	text_n += n;
}

static void add_record(struct seal *s, unsigned loop)
{
	static struct line_clock clock;
	struct line l;
	struct line_origin origin = { loop, ++sequence[loop], 1700000000123456 };
	line_write(&l, &clock, &origin,
		&(struct audit_record){ .client = "web1",
			.operation = "Sign",
			.correlation = SLICE_LIT("x signature=1 event=stop chain=2") });
	if (seal_records(s, loop, l.p, l.n) != 1)
		abort();
	append(l.p, l.n);
}

static void add_checkpoint(struct seal *s, enum seal_kind kind)
{
	autobuf b = buf_new(TEXT_MAX);
	must(seal_checkpoint(s, kind, &b));
	append(b.p, b.n);
}

static void add_event(struct seal *s, const char *event)
{
	autobuf b = buf_new(TEXT_MAX), fields = buf_new(1024);
	audit_put_field(&fields, "detail", SLICE_LIT("something else"));
	must(seal_event(s, event, buf_slice(&fields), &b));
	append(b.p, b.n);
}

static void add_lines(struct seal *s)
{
	add_checkpoint(s, SEAL_SEGMENT);
	add_event(s, "start");
	for (int i = 0; i < 3; i++) {
		add_record(s, 0);
		add_record(s, 1);
	}
	add_checkpoint(s, SEAL_CHECKPOINT);
	add_record(s, 1);
	add_checkpoint(s, SEAL_CHECKPOINT);
	add_record(s, 0);
	add_record(s, 1);
	add_checkpoint(s, SEAL_STOP);
}

static void write_segment(void)
{
	static const uint8_t origin[CHAIN_ORIGIN_SIZE] = "origin";
	struct audit_conf conf = { .server = "kms \"1\"", .keyring = keys() };
	struct seal s;
	text_n = sequence[0] = sequence[1] = 0;
	must(seal_init(&s, &conf));
	must(seal_use_key(&s, SLICE_LIT("first")));
	chains_init(s.at, origin, 2);
	s.segment = 1;
	seal_begin(&s);
	add_lines(&s);
	seal_keep(&s);
	memcpy(head, s.head.line, sizeof(head));
	seal_clear(&s);
}

/* ---- reading it ---- */

static char first_finding[REPLAY_TEXT_MAX];
static uint64_t first_line;

static void found(void *arg, const struct replay_finding *f)
{
	(void)arg;
	if (first_finding[0] || f->is_note)
		return;
	memcpy(first_finding, f->text, sizeof(first_finding));
	first_line = f->line;
}

static void feed(struct replay *r, struct slice s)
{
	replay_segment(r, 1);
	while (s.n) {
		const uint8_t *end = memchr(s.p, '\n', s.n);
		size_t n = end ? (size_t)(end - s.p) : s.n;
		replay_line(r, (struct slice){ s.p, n });
		s.p += n + (end != NULL);
		s.n -= n + (end != NULL);
	}
	replay_end(r);
}

static uint64_t findings_in(const char *p, size_t n)
{
	CLEANUP(replay_freep) struct replay *r = replay_new(found, NULL);
	first_finding[0] = 0;
	must(replay_trust_keyring(r, keys()));
	feed(r, (struct slice){ (const uint8_t *)p, n });
	return r->findings;
}

/* ---- lines of it in another order ---- */

struct lines {
	struct slice line[LINES_MAX];
	size_t n;
};

static struct lines split(void)
{
	struct lines l = { 0 };
	for (const char *p = text, *end; p < text + text_n; p = end + 1) {
		end = memchr(p, '\n', text_n - (size_t)(p - text));
		l.line[l.n++] =
			(struct slice){ (const uint8_t *)p, (size_t)(end + 1 - p) };
	}
	return l;
}

static uint64_t findings_of(const struct lines *l)
{
	static char again[2 * TEXT_MAX];
	size_t n = 0;
	for (size_t i = 0; i < l->n; i++) {
		memcpy(again + n, l->line[i].p, l->line[i].n);
		n += l->line[i].n;
	}
	return findings_in(again, n);
}

/* ---- claims ---- */

TEST(what_the_worker_writes_is_whole)
{
	write_segment();

	EQ(findings_in(text, text_n), 0);
}

TEST(every_changed_byte_is_found)
{
	static char changed[TEXT_MAX];
	write_segment();

	for (size_t i = 0; i < text_n; i += BYTES_STEP) {
		memcpy(changed, text, text_n);
		changed[i] ^= 1;
		if (findings_in(changed, text_n) == 0)
			FAIL_("byte %zu: %.60s", i, text + i);
	}
}

TEST(a_change_is_told_with_its_line)
{
	write_segment();
	struct lines l = split();
	char *client = memmem(l.line[5].p, l.line[5].n, "web1", 4);
	memcpy(client, "web2", 4);

	EQ(findings_in(text, text_n), 1);
	EQ(first_line, 6);
	OK(strcmp(first_finding, "loop 1: record 2 was changed") == 0);
}

TEST(every_removed_line_is_found)
{
	write_segment();
	struct lines all = split();

	for (size_t gone = 0; gone + 1 < all.n; gone++) {
		struct lines l = all;
		memmove(l.line + gone, l.line + gone + 1,
			(l.n - gone - 1) * sizeof(l.line[0]));
		l.n--;
		if (findings_of(&l) == 0)
			FAIL_("line %zu", gone + 1);
	}
}

TEST(every_repeated_line_is_found)
{
	write_segment();
	struct lines all = split();

	for (size_t at = 0; at < all.n; at++) {
		struct lines l = all;
		memmove(l.line + at + 1, l.line + at, (l.n - at) * sizeof(l.line[0]));
		l.n++;
		if (findings_of(&l) == 0)
			FAIL_("line %zu", at + 1);
	}
}

TEST(every_two_swapped_lines_are_found)
{
	write_segment();
	struct lines all = split();

	for (size_t a = 0; a < all.n; a++)
		for (size_t b = a + 1; b < all.n; b++) {
			struct lines l = all;
			l.line[a] = all.line[b];
			l.line[b] = all.line[a];
			if (findings_of(&l) == 0)
				FAIL_("lines %zu and %zu", a + 1, b + 1);
		}
}

TEST(a_cut_within_a_line_is_found_and_one_behind_a_line_is_for_witnesses)
{
	write_segment();

	for (size_t n = 1; n < text_n; n += BYTES_STEP) {
		bool is_behind_line = text[n - 1] == '\n' || text[n] == '\n';
		uint64_t findings = findings_in(text, n);
		if (!is_behind_line && findings == 0)
			FAIL_("cut at %zu", n);
		if (is_behind_line && findings != 0)
			FAIL_("cut at %zu: %s", n, first_finding);
	}
}

TEST(another_key_is_not_believed)
{
	static const uint8_t stranger[SIGNER_PUBLIC_SIZE] = { 1 };
	CLEANUP(replay_freep) struct replay *r = replay_new(found, NULL);
	write_segment();
	must(replay_trust(r, stranger));

	feed(r, (struct slice){ (const uint8_t *)text, text_n });

	EQ(r->findings, 1);
}

/* A server that starts behind it has to sign with that key, not with the newest it knows. */
TEST(a_new_key_is_known_by_its_name_once_the_old_one_has_signed_it)
{
	CLEANUP(keyring_freep) struct keyring *two = NULL;
	CLEANUP(replay_freep) struct replay *r = replay_new(found, NULL);
	autobuf b = buf_new(TEXT_MAX);
	unsigned line;
	static const uint8_t origin[CHAIN_ORIGIN_SIZE] = "origin";
	must(keyring_parse(SLICE_LIT("a = 01010101010101010101010101010101"
				     "01010101010101010101010101010101\n"
				     "b = 02020202020202020202020202020202"
				     "02020202020202020202020202020202\n"),
		&line, &two));
	struct audit_conf conf = { .keyring = two };
	struct seal s;
	must(seal_init(&s, &conf));
	must(seal_use_key(&s, slice_of(keyring_id(two, 1))));
	chains_init(s.at, origin, 1);
	s.segment = 1;
	seal_begin(&s);
	must(seal_checkpoint(&s, SEAL_SEGMENT, &b));
	must(seal_renew_key(&s, &b));
	seal_clear(&s);

	must(replay_trust_keyring(r, two));
	feed(r, buf_slice(&b));

	EQ(r->findings, 0);
	OK(strcmp(r->key, keyring_id(two, 0)) == 0);
}

TEST(a_head_is_a_witness_and_its_cuts_are_none)
{
	struct witness w;
	uint8_t origin[CHAIN_ORIGIN_SIZE];
	write_segment();
	struct slice line = slice_of(head);

	OK(witness_read(line, &w, origin));
	EQ(w.number, 5); /* segment, start, three more */
	for (size_t n = 0; n < line.n; n++)
		OK(!witness_read((struct slice){ line.p, n }, &w, origin));
}

TEST(fields_are_read_back_as_they_were_written)
{
	struct slice line = SLICE_LIT("a=1 b=\"x y=\\x0az\" c= op-id=ff");
	char value[16];

	OK(fields_are_sound(line));
	field_text(field_find(line, "b"), value, sizeof(value));
	OK(strcmp(value, "x y=?z") == 0);
	OK(slice_is(field_find(line, "op-id"), "ff"));
	EQ(field_find(line, "y").n, 0);
	OK(!fields_are_sound(SLICE_LIT("a")));
	OK(!fields_are_sound(SLICE_LIT("a=1 ")));
	OK(!fields_are_sound(SLICE_LIT("a=\"1")));
	OK(!fields_are_sound(SLICE_LIT("a=1\"")));
	OK(!fields_are_sound(SLICE_LIT("A=1")));
}

TEST(times_are_read_back_and_numbers_do_not_overflow)
{
	int64_t us;
	uint64_t v;
	char time[LINE_TIME_SIZE];
	line_time(1700000000123456, time);

	OK(field_time(slice_of(time), &us));
	EQ(us, 1700000000123456);
	OK(!field_time(SLICE_LIT("2023-11-14T22:13:20.12345Z"), &us));
	OK(field_number(SLICE_LIT("18446744073709551615"), &v));
	OK(!field_number(SLICE_LIT("18446744073709551616"), &v));
	OK(!field_number(SLICE_LIT(""), &v));
	OK(!field_number(SLICE_LIT("-1"), &v));
}
TEST_MAIN
