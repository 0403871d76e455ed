/* SPDX-License-Identifier: Apache-2.0
 *
 * pair: the two objects of a key pair, wherever the private key is.
 */
#pragma once
#include "kmip/create_key_pair.h"
#include "kmip/token_admin.h"
#include "op/make.h"

/* The request of Create Key Pair, and of Key Adopt and Re-key Key Pair, which become one. */
struct pair_call {
	struct create_key_pair_request q;
	const struct alg *alg;
	struct make private_key, public_key;
	/* Re-key Key Pair; the second may be NULL */
	const struct object *old_private, *old_public;
	/* keys on tokens */
	struct slice pool, label;  /* pool: empty for a key in software */
	unsigned copies;           /* that are wanted; 0: on all in use */
	struct slice key_id, file; /* Key Adopt */
	bool is_made;              /* there, by this call: made_id */
	uint8_t made_id[KEY_ID_SIZE];
};

static inline struct pair_call *pair_of(struct op_call *call)
{
	return OP_REQUEST(call, struct pair_call);
}

/* With the algorithm known: ids, attributes, links; names are checked. */
kf_err pair_describe(struct op_call *call);
/* On the worker, before the new objects: what they replace. */
kf_err pair_replace_old(struct op_call *call);
/* The objects become mutations.  Once each. */
kf_err pair_finish_token(struct op_call *call, struct slice material);
kf_err pair_finish_public(struct op_call *call, struct slice spki);
/* Begins the making of what pair_call's sets describe. */
enum op_next pair_start(struct op_call *call);
void pair_free(struct op_call *call); /* for call->release */

/* pair_token.c */
bool pair_is_for_tokens(struct op_call *call);
/* At the end of the call: what it made on tokens goes again if its object never came to be. */
void pair_leave_tokens(struct op_call *call);
enum op_next pair_start_on_tokens(struct op_call *call);
