/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/verify.h"
#include "audit/fields.h"
#include "audit/seal.h"
#include "audit/segment.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROGRESS_LINES = 4096 };

struct work {
	const struct verify *v;
	struct replay *replay;
	struct witnesses witnesses;
	int directory;
	uint64_t *number;
	size_t n;
	uint64_t bytes, done; /* for progress */
	uint64_t plain;       /* segments of a time before there were chains */
	bool has_gone;        /* some were deleted since we looked */
	uint8_t origin[CHAIN_ORIGIN_SIZE];
	bool has_origin; /* that the chains must have */
};

/* ---- witnesses ---- */

static bool is_signed(const struct replay *r, const struct witness *w)
{
	uint8_t room[SEAL_TO_SIGN];
	struct seal_claim claim = { r->at.origin, w->chain, w->number };
	struct slice data = seal_to_sign(&claim, room);
	for (size_t i = 0; i < r->n_trusted; i++)
		if (kf_ok(signer_check(r->trusted[i], data, w->signature)))
			return true;
	return false;
}

static void mark(void *arg, uint64_t number, const uint8_t chain[CHAIN_SIZE])
{
	struct work *k = arg;
	struct witness *w = NULL;
	while ((w = witnesses_find(&k->witnesses, number, w)))
		w->is_met |= memcmp(w->chain, chain, CHAIN_SIZE) == 0;
}

static void tell(void *arg, const struct replay_finding *f)
{
	struct work *k = arg;
	k->v->tell(k->v->arg, f);
}

static void judge(struct work *k, const struct witness *w)
{
	struct replay *r = k->replay;
	uint64_t last = r->at.journal.sequence;
	if (w->is_met || w->number < r->first_journal)
		return;
	if (!is_signed(r, w))
		replay_say(r, true,
			"a witness of checkpoint %" PRIu64
			" is not signed by the server: left out",
			w->number);
	else if (w->number > last)
		replay_say(r, false,
			"the end is missing: a witness has seen checkpoint %" PRIu64
			", the last line of the journal here is %" PRIu64,
			w->number, last);
	else
		replay_say(r, false,
			"a witness has seen another checkpoint %" PRIu64
			" than the one that is here",
			w->number);
}

/* The newest that is missing speaks for all. */
static uint64_t judge_all(struct work *k)
{
	uint64_t met = 0, last = k->replay->at.journal.sequence;
	for (size_t i = 0; i < k->witnesses.n; i++) {
		const struct witness *w = &k->witnesses.p[i];
		bool is_newest = i + 1 == k->witnesses.n;
		met += w->is_met;
		if (w->number <= last || is_newest)
			judge(k, w);
	}
	return met;
}

static kf_err read_witnesses(struct work *k)
{
	const struct verify *v = k->v;
	for (size_t i = 0; i < v->n_witness; i++)
		KF_TRY(witnesses_read(&k->witnesses, v->witness[i]));
	witnesses_sort(&k->witnesses);
	return KF_OK;
}

/* ---- segments ---- */

static void check_rest(struct work *k, struct segment_reader *s, bool is_last)
{
	bool is_torn = false, has_more = false;
	if (is_last || !kf_ok(segment_rest(s, &is_torn, &has_more)))
		return;
	if (is_torn)
		replay_say(k->replay, false, "the segment ends within a line");
	if (has_more)
		replay_say(k->replay, false,
			"there are bytes behind the end of the segment");
}

static void show(const struct work *k, const struct segment_reader *s)
{
	if (k->v->progress && k->bytes)
		k->v->progress(k->v->arg,
			(double)(k->done + segment_place(s)) / (double)k->bytes);
}

static void read_lines(struct work *k, struct segment_reader *s, struct slice line)
{
	replay_segment(k->replay, s->number);
	do {
		replay_line(k->replay, line);
		if (k->replay->line % PROGRESS_LINES == 0)
			show(k, s);
	} while (segment_next(s, &line));
}

/* From before there were chains; once there are, every segment begins with its first line. */
static bool is_plain(const struct work *k, struct slice line)
{
	return !k->replay->is_begun && !k->v->from &&
	       !slice_is(field_find(line, "event"), "segment") &&
	       field_find(line, "chain").n == 0;
}

