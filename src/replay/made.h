/* SPDX-License-Identifier: Apache-2.0
 *
 * made: which literals of a case are values that a server makes up (made.def), decided from what the
 * requests of the run have asked for, never from how an answer looks.
 */
#pragma once
#include "replay/value.h"

/* One item of a batch: what was asked, and who the object is. */
struct replay_item {
	uint32_t operation;
	const struct replay_node *request; /* Request Payload; NULL: there is none */
	struct slice uid;                  /* of the answer; empty: it has none */
};

struct replay_made {
	const char *why;
	bool is_lasting; /* the object keeps it: the same literal stands for the same value */
};

/* The value of this field is the server's own; NULL: it has to be the one of the case. */
const struct replay_made *replay_made(const struct replay_node *expected,
	const struct replay_item *i, const struct replay_scope *s);

/* Binds the literal for this object; false: the server has said something else before. */
bool replay_made_again(const struct replay_node *expected, const struct replay_item *i,
	struct replay_scope *s, struct slice value);

/* After an item has succeeded: which objects it made or took. */
void replay_learn(
	const struct replay_item *i, struct slice answer_payload, struct replay_scope *s);
