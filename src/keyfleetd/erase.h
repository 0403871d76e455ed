/* SPDX-License-Identifier: Apache-2.0
 *
 * erase: destroyed keys leave the tokens.  A thread looks once a second whether a token of this server's pools holds
 * a key whose object was destroyed (op/token_key.h), wherever and whenever that was, and deletes it: tokens that were away
 * lose it when they come back.  Not in pools that are read only.
 */
#pragma once
#include "base/err.h"

struct eraser;
struct server;

/* *ret stays NULL for a server without pools. */
kf_err eraser_start(struct server *s, struct eraser **ret);
void eraser_stop(struct eraser *e); /* after pools_interrupt(); NULL is fine */
