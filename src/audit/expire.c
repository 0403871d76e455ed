/* SPDX-License-Identifier: Apache-2.0
 *
 * Retention.  How old a segment is is what the segment behind it says in its first line, which is signed: a time
 * of the file system is set by whoever can write the file, who would have us delete what he is not able to
 * delete unnoticed.
 */
#include "audit/fields.h"
#include "audit/private.h"
#include "audit/replay.h"
#include "base/clock.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { EXPIRE_MS = 60000 };
#define MS_NS UINT64_C(1000000)

static void ignore(void *arg, const struct replay_finding *f)
{
	(void)arg;
	(void)f;
}

static void replay_first(struct replay *r, uint64_t number, struct slice line)
{
	replay_segment(r, number);
	replay_line(r, line);
	replay_end(r);
}

/* False: its first line is not this server's. */
static bool read_begin(const struct audit *a, uint64_t number, int64_t *ret_us)
{
	CLEANUP(replay_freep) struct replay *r = replay_new(ignore, NULL);
	struct segment_reader s;
	struct slice line;
	if (!r || !kf_ok(replay_trust_keyring(r, a->conf.keyring)) ||
		!kf_ok(segment_open(a->journal.directory, number, &s)))
		return false;
	bool has_time =
		segment_next(&s, &line) && field_time(field_find(line, "time"), ret_us);
	if (has_time)
		replay_first(r, number, line);
	segment_close(&s);
	return has_time && r->is_begun && r->findings == 0 &&
	       memcmp(r->at.origin, a->seal.at->origin, CHAIN_ORIGIN_SIZE) == 0;
}

/* Its last line is older than the first signed one behind it. */
static bool is_old(const struct audit *a, const struct journal_closed *c)
{
	int64_t us;
	for (size_t i = 1; i < c->n && a->conf.keep_s; i++)
		if (read_begin(a, c->number[i], &us))
			return us / 1000000 < clock_wall_s() - a->conf.keep_s;
	return false;
}

static bool is_much(const struct audit *a, const struct journal_closed *c)
{
	return a->conf.keep_size && c->size > a->conf.keep_size;
}

/* The oldest, if it is to go; never the newest closed one.  0: none. */
static uint64_t find_expired(const struct audit *a)
{
	struct journal_closed c;
	if (!kf_ok(journal_closed(&a->journal, a->seal.retired, &c)))
		return 0;
	bool goes = c.n > 1 && (is_much(a, &c) || is_old(a, &c));
	uint64_t number = goes ? c.number[0] : 0;
	journal_closed_free(&c);
	return number;
}

/* First the journal says, signed and synced, what is going to be deleted; then it is deleted. */
static void retire(struct audit *a, uint64_t number)
{
	char fields[32];
	int n = snprintf(fields, sizeof(fields), " upto=%" PRIu64, number);
	struct slice s = { (const uint8_t *)fields, (size_t)n };
	if (!kf_ok(audit_event(a, "retired", s)))
		return;
	a->seal.retired = number;
	if (kf_ok(audit_write_sealed(a, SEAL_CHECKPOINT)))
		journal_remove(&a->journal, number);
}

void audit_expire(struct audit *a)
{
	uint64_t now = clock_monotonic_ns();
	const struct audit_conf *c = &a->conf;
	if (!(c->keep_s || c->keep_size) || now < a->expired_ns + EXPIRE_MS * MS_NS)
		return;
	uint64_t number = find_expired(a);
	if (number)
		retire(a, number);
	else
		a->expired_ns = now;
}
