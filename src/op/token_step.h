/* SPDX-License-Identifier: Apache-2.0
 *
 * token_step: what the operations on tokens share.
 */
#pragma once
#include "kmip/token_admin.h"
#include "op/step.h"
#include "provision/provision.h"

/* UNSUPPORTED without pools, NOT_FOUND, READ_ONLY. */
kf_err op_token_check(const struct op_call *call, const char *pool, bool changes);

/* One of the places for such calls as op_token_work() makes, sooner than that; BUSY. */
kf_err op_token_place(struct op_call *call);
/* Makes the call one whose `work` may take minutes: recorded before it begins, on a worker for such.
 * The place it takes is given back when the call is over. */
enum op_next op_token_work(
	struct op_call *call, enum op_next (*work)(struct op_call *call));

/* All tokens of all pools; the caller frees. */
kf_err op_token_rows(
	const struct op_call *call, struct pool_token_status **ret, size_t *ret_n);
/* The token with this serial number; NOT_FOUND. */
kf_err op_token_find(
	const struct op_call *call, const char *serial, struct pool_token_status *ret);

/* A key that takes another one's name and cannot be used yet would be the worse one: UNAVAILABLE while so many tokens
 * of the pool are not in use, or none. */
kf_err op_token_check_enough(
	const struct op_call *call, struct slice pool, unsigned copies);

/* The attribute "copies" (0: absent), and how many tokens can sign with the key now. */
unsigned token_copies_wanted(struct slice attrs);
unsigned token_copies_serving(const struct op_call *call, const struct token_key *key);
/* STATE while fewer tokens than wanted hold the call's key; of keys that are on none: fine. */
kf_err op_check_copies(const struct op_call *call);
unsigned token_serving(
	const struct op_call *call, const char *pool, const uint8_t *key_id);
/* A vendor attribute of ours; empty: absent. */
struct slice token_attribute(struct slice set, const char *name);

void op_token_fact(struct buf *items, const char *name, const char *value);
void op_token_number(struct buf *items, const char *name, uint64_t value);
/* The facts of Token List. */
void op_token_facts(struct buf *items, const struct pool_token_status *s);
/* "token" SERIAL "result" TEXT ... */
void op_token_report(struct buf *items, const struct provision_report *r);

/* Bytes of a message as a PIN in locked memory; *ret stays NULL for none.  secret_free(). */
kf_err op_token_pin(struct slice bytes, struct token_pin **ret);
void op_token_pin_freep(struct token_pin **pin);
