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
 */
#pragma once
#include "base/buf.h"

struct audit;

struct audit_conf {
	const char *directory;
	size_t segment_size; /* bytes, default 64 MiB */
	size_t ring_size;    /* bytes a loop may have queued, default 1 MiB */
	unsigned loops;
	bool is_synced; /* true: fdatasync before a ticket is durable; false: write only */
};

enum audit_phase { AUDIT_ALLOWED, AUDIT_DENIED, AUDIT_DONE, AUDIT_FAILED };

/* All slices are copied.  Peer text is escaped. */
struct audit_record {
	enum audit_phase phase;
	const char *client;       /* name, or "-" */
	const char *operation;    /* "Sign" */
	const char *object;       /* id, or "-" */
	const char *rule;         /* that allowed it */
	const char *mechanism;    /* "ecdsa-sha256", or "-" */
	const char *why;          /* error text, NULL: none */
	struct slice digest;      /* SHA-256 of what is signed, or empty */
	struct slice correlation; /* Client Correlation Value, or empty */
	struct slice op_id; /* Request Id: the same in every copy and retry, or empty */
	uint64_t connection;
};

/* Called on the audit worker when what a loop waits for became durable, or when the audit fails
 * closed while it waits; must only post. */
typedef void (*audit_wake)(void *arg, unsigned loop);

kf_err audit_open(
	const struct audit_conf *conf, audit_wake wake, void *arg, struct audit **ret);
void audit_close(struct audit *a); /* writes what is queued */

/* The following are called on loop number `loop` only. */

/* AUDIT when the record cannot be taken: fail closed.  The ticket grows by one with each record. */
kf_err audit_add(struct audit *a, unsigned loop, const struct audit_record *r,
	uint64_t *ret_ticket);
/* Once a round: hands over what was added.  The worker is woken at once for the records up to the
 * ticket `awaited` (0: none), whose answers are about to be due, and takes all others along; otherwise
 * only now and then.  What nobody waits for is on its way to disk within a second. */
void audit_flush(struct audit *a, unsigned loop, uint64_t awaited);
uint64_t audit_durable(
	const struct audit *a, unsigned loop); /* all tickets up to this are on disk */
/* Asks for one wake() once this ticket is durable.  False: it already is, or the audit fails closed;
 * there will be no wake. */
bool audit_wait(struct audit *a, unsigned loop, uint64_t ticket);

/* The following may be called on any thread. */

/* False: it fails closed.  Tickets that are not durable may stay so for long. */
bool audit_is_healthy(const struct audit *a);

struct audit_status {
	bool is_healthy;
	uint64_t records, syncs;
	size_t reserve_bytes; /* that can still be written without allocating */
};
void audit_status(const struct audit *a, struct audit_status *ret);
