/* SPDX-License-Identifier: Apache-2.0 */
/* user: what one uid of this host uses at the moment, over all its connections, and how much it may. */
#pragma once
#include "agent/conf.h"
#include "base/bucket.h"
#include <sys/types.h>

enum { USER_STRANGER_CONNECTIONS = 16 }; /* of a user who is allowed nothing */

/* How much one user may: of [user NAME], or of [agent] for all others. */
struct user_limits {
	uid_t uid;
	int64_t connections, in_flight;
	struct rate rate;
};

/* Immutable; a reload makes another one. */
struct user_table {
	struct user_limits others;
	size_t n;
	struct user_limits row[];
};

/* Names that this host does not have go to `notes`, as with allow_new(). */
kf_err user_table_new(
	const struct agent_conf *conf, struct buf *notes, struct user_table **ret);
const struct user_limits *user_limits(const struct user_table *t, uid_t uid);

struct user {
	struct user *next;
	uid_t uid;
	int64_t connections, in_flight;
	struct bucket bucket;
	const struct user_limits *limits; /* of the table of this generation */
	uint64_t generation;
	uint64_t told_ns, untold; /* refusals that the log does not name yet */
};

/* One a uid, for as long as the agent runs: a host has few that talk to us. */
kf_err user_find(struct user **all, uid_t uid, struct user **ret);
void user_adopt(struct user *u, const struct user_table *t, uint64_t generation);

/* False: has as many connections as it may. */
bool user_connect(struct user *u, bool is_stranger);
void user_disconnect(struct user *u);
/* Takes an operation out of the limits; USER_RATE, USER_REQUESTS: there is none left. */
kf_err user_begin(struct user *u, uint64_t now_ns);
void user_end(struct user *u);
/* How many refusals there were since the last time, once a second; 0: not yet, or none. */
uint64_t user_refused(struct user *u, uint64_t now_ns);
