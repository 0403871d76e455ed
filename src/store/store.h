/* SPDX-License-Identifier: Apache-2.0
 *
 * store: keeps objects, clients and grants for ever, and the catalog in step with them.
 *
 * A change goes to the store worker, which takes all that are queued, commits them as one
 * transaction (group commit; a refused change spoils no neighbour), publishes them in the catalog
 * and only then calls done().  An answer therefore never leaves before its commit, and every loop
 * sees what was acknowledged.
 *
 * Drivers (SQLite, PostgreSQL, memory) implement struct store_driver of store/driver.h.
 */
#pragma once
#include "store/catalog.h"

struct keyring;
struct store;

/* Zero means the default in brackets.  Texts and pointers outlive the store. */
struct store_conf {
	const char *location; /* "sqlite:PATH", "postgresql:CONNINFO", "memory:" */
	/* file with the newest sequence this server has seen, against a store that was rolled
	 * back as a whole; NULL: none */
	const char *seen;
	/* file for a sealed copy of a shared store, renewed a minute after changes at the latest:
	 * with it a server starts, and signs, while the database is away.  It may then not know the
	 * newest revocations until the database is back.  NULL: none */
	const char *snapshot;
	const struct keyring *keyring;
	struct epoch *epoch;
	unsigned
		deadline_ms; /* of a commit; then the outcome is unknown, not failed [5000] */
	unsigned poll_ms; /* between looks for other servers' changes and probes [1000] */
	size_t queue_max; /* changes that may wait; more are answered with BUSY [4096] */
	size_t request_ids_max;    /* remembered for one client; more: LIMIT [100000] */
	unsigned request_id_hours; /* how long they are remembered [24] */

	/* Makes the handle that signs (token/soft/engine.h), of a private key's plaintext: the
	 * canonical attributes of `o` say what it is.  Called by several threads while the store
	 * opens, and by the store worker.  NULL: objects have no key. */
	kf_err (*load_key)(
		const struct object *o, struct slice material, struct token_key **ret);

	/* How many rows were read, each time there are so many more of them [65536], while the store opens; by the
	 * opening thread.  NULL is fine. */
	void (*progress)(void *arg, uint64_t rows);
	unsigned progress_rows;

	/* The tables of an older keyfleet are about to be upgraded, which may take so long; by the opening thread.
	 * NULL is fine. */
	void (*upgrading)(void *arg, unsigned at_most_ms);

	/* What the program should log: the floors below it do not.  Called by the opening thread
	 * and by the store's threads, perhaps at once; NULL is fine.  `what` is an object's id or the like. */
	void (*event)(void *arg, kf_err why, const char *what);
	void *event_arg;
};

enum mutation_kind {
	PUT_OBJECT, /* expected_version 0: must be new */
	PUT_CLIENT,
	PUT_GRANT,
	DROP_GRANT,
};

struct mutation {
	enum mutation_kind kind;
	/* CONFLICT if the store's row has another one; the new row's is this plus 1.  0: the row
	 * must not exist (EXISTS). */
	uint64_t expected_version;
	union {
		/* The new object; the store takes the reference.  `material` is the plaintext to be
		 * sealed, or empty: then the sealed bytes of `was` are bound to the new row.
		 * Without attributes: whoever made it takes it back (object_is_void()). */
		struct {
			struct object *object;
			const struct object *was; /* owned reference, or NULL */
			struct buf material;      /* wiped and freed by the store */
		} object;
		struct client_row client;
		struct grant_row grant;
	};
};

enum { CHANGE_MUTATIONS = 4, CHANGE_MUTATIONS_MAX = 8192 };

/* BARRED: its audit record does not reach the disk; the change is answered AUDIT. */
enum change_gate { GATE_OPEN, GATE_SHUT, GATE_BARRED };

/* All mutations or none.  Owned by whoever submitted it again once done() was called. */
struct change {
	struct change *next; /* the queue's */
	size_t n;
	struct mutation m[CHANGE_MUTATIONS];
	struct mutation *
		more; /* those from CHANGE_MUTATIONS on, the owner's; NULL: there are none */

	/* Idempotency: the same client's same request id with the same hash gets the recorded
	 * answer and changes nothing; with another hash it is refused (INVALID_FIELD). */
	bool has_request_id;
	char client[CLIENT_NAME_SIZE];
	uint8_t request_id[16], request_hash[32];
	struct buf
		answer; /* in: what to record; out: what was recorded, when is_replay */
	bool is_replay;

