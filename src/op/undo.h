/* SPDX-License-Identifier: Apache-2.0
 *
 * undo: what one batch has changed in the store so far, so that all of it can be put back by one more
 * change (KMIP, Batch Error Continuation Option: Undo).  One loop's.
 *
 * Each object that was there gets its former attributes and material again, also what was destroyed: the
 * version before is held until the batch is over.  What was made becomes void.  All or nothing: if
 * anybody else has changed one of the objects meanwhile, everything stays as it is (CONFLICT).
 */
#pragma once
#include "store/store.h"

struct op_undo;

kf_err op_undo_new(const struct catalog *catalog, struct op_undo **ret);
void op_undo_free(struct op_undo *u); /* NULL is fine */

/* A change is about to be submitted, perhaps not for the first time.  FEATURE: it could not be undone.
 * `operation` is for the record; it lives for ever. */
kf_err op_undo_expect(struct op_undo *u, const struct change *c, const char *operation);
/* It was made. */
void op_undo_keep(struct op_undo *u);

bool op_undo_is_empty(const struct op_undo *u);
/* The change that puts everything back.  It belongs to `u`; the caller sets its deadline, done and arg,
 * submits it and comes back for op_undo_free() when it is done.  Once. */
kf_err op_undo_change(struct op_undo *u, struct change **ret);

/* What was changed, in this order: the operation and the object; false: no more. */
bool op_undo_step(
	const struct op_undo *u, size_t i, const char **operation, const char **id);
