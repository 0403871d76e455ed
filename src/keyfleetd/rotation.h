/* SPDX-License-Identifier: Apache-2.0
 *
 * rotation: keys whose Rotate Interval has passed are replaced by the server itself (KMIP 2.1, Rotate
 * Automatic), as if an administrator had asked for Re-key or Re-key Key Pair.  A thread of its own looks for
 * them now and then; what it finds is in the store, so nothing is forgotten over a restart.
 *
 * Of several key servers with one database one is first: the others find the old key changed.  What is made on
 * tokens cannot be taken back, so that such a key is claimed first, by a lease (op/replace.h): if its token is away,
 * the lease is given back, if its server dies, it is due again when the lease is over, and its Rotate Date stays true.
 */
#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

struct rotation;
struct server;

/* Everything else runs.  NULL in *ret: this server rotates no keys. */
kf_err rotation_start(struct server *s, struct rotation **ret);
/* Waits for what is under way, after pools_interrupt().  NULL is fine.  False: a token hangs, and all that it may
 * touch must stay. */
bool rotation_stop(struct rotation *r, uint64_t until_ns);
