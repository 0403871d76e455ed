/* SPDX-License-Identifier: Apache-2.0
 *
 * token_wrap: keys wrapped, and unwrapped, by AES keys that tokens hold.
 *
 *   NIST Key Wrap, AES Key Wrap Padding   as many bytes as tokens of the kind do at once (token/use.h)
 *   CBC                                   the IV and the padding are made here
 *   GCM                                   FEATURE
 */
#pragma once
#include "crypt/keywrap.h"
#include "op/wrap.h"

/* *ret lacks only where its result is to go.  `value` is what it wraps, and gets its padding; `iv` gets the IV. */
kf_err token_wrap_seal(const struct object *key, const struct keywrap *how,
	struct buf *value, struct buf *iv, struct use_job *ret);
/* How much it will be. */
size_t token_wrap_size(const struct use_job *job);

/* Waits for a token; appends.  DATA, and nothing else: it was not wrapped with this key. */
kf_err token_wrap_open(const struct op_call *call, const struct unwrapping *u,
	const struct keywrap *how, struct slice sealed, struct buf *ret);
