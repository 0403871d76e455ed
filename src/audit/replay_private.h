/* SPDX-License-Identifier: Apache-2.0
 *
 * For the two halves of replay: the lines (replay.c) and the checkpoints among them (replay_seal.c).
 */
#pragma once
#include "audit/fields.h"
#include "audit/replay.h"

/* A line, cut where its chain value begins. */
struct replay_text {
	struct slice text;      /* what is chained */
	struct slice chain;     /* digits */
	struct slice signature; /* digits; empty: none */
};

/* "loop 1: records 7 to 9 are missing before this line" */
void replay_say_missing(
	struct replay *r, const char *what, uint64_t first, uint64_t last);
/* Loops that appear begin where all begin. */
void replay_know_loops(struct replay *r, unsigned loops, bool are_known);
/* A line with event=checkpoint, segment or stop. */
void replay_sealed(struct replay *r, const struct replay_text *t, struct slice event);
/* The signatures of the checkpoints since the last call. */
void replay_check_signatures(struct replay *r);
