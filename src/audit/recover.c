/* SPDX-License-Identifier: Apache-2.0
 *
 * The start: where the chains of the runs before ended, by reading the newest segment again, and whether
 * that is what was left.
 */
#include "audit/fields.h"
#include "audit/private.h"
#include "audit/replay.h"
#include "audit/witness.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* ---- what is found ---- */

/* The first finding is kept: what follows may follow from it. */
static void note_finding(struct audit *a, const char *where, const char *what)
{
	autobuf text = buf_new(2048);
	if (a->finding[0])
		return;
	buf_printf(&text, "%s%s%s", where, where[0] ? ": " : "", what);
	size_t n = text.n < FINDING_MAX ? text.n : FINDING_MAX - 1;
	if (n)
		memcpy(a->finding, text.p, n);
}

/* The start, and the newest checkpoint that the file beside the directory remembers. */
struct recovery {
	struct audit *audit;
	struct replay *replay;
	bool has_seen;
	uint8_t origin[CHAIN_ORIGIN_SIZE];
	struct witness seen;
};

/* A checkpoint of the newest segment. */
static void met(void *arg, uint64_t number, const uint8_t chain[CHAIN_SIZE])
{
	struct recovery *y = arg;
	y->seen.is_met |= y->has_seen && number == y->seen.number &&
			  memcmp(chain, y->seen.chain, CHAIN_SIZE) == 0;
}

static void found(void *arg, const struct replay_finding *f)
{
	const struct recovery *y = arg;
	char name[SEGMENT_NAME_SIZE], where[64];
	segment_name(name, f->segment);
	snprintf(where, sizeof(where), "%s:%" PRIu64, name, f->line);
	if (!f->is_note && !f->is_alarm) /* an alarm is on record already */
		note_finding(y->audit, where, f->text);
}

/* ---- the newest segment ---- */

static bool is_header(struct slice line)
{
	return slice_is(field_find(line, "event"), "segment");
}

/* NOT_FOUND: it has no lines. */
static kf_err read_first(struct audit *a, uint64_t number, bool *ret_is_ours)
{
	struct segment_reader r;
	struct slice line;
	KF_TRY(segment_open(a->journal.directory, number, &r));
	bool any = segment_next(&r, &line);
	*ret_is_ours = any && is_header(line);
	segment_close(&r);
	return any ? KF_OK : kf_fail(NOT_FOUND, "empty segment");
}

/* Newest first: empty ones are left over from a crash or a full disk. */
static kf_err find_newest(struct audit *a, uint64_t *ret, bool *ret_is_ours)
{
	CLEANUP(mem_freep) uint64_t *number = NULL;
	size_t n = 0;
	*ret = 0;
	*ret_is_ours = false;
	KF_TRY(segment_list(a->journal.directory, &number, &n));
	while (n-- > 0) {
		bool is_ours = false;
		kf_err e = read_first(a, number[n], &is_ours);
		if (kf_is(e, KF_E_NOT_FOUND))
			continue;
		KF_TRY(e);
		*ret = *ret ? *ret : number[n];
		*ret_is_ours = is_ours;
		if (!is_ours)
			continue;
		if (number[n] != *ret)
			note_finding(a, "",
				"the newest audit segment does not begin with its first "
				"line");
		*ret = number[n];
		return KF_OK;
	}
	return KF_OK;
}

static kf_err replay_segment_file(struct audit *a, struct replay *r, uint64_t number)
{
	struct segment_reader reader;
	struct slice line;
	KF_TRY(segment_open(a->journal.directory, number, &reader));
	replay_segment(r, number);
	while (segment_next(&reader, &line))
		replay_line(r, line);
	replay_end(r);
	segment_close(&reader);
	return KF_OK;
}

static kf_err use_key(struct audit *a, const char *id)
{
	bool is_known = id[0] && keyring_has(a->conf.keyring, slice_of(id));
	return seal_use_key(
		&a->seal, slice_of(is_known ? id : keyring_id(a->conf.keyring, 0)));
}

