/* SPDX-License-Identifier: Apache-2.0
 *
 * tokens: the pools of keyfleetd.conf, in use: opened with their PINs, watched, and told about.
 */
#pragma once
#include "net/loop.h"
#include "pool/pool.h"

struct conf;
struct keyring;
struct server;
struct tokens;

/* NULL in *ret: the configuration names no pool.  Waits a little, so that a key server that has become ready can
 * sign; tokens that are away are no error. */
kf_err tokens_open(const struct conf *c, const struct keyring *keyring, struct buf *why,
	struct tokens **ret);
void tokens_close(struct tokens *t);          /* NULL is fine */
struct pools *tokens_pools(struct tokens *t); /* NULL for NULL */

/* What can be said without opening them: PIN files. */
void tokens_check(const struct conf *c, struct buf *problems);

/* Begins to log what becomes of tokens, once a second, on the main thread. */
void tokens_watch(struct tokens *t, struct loop *loop);

/* "pool.NAME.tokens=3" ...  Any thread. */
void tokens_status(struct tokens *t, struct buf *ret);

/* A row a token, the caller frees it; NULL: none or no memory. */
struct pool_token_status *tokens_list(struct tokens *t, size_t *ret_n);

/* Calls for each pool of the configuration. */
struct pool_totals {
	const char *name;
	unsigned tokens, serving; /* known; that take jobs */
	unsigned waiting;         /* jobs */
	unsigned queue;           /* jobs that may wait */
	unsigned overflow_ms;     /* 0: never */
	bool is_read_only;
};
size_t tokens_totals(struct tokens *t, struct pool_totals *ret, size_t n);
