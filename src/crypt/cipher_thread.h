/* SPDX-License-Identifier: Apache-2.0
 *
 * cipher_thread: each thread's ready-made cipher contexts.  To fetch an algorithm takes a lock that all
 * threads share, and to make a context writes a counter that they share; a context that is there takes a new
 * key and nothing else.  Given back, it holds a key of zeros.
 */
#pragma once
#include "crypt/cipher.h"

enum { CIPHER_ROWS_MAX = 96 };

/* Whether it is lent or the caller's own says *ret_is_lent: only what is done in one piece, before the
 * thread does anything else, may borrow. */
kf_err cipher_thread_ctx(size_t row, const struct cipher_info *info, bool may_borrow,
	struct evp_cipher_ctx_st **ret, bool *ret_is_lent);
void cipher_thread_give_back(struct evp_cipher_ctx_st *ctx,
	const struct cipher_info *info, bool is_lent, bool has_odd_iv);