/* The first line names what is before it: whatever else is wrong there, the chains go on from here. */
static kf_err take_over(struct audit *a, const struct replay *r)
{
	if (!r->is_begun)
		return kf_fail(TAMPERED, "the newest audit segment cannot be read");
	chains_copy(a->seal.at, &r->at);
	a->seal.retired = r->retired;
	a->written = r->segment;
	return use_key(a, r->key);
}

static kf_err begin_anew(struct audit *a, uint64_t after)
{
	uint8_t origin[CHAIN_ORIGIN_SIZE];
	if (getrandom(origin, sizeof(origin), 0) != sizeof(origin))
		return kf_fail(INTERNAL, "no random numbers");
	chains_init(a->seal.at, origin, a->conf.loops);
	a->written = after;
	return use_key(a, "");
}

static kf_err read_newest(struct audit *a, struct replay *r)
{
	uint64_t number = 0;
	bool is_ours = false;
	KF_TRY(replay_trust_keyring(r, a->conf.keyring));
	KF_TRY(find_newest(a, &number, &is_ours));
	if (is_ours)
		KF_TRY(replay_segment_file(a, r, number));
	if (is_ours && r->is_begun)
		return take_over(a, r);
	if (is_ours)
		note_finding(a, "", "the newest audit segment cannot be read");
	return begin_anew(a, number);
}

/* ---- what this server remembers ---- */

static kf_err read_seen_line(struct audit *a, char ret[AUDIT_HEAD_SIZE])
{
	a->seen = open(a->conf.seen, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (a->seen < 0)
		return kf_fail(CONFIG,
			"file of the newest audit checkpoint seen cannot be "
			"opened");
	ssize_t n = pread(a->seen, ret, AUDIT_HEAD_SIZE - 1, 0);
	if (n < 0)
		return kf_fail(
			IO, "file of the newest audit checkpoint seen cannot be read");
	ret[n] = 0;
	ret[strcspn(ret, "\n")] = 0;
	return KF_OK;
}

static kf_err read_seen(struct recovery *y)
{
	struct audit *a = y->audit;
	char line[AUDIT_HEAD_SIZE] = "";
	if (!a->conf.seen)
		return KF_OK;
	KF_TRY(read_seen_line(a, line));
	y->has_seen = witness_read(slice_of(line), &y->seen, y->origin);
	if (line[0] && !y->has_seen)
		note_finding(a, a->conf.seen, "is damaged");
	return KF_OK;
}

/* A number alone can be reached again by lines that nobody has signed. */
static bool is_another(const struct recovery *y)
{
	return y->seen.number >= y->replay->first_journal && !y->seen.is_met;
}

static void check_seen(const struct recovery *y)
{
	struct audit *a = y->audit;
	uint64_t number = y->seen.number, have = a->seal.at->journal.sequence;
	char text[160] = "the audit segments are not those that this server has written";
	if (!y->has_seen)
		return;
	bool is_ours = memcmp(y->origin, a->seal.at->origin, sizeof(y->origin)) == 0;
	if (is_ours && number > have)
		snprintf(text, sizeof(text),
			"the audit segments are older than what this server has written: "
			"checkpoint %" PRIu64 " was, the last line is %" PRIu64,
			number, have);
	else if (is_ours && is_another(y))
		snprintf(text, sizeof(text),
			"checkpoint %" PRIu64
			" is not the one that this server has written",
			number);
	else if (is_ours)
		return;
	note_finding(a, "", text);
}

void audit_note_seen(struct audit *a)
{
	char text[AUDIT_HEAD_SIZE];
	if (a->seen < 0)
		return;
	memset(text, ' ', sizeof(text));
	size_t n = strlen(a->seal.head.line);
	memcpy(text, a->seal.head.line, n);
	text[n] = '\n';
	text[sizeof(text) - 1] = '\n';
	(void)!pwrite(a->seen, text, sizeof(text), 0);
}

kf_err audit_recover(struct audit *a)
{
	CLEANUP(replay_freep) struct replay *r = NULL;
	struct recovery y = { .audit = a };
	y.replay = r = replay_new(found, &y);
	if (!r)
		return kf_fail(NOMEM, "audit chains");
	r->mark = met;
	KF_TRY(read_seen(&y));
	KF_TRY(read_newest(a, r));
	check_seen(&y);
	chains_grow(a->seal.at, a->conf.loops);
	return KF_OK;
}
