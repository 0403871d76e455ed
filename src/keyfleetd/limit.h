/* SPDX-License-Identifier: Apache-2.0
 *
 * limit: how much a client may have done: rates and numbers of requests, its own ([limits] of the
 * configuration) and those of the grants it uses.  Each on the request's loop.
 *
 * What is over a limit is answered so, with a code that says which one, and recorded in sums, once a
 * second.  Whoever goes on beyond [limits] client_refusals is not answered but not read from for a
 * while: that costs nothing, and the client's own buffers fill.  The administrator has no limits.
 */
#pragma once
#include "base/err.h"
#include <stdbool.h>

struct grant_row;
struct io;
struct op_call;
struct peer;
struct req;
struct meters; /* what a connection knows of its grants' meters */

/* An item is about to be looked at: the client's own limits.  is_paid: it costs nothing of the rate. */
kf_err limit_client(struct req *r, bool is_paid);
/* It is allowed; are the limits of the grant that decided kept? */
kf_err limit_grant(struct req *r);
/* The same of a grant for a key that serves the item: op_call.charge. */
kf_err limit_charge(struct op_call *call, const struct grant_row *g);
void limit_end_item(struct req *r);
void limit_end(struct req *r); /* the whole message */

/* Nothing is read from a connection that is paused. */
bool limit_is_paused(const struct peer *p);
void limit_wait(struct peer *p); /* touched when its pause is over */
void limit_leave(struct peer *p);
/* So many messages of a connection were begun at once, and took longer than others should wait: it is touched, for the
 * rest to come in the next round. */
bool limit_turn_is_over(struct peer *p, unsigned begun);

void limit_report(struct io *io); /* once a second: what was refused */
