/* SPDX-License-Identifier: Apache-2.0
 *
 * copy: a key leaves one token and enters others, and proves itself there.  Inside this folder only.
 */
#pragma once
#include "provision/each.h"

/* A key in transit from any of its holders; the caller frees (token_blob_free()).  NOT_FOUND: no token
 * holds it. */
kf_err copy_out(const struct provision *p, const uint8_t key_id[KEY_ID_SIZE],
	struct token_blob *ret);
/* To every undecided row; tokens that have it already are WAS_SO. */
kf_err copy_in(const struct provision *p, const struct token_blob *b,
	struct provision_report *r);
/* To so many in all (0: every row); candidates that were not needed are dropped from the report. */
kf_err copy_to_some(const struct provision *p, const struct token_blob *b,
	unsigned copies, struct provision_report *r);

/* The same with a task of the caller's: until it succeeds on one of them. */
kf_err copy_any_holder(const struct provision *p, const uint8_t key_id[KEY_ID_SIZE],
	const struct each *e);

/* On the token's thread. */
kf_err copy_wrap(const struct token_driver *driver, struct token *t,
	const struct token_key_facts *key, struct token_blob *ret);
/* On the token's thread: a signature over something nobody has seen, verified; of AES keys what they are known by,
 * computed anew.  CRYPTO: it is another key. */
kf_err copy_prove(const struct token_driver *driver, struct token *t,
	const struct token_key_facts *key);
/* Deletes a key that was no good, unless the token itself failed: nothing more is asked of it then. */
void copy_take_back(
	const struct token_driver *driver, struct token *t, unsigned handle, kf_err why);
/* NOT_FOUND; the caller frees the list that the result points into. */
kf_err copy_find(const struct token_driver *driver, struct token *t,
	const uint8_t key_id[KEY_ID_SIZE], struct token_key_list *list,
	struct token_key_facts **ret);