/* Whether the server has deleted it is told by the last checkpoints. */
static void pass_gone(struct work *k)
{
	const struct replay *r = k->replay;
	k->has_gone = true;
	if (r->is_begun && !k->has_origin) {
		k->has_origin = true;
		memcpy(k->origin, r->at.origin, sizeof(k->origin));
	}
	replay_restart(k->replay);
}

static kf_err read_segment(struct work *k, uint64_t number, bool is_last)
{
	struct segment_reader s;
	struct slice line;
	kf_err e = segment_open(k->directory, number, &s);
	if (kf_is(e, KF_E_NOT_FOUND)) {
		pass_gone(k);
		return KF_OK;
	}
	KF_TRY(e);
	bool any = segment_next(&s, &line);
	if (any && is_plain(k, line)) {
		k->plain++;
	} else if (any) {
		read_lines(k, &s, line);
		check_rest(k, &s, is_last);
	}
	k->done += s.size;
	segment_close(&s);
	return KF_OK;
}

/* ---- the directory ---- */

static bool first_origin(struct work *k, uint64_t number)
{
	struct witnesses *w = &k->witnesses;
	struct segment_reader s;
	struct slice line;
	if (!kf_ok(segment_open(k->directory, number, &s)))
		return false;
	bool is_found =
		segment_next(&s, &line) &&
		chain_from_hex(field_find(line, "origin"), w->origin, sizeof(w->origin));
	if (is_found)
		field_text(field_find(line, "server"), w->server, sizeof(w->server));
	segment_close(&s);
	return is_found;
}

static kf_err list_from(struct work *k, uint64_t from)
{
	size_t skipped = 0;
	free(k->number);
	k->number = NULL;
	KF_TRY(segment_list(k->directory, &k->number, &k->n));
	while (skipped < k->n && k->number[skipped] < from)
		skipped++;
	k->n -= skipped;
	if (k->n)
		memmove(k->number, k->number + skipped, k->n * sizeof(*k->number));
	return KF_OK;
}

