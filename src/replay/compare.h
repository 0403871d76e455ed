/* SPDX-License-Identifier: Apache-2.0
 *
 * compare: is this the answer that the case expects?
 *
 * Strictly: every field, in the standard's order, of the same type and value, and none besides; attributes
 * by their names, in any order.  What is not compared:
 *   - Time Stamp, Result Message, correlation values, Lease Time, and when a server made or changed an
 *     object: types only;
 *   - what a server says of itself: Server Information, Vendor Identification, and the lists of Query: types
 *     only, and that what was asked for is there;
 *   - which random number generator it has;
 *   - what a server makes up (made.def): type and length, and the same each time;
 *   - attributes that the case does not name, where the request has asked for all.
 * A variable is bound where it stands first; then it has one value.
 */
#pragma once
#include "replay/made.h"

struct replay_diff {
	bool is_status; /* already what the operations came to is another thing */
	struct buf
		text; /* for people: where, what was expected, what came; the caller's, buf_new() */
};

/* Request and answer as the case has them; the answer as it came.  False: they differ, the first difference
 * is told.  Variables stay bound in the scope. */
bool replay_compare(const struct replay_node *request, const struct replay_node *expected,
	struct slice answer, struct replay_scope *s, struct replay_diff *ret);
