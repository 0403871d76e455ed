/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog: everything a key server needs to answer, in memory: objects, clients and grants.
 * Signing and Get never ask the database.
 *
 * One writer (the store worker) publishes; any number of loops read without a lock.  What a reader
 * is given stays valid until its next quiescent point (base/epoch.h); object_ref() keeps an object
 * longer.  A published change is seen by every reader at once.
 */
#pragma once
#include "store/object.h"
#include "store/postings.h"
#include "store/term.h"

struct epoch;
struct catalog;

/* A client: known by the fingerprint of its certificate, named by the administrator. */
struct client_row {
	uint64_t version;
	char name[CLIENT_NAME_SIZE];
	bool is_revoked;
	size_t certificates; /* valid ones; renewal keeps the old one until it is revoked or expires */
	struct client_certificate {
		uint8_t fingerprint[32]; /* SHA-256 of the DER certificate */
		int64_t not_after;
	} certificate[4];
};

/* How much: counted by each key server for itself, and for each client that the grant is for. */
struct grant_limits {
	uint32_t rate_per_hour; /* operations begun; 0: any number */
	uint32_t burst;         /* that may come at once; 0: what a second allows */
	uint32_t concurrency;   /* operations under way; 0: any number */
};

/* A grant: who may do what with which keys, under which constraints, and how much of it.  See
 * policy/policy.h. */
struct grant_row {
	uint64_t version;
	char id[OBJECT_ID_SIZE];
	char who[CLIENT_NAME_SIZE]; /* a client's name, or "*" */
	char key[128];        /* an object's id, "name:NAME", "group:GROUP", or "*" */
	uint32_t permissions; /* bits of policy/permission.def */
	uint32_t constraints; /* bits of policy/constraint.def */
	struct grant_limits limits;
};

/* An immutable set of all clients and grants; a new one replaces it with each change. */
struct rights {
	uint64_t
		generation; /* grows with each change: whoever caches a decision compares it */
	size_t clients, grants;
	const struct client_row *const *client; /* sorted by name */
	/* sorted by who, then by key, then by id */
	const struct grant_row *const *grant;
	const struct grant_row *const
		*by_key; /* the same, sorted by key, then by who, then by id */
	/* sorted by fingerprint, for rights_certificate() */
	size_t certificates;
	const struct rights_certificate {
		const uint8_t *fingerprint;
		const struct client_row *client;
	} * certificate;
};

kf_err catalog_new(struct epoch *epoch, struct catalog **ret);
void catalog_free(struct catalog *c);

/* readers; nobody is shown void objects */
const struct object *catalog_find(const struct catalog *c, struct slice id);
/* Newest object of this owner's scope with the name.  NULL owner: any owner. */
const struct object *catalog_find_name(
	const struct catalog *c, const char *owner, struct slice name);
const struct rights *catalog_rights(const struct catalog *c);
const struct client_row *rights_client(const struct rights *r, const char *name);
const struct client_row *rights_certificate(
	const struct rights *r, const uint8_t fingerprint[32]);
size_t catalog_count(const struct catalog *c);
/* Newest first.  `visit` says false to stop. */
void catalog_each(const struct catalog *c,
	bool (*visit)(void *arg, const struct object *o), void *arg);
/* The objects that have this name, in any owner's scope; newest first, unless there are many. */
void catalog_each_named(const struct catalog *c, struct slice name,
	bool (*visit)(void *arg, const struct object *o), void *arg);

/* --- the index: terms (store/term.h) and places ---
 *
 * An object keeps its place, a number below catalog_count(): newer ones have greater places.  NULL: it is void. */
const struct object *catalog_at(const struct catalog *c, uint32_t place);
/* It will be looked at soon: it comes from memory while others are looked at. */
void catalog_expect(const struct catalog *c, uint32_t place);
bool catalog_place(const struct catalog *c, struct slice id, uint32_t *ret);
/* The private keys of this public key, and perhaps others. */
void catalog_each_key(const struct catalog *c, const uint8_t key_id[32],
	bool (*visit)(void *arg, const struct object *o), void *arg);
/* For terms of this catalog. */
struct term_space catalog_terms(const struct catalog *c, bool is_gone);
/* Who has the term, and perhaps some that had it. */
void catalog_having(const struct catalog *c, uint64_t term, struct posting *ret);

/* From the earliest to the latest period of this date (term_period()) that any object ever had; false: none. */
bool catalog_periods(
	const struct catalog *c, uint32_t tag, int64_t *first, int64_t *last);
/* The usage masks that there ever were; false: too many to be listed. */
enum { CATALOG_MASKS = 256 };
bool catalog_masks(const struct catalog *c, uint32_t ret[CATALOG_MASKS], size_t *ret_n);

/* the writer */

/* Takes over the reference, also when it fails.  Replaces the object with this id, if any; names
 * follow, a destroyed object has none.  Only NOMEM can happen. */
kf_err catalog_put(struct catalog *c, struct object *o);
/* The same in parts.  What does not depend on what is there any thread finds out ahead; then, some time before it
 * is put, what will be needed can be asked for from memory. */
struct catalog_ready {
	uint64_t hash;
	struct terms terms;
};
void catalog_make_ready(
	const struct catalog *c, const struct object *o, struct catalog_ready *ret);
void catalog_ready_free(struct catalog_ready *r); /* zeroed is fine */
void catalog_expect_put(const struct catalog *c, const struct catalog_ready *r);
kf_err catalog_put_ready(
	struct catalog *c, struct object *o, const struct catalog_ready *r);
kf_err catalog_put_client(struct catalog *c, const struct client_row *row);
kf_err catalog_put_grant(struct catalog *c, const struct grant_row *row);
kf_err catalog_drop_grant(struct catalog *c, const char *id);
/* Between hold and release, changes of clients and grants are gathered; release publishes them at
 * once.  Nests. */
void catalog_hold(struct catalog *c);
kf_err catalog_release(struct catalog *c);
