/* SPDX-License-Identifier: Apache-2.0
 *
 * backup: the stream of a backup.
 *
 *     "keyfleet backup 1\n", then chunks: kind 1 | length 4, big-endian | bytes
 *       H  made 8 | incarnation 8 | sequence 8 | rows 8 | sum 32 | MAC of the head 32 | master key id
 *       M  the id of a master key that the rows need; one or more
 *       R  a record with all its columns and its own MAC; `rows` of them
 *       E  HMAC over the SHA-256 of all that came before it, under the newest master key of H
 *
 * Everything is as it is in the database: material stays sealed, and each record, the sum over all
 * and the stream as a whole are authenticated.
 */
#pragma once
#include "store/record.h"
#include "store/store.h"

#define BACKUP_MAGIC "keyfleet backup 1\n"

enum {
	CHUNK_HEAD = 'H',
	CHUNK_MASTER = 'M',
	CHUNK_RECORD = 'R',
	CHUNK_END = 'E',
	CHUNK_MAX = 16 << 20,
	HEAD_CHUNK_SIZE = 8 + 8 + 8 + 8 + 32 + 32, /* the id follows */
};

struct evp_md_ctx_st;

/* SHA-256 of what went by. */
struct digest {
	struct evp_md_ctx_st *ctx;
};
kf_err backup_digest_init(struct digest *d);
kf_err backup_digest_add(struct digest *d, struct slice s);
/* HMAC of it, so far. */
kf_err backup_digest_mac(struct digest *d, const struct keyring *k, struct slice master,
	uint8_t ret[MAC_SIZE]);
void backup_digest_free(struct digest *d);

/* Reads a backup and checks all of it; `take` sees what is right before the end is. */
struct backup_reader {
	const struct keyring *keyring;
	store_source source;
	void *source_arg;

	/* what to do with it; NULL: nothing */
	kf_err (*master)(void *arg, struct slice id);
	kf_err (*record)(void *arg, const struct record *r, bool is_right);
	void *arg;

	/* what it was; valid when backup_read() succeeds */
	struct head head;
	struct store_backup_facts facts;
};
kf_err backup_read(struct backup_reader *r);

/* How a row counts in the facts. */
void backup_count(struct store_backup_facts *f, enum table_id table);
