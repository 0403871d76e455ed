/* SPDX-License-Identifier: Apache-2.0
 *
 * later: an item whose client is told at once that it is under way (Operation Pending): the request goes
 * on without its connection, and leaves its answer where Poll finds it (op/later.h).
 *
 * With Asynchronous Indicator Mandatory that is every operation, but for those about such requests; with
 * Optional, and the Boolean of KMIP 1.x, what takes a tenth of a second or more.  It has begun: what was
 * wrong with it has been answered already.
 */
#pragma once
#include "keyfleetd/req.h"

bool later_wants(const struct req *r);
static inline bool later_is_wanted(const struct req *r)
{
	return r->header.asynchronous && later_wants(r);
}

enum step_result later_step(struct req *r);
