/* SPDX-License-Identifier: Apache-2.0
 *
 * usage: Usage Limits (KMIP 2.1, Usage Limits): how much a key may still protect, counted in bytes or in
 * objects.  Protecting counts (Encrypt, Sign, MAC, wrapping); processing (Decrypt, Verify, unwrapping)
 * is not limited by the standard, and is not counted.
 *
 * What is spent is on disk before the protecting begins, so no crash gives it back.  A use that fails
 * afterwards has been counted.
 */
#pragma once
#include "op/op.h"

/* The last thing that an operation's start does: `next` at once when the object has no limits (one flag is
 * looked at), else OP_COMMIT, and `next` after the commit.  OP_FAIL with DENIED when it is used up.
 * When somebody else changed the object meanwhile, the operation's start runs again, with an empty
 * call->scratch.
 *   `bytes`: what this call protects.  A key that is limited by objects spends one. */
enum op_next op_spend_usage(struct op_call *call, uint64_t bytes, enum op_next next);
/* The same for the later parts of a stream: they are no objects of their own. */
enum op_next op_spend_usage_more(struct op_call *call, uint64_t bytes, enum op_next next);

/* For operations that protect with other keys than their object (Get and Export, which wrap): counts one use of `o`,
 * once a call, in call->change.  The start's last thing is then op_commit_usage(): `next` when all is counted. */
kf_err op_count_usage(struct op_call *call, const struct object *o, uint64_t bytes);
enum op_next op_commit_usage(struct op_call *call, enum op_next next);

/* What is left, and its unit (KMIP_USAGE_LIMITS_UNIT_*); false: no limits. */
struct usage {
	int64_t total, count;
	uint32_t unit;
};
bool usage_get(struct slice attrs, struct usage *ret);
/* Replaces the Usage Limits of a set. */
void usage_set(struct buf *attrs, const struct usage *u);
/* Of a new object: Count begins as Total, whatever the client said.  INVALID_FIELD: no such limits. */
kf_err usage_begin(struct buf *attrs);
/* One use that protects so many bytes, counted in `attrs`, which are to be those of `o`: for changes that are more
 * than this.  DENIED if less is left. */
kf_err usage_take_use(struct buf *attrs, const struct object *o, uint64_t bytes);
/* DENIED if less than `n` is left; else counted in `attrs`, which belong to the object. */
kf_err usage_take(struct buf *attrs, uint64_t n);
