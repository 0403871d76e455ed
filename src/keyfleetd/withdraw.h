/* SPDX-License-Identifier: Apache-2.0
 *
 * withdraw: requests of a connection of keyfleet/1 whose answers nobody waits for any more, though the connection
 * stays: an agent's, of a guest that has gone (docs/wire.md, Abandoned).
 */
#pragma once
#include "keyfleetd/req.h"

/* Another request of this one's connection; NULL: none has this Unique Batch Item ID. */
struct req *withdraw_find(const struct req *r, struct slice batch_id);
/* What the item being worked on names so: what of it has not begun is not done, and it is answered so.  True: there was
 * such a request, which nobody had withdrawn. */
bool withdraw_named(const struct req *r);
