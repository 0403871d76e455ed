/* SPDX-License-Identifier: Apache-2.0
 *
 * A key server without a network, beside a pool of tokens as the tests of the pool have them.
 */
#pragma once
/* The inside of the pool has names that it shares with nobody but its own tests. */
#define OP_SIGN    IN_POOL_SIGN
#define OP_DECRYPT IN_POOL_DECRYPT
#define OP_USE     IN_POOL_USE
#include "../pool/fake.h"
#undef OP_SIGN
#undef OP_DECRYPT
#undef OP_USE

#include "op/slow.h"
#include "world.h"

/* The fakes are as they shall be. */
static bool pool_begin(struct world *w)
{
	w->server.pools = pool_up() ? pools : NULL;
	return w->server.pools && kf_ok(op_slow_new(&w->server.slow));
}

static void pool_away(struct world *w)
{
	op_free(w->call);
	op_slow_free(w->server.slow);
	w->server.slow = NULL;
	pool_down();
}