	/* Whether it may be committed yet; NULL: it may.  Asked on the store worker before the change is taken into a
	 * transaction, and again after each store_rouse(). */
	enum change_gate (*gate)(const struct change *c);
	uint64_t deadline_ns; /* monotonic */
	kf_err err;
	void (*done)(struct change *c); /* on the store worker; posts home */
	void *arg;
};

static inline struct mutation *change_mutation(struct change *c, size_t i)
{
	return i < CHANGE_MUTATIONS ? &c->m[i] : &c->more[i - CHANGE_MUTATIONS];
}

/* Opens, migrates, verifies and loads everything into a new catalog.  TAMPERED rows are refused one
 * by one and counted; a wrong master key, a foreign or rolled-back store refuse to start.
 * UNAVAILABLE: the database cannot be reached within ten seconds, and there is no snapshot: log it
 * and call again. */
kf_err store_open(const struct store_conf *conf, struct store **ret);
/* Commits what is queued, stops the worker.  Objects are still read, and store_rouse() does no harm. */
void store_stop(struct store *s);
void store_close(struct store *s); /* the same, and frees it; NULL is fine */

struct catalog *store_catalog(struct store *s);

/* Thread-safe.  BUSY when the queue is full; then done() is not called. */
kf_err store_submit(struct store *s, struct change *c);

/* Thread-safe; costs next to nothing where no change waits for its gate: one may have opened. */
void store_rouse(struct store *s);

/* Plaintext of an object's material.  Thread-safe; never waits for the database. */
kf_err store_unseal(struct store *s, const struct object *o, struct buf *ret);
/* The same for whoever reads often: *ret points into `scratch` or, for public keys, certificates and
 * small secrets that were read before, to what lives as long as the object. */
kf_err store_material(
	struct store *s, const struct object *o, struct buf *scratch, struct slice *ret);

/* Thread-safe facts for health and status. */
struct store_status {
	bool is_reachable, is_writable; /* by a probe that commits a row */
	bool is_rolled_back; /* found while running: nothing is written any more, signing goes on */
	uint64_t sequence; /* of the newest change seen */
	/* When the store was made or a backup restored, microseconds of the wall clock.  What is older may since have been
	 * changed by changes that are lost. */
	int64_t incarnation_us;
	uint64_t objects, tampered, commits, changes;
	uint64_t
		unloaded; /* private keys whose material could not be used, since the start */
	uint64_t queued;          /* changes that wait */
	uint64_t old_master_keys; /* rows not yet under the newest master key */
};
void store_status(struct store *s, struct store_status *ret);

/* Asks the worker to bind every object to the newest master key, a batch at a time. */
void store_rotate_master(struct store *s);

/* --- audit heads --- */

/* Are there other servers? */
bool store_is_shared(const struct store *s);

struct store_head {
	struct slice origin, line;
};
typedef void (*store_head_row)(void *arg, struct slice origin, struct slice line);
/* Shows what every key server of the database has put there, ours of before included, then puts ours.
 * Any thread; waits for the database, five seconds at most.  Nothing happens in a store of one server. */
kf_err store_exchange_heads(
	struct store *s, const struct store_head *own, store_head_row row, void *arg);

/* --- backup ---
 *
 * A backup is one authenticated stream of the rows as they are stored (sealed), of one moment.
 * It is of no use without the master keys that seal them: keep master.key (and the CA) beside
 * it, in another place.  It can be restored into either kind of store. */

/* Where a backup goes to; called from the calling thread only. */
typedef kf_err (*store_sink)(void *arg, struct slice bytes);
/* Fills at most `size` bytes; *ret 0 is the end. */
typedef kf_err (*store_source)(void *arg, uint8_t *p, size_t size, size_t *ret);

struct store_backup_facts {
	uint64_t sequence;
	uint64_t objects, clients, grants; /* tombstones too */
	uint64_t tampered; /* rows that were wrong already when the backup was made */
	int64_t made_s;    /* wall clock */
};

/* Any thread; reads by a connection of its own while the store goes on working. */
kf_err store_backup(
	struct store *s, store_sink sink, void *arg, struct store_backup_facts *ret);
/* Reads and checks everything, writes nothing. */
kf_err store_backup_verify(const struct keyring *keyring, store_source source, void *arg,
	struct store_backup_facts *ret);
/* Into an empty store (EXISTS if it is not), all or nothing.  Servers recognise the restored store
 * by its newer incarnation, so their `seen` files need no attention. */
kf_err store_restore(const struct store_conf *conf, store_source source, void *arg,
	struct store_backup_facts *ret);
