/* SPDX-License-Identifier: Apache-2.0 */
/* agent: the state of keyfleet-agent.  One thread, one loop. */
#pragma once
#include "agent/allow.h"
#include "agent/metrics.h"
#include "agent/upstream.h"
#include "net/listen.h"
#include "net/stream.h"

enum { AGENT_DOORS_MAX = 16 };

struct guest;
struct http;
struct user;
struct agent;

/* A socket that guests come in by. */
struct door {
	struct listener listener;
	struct agent *agent;
};

struct agent {
	const char *path; /* of the configuration */
	struct agent_conf conf;
	/* After a reload: what it was started with. */
	struct agent_conf first;
	struct allow *allow;
	struct user_table *limits;
	uint64_t generation; /* of both */
	struct loop *loop;
	struct stream_pad *pad;
	struct upstream *upstream;
	struct door door[AGENT_DOORS_MAX];
	size_t n_doors;
	struct list guests;
	size_t n_guests, n_busy; /* busy: an operation is under way */
	size_t descriptors; /* guests get no more than these; the rest is for key servers and files */
	struct user *users;
	bool is_draining;
	struct agent_metrics metrics;
	struct http *http; /* NULL: no endpoint */
	char *http_at;
};

/* ---- guest.c ---- */
void guest_accepted(struct listener *l, int fd, const struct address *peer);
/* Closes those that wait for nothing; the others close after their answer.  All, when forced. */
void guests_close(struct agent *a, bool is_forced);
void users_free(struct agent *a);

/* ---- setup.c ---- */
/* Reads and makes all that the configuration names, without touching what runs. */
struct agent_plan {
	struct agent_conf conf;
	struct allow *allow;
	struct user_table *limits;
	struct upstream *upstream;
};
kf_err agent_plan(struct agent *a, struct agent_plan *ret, struct buf *why);
/* Mistakes of the file itself, which no second start mends: not what it names and is not there yet. */
bool agent_conf_is_wrong(const char *path);
void agent_plan_free(struct agent_plan *p);
void agent_adopt(struct agent *a, struct agent_plan *take);
/* Takes all descriptors that the host gives us. */
void agent_take_descriptors(struct agent *a);
/* Sockets of systemd, or those of the configuration. */
kf_err agent_listen(struct agent *a, struct buf *why);
void agent_stop_listening(struct agent *a);
void agent_clear(struct agent *a);
