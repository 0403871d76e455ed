/* SPDX-License-Identifier: Apache-2.0
 *
 * worker: threads for what would hold up a loop: key generation, large RSA keys, backups.
 *
 * Work is handed over by a queue; whoever runs it sends it home itself (loop_post).
 */
#pragma once
#include "base/buf.h"
#include "token/token.h"

struct epoch;
struct workers;

/* Runs between quiescent points: it may read the catalog. */
struct work {
	struct work *next;
	void (*run)(struct work *w, struct token_session *token);
};

/* Without an epoch (NULL) the work must not read the catalog, and may take as long as it likes. */
kf_err workers_start(unsigned threads, struct epoch *epoch, struct workers **ret);
void workers_stop(struct workers *w); /* runs what is queued; NULL is fine */
void workers_submit(struct workers *w, struct work *work);
size_t workers_queued(struct workers *w); /* any thread */
