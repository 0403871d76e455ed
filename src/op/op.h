/* SPDX-License-Identifier: Apache-2.0
 *
 * op: what each operation does, one file an operation.  keyfleetd/req.c drives the steps:
 *
 *   decode     the payload into call->request; names the object it is about
 *   authorise  by the driver: op->permission on call->object (missing and forbidden look alike)
 *   start      checks state, mask and parameters; says what must happen before the answer
 *   answer     writes the response payload
 *
 * Nothing here blocks.  Runs on the connection's loop, except `work`, which runs on a worker.
 */
#pragma once
#include "base/buf.h"
#include "policy/policy.h"
#include "store/store.h"
#include "token/soft/engine.h"
#include "ttlv/ttlv.h"

enum op_next {
	OP_ANSWER, /* everything is known: answer */
	OP_SIGN,   /* call->job joins the loop's batch of this round */
	OP_WORK,   /* call->work() runs on a worker thread, then OP_ANSWER */
	OP_COMMIT, /* call->change goes to the store, then OP_ANSWER */
	OP_FAIL,   /* call->err says why */
};

enum op_audit {
	AUDIT_NOT,    /* tells nothing secret, changes nothing */
	AUDIT_QUEUED, /* recorded; the answer does not wait */
	AUDIT_FIRST,  /* the record is on disk before the answer leaves */
};

struct op_call;

struct op {
	uint32_t code; /* KMIP Operation */
	const char *name;
	enum permission permission;
	enum op_audit audit;
	uint16_t since;    /* protocol version */
	bool needs_object; /* decode must have named one */
	bool changes_store;
	kf_err (*decode)(struct op_call *call);
	enum op_next (*start)(struct op_call *call);
	void (*answer)(struct op_call *call, struct ttlv_writer *w);
};

enum { OP_REQUEST_SIZE = 1024 }; /* the largest decoded request struct, see op/op.c */

/* One batch item on its way.  Lives in a request of the loop's free list; no allocation. */
struct op_call {
	/* by the driver */
	const struct op *op;
	struct op_server *server;
	uint16_t version;
	struct slice
		payload; /* content of Request Payload; in the peer's buffer until parked */
	const struct who *who;
	struct slice request_id; /* 16 bytes, or empty */
	char placeholder
		[OBJECT_ID_SIZE]; /* KMIP ID Placeholder of the batch; ops set it */
	uint16_t tls_client_version,
		tls_negotiated_version; /* vendor fields of Decrypt; 0: none */
	int64_t now_s;
	struct decision decision;

	/* by decode */
	alignas(16) uint8_t request[OP_REQUEST_SIZE]; /* the operation's own struct */
	struct object *object;                        /* owned reference, or NULL */

	/* by start */
	kf_err err;
	struct sign_job job;                /* OP_SIGN */
	void (*work)(struct op_call *call); /* OP_WORK */
	struct change change;               /* OP_COMMIT */
	struct buf scratch; /* plaintext, key blocks: wiped after the answer */
};

/* What operations need of the server around them. */
struct op_server {
	struct store *store;
	const struct catalog *catalog;
	size_t message_max;
	const char *version;
	uint32_t (*load)(void *arg);                /* 0..10000 */
	void (*status)(void *arg, struct buf *ret); /* "name=value" lines */
	void *arg;
};

const struct op *op_find(uint32_t code);
const struct op *op_each(size_t i); /* NULL after the last */
