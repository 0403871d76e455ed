/* SPDX-License-Identifier: Apache-2.0
 *
 * chore: what the key server does of its own accord, now and then, on a thread of its own: keys are rotated, destroyed
 * keys deleted from tokens.  Such a thread reads the catalog, commits changes, and keeps the audit as requests do: what
 * it is going to do is on disk before it is done.
 *
 * Either may wait for a token, and a token may hang: whoever stops it waits for a while only.
 */
#pragma once
#include "base/epoch.h"
#include "store/store.h"
#include <pthread.h>

struct server;

struct chore {
	/* by the owner, before chore_start() */
	struct server *server;
	const char *name;
	int64_t every_ms;
	void (*look)(struct chore *c);

	/* the chore's */
	struct epoch_reader *reader; /* the thread's; offline unless it reads */
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t woken;
	bool is_stopping, is_over, is_committed;
};

kf_err chore_start(struct chore *c);
/* Asks it to stop, and waits until then (monotonic).  False: it hangs; all that it may touch must stay. */
bool chore_stop(struct chore *c, uint64_t until_ns);

/* ---- on its thread ---- */

bool chore_pause(struct chore *c, int64_t ms); /* false: the server stops */
/* Waits for the store.  Nobody must wait for this thread as a reader meanwhile. */
kf_err chore_commit(struct chore *c, struct change *change);
/* The catalog has all that other key servers have committed before.  An error: that is not known. */
kf_err chore_catch_up(struct chore *c);
/* An audit event that is on disk when this returns KF_OK. */
kf_err chore_record(struct chore *c, const char *event, struct slice fields);
