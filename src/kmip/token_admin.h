/* SPDX-License-Identifier: Apache-2.0
 *
 * token_admin: a key server's tokens, as vendor operations beside those of admin.h; docs/wire.md has the
 * bytes.  For the administrator.  What writes to a token is refused with READ_ONLY by a server whose
 * pool is `read_only`; an unknown pool, token or key is NOT_FOUND; a token that is away UNAVAILABLE.
 *
 * Facts travel as pairs of text (struct status_pair), so that a later release may add some.  Answers
 * that are lists are a struct list_response (kmip/admin.h), Token List and Token Keys page like all lists.
 *
 * PINs and shares travel inside mutual TLS, are never logged and wiped with the message.
 */
#pragma once
#include "kmip/admin.h"

enum { TOKEN_SERIALS_MAX = 128 };

/* Token List: the request is a page.  One row a token, also of those that were here and are gone.
 *
 * Facts, in this order, numbers in decimal:
 *   state (pool/state.def), why, task, place, label, model, initialised (yes, no), write-protected,
 *   pin-tries, so-pin-tries (left; 255: enough), wrapping (none, dkek, aes), shares, shares-missing,
 *   kcv (hexadecimal, absent if there is none), keys, keys-with-problems, signatures, decryptions,
 *   failures, wrong-signatures, ejections, busy-ms, since-ms, service-us, read-only */
struct token_row {
	struct slice pool, serial;
	struct slice facts; /* status pairs: status_pair_next() */
};
void token_row_add(struct buf *items, const struct token_row *row);
bool token_row_next(struct ttlv_reader *r, struct token_row *ret);

/* Token Keys: the request is a page.  One row a key that tokens hold or that an object says they do.
 *
 * Facts: label, algorithm, holders (serial numbers, blanks between), serving, waiting, tokens (in use, of
 * the pool), object (id of the private key, or absent: nobody may use it), name, missing (tokens in use that
 * could hold it and do not: serial numbers), overflow (yes: its object has a copy in software; or absent),
 *   destroyed (id of its destroyed object, there being no other: it is deleted as soon as that can be done) */
struct token_key_row {
	struct slice pool;
	struct slice key_id; /* SHA-256 of the SubjectPublicKeyInfo */
	struct slice facts;
};
void token_key_row_add(struct buf *items, const struct token_key_row *row);
bool token_key_row_next(struct ttlv_reader *r, struct token_key_row *ret);

/* Token Action.  Answered with pairs: what the token is like now (those of Token List that changed). */
enum token_action_kind {
	/* so_pin, pin, shares, label, pin_tries; EXISTS unless it is blank or is_forced, which erases it */
	TOKEN_ACTION_INIT = 1,
	TOKEN_ACTION_DRAIN,        /* takes no new jobs */
	TOKEN_ACTION_RESUME,       /* also: forgives what put it aside */
	TOKEN_ACTION_IDENTIFY,     /* makes it recognisable for a human */
	TOKEN_ACTION_CHANGE_PIN,   /* pin, new_pin */
	TOKEN_ACTION_IMPORT_SHARE, /* share (32 bytes) of the DKEK */
};
struct token_action {
	enum token_action_kind kind;
	struct slice serial;
	struct slice pin, new_pin, so_pin; /* empty: none */
	struct slice label;                /* empty: none */
	struct slice share;                /* empty: none */
	int32_t shares;    /* as struct token_init: 0 and -1 have meanings; absent is 0 */
	int32_t pin_tries; /* 0: the token's default */
	bool is_forced;    /* erase what is there */
};
void token_action_put_request(struct ttlv_writer *w, const struct token_action *q);
kf_err token_action_get_request(struct ttlv_reader *r, struct token_action *ret);

