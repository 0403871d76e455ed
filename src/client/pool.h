/* SPDX-License-Identifier: Apache-2.0 */
/* pool: what the threads of a kf_client share: idle connections, scratch pads, the state of servers.
 *
 * The lock is a word that holds its owner's pid and is held for a few hundred instructions, never
 * while waiting or calling out.  Why not a pthread mutex: a fork may copy it taken, and then the child
 * can only ignore it.  Here the child sees a foreign pid and takes over; as what the lock guards may
 * have been copied half-changed, it starts anew with it: all of it can be thrown away.
 */
#pragma once
#include "client/fleet.h"
#include <stdatomic.h>
#include <sys/types.h>

enum { POOL_IDLE_MAX = 1024, POOL_FDS_MAX = 2048, POOL_PADS_MAX = 32 };

struct pool_idle {
	struct conn *conn;
	uint32_t node;
	uint64_t since_ns;
};

struct pool {
	_Atomic pid_t lock;  /* 0: free */
	_Atomic pid_t owner; /* process that all below belongs to */
	struct fleet *fleet; /* nodes and route: under the lock */
	uint64_t epoch; /* of the nodes: connections of an older one are not put back */
	struct pool_idle idle[POOL_IDLE_MAX]; /* the latest last */
	size_t n_idle;
	struct stream_pad *pad[POOL_PADS_MAX];
	size_t n_pads;
	uint64_t resolved_at_ns;
	/* Descriptors of all connections, for a child to close; 0: none. */
	_Atomic int fd[POOL_FDS_MAX];
};

void pool_init(struct pool *p, struct fleet *f);
void pool_clear(struct pool *p);

/* A turn at a server. */
struct pool_turn {
	struct node node; /* a copy, to be looked at without the lock */
	uint32_t index;
	uint64_t epoch;
	struct conn *conn; /* an idle one, checked to be alive; NULL: to be made */
	struct tls_session *session; /* to resume with */
	struct stream_pad *pad;
	bool is_sent; /* the request has left */
};

/* How a turn ended for the server. */
enum pool_verdict { POOL_ANSWERED, POOL_FAILED, POOL_NOTHING };

/* What to expect when no server can be asked now. */
struct pool_outlook {
	uint64_t retry_at_ns; /* UINT64_MAX: never */
	bool is_hopeless, has_nodes;
};
bool pool_begin(struct pool *p, uint64_t tried, struct pool_turn *ret,
	struct pool_outlook *ret_outlook);
/* Makes the connection of the turn known (for a child to close). */
void pool_note(struct pool *p, const struct conn *c);
/* Takes the connection back, or closes it when it is broken or has a request in flight. */
void pool_end(
	struct pool *p, struct pool_turn *t, enum pool_verdict verdict, int32_t load);
/* Each server that is not used, with what went wrong there; left alone when there is none. */
void pool_say_why(struct pool *p, char *text, size_t size);
/* Asks the name service again, at most once a second (BUSY); others may call meanwhile. */
kf_err pool_resolve(struct pool *p);
