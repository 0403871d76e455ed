/* SPDX-License-Identifier: Apache-2.0
 *
 * slow: requests that wait for tokens, perhaps for minutes: so many at a time, and none twice.  Any thread.
 */
#pragma once
#include "store/object.h"

struct op_slow;

/* Of all places clients have one fewer: whatever they ask for, an administrator, and the rotation of keys, find one.
 * Of these the last one is for a client that has none: whatever one asks for, another finds a place. */
enum { OP_SLOW_MAX = 4, OP_SLOW_CLIENTS = OP_SLOW_MAX - 1 };

kf_err op_slow_new(struct op_slow **ret);
void op_slow_free(struct op_slow *s); /* NULL is fine */

/* BUSY: enough are under way, or this very one is (its client lost patience and asks again).  The request id
 * may be empty.  client: its name; NULL: who asks is no mere client.  *ret is for op_slow_end(), never 0. */
kf_err op_slow_begin(
	struct op_slow *s, struct slice request_id, const char *client, unsigned *ret);
void op_slow_end(struct op_slow *s, unsigned which); /* 0: nothing was begun */
bool op_slow_is_idle(struct op_slow *s);             /* none is under way */

/* A request that brings a key (SHA-256 of its public half) to tokens says so, and whoever deletes a destroyed key from
 * them does: not both at a time.  BUSY: the other one is at it. */
kf_err op_slow_brings(struct op_slow *s, unsigned which, const uint8_t key_id[32]);
kf_err op_slow_erase(struct op_slow *s, const uint8_t key_id[32]);
void op_slow_erased(struct op_slow *s); /* it is over; one at a time */

/* A key was made on tokens, and its object never came to be: whoever deletes destroyed keys deletes it, too, while
 * this server runs and remembers it (the last 64). */
void op_slow_orphan(struct op_slow *s, const uint8_t key_id[32]);
bool op_slow_is_orphan(struct op_slow *s, const uint8_t key_id[32]);
