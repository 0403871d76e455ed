/* SPDX-License-Identifier: Apache-2.0
 *
 * record: a row of object, client or grant_ as it is stored, and what makes it believable.
 *
 * Each record carries an HMAC over its table and all of its columns, under a key made of the master
 * key it names.  So a record that was edited, or mixed from two, is refused alone.  The head holds
 * how many records there are and the sum, modulo 2^256, of a second keyed value of each; so a record
 * that was removed, added again, or put back to an older version of itself (whose HMAC is right)
 * makes the whole store refuse to open.  The terms of the sum are never stored.
 *
 * Columns that a later schema adds stand at the end and may be null.  Trailing nulls are neither
 * authenticated nor written to backups: so a row that says nothing new is the same bytes as ever, and
 * one that does cannot be shortened, because its HMAC counts what it had.
 */
#pragma once
#include "crypt/keyring.h"
#include "store/catalog.h"
#include "store/driver.h"

enum table_id { TABLE_OBJECT, TABLE_CLIENT, TABLE_GRANT, TABLES };

/* The columns that all have, in this order; then the table's own. */
enum { COL_ID, COL_VERSION, COL_SEQUENCE, COL_CREATED, COL_MASTER, COL_MAC, COL_OWN };
enum {
	OBJECT_TYPE = COL_OWN,
	OBJECT_OWNER,
	OBJECT_STATE,
	OBJECT_DATES,
	OBJECT_ATTRS = OBJECT_DATES + 6,
	OBJECT_SEALED,
	OBJECT_COLUMNS
};
enum { CLIENT_IS_REVOKED = COL_OWN, CLIENT_CERTIFICATES, CLIENT_COLUMNS };
enum {
	GRANT_IS_DROPPED = COL_OWN,
	GRANT_WHO,
	GRANT_TARGET,
	GRANT_PERMISSIONS,
	GRANT_CONSTRAINTS,
	GRANT_RATE,
	GRANT_BURST,
	GRANT_CONCURRENCY,
	GRANT_COLUMNS
};
enum { RECORD_COLUMNS = OBJECT_COLUMNS };

/* Of a column, unless it is null. */
enum value_kind record_kind(enum table_id table, size_t column);

/* The bytes are borrowed. */
struct record {
	enum table_id table;
	struct value v[RECORD_COLUMNS];
};

size_t record_columns(enum table_id table);
/* Columns as a driver reads them; TAMPERED if kinds do not fit. */
kf_err record_read(
	enum table_id table, const struct value *v, size_t n, struct record *ret);

/* Version, but neither sequence, created, master nor mac: record_sign() sets them. */
void record_of_object(const struct object *o, struct record *ret);
kf_err record_of_client(
	const struct client_row *row, struct buf *scratch, struct record *ret);
void record_of_grant(const struct grant_row *row, bool is_dropped, struct record *ret);

kf_err record_to_object(const struct record *r, struct object **ret);
kf_err record_to_client(const struct record *r, struct client_row *ret);
kf_err record_to_grant(const struct record *r, struct grant_row *ret, bool *is_dropped);

/* Under the newest master key; mac is where it goes and stays. */
kf_err record_sign(const struct keyring *k, struct record *r, uint8_t mac[MAC_SIZE]);
kf_err record_check(const struct keyring *k, const struct record *r);

/* All columns, for a backup; the bytes of what is parsed are borrowed. */
void record_write(const struct record *r, struct buf *ret);
kf_err record_parse(struct slice in, struct record *ret);

/* What authenticates the whole. */
struct head {
	int64_t incarnation; /* grows when a backup is restored */
	uint64_t sequence;   /* of the newest change */
	uint64_t rows;
	uint8_t sum[MAC_SIZE];
};

/* What a record adds to the sum; id, version, master and mac matter. */
kf_err record_term(
	const struct keyring *k, const struct record *r, uint8_t ret[MAC_SIZE]);
void head_add(struct head *h, const uint8_t term[MAC_SIZE]);
void head_drop(struct head *h, const uint8_t term[MAC_SIZE]);
bool head_eq(const struct head *a, const struct head *b);

kf_err head_sign(const struct keyring *k, const struct head *h, struct slice master,
	uint8_t ret[MAC_SIZE]);
kf_err head_check(const struct keyring *k, const struct head *h, struct slice master,
	struct slice mac);
