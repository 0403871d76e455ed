/* SPDX-License-Identifier: Apache-2.0 */
/* resolver: asks the name service, and the address files, on a thread of its own.
 *
 * A question is asked once and belongs to two: whoever asked looks now and then whether it is answered;
 * the thread may be held up by a name service for as long as that likes.  The later of the two frees it,
 * so nobody ever waits for the other, at the program's end neither.
 */
#pragma once
#include "client/fleet.h"

struct resolver;

/* Copies the settings. */
kf_err resolver_start(const struct settings *s, struct resolver **ret);
/* NULL: not yet.  Valid until resolver_free(); no nodes when nobody is known. */
struct fleet_nodes *resolver_answer(struct resolver *r);
void resolver_free(struct resolver *r); /* NULL is fine */
