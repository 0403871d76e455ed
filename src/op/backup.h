/* SPDX-License-Identifier: Apache-2.0
 *
 * backup: the copy that the Backup operation hands out, a chunk at a time.  One a server; it is made
 * when somebody asks for its beginning, and kept in a file without a name until the next one.  What
 * is in it is sealed (store/store.h).  Workers call, one after the other.
 */
#pragma once
#include "store/store.h"

struct op_backup;

/* store_backup(), or a test's. */
typedef kf_err (*op_backup_copy)(
	struct store *s, store_sink sink, void *arg, struct store_backup_facts *ret);

/* directory: where there is room for a copy of the store. */
kf_err op_backup_new(struct store *store, op_backup_copy copy, const char *directory,
	struct op_backup **ret);
void op_backup_free(struct op_backup *b); /* NULL is fine */

/* Offset 0 makes a new copy.  Appends at most `maximum` bytes; *ret_size is that of the whole. */
kf_err op_backup_read(struct op_backup *b, int64_t offset, size_t maximum,
	struct buf *chunk, int64_t *ret_size);
