/* SPDX-License-Identifier: Apache-2.0
 *
 * heads: key servers of one store are each other's witnesses.  A thread of its own puts the newest checkpoint
 * of our audit into the database and writes those of the others into our audit.  Nothing waits for it; while
 * the database is away, it tries again.
 */
#pragma once
#include "base/err.h"

struct heads;
struct server;

/* The audit and the store are open.  NULL in *ret: the store has no other servers. */
kf_err heads_start(struct server *s, struct heads **ret);
/* Exchanges once more, if the database is there, so that the others have seen what was written until now. */
void heads_stop(struct heads *h);
