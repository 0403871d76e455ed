/* SPDX-License-Identifier: Apache-2.0
 *
 * op: what each operation does, one file an operation, one row an operation in op.def.
 *
 * keyfleetd/req.c drives a call through these steps, and so do the tests:
 *
 *   op_decode()     the payload into call->request; names the object it is about
 *   op_authorise()  the decision, for the audit record too; missing and forbidden look alike
 *   op_start()      checks state, mask and parameters; says what must happen before the answer
 *   ...             what it said: OP_SIGN, OP_DECRYPT, OP_WORK (op_worked), OP_COMMIT (op_committed)
 *   op_answer()     writes the content of the response payload
 *   op_clear()      always, once: gives back what the call holds and wipes it
 *
 * Nothing here blocks.  Everything runs on the connection's loop, except op_worked(), which runs on
 * a worker.  Sign and Get neither allocate nor lock.
 */
#pragma once
#include "base/buf.h"
#include "policy/policy.h"
#include "pool/pool.h"
#include "store/store.h"
#include "token/soft/engine.h"
#include "ttlv/ttlv.h"
#include <stdalign.h>
#include <stdatomic.h>

enum op_next {
	OP_ANSWER,  /* everything is known: answer */
	OP_SIGN,    /* call->job joins the loop's batch of this round; then OP_ANSWER */
	OP_DECRYPT, /* the same with call->decrypt */
	OP_USE, /* call->use goes to the pool, as jobs with keys on tokens do; then OP_ANSWER */
	OP_WORK,   /* op_worked() on a worker thread; it says what comes next */
	OP_COMMIT, /* call->change goes to the store; then op_committed() */
	OP_WAIT,   /* until call->later_wanted is done (op/later.h); then OP_ANSWER */
	OP_FAIL,   /* call->err says why */
};

enum op_audit {
	AUDIT_NOT,    /* tells nothing secret, changes nothing */
	AUDIT_QUEUED, /* recorded; the answer does not wait */
	AUDIT_FIRST,  /* the record is on disk before the answer leaves */
};

struct authority;
struct op_backup;
struct op_call;
struct op_parts;
struct op_ids;

struct op {
	uint32_t code; /* KMIP Operation */
	const char *name;
	enum permission permission;
	enum op_audit audit;
	uint16_t since;    /* protocol version */
	bool needs_object; /* decode must have named one */
	bool changes_store;
	kf_err (*decode)(struct op_call *call);
	/* NULL: `permission` on the object.  Else the request decides which permission counts. */
	struct decision (*decide)(struct op_call *call);
	enum op_next (*start)(struct op_call *call);
	void (*answer)(struct op_call *call, struct ttlv_writer *w);
};

enum { OP_REQUEST_SIZE = 1024 }; /* the largest decoded request struct, see op/op.c */

/* What became of the change of a call. */
enum op_fate { CHANGE_NOT_MADE, CHANGE_IN_DOUBT, CHANGE_MADE };

/* One batch item on its way.  Lives in a request of the loop's free list; no allocation.
 * Made by zeroing; `scratch` may be kept from call to call (op_clear() empties it). */
struct op_call {
	/* by the driver */
	const struct op *op;
	const struct op_server *server;
	uint16_t version;
	uint16_t newest;  /* version that the client is offered; 0: all of them */
	bool is_undoable; /* in a batch that is undone if one of its items fails */
	bool is_lenient;  /* a foreign minor version: unknown fields are skipped */
	/* Content of Request Payload; stays valid until op_clear(), so the driver copies it before
	 * it parks a call whose bytes are in the peer's buffer. */
	struct slice payload;
	const struct who *who;
	struct slice request_id; /* 16 bytes, or empty */
	/* KMIP ID Placeholder of the batch; Locate and Check set it, the driver (op/ids.h) that of whatever
	 * was made */
	char placeholder[OBJECT_ID_SIZE];
	const struct op_ids *ids; /* of the batch; NULL: a single item */
	uint16_t tls_client_version,
		tls_negotiated_version; /* vendor fields of Decrypt */
	int64_t now_s;
	/* Nobody waits for the answer any more: from then on (monotonic; 0: no matter when), or when this is set. */
	uint64_t deadline_ns;
	const _Atomic bool *is_withdrawn; /* NULL: it never is */
	/* A key that serves the request beside its object counts against the grant that allows it, once however
	 * often it is told: GRANT_RATE, GRANT_REQUESTS.  On the loop.  NULL: nothing is counted. */
	kf_err (*charge)(struct op_call *call, const struct grant_row *grant);

	/* by op_decode and op_authorise */
	alignas(16) uint8_t request[OP_REQUEST_SIZE]; /* the operation's own struct */
	char object_id[OBJECT_ID_SIZE]; /* asked for, or made by the call; "" if none */
	struct object *object;          /* owned reference, or NULL */
	struct decision decision;
	/* what decision.rule points to: the grant itself may go while the call is parked */
	char rule[OBJECT_ID_SIZE];
	char asked_id
		[OBJECT_ID_SIZE]; /* the placeholder, if the request meant that one */
	struct buf attrs;         /* attributes of the request, in canonical form */
	struct buf expanded;      /* the payload with what its templates say; or empty */
	const char *mechanism;    /* for the audit record, "ecdsa-sha256"; NULL: none */
	struct slice
		message; /* the same: what was issued, or words of the client's own; empty: none */

