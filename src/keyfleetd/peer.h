/* SPDX-License-Identifier: Apache-2.0
 *
 * peer: one connection of a client, from PROXY header and handshake to its last answer.  It belongs
 * to its io's thread once peer_begin() has been delivered there.
 *
 * A peer is closed at one place only, at the end of a round (peer_settle), so that whatever is on the
 * stack may go on using it.
 */
#pragma once
#include "keyfleetd/age.h"
#include "keyfleetd/io.h"
#include "net/proxy2.h"
#include "net/tls.h"
#include "policy/policy.h"

struct client_slot;
struct identity;
struct gate;

enum peer_state {
	PEER_PROXY, /* expects a PROXY header */
	PEER_HANDSHAKE,
	PEER_OPEN,
	PEER_ENDING, /* reads no more; closes when everything was answered and sent */
	PEER_CLOSED, /* to be freed when the round ends */
};

struct peer {
	unsigned magic;
	enum peer_state state;
	struct io *io;
	const struct gate *gate; /* where it came in */
	struct loop_message arrival;
	struct list link;    /* io->peers */
	struct list touched; /* io->touched */
	struct list turn;    /* io->turns: its handshake can go on */
	struct loop_watch watch;
	struct loop_timer timer;
	struct stream *stream; /* NULL before the handshake begins */
	struct proxy2_reader *proxy;
	struct address address;
	uint64_t number;

	struct buf in, out;
	struct list reqs; /* in the order of their arrival */
	unsigned in_flight;
	bool answers_out_of_order; /* keyfleet/1 */
	bool is_full;              /* too much in flight: frames wait in `in` */
	bool has_ended;     /* nothing comes any more; what waits in `in` is still cut */
	bool has_told_load; /* since the last flush */
	bool has_greeted;   /* its handshake has begun: finished before others begin */
	uint64_t turn_ns;   /* since when it waits for its turn */
	uint64_t
		handshake_by_ns; /* then its time for it is up; what it waits for us does not count */

	struct who who;
	struct identity
		*identity; /* as whom it has proved to be by a password; NULL: nobody */
	uint64_t
		settings_generation; /* of the configuration it was last checked against */
	uint64_t tls_generation;     /* of that its certificate was verified under */
	struct client_slot *slot;    /* what its client uses */
	struct meters *meters; /* see keyfleetd/limit.h; NULL: no grant with limits yet */
	struct list paused;    /* its client is over its limits: nothing is read */

	struct age age;     /* of its requests */
	uint64_t active_ns; /* last read or answer */
	uint64_t
		partial_ns; /* since when the message in `in` is incomplete; 0: it is not */
	uint64_t stuck_ns; /* since when the client takes no answers; 0: it does */
};

/* By the accepting thread: takes fd; the connection is counted already. */
kf_err peer_new(struct io *io, int fd, const struct address *a, struct peer **ret);
/* The caller sets its gate. */
kf_err peer_expect_proxy(struct peer *p); /* before it begins */
void peer_begin(struct peer *p);          /* posts it to its io */

/* By requests. */
void peer_touch(struct peer *p); /* it has something to send, or is to be closed */
void peer_end(struct peer *p);   /* no more requests; closes after the last answer */

/* By the io. */
void peer_shake_hands(struct peer *p); /* its turn has come */
void peer_settle(struct peer *p);      /* sends, reads on, closes; once for each touch */
void peer_drain(struct peer *p);
void peer_free(struct peer *p);
