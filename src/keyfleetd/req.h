/* SPDX-License-Identifier: Apache-2.0
 *
 * req: one request message, from its bytes to its answer, as a table of named steps.
 *
 * A step returns NEXT (the following row), AGAIN (the same row, whose situation has changed), PARKED
 * (somebody else has the request now: the batch, a worker, the store, the audit) or DONE (nobody has
 * it any more).  Whoever has a parked request gives it back with req_resume() on its io's thread.
 *
 * Requests come from a list of their io: a connection in steady state allocates nothing.
 */
#pragma once
#include "audit/audit.h"
#include "keyfleetd/worker.h"
#include "kmip/credential.h"
#include "net/address.h"
#include "net/loop.h"
#include "op/later.h"
#include "op/op.h"
#include "pool/pool.h"
#include <stdatomic.h>

struct io;
struct op_ids;
struct op_undo;
struct peer;

enum {
	REQ_MAGIC = 0x72657121,
	REQ_INLINE_MAX = 4096, /* larger messages are allocated */
	REQ_KEEP = 512,        /* free requests an io keeps */
	/* Grants that one item may count against: of its object, and of the keys that serve it. */
	REQ_CHARGES = 8,
	ANSWER_MAX = 64 << 20, /* of a batch; the client's own limit is usually lower */
};

enum step_result { STEP_NEXT, STEP_AGAIN, STEP_PARKED, STEP_DONE };

struct req;
struct step {
	const char *name;
	enum step_result (*run)(struct req *r);
};

struct req {
	unsigned magic;
	const struct step *step;
	struct io *io;
	struct peer *peer; /* NULL: the connection is gone, nobody wants the answer */
	struct list link;  /* peer->reqs */
	struct list run;   /* of whoever has it: batch, io->waiting, io->free_reqs */

	/* the message */
	struct kmip_request_header header;
	struct ttlv_reader reader; /* in front of the next item */
	int32_t items_left;
	bool is_busy;    /* too much was in flight when it came */
	bool is_refused; /* the whole message; err says why */
	bool is_last;    /* the connection ends with this answer */
	bool is_ready;   /* to be sent when it is its turn */
	bool is_as_told; /* the request is of who its credential says (keyfleetd/identity.h) */
	bool is_later; /* its client was told to ask for the answer: call.later_id */
	struct buf large;
	size_t size;
	char server_correlation[32]; /* what we call it; "": nothing */

	/* the item being worked on */
	struct kmip_request_item item;
	struct op_call call;
	struct client_slot *slot; /* counts in its requests under way; NULL: not yet */
	unsigned charges;         /* how many grants the item counts against */
	struct who who; /* the peer's, which may be gone before the call is over */
	enum op_next next;
	kf_err err;
	uint64_t ticket; /* of its newest audit record that must be on disk; 0: none */
	uint64_t deadline_ns; /* monotonic; 0: none */
	uint64_t arrived_ns;
	uint64_t waits_ns;  /* since when, for whatever it waits now */
	uint64_t worked_ns; /* what a worker took for it */
	bool is_job;        /* ... which was a token's */
	bool is_pooled;     /* its key is on tokens */
	bool is_overflow;   /* ... but its copy in software is used */
	bool is_at_pool;    /* ... and waits for one of them, or is at work there */
	atomic_bool
		is_withdrawn; /* its client waits no more; written by the loop alone */
	uint64_t
		connection; /* number of the one it came by, where that has no part in it any more */

	/* of batches: the items answered so far */
	struct buf answer;
	struct ttlv_writer writer;
	size_t count_at;
	int32_t answered;
	struct op_ids *ids;   /* that they have named */
	struct op_undo *undo; /* what they have changed; NULL: it stays */
	struct change *undoing;
	kf_err undo_err; /* it could not be begun */

	/* for its journeys to other threads; one at a time */
	struct work work;
	struct loop_message home;
	struct pool_job job;
	struct later_wait wait;

	/* of a credential in the header */
	kf_err auth_err;          /* it is not good */
	uint64_t auth_by;         /* generation of the passwords */
	struct address auth_from; /* while it is checked */
	struct who told;          /* if it is: is_as_told */
	struct kmip_credential credential;

	struct charge {
		struct meter *meter;
		bool holds; /* one of the places of those under way */
	} charge[REQ_CHARGES];

	uint8_t bytes[REQ_INLINE_MAX];
};

/* A whole message has arrived; its bytes are copied.  `is_busy`: too much is in flight, answer so.
 * NOMEM: nothing has begun. */
kf_err req_begin(struct peer *p, struct slice message, bool is_busy);
/* The answer to bytes that are no message; the connection ends with it. */
kf_err req_refuse(struct peer *p, enum kf_code code);

/* By whoever had a parked request. */
void req_resume(struct req *r);
void req_come_home(struct loop_message *m); /* the same, for req.home.deliver */
void req_fail_audit(struct req *r); /* instead: its record does not reach the disk */

/* Nobody waits for the result any more: the deadline has passed, or the peer has gone. */
bool req_is_expired(const struct req *r); /* any thread */
bool req_is_late(const struct req *r);
void req_fail_late(struct req *r); /* instead of computing and resuming */

void req_abandon(struct req *r); /* the peer goes; the request finishes for nobody */
void req_free_all(struct list *free_reqs);

/* Another request that answers in this one's place, from the step "answer" on; this one has no peer any
 * more and goes on. */
kf_err req_stand_in(struct req *r, struct req **ret);

/* For answer.c. */
/* The message as a whole gets one answer: it is not understood, or will not be served. */
enum step_result req_refuse_all(struct req *r, kf_err e, bool is_last);
struct slice req_server_correlation(const struct req *r);
struct slice req_message(const struct req *r);
enum step_result req_next_item(struct req *r);
enum step_result req_to_send(struct req *r);
enum step_result req_to_undo(struct req *r);
void req_record_result(struct req *r, enum audit_phase phase, kf_err why);