	/* by op_start */
	kf_err err;
	enum op_next next; /* what was said last */
	bool was_asked;    /* whether this slow request was carried out before */
	bool is_question;  /* the change only asks whether it was made before */
	/* IN_DOUBT while it is at the store; a driver that could not submit it says NOT_MADE. */
	enum op_fate fate;
	bool spends; /* the change counts a use (op/usage.h), and after_spending follows */
	enum op_next after_spending;
	unsigned conflicts; /* times the object was changed under our feet */
	enum op_next (*work)(struct op_call *call); /* OP_WORK: see op_worked() */
	unsigned slow_place;                        /* op/slow.h; 0: none */
	const char *token; /* for the audit record: its serial number; NULL: none */
	/* for the audit record: the key that wraps, or that was derived from; "" none */
	char with[OBJECT_ID_SIZE];
	bool is_slow; /* the work waits for tokens, perhaps for minutes; recorded before it begins */
	bool is_long; /* the work takes a tenth of a second or more: a client that can do without the
		       * answer for a while may (Asynchronous Indicator) */
	bool is_pending; /* instead of an answer: that later_id is being carried out */
	uint8_t later_id[16]; /* op/later.h */
	struct slice later_wanted;
	uint32_t answers_for; /* Poll: the operation whose answer this is; 0: its own */
	bool is_search;       /* the work looks through many objects: op_search */
	kf_err (*after_use)(
		struct op_call *call);         /* OP_USE: before the answer; or NULL */
	void (*release)(struct op_call *call); /* what `request` owns; or NULL */
	struct buf scratch; /* plaintext, key blocks, answers: wiped by op_clear() */
	/* The large ones come last: what a signature does not need is not even in its cache lines. */
	union {
		struct sign_job job;        /* OP_SIGN */
		struct decrypt_job decrypt; /* OP_DECRYPT */
		struct use_job use;         /* OP_USE */
	};
	struct change change; /* OP_COMMIT; the driver sets deadline, done and arg */
};

/* Of searches through many objects (Locate): how many at a time, and how long one may take.  Any thread. */
struct op_search {
	_Atomic unsigned under_way;
	unsigned most, time_ms;
	unsigned
		items_max; /* of a question, fields of structures counted; 0: any number */
};

/* What operations need of the server around them.  Shared by all loops; only message_max changes. */
struct op_server {
	struct store *store;
	const struct catalog *catalog;
	_Atomic size_t message_max;  /* a reload may bring another one */
	_Atomic uint32_t lease_s;    /* the longest of Obtain Lease; 0: op/lease.h */
	const char *version;         /* of the program */
	const char *name;            /* of this server; NULL: none */
	uint32_t (*load)(void *arg); /* 0..10000 */
	void (*status)(void *arg, struct buf *ret); /* "name=value" lines */
	/* What every client may, in words; NULL: not told. */
	void (*limits)(void *arg, struct buf *ret);
	/* The server itself proves by this key (SHA-256 of its public half) who it is; NULL: by none on tokens. */
	bool (*is_own_key)(void *arg, const uint8_t key_id[KEY_ID_SIZE]);
	struct pools *pools;  /* NULL: none */
	struct op_slow *slow; /* op/slow.h; with pools */
	bool allows_legacy;   /* keys of algorithms that are too weak (crypt/alg.def) */
	size_t tag_min;       /* shortest tag of ciphers that have one; 0: 12 bytes */
	uint32_t iterations_max;      /* of PBKDF2 in Derive Key; 0: 2,000,000 */
	bool is_interop_test;         /* Interop is there, which forgets all objects */
	struct op_parts *parts;       /* op/parts.h; NULL: none */
	struct op_backup *backup;     /* op/backup.h; NULL: no backups */
	struct op_later *later;       /* op/later.h */
	struct op_cryptoki *cryptoki; /* op/cryptoki.h */
	struct op_search *search;     /* NULL: no limit */
	const struct authority
		*authorities; /* op/authority.h; the first is the default */
	size_t authorities_n;
	void *arg;
};

/* The operation's class, but whoever is given a secret, or has something wrapped, waits for the record of it. */
enum op_audit op_audit_of(const struct op_call *call);

const struct op *op_find(uint32_t code); /* NULL: not supported */
const struct op *op_each(size_t i);      /* NULL after the last */

/* Is it the limits of a grant that refuse?  That is neither an answer about a key nor a record of its own. */
static inline bool op_is_over_limit(kf_err e)
{
	return kf_is(e, KF_E_GRANT_RATE) || kf_is(e, KF_E_GRANT_REQUESTS);
}

/* UNSUPPORTED if the operation is newer than the call's version. */
kf_err op_decode(struct op_call *call);
/* NOT_FOUND for what the client must not know of; DENIED where there is nothing to know. */
kf_err op_authorise(struct op_call *call);
/* What it comes to, when a use must be counted first. */
enum op_next op_aim(const struct op_call *call);
enum op_next op_start(struct op_call *call);
enum op_next op_worked(struct op_call *call);
/* When change.done() has come home.  OP_COMMIT: somebody else was faster; submit once more. */
enum op_next op_committed(struct op_call *call);
/* The same for who commits on his own thread, and begins nothing again: call->fate as change.err has it. */
void op_learn_fate(struct op_call *call);
/* DATA, CRYPTO and the like when a job failed; nothing was written then. */
kf_err op_answer(struct op_call *call, struct ttlv_writer *w);
void op_clear(struct op_call *call); /* ready for the next one */
void op_free(struct op_call *call);  /* and gives back the memory that it kept */
