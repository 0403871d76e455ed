/* SPDX-License-Identifier: Apache-2.0
 *
 * worker: threads for what would hold up a loop: key generation, large RSA keys, backups.
 *
 * Work is handed over by a queue; whoever runs it sends it home itself (loop_post).  Clients have their turns one
 * after the other, however much each of them wants.  Where there are several threads, the last one that is free takes
 * no long work of a client that has all the others: another one need not wait for it.
 */
#pragma once
#include "base/buf.h"
#include "token/token.h"

struct epoch;
struct workers;

/* Runs between quiescent points: it may read the catalog. */
struct work {
	void (*run)(struct work *w, struct token_session *token);
	const char *client; /* whose it is, as long as it waits; NULL: no client's */
	bool is_long;       /* a tenth of a second or more */

	/* the queue's: the next one of its line, and the last one; the first ones of the line whose turn is next, and of
	 * one in the same bucket */
	struct work *next, *last, *other, *neighbour;
};

/* Without an epoch (NULL) the work must not read the catalog, and may take as long as it likes. */
kf_err workers_start(unsigned threads, struct epoch *epoch, struct workers **ret);
void workers_stop(struct workers *w); /* runs what is queued; NULL is fine */
void workers_submit(struct workers *w, struct work *work);
size_t workers_queued(struct workers *w); /* any thread */
