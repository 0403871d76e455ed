/* SPDX-License-Identifier: Apache-2.0
 *
 * rows: the statements of the store, the same text for both databases.  The caller has begun a
 * transaction.  Nothing here believes what it reads: see record.h.
 */
#pragma once
#include "store/driver.h"
#include "store/record.h"

/* Creates or upgrades the tables: files of schema/, in order, each once.  is_new: there were none. */
kf_err schema_migrate(struct db *db, bool *is_new);
/* The version of the tables, 0 without them; other servers wait with theirs until the transaction ends. */
kf_err schema_have(struct db *db, int64_t *ret);
/* The version that this keyfleet makes. */
int64_t schema_newest(void);

typedef kf_err (*rows_visit)(
	void *arg, enum table_id table, const struct value *v, size_t n);
/* Records with a sequence above `since`, the oldest made first. */
kf_err rows_each(
	struct db *db, enum table_id table, uint64_t since, rows_visit visit, void *arg);
kf_err rows_put(struct db *db, const struct record *r);
/* Records that are not under a master key: up to `max`, made after `created`, oldest first. */
struct rows_page {
	enum table_id table;
	struct slice master;
	uint64_t created;
	size_t max;
};
kf_err rows_under_other(
	struct db *db, const struct rows_page *page, rows_visit visit, void *arg);
kf_err rows_count_under_other(struct db *db, struct slice master, uint64_t *ret);

/* The derived rows of an object (index.c): replaced as a whole.  NAME_NOT_UNIQUE. */
kf_err index_object(struct db *db, const struct object *o);
kf_err index_client(struct db *db, const struct client_row *row);

/* NOT_FOUND if there is no head; TAMPERED if it is not right.  Locking: until the transaction ends,
 * which makes the sequence strictly ordered among servers. */
kf_err rows_head(
	struct db *db, const struct keyring *k, bool is_locking, struct head *ret);
kf_err rows_put_head(struct db *db, const struct keyring *k, const struct head *h);

/* Every master key in use is in the keyring and is the right one: CONFIG. */
kf_err rows_check_masters(struct db *db, const struct keyring *k);
kf_err rows_put_master(struct db *db, const struct keyring *k); /* the newest */
kf_err rows_put_master_id(struct db *db, const struct keyring *k, struct slice id);
kf_err rows_each_master(
	struct db *db, kf_err (*visit)(void *arg, struct slice id), void *arg);
kf_err rows_drop_other_masters(struct db *db, struct slice master);

enum { WRITER_SIZE = 16 };
kf_err rows_put_writer(
	struct db *db, const uint8_t id[WRITER_SIZE], const uint8_t nonce[WRITER_SIZE]);
kf_err rows_is_written(struct db *db, const uint8_t id[WRITER_SIZE],
	const uint8_t nonce[WRITER_SIZE], bool *ret);

/* What is remembered of a request. */
struct request_row {
	const char *client;
	const uint8_t *id;   /* 16 bytes */
	const uint8_t *hash; /* 32 bytes */
	int64_t at_s;
};
/* *is_known: then *answer is what was recorded.  INVALID_FIELD for another hash. */
kf_err rows_recall(struct db *db, const struct keyring *k, const struct request_row *r,
	bool *is_known, struct buf *answer);
kf_err rows_remember(struct db *db, const struct keyring *k, const struct request_row *r,
	struct slice answer);
kf_err rows_forget_before(struct db *db, int64_t at_s);
kf_err rows_count_requests(struct db *db,
	kf_err (*visit)(void *arg, struct slice client, uint64_t n), void *arg);
