/* SPDX-License-Identifier: Apache-2.0
 *
 * replay: goes through the lines of segments as they were written and holds them against their chains and
 * checkpoints.  It tells of everything that does not fit, with its place, and goes on behind it.  It reads
 * no files and no clock: audit/verify.h does, and the server at its start.
 */
#pragma once
#include "audit/chain.h"
#include "crypt/keyring.h"
#include "crypt/signer.h"

enum { REPLAY_KEYS_MAX = 128, REPLAY_TEXT_MAX = 400, REPLAY_BATCH = 1024 };

struct replay_finding {
	uint64_t segment, line; /* line 0: the segment as a whole; segment 0: all of it */
	bool is_note;           /* worth saying, nothing wrong */
	bool is_alarm; /* the server has found something itself, and said so in this line */
	char text[REPLAY_TEXT_MAX];
};
typedef void (*replay_tell)(void *arg, const struct replay_finding *f);
/* A line whose value others may have seen. */
typedef void (*replay_mark)(void *arg, uint64_t number, const uint8_t chain[CHAIN_SIZE]);

/* A checkpoint whose signature was not yet looked at: that of a later one speaks for all before it. */
struct replay_unchecked {
	uint64_t segment, line, number,
		before; /* before: line of the checkpoint before it */
	uint8_t chain[CHAIN_SIZE], signature[SIGNER_SIGNATURE_SIZE];
};

struct replay {
	/* given */
	replay_tell tell;
	replay_mark mark; /* may be NULL */
	void *arg;
	/* whose signatures count; none: the first segment's key is believed, and stands here then */
	uint8_t trusted[REPLAY_KEYS_MAX][SIGNER_PUBLIC_SIZE];
	size_t n_trusted;

	/* where it is */
	struct chains at;
	uint64_t segment, line;
	uint64_t first;                     /* number of the first segment with lines */
	uint64_t after;                     /* of the last one that counts */
	bool is_begun, is_foreign, is_over; /* over: the server had stopped */
	bool knows_journal, knows_order, knows[CHAIN_LOOPS_MAX];
	bool has_found; /* since the last checkpoint */
	uint64_t sealed_line;
	uint8_t public[SIGNER_PUBLIC_SIZE], coming[SIGNER_PUBLIC_SIZE];
	bool has_coming;
	char key[MASTER_ID_MAX + 1], coming_key[MASTER_ID_MAX + 1], server[80];
	uint64_t first_journal,
		first_after; /* number of its first line; what it says of before */
	uint64_t retired, findings, records, checkpoints;
	size_t unchecked_n;
	struct replay_unchecked unchecked[REPLAY_BATCH];
};

struct replay *replay_new(replay_tell tell, void *arg); /* NULL: no memory */
void replay_free(struct replay *r);
void replay_freep(struct replay **r);
/* The keys of all master keys. */
kf_err replay_trust_keyring(struct replay *r, const struct keyring *k);
kf_err replay_trust(struct replay *r, const uint8_t public[SIGNER_PUBLIC_SIZE]);

void replay_segment(struct replay *r, uint64_t number);
void replay_line(struct replay *r, struct slice line);
/* The next segment does not follow the last one: what is between was deleted meanwhile, lawfully if `retired` says
 * so in the end.  Its first line says where the chains are. */
void replay_restart(struct replay *r);
/* Looks at the signatures that are left. */
void replay_end(struct replay *r);

void replay_say(struct replay *r, bool is_note, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
