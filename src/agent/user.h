/* SPDX-License-Identifier: Apache-2.0 */
/* user: what one uid of this host uses at the moment, over all its connections; for limits. */
#pragma once
#include "agent/agent.h"

struct user {
	struct user *next;
	uid_t uid;
	int64_t connections, in_flight;
	int64_t tokens_u; /* of the rate limit, in millionths of an operation */
	uint64_t filled_ns;
};

enum { USER_STRANGER_CONNECTIONS = 16 }; /* of a user who is allowed nothing */

/* One a uid, for as long as the agent runs: a host has few that talk to us. */
kf_err user_find(struct user **all, uid_t uid, struct user **ret);
/* False: has as many connections as it may. */
bool user_connect(struct user *u, const struct agent_conf *conf, bool is_stranger);
void user_disconnect(struct user *u);
/* Takes an operation out of the limits; false: there is none left. */
bool user_begin(struct user *u, const struct agent_conf *conf, uint64_t now_ns);
void user_end(struct user *u);
