/* SPDX-License-Identifier: Apache-2.0 */
/* conn: one mutual TLS connection to a key server, and the requests in flight on it.
 *
 * Never blocks: whoever owns it waits for conn_fd() with poll or a loop, and calls conn_work().
 *
 *     connecting -> handshake -> greeting (Discover Versions, where it is needed) -> open -> broken
 *
 * Answers find their waiter by Unique Batch Item ID when the server speaks keyfleet/1, otherwise by
 * order, one request at a time.  An answer without a waiter is dropped.  Several requests put between
 * two conn_work() leave in one TLS record.
 *
 * Threads: one at a time; the pad is the thread's that calls.
 */
#pragma once
#include "client/node.h"
#include "kmip/message.h"
#include "net/tls.h"

enum { CONN_DEPTH = 256 }; /* requests in flight on one connection */

enum conn_state {
	CONN_CONNECTING,
	CONN_HANDSHAKE,
	CONN_GREETING,
	CONN_OPEN,
	CONN_BROKEN
};

/* What all connections of a client share. */
struct conn_setup {
	struct tls_context *tls;
	size_t message_max;
};

/* An answer.  `waiter` was given to conn_put(); slices are borrowed until the function returns. */
typedef void conn_answer(void *arg, void *waiter, const struct kmip_response_item *item);

struct conn {
	const struct conn_setup *setup;
	enum conn_state state;
	bool is_by_id, must_greet;
	uint16_t version; /* protocol version to speak; 0 until open */
	uint32_t in_flight;
	uint64_t answers; /* ever; 0: nothing proves that the server got our requests */
	int fd;           /* while connecting; then the stream's */
	struct stream *stream;
	struct stream_pad *pad;
	struct tls_session *session; /* to resume with; later the newest ticket */
	char host[256];
	struct buf in, out;
	kf_err err; /* why it is broken */
	char why[160];

	/* by id: waiter of each slot; by order: slot 0 alone */
	void *waiter[CONN_DEPTH];
	bool is_taken[CONN_DEPTH];
	uint16_t free_slot[CONN_DEPTH], n_free;
	uint32_t id[CONN_DEPTH], next_id;
	uint32_t notes; /* by id: requests without a slot, ever */
};

/* Starts to connect.  Takes the session (NULL is fine).  Greets when the protocol version is not
 * known, or when the node has to prove itself. */
kf_err conn_new(const struct conn_setup *setup, const struct node *node,
	struct tls_session *session, struct conn **ret);
void conn_free(struct conn *c); /* NULL is fine */
/* For a child after fork: closes the descriptor and says nothing to the server. */
void conn_drop(struct conn *c);
void conn_set_pad(
	struct conn *c, struct stream_pad *pad); /* before any work by a thread */

int conn_fd(const struct conn *c);
short conn_events(const struct conn *c); /* POLLIN, POLLOUT */
/* Does what can be done without waiting: connects, shakes hands, sends, reads, hands out answers. */
kf_err conn_work(struct conn *c, conn_answer *answer, void *arg);
/* Sends only. */
kf_err conn_flush(struct conn *c);

bool conn_has_room(const struct conn *c);
/* Encodes one request behind the others; `payload` is the content
 * of Request Payload as c->version writes it. */
struct conn_request {
	uint32_t operation;
	struct slice payload;
	struct kmip_extension extension;
};
kf_err conn_put(struct conn *c, const struct conn_request *q, void *waiter);
/* A request that nobody waits for, for a connection that may lie unused: so that the server can tell how
 * old the first one of use is (docs/wire.md, Sent At). */
kf_err conn_tell_time(struct conn *c, int32_t now_ms);
/* Nobody waits for the answer to what was put for this waiter, who stays its waiter: the server need not begin it.
 * Takes no room: where there is none is most to be abandoned.  UNSUPPORTED: there is no way to say so here. */
kf_err conn_abandon(struct conn *c, const void *waiter);
