/* SPDX-License-Identifier: Apache-2.0
 *
 * batch: the signatures (and decryptions) that a round has collected, computed at its end on the
 * loop's own thread: a hand-off costs more than a P-256 signature.
 *
 * The work of one round is bounded by time, so that a Get that arrives meanwhile does not wait long.
 */
#pragma once
#include "base/list.h"
#include "crypt/alg.h"
#include "token/token.h"

struct req;

struct batch {
	struct token_session *token;
	struct list queue; /* requests, by their `run` links */
	size_t n;
	uint64_t estimate_ns[ALG_COUNT]; /* of one signature, learned */
};

kf_err batch_init(struct batch *b);
void batch_clear(struct batch *b);

void batch_add(struct batch *b, struct req *r);

/* The audit ticket of the request that is computed next; 0: there is none.  Its record must be on the
 * way when the round begins to sign, those behind it may come along with a later one: one sync serves
 * all that wait their turn. */
uint64_t batch_first_ticket(const struct batch *b);

/* Computes one piece of work of at most about budget_ns and resumes its requests; returns how long
 * it took, 0 when there was nothing to do. */
uint64_t batch_step(struct batch *b, uint64_t budget_ns);
