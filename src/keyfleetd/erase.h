/* SPDX-License-Identifier: Apache-2.0
 *
 * erase: destroyed keys leave the tokens.  A thread looks once a second whether a token of this server's pools holds
 * a key whose object was destroyed (op/token_key.h), wherever and whenever that was, and deletes it: tokens that were away
 * lose it when they come back.  Not in pools that are read only.
 *
 * A key that is gone is gone: nothing is deleted unless all that the store holds can be read and is known as of just
 * now, the key was destroyed after the store was last restored from a backup, it proves on the token that it is this
 * one, and the audit has the record on disk.
 */
#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

struct eraser;
struct server;

/* *ret stays NULL for a server without pools. */
kf_err eraser_start(struct server *s, struct eraser **ret);
/* After pools_interrupt(); NULL is fine.  False: a token hangs, and all that it may touch must stay. */
bool eraser_stop(struct eraser *e, uint64_t until_ns);
