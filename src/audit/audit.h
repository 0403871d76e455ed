/* SPDX-License-Identifier: Apache-2.0
 *
 * audit: what was done, by whom, with which key, on disk before the answer leaves.
 *
 * A loop adds its records to a ring of its own (no lock, no allocation), wakes the audit worker
 * once a round, and goes on: the worker writes what all loops have queued and syncs once for all
 * of it, while the loop computes the signatures.  A loop sends an answer only when the record's
 * ticket is durable.  The record is thus written ahead of the act; a failure is a second record.
 *
 * Segments are files of a fixed size, allocated and zeroed ahead of use.  One spare segment is always
 * kept, so that a full disk does not stop signing at once; when the spare is used up too,
 * audit_add() fails and nothing that needs a record is answered any more.
 *
 * The records of a loop are a hash chain; the worker computes it and signs a checkpoint over all chains
 * once a second while records come, at the start, at the stop and when a segment begins.  What can be
 * found by that, and when, is told in docs/audit.md; audit/verify.h finds it.
 */
#pragma once
#include "base/buf.h"

struct audit;
struct keyring;

enum audit_export { AUDIT_EXPORT_NONE, AUDIT_EXPORT_SYSLOG, AUDIT_EXPORT_JOURNAL };

/* Texts and the keyring outlive the audit.  Zero means the default in brackets. */
struct audit_conf {
	const char *directory;
	size_t segment_size; /* bytes, default 64 MiB */
	size_t ring_size;    /* bytes a loop may have queued, default 1 MiB */
	unsigned loops;
	bool is_synced; /* true: fdatasync before a ticket is durable; false: write only */
	const char *server;            /* its name, in the first line of every segment */
	const struct keyring *keyring; /* the newest master key gives the signing key */
	unsigned checkpoint_ms;        /* most time between checkpoints [1000] */
	const char *
		seen; /* file outside of the directory that remembers the newest checkpoint,
			   * so that a directory put back to an older state is noticed; NULL: none */
	int64_t keep_s; /* closed segments go when the one behind them began so long ago [0: never] */
	uint64_t
		keep_size; /* bytes of closed segments; the oldest go first [0: no limit] */
	enum audit_export export;
	bool exports_checkpoints_only;
	const char *export_socket; /* [the system's] */
};

/* ALLOWED is written before the act; DONE says more about it afterwards (which token made it), FAILED that nothing
 * came of it, UNDONE that it was taken back with the rest of its batch. */
enum audit_phase { AUDIT_ALLOWED, AUDIT_DENIED, AUDIT_FAILED, AUDIT_DONE, AUDIT_UNDONE };

/* All slices are copied.  Peer text is escaped. */
struct audit_record {
	enum audit_phase phase;
	const char *client;       /* name, or "-" */
	const char *operation;    /* "Sign" */
	const char *object;       /* id, or "-" */
	const char *rule;         /* that allowed it */
	const char *mechanism;    /* "ecdsa-sha256", or "-" */
	const char *why;          /* error text, NULL: none */
	const char *with;         /* id of another key that took part, NULL: none */
	const char *token;        /* serial number of the one that did it, NULL: none */
	struct slice digest;      /* SHA-256 of what is signed, or empty */
	struct slice correlation; /* Client Correlation Value, or empty */
	struct slice message;     /* what the client wants to have logged, or empty */
	struct slice server_correlation; /* Server Correlation Value, or empty */
	struct slice op_id; /* Request Id: the same in every copy and retry, or empty */
	bool has_uid;       /* the user on the client's host, as its agent says */
	uint32_t uid;
	uint64_t connection;
};

/* Called on the audit worker when what a loop waits for became durable, or when the audit fails
 * closed while it waits; must only post. */
typedef void (*audit_wake)(void *arg, unsigned loop);

struct audit_waker {
	audit_wake wake;
	/* The same of what no loop waits for: after each group, and when the audit fails closed.  NULL is fine. */
	void (*advanced)(void *arg);
	void *arg;
};

kf_err audit_open(const struct audit_conf *conf, const struct audit_waker *waker,
	struct audit **ret);
void audit_close(struct audit *a); /* writes what is queued */

/* The following are called on loop number `loop` only. */

/* AUDIT when the record cannot be taken: fail closed.  The ticket grows by one with each record. */
kf_err audit_add(struct audit *a, unsigned loop, const struct audit_record *r,
	uint64_t *ret_ticket);
/* Once a round: hands over what was added.  The worker is woken at once for the records up to the
 * ticket `awaited` (0: none), whose answers are about to be due, and takes all others along; otherwise
 * only now and then.  What nobody waits for is on its way to disk within a second. */
void audit_flush(struct audit *a, unsigned loop, uint64_t awaited);
/* Asks for one wake() once this ticket is durable.  False: it already is, or the audit fails closed;
 * there will be no wake. */
bool audit_wait(struct audit *a, unsigned loop, uint64_t ticket);

/* The following may be called on any thread. */

/* All tickets of the loop up to this are on disk. */
uint64_t audit_durable(const struct audit *a, unsigned loop);
/* False: it fails closed.  Tickets that are not durable may stay so for long. */
bool audit_is_healthy(const struct audit *a);

struct audit_status {
	bool is_healthy;
	bool is_intact; /* what was found at the start was what was left, and no alarm came since */
	uint64_t records, syncs, checkpoints;
	uint64_t exported, export_lost; /* lines */
	uint64_t retired;               /* the newest segment that was deleted; 0: none */
	uint64_t synced_ns;             /* when it last reached the disk, monotonic */
	size_t reserve_bytes;           /* that can still be written without allocating */
};
void audit_status(const struct audit *a, struct audit_status *ret);

/* A line that is no loop's: "event=NAME FIELDS", where fields are " key=value" as audit_put_field() writes
 * them.  Written with the next group, one is made if there is none.  BUSY: too many wait. */
kf_err audit_event(struct audit *a, const char *event, struct slice fields);
/* The same of what may only be done once it is on disk: then wait for the ticket, on no loop.  AUDIT: it is not there
 * yet. */
kf_err audit_event_first(
	struct audit *a, const char *event, struct slice fields, uint64_t *ret_ticket);
kf_err audit_event_wait(struct audit *a, uint64_t ticket, unsigned timeout_ms);
void audit_put_field(struct buf *to, const char *key, struct slice value);
/* An event that says that something is wrong: is_intact is false from now on.  `about` is the other key
 * server whose log it is; NULL: ours. */
kf_err audit_alarm(struct audit *a, const char *about, const char *what);
/* What was found at the start; NULL: nothing was wrong. */
const char *audit_finding(const struct audit *a);

/* The newest checkpoint that is on disk, for others to remember: one line of text, without newline.
 *     origin=ORIGIN server=NAME number=N records=N time=TIME chain=HEX signature=HEX
 */
enum { AUDIT_HEAD_SIZE = 768 };
struct audit_head {
	char line[AUDIT_HEAD_SIZE];
	uint64_t number;
};
void audit_head(const struct audit *a, struct audit_head *ret);
