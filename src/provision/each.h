/* SPDX-License-Identifier: Apache-2.0
 *
 * each: the same done to several tokens at a time.  Inside this folder only.
 */
#pragma once
#include "provision/provision.h"

/* Runs on the token's thread.  An error makes the row FAILED, with `why` if run() left none; it may say
 * WAS_SO in the row. */
typedef kf_err each_fn(const struct token_driver *driver, struct token *t,
	struct provision_row *row, const void *arg);

struct each {
	const char *task; /* in the token's status */
	bool changes, gives_pin;
	each_fn *run;
	const void *arg; /* only read */
};

/* Every row that is not decided yet (outcome DONE, err none), at the same time; counts afterwards. */
kf_err each_token(
	const struct provision *p, const struct each *e, struct provision_report *r);
/* The same for one, whose error is the call's. */
kf_err each_one(const struct provision *p, const struct each *e, const char *serial);

/* Rows for tokens that are here: those that are named (NOT_FOUND), or all of the pool that are
 * initialised. */
kf_err each_fill(const struct provision *p, const struct provision_targets *to,
	struct provision_report *ret);
/* All that are here, blank ones too. */
kf_err each_fill_all(const struct provision *p, struct provision_report *ret);
struct provision_row *each_add(struct provision_report *r, const char *serial);
void each_fail(struct provision_row *row, kf_err e, const char *remedy);
void each_count(struct provision_report *r);

/* The token's row of pool_tokens(), the caller frees; NOT_FOUND, UNAVAILABLE. */
kf_err each_status(
	const struct provision *p, const char *serial, struct pool_token_status *ret);
