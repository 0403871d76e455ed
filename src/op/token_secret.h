/* SPDX-License-Identifier: Apache-2.0
 *
 * token_secret: AES keys that come into being on the tokens of a pool: Create with the attribute "pool", and Re-key of
 * such a key.
 */
#pragma once
#include "op/make.h"

/* What is being made, for as long as the call lives: the operation's own struct begins with it. */
struct token_secret {
	struct make make; /* described; what the client said is in make.attrs */
	/* Re-key: the old object; the call's */
	const struct object *replaces;
	unsigned copies; /* 0: on all tokens of the pool */
	bool is_made;    /* tokens hold it, whatever becomes of the object */
	uint8_t made_id[KEY_ID_SIZE];
};

/* The attributes name a pool. */
bool token_secret_is_meant(struct slice attrs);
/* The rest of the operation's start, after symmetric_describe(): call->request begins with a struct token_secret,
 * which call->release must give to token_secret_free(). */
enum op_next token_secret_start(struct op_call *call);
void token_secret_free(struct op_call *call);
