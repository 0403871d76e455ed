/* SPDX-License-Identifier: Apache-2.0
 *
 * soft: what the files of this folder know of each other.
 *
 * Two counts keep a key: token_key.refs is everybody's; `holds` is one for all of them together and
 * one for each cache slot.  When everybody has put it the key is retired: no slot is made any more,
 * and the last one to go frees it.
 */
#pragma once
#include "crypt/ossl.h"
#include "token/soft/engine.h"
#include "token/unpad.h"

struct soft_key {
	struct token_key base;
	EVP_PKEY *pkey; /* read-only, shared by threads */
	struct buf spki;
	uint8_t reject[REJECT_SECRET_SIZE]; /* RSA: SHA-256 of the private exponent */
	atomic_uint holds;
	atomic_bool is_retired;
};

static inline struct soft_key *soft_key_of(struct token_key *key)
{
	return (struct soft_key *)key; /* base is its first member */
}

void soft_key_hold(struct soft_key *key);
void soft_key_drop(struct soft_key *key);
void soft_key_retire(struct token_key *key);

/* A prepared signature for (key, mechanism, salt). */
struct soft_slot {
	struct soft_key *key; /* held; NULL: free */
	const struct mech *mech;
	int salt;
	uint64_t used;
	EVP_PKEY *pkey;    /* RSA: this thread's copy, for blinding takes a lock a key */
	EVP_PKEY_CTX *ctx; /* ready for EVP_PKEY_sign() */
	EVP_PKEY_CTX *check; /* ready for EVP_PKEY_verify(), or NULL; see sign.c */
	EVP_MD_CTX *md;      /* Ed25519: to be copied, for it serves once */
};

/* All mechanisms of a key are in one set, where the one not used for longest gives way.  Making an RSA
 * slot costs 1.5 signatures (a copy, Montgomery's numbers, blinding) and 8 KiB, so there are many:
 * 2048 slots of 72 bytes, filled as keys are used. */
enum { SLOT_SETS = 256, SLOT_WAYS = 8 };

struct token_session {
	uint64_t clock;
	EVP_MD *md[HASH_COUNT];
	EVP_MD_CTX *hashing, *scratch;
	struct soft_slot slot[SLOT_SETS][SLOT_WAYS];
};

kf_err cache_find(
	struct token_session *s, const struct sign_job *job, struct soft_slot **ret);
void cache_clear(struct token_session *s, bool only_retired);
