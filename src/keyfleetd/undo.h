/* SPDX-License-Identifier: Apache-2.0
 *
 * undo: a batch that asked for Undo and has an item that failed: what the items before it have changed is
 * put back by one more change of the store, and only then is anything answered.
 *
 * If that is not possible, because others have changed one of the objects meanwhile or the store is
 * away, everything stays as it is, and is answered as what it is: done.
 */
#pragma once
#include "keyfleetd/req.h"

/* Is there something to be put back before this may be answered? */
bool undo_is_due(const struct req *r);

/* Steps. */
enum step_result undo_step(struct req *r);
enum step_result undo_done(struct req *r);