/* Key Transfer, of a private key whose object is here and whose key tokens hold. */
enum key_transfer_kind {
	KEY_TRANSFER_CLONE =
		1, /* to `serial`s, or to every token of the pool that lacks it */
	KEY_TRANSFER_BACKUP, /* the answer has the encrypted key: provision's key file, see there */
	KEY_TRANSFER_DELETE, /* from `serial`s, one at least; the last copy is refused */
};
struct key_transfer {
	enum key_transfer_kind kind;
	struct slice uid; /* Unique Identifier of the private key */
	size_t n;
	struct slice serial[TOKEN_SERIALS_MAX];
};
void key_transfer_put_request(struct ttlv_writer *w, const struct key_transfer *q);
kf_err key_transfer_get_request(struct ttlv_reader *r, struct key_transfer *ret);

/* Pairs: "token" SERIAL and, behind it, "result": ok, was so, or why not. */
struct key_transfer_response {
	struct slice blob;  /* BACKUP; else empty */
	struct slice facts; /* status pairs */
};
void key_transfer_put_response(
	struct ttlv_writer *w, const struct key_transfer_response *a);
kf_err key_transfer_get_response(
	struct ttlv_reader *r, struct key_transfer_response *ret);

/* Key Adopt: a key pair's objects for a key that tokens hold already (`key_id`; made by another program, or
 * by `keyfleet --local`), or that is put on them from a key file (`blob`: a backup, or built of a PEM file and
 * DKEK shares by the client).  Active at once unless `is_inactive` or fewer than `copies` tokens hold it.
 * The answer is that of Create Key Pair. */
struct key_adopt {
	struct slice pool;
	struct slice key_id; /* 32 bytes; or empty */
	struct slice blob;   /* or empty */
	struct slice name; /* of the private key's object; the public key's is NAME.pub */
	int32_t copies;    /* tokens that shall hold it; 0: all of the pool in use */
	bool is_inactive;
	uint32_t usage; /* Cryptographic Usage Mask of the private key; 0: sign */
};
void key_adopt_put_request(struct ttlv_writer *w, const struct key_adopt *q);
kf_err key_adopt_get_request(struct ttlv_reader *r, struct key_adopt *ret);

/* Key Overflow: gives the object of a key on tokens a copy in software, which signs when tokens cannot in time and
 * [pool] overflow of the key server says so (DENIED: it does not), or takes it away. */
struct key_overflow {
	struct kmip_uid uid; /* of the private key; in the answer, too */
	struct slice key;    /* the same private key, PKCS#8; empty: no copy any more */
};
void key_overflow_put_request(struct ttlv_writer *w, const struct key_overflow *q);
kf_err key_overflow_get_request(struct ttlv_reader *r, struct key_overflow *ret);
void key_overflow_put_response(struct ttlv_writer *w, const struct key_overflow *a);
kf_err key_overflow_get_response(struct ttlv_reader *r, struct key_overflow *ret);

/* Create Key Pair makes the key on a token, and copies of it on others, if it brings vendor attributes in
 * its Private Key (or Common) Attributes, all as text:
 *
 *   keyfleet / pool     name of the pool
 *   keyfleet / copies   tokens that shall hold it, in decimal; absent: every token of the pool in use
 *   keyfleet / label    on the token; absent: the object's name, else its id
 *
 * The private key object keeps pool and copies.  It becomes active (Activation Date, or Activate) only when so many
 * tokens hold the key and have proved it. */
#define TOKEN_ATTRIBUTE_VENDOR "keyfleet"
#define TOKEN_ATTRIBUTE_POOL   "pool"
#define TOKEN_ATTRIBUTE_COPIES "copies"
#define TOKEN_ATTRIBUTE_LABEL  "label"
/* Of a private key with a copy in software: "software".  It tells; what counts is the copy. */
#define TOKEN_ATTRIBUTE_OVERFLOW "overflow"
/* Of one that a token counted the uses of when it was adopted: "yes".  It never gets a copy in software. */
#define TOKEN_ATTRIBUTE_COUNTER "use-counter"
/* Of a destroyed one: its key id, by which it is known, and deleted, on tokens that come later. */
#define TOKEN_ATTRIBUTE_KEY_ID "destroyed-key-id"
/* Of one that a key server is about to rotate: until when, in seconds since 1970.  Gone with the rotation. */
#define TOKEN_ATTRIBUTE_LEASE "rotation-lease"
