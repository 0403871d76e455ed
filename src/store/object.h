/* SPDX-License-Identifier: Apache-2.0
 *
 * object: one managed object, immutable once it is made.  A change makes a new object with the
 * next version; whoever still reads the old one keeps it alive.
 *
 * The attributes (canonical KMIP 2.x items, see kmip/attrs.h) are the truth about everything a
 * client can see; the fields beside them are the same facts, decoded once for the hot path.
 * The material (the original Key Block or value, byte for byte) is kept sealed (crypt/seal.h):
 * it is unsealed for the moment of a Get, and once for `key`, the engine's handle.
 *
 * Thread rules: any thread may read.  object_ref/object_unref are atomic.
 */
#pragma once
#include "base/buf.h"
#include <stdatomic.h>

struct token_key;
struct object_opened;

enum {
	OBJECT_ID_SIZE = 37, /* UUID as text, and NUL */
	CLIENT_NAME_SIZE = 65,
};

enum object_type { /* KMIP Object Type */
	OBJECT_CERTIFICATE = 1,
	OBJECT_SYMMETRIC_KEY,
	OBJECT_PUBLIC_KEY,
	OBJECT_PRIVATE_KEY,
	OBJECT_SPLIT_KEY,
	OBJECT_TEMPLATE,
	OBJECT_SECRET_DATA,
	OBJECT_OPAQUE,
	OBJECT_PGP_KEY,
	OBJECT_CERTIFICATE_REQUEST,
};

enum object_state { /* KMIP State */
	STATE_PRE_ACTIVE = 1,
	STATE_ACTIVE,
	STATE_DEACTIVATED,
	STATE_COMPROMISED,
	STATE_DESTROYED,
	STATE_DESTROYED_COMPROMISED,
};

/* A date that is not set.  (0 is a valid date: 1970.) */
#define DATE_UNSET INT64_MIN

struct object {
	_Atomic uint32_t refs;
	uint64_t version; /* 1 when made, plus 1 with each change */
	char id[OBJECT_ID_SIZE];
	char owner[CLIENT_NAME_SIZE]; /* name of the client who made it */
	enum object_type type;

	struct slice attrs;  /* concatenated canonical items; owned */
	struct slice sealed; /* material at rest; empty once destroyed; owned */

	/* decoded from attrs by object_new() */
	enum object_state stored_state; /* as of the last change: ask object_state() */
	int64_t activation_date, process_start_date, protect_stop_date, deactivation_date;
	int64_t initial_date, destroy_date;
	uint32_t usage_mask, algorithm, length;
	bool is_sensitive, is_extractable, is_archived;
	bool is_on_tokens; /* Key Format Type says so: its material is a description */
	bool is_limited;   /* has Usage Limits: op/usage.h */
	bool is_fresh; /* as of the last change: ask object_is_fresh() of op/served.h */
	_Atomic uint8_t served;         /* enum served, of op/served.c */
	bool is_rotated, is_superseded; /* Rotate Automatic; Rotate Latest is false */
	bool is_revoked;                /* has a Revocation Reason */
	uint32_t rotate_interval;
	int64_t rotate_date;

	/* private keys that the engine holds, and whatever tokens hold; owned reference, set before publication */
	struct token_key *key;
	/* SHA-256 of the SubjectPublicKeyInfo, or what a secret key on tokens is known by; zero where there is none */
	uint8_t key_id[32];

	/* the material in the clear, of kinds that are read often: see store_material(); owned */
	_Atomic(struct object_opened *) opened;
};

/* Takes copies of attrs and sealed, decodes the fields.  refs is 1. */
struct object_parts {
	struct slice id, owner, attrs, sealed;
	enum object_type type;
	uint64_t version;
};
kf_err object_new(const struct object_parts *parts, struct object **ret);

struct object *object_ref(const struct object *o);
void object_unref(struct object *o); /* NULL is fine; the last one wipes and frees */
void object_unrefp(struct object **o);

/* The state at `now`: dates that have passed since the last change count (KMIP 2.1, State). */
enum object_state object_state(const struct object *o, int64_t now_s);

/* When the server should make a new key in its place (KMIP 2.1, Rotate Interval); DATE_UNSET: never.  What
 * was revoked is over: whether there is to be another, somebody decides. */
int64_t object_rotates_at(const struct object *o);

/* The n-th of its names, from 0. */
bool object_name(const struct object *o, size_t n, struct slice *ret);

/* The unambiguous byte string that binds a row to its sealed material: id, type, owner, version,
 * SHA-256 of the attributes (which hold state, dates, Sensitive, Extractable and names). */
kf_err object_binding(const struct object *o, struct buf *ret);

/* --- the store's, before an object is published --- */

/* Takes the bytes; what was there is wiped. */
void object_set_sealed(struct object *o, struct buf *take);
/* Takes the reference; key_id follows.  NULL: none. */
void object_set_key(struct object *o, struct token_key *take);

void object_opened_free(struct object_opened *p); /* wipes secrets; NULL is fine */

/* Not there for anybody: its making was undone, or its row was found to be wrong.  A real one has
 * attributes.  The row stays as a tombstone. */
static inline bool object_is_void(const struct object *o) { return !o->attrs.n; }

/* load_key() makes a handle of its material. */
static inline bool object_has_handle(const struct object *o)
{
	return o->type == OBJECT_PRIVATE_KEY ||
	       (o->type == OBJECT_SYMMETRIC_KEY && o->is_on_tokens);
}

static inline bool object_is_destroyed(const struct object *o)
{
	return o->stored_state == STATE_DESTROYED ||
	       o->stored_state == STATE_DESTROYED_COMPROMISED;
}