static kf_err open_directory(struct work *k)
{
	k->directory = open(k->v->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->directory < 0)
		return errno == EACCES
			       ? kf_fail(DENIED, "the audit directory may not be read")
			       : kf_fail(NOT_FOUND, "there is no such directory");
	KF_TRY(list_from(k, k->v->from));
	if (k->n == 0)
		return kf_fail(NOT_FOUND, "there are no audit segments");
	for (size_t i = 0; i < k->n; i++) {
		char name[SEGMENT_NAME_SIZE];
		struct stat st;
		segment_name(name, k->number[i]);
		if (fstatat(k->directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			k->bytes += (uint64_t)st.st_size;
	}
	return KF_OK;
}

static kf_err trust(struct work *k)
{
	for (size_t i = 0; i < k->v->n_trusted; i++)
		KF_TRY(replay_trust(k->replay, k->v->trusted[i]));
	return k->v->keyring ? replay_trust_keyring(k->replay, k->v->keyring) : KF_OK;
}

/* What should stand before the first segment. */
static void check_beginning(struct work *k)
{
	struct replay *r = k->replay;
	if (!r->is_begun)
		replay_say(r, false, "no segment has a first line");
	else if (k->plain && r->first_journal != 1)
		replay_say(r, false,
			"the segments before segment %" PRIu64
			" are not what it was written behind",
			r->first);
	else if ((!k->v->from || k->has_gone) && r->first_journal != 1 &&
		 r->first_after > r->retired)
		replay_say(r, false,
			"segments up to %" PRIu64
			" are missing, and the server has not deleted them",
			r->first_after);
	if (k->plain)
		replay_say(r, true,
			"%" PRIu64
			" segments from before there were chains: not verified",
			k->plain);
}

static void check_origin(struct work *k)
{
	const struct replay *r = k->replay;
	if (k->has_origin && memcmp(k->origin, r->at.origin, CHAIN_ORIGIN_SIZE) != 0)
		replay_say(k->replay, false,
			"these are other chains than those asked for: the log of another "
			"server, or one begun anew");
}

/* Perhaps another server has its name; perhaps its log was begun anew. */
static void check_strangers(struct work *k)
{
	static const char text[] = "%" PRIu64 " checkpoints by the name of this server, "
				   "which witnesses have seen, are of other chains";
	if (k->witnesses.strangers)
		replay_say(k->replay, true, text, k->witnesses.strangers);
}

static void note_result(
	const struct work *k, uint64_t witnesses, struct verify_result *ret)
{
	const struct replay *r = k->replay;
	*ret = (struct verify_result){
		.segments = k->n - k->plain,
		.records = r->records,
		.checkpoints = r->checkpoints,
		.findings = r->findings,
		.unsigned_lines = r->at.unsealed,
		.retired = r->retired,
		.witnesses = witnesses,
		.number = r->at.journal.sequence,
		.is_stopped = r->is_over,
	};
	memcpy(ret->server, r->server, sizeof(ret->server));
	memcpy(ret->origin, r->at.origin, sizeof(ret->origin));
	memcpy(ret->public, r->public, sizeof(ret->public));
}

/* What a server deletes it says in segments that may be newer than those that we know. */
static kf_err read_segments(struct work *k)
{
	size_t segments = 0;
	do {
		uint64_t last = 0;
		for (size_t i = 0; i < k->n; i++) {
			last = k->number[i];
			KF_TRY(read_segment(k, last, i + 1 == k->n));
		}
		segments += k->n;
		k->n = 0;
		if (k->has_gone)
			KF_TRY(list_from(k, last + 1));
	} while (k->n);
	k->n = segments;
	return KF_OK;
}

static kf_err run(struct work *k, struct verify_result *ret)
{
	KF_TRY(open_directory(k));
	KF_TRY(trust(k));
	for (size_t i = 0; i < k->n; i++)
		if (first_origin(k, k->number[i]))
			break;
	KF_TRY(read_witnesses(k));
	KF_TRY(read_segments(k));
	replay_end(k->replay);
	k->replay->segment = k->replay->line = 0;
	check_beginning(k);
	check_origin(k);
	check_strangers(k);
	note_result(k, judge_all(k), ret);
	ret->findings = k->replay->findings;
	return KF_OK;
}

kf_err verify_directory(const struct verify *v, struct verify_result *ret)
{
	struct work k = { .v = v, .directory = -1, .has_origin = v->origin != NULL };
	if (v->origin)
		memcpy(k.origin, v->origin, sizeof(k.origin));
	k.replay = replay_new(tell, &k);
	if (!k.replay)
		return kf_fail(NOMEM, "verifying the audit");
	k.replay->mark = mark;
	kf_err e = run(&k, ret);
	replay_free(k.replay);
	witnesses_free(&k.witnesses);
	mem_closep(&k.directory);
	free(k.number);
	return e;
}

/* ---- one checkpoint ---- */

static bool is_checkpoint(struct slice line, uint64_t *ret)
{
	struct slice signature;
	return fields_are_signed(line, &signature) && field_find(line, "event").n &&
	       field_number(field_find(line, "number"), ret);
}

static bool is_witnessed(struct slice line, const struct witness *w)
{
	uint8_t chain[CHAIN_SIZE];
	return chain_from_hex(field_find(line, "chain"), chain, sizeof(chain)) &&
	       memcmp(chain, w->chain, sizeof(chain)) == 0;
}

enum place { BEFORE, MISSING, HERE };

static enum place place_of(struct segment_reader *s, const struct witness *w)
{
	struct slice line;
	uint64_t number;
	bool is_begun = segment_next(s, &line) && is_checkpoint(line, &number);
	if (!is_begun || number > w->number)
		return BEFORE;
	do
		if (is_checkpoint(line, &number) && number == w->number &&
			is_witnessed(line, w))
			return HERE;
	while (segment_next(s, &line));
	return MISSING;
}

/* Mostly it is in one of the newest. */
static bool contradict(
	int directory, const uint64_t *number, size_t n, const struct witness *w)
{
	enum place place = BEFORE;
	while (n-- > 0 && place == BEFORE) {
		struct segment_reader s;
		if (!kf_ok(segment_open(directory, number[n], &s)))
			continue;
		place = place_of(&s, w);
		segment_close(&s);
	}
	return place == MISSING;
}

bool verify_contradicts(const char *directory, const struct witness *w)
{
	CLEANUP(mem_closep) int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(mem_freep) uint64_t *number = NULL;
	size_t n = 0;
	return fd >= 0 && kf_ok(segment_list(fd, &number, &n)) &&
	       contradict(fd, number, n, w);
}
