/* SPDX-License-Identifier: Apache-2.0 */
/* conf: agent.conf. */
#pragma once
#include "client/settings.h"

/* [allow KEY]: who on this host may use which keys, and how.  What no section allows is refused. */
struct agent_rule {
	char *label; /* Unique Identifier of a key, or "*" */
	struct conf_list keys, users, groups, operations;
};

/* [user NAME]: limits of its own; NULL: those of [agent]. */
struct agent_user {
	char *label; /* name or number */
	char *connections, *in_flight, *rate, *burst;
};

struct agent_conf {
	struct settings servers;
	struct conf_list sockets;
	char *socket_mode, *metrics;
	int64_t deadline_ms, drain_ms;
	int64_t connections_max, user_connections, user_in_flight, user_rate, user_burst;
	int log_level;
	struct conf_group rules; /* of struct agent_rule */
	struct conf_group users; /* of struct agent_user */
};

/* CONFIG with a line a mistake in `why`; *ret is zeroed before and to be freed in any case. */
kf_err agent_conf_read(const char *path, struct agent_conf *ret, struct buf *why);
/* See conf_print_late(). */
void agent_conf_late(
	const struct agent_conf *runs, const struct agent_conf *new, struct buf *to);
void agent_conf_free(struct agent_conf *c);
void agent_conf_print_manual(struct buf *to);
