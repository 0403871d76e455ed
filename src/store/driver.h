/* SPDX-License-Identifier: Apache-2.0
 *
 * driver: one connection to a database, and the SQL that both kinds share: numbered parameters in
 * order of first use, `on conflict`, bigint, text and bytea.
 *
 * A connection belongs to one thread.  Every call that may wait ends at db->deadline_ns; then, and
 * on any failure that is not the statement's own, the connection is closed for good: open another.
 * Codes that mean the statement alone was refused: EXISTS, INVALID_FIELD.  All others mean that
 * the transaction is lost; after commit() OUTCOME_UNKNOWN means that it may be there or not.
 */
#pragma once
#include "base/buf.h"

enum value_kind {
	VALUE_NULL,
	VALUE_INT,
	VALUE_TEXT,
	VALUE_BYTES,
};

struct value {
	enum value_kind kind;
	int64_t i;
	struct slice s; /* TEXT, BYTES; borrowed */
};

static inline struct value value_int(int64_t i)
{
	return (struct value){ .kind = VALUE_INT, .i = i };
}
static inline struct value value_text(struct slice s)
{
	return (struct value){ .kind = VALUE_TEXT, .s = s };
}
static inline struct value value_bytes(struct slice s)
{
	return (struct value){ .kind = VALUE_BYTES, .s = s };
}

struct db {
	const struct store_driver *driver;
	uint64_t deadline_ns; /* monotonic; 0: none */
	bool is_broken;       /* close it */
	/* Statements without rows may be sent without waiting for their answers: their failures come with those of a later
	 * one, of settle() at the latest. */
	bool defers;
};

/* A statement.  The text is static: connections cache what they prepare by its address. */
struct query {
	const char *sql;
	const struct value
		*in; /* its parameters; those of run_many() follow one another */
	size_t n;    /* parameters of one execution */
	/* A row of the answer; the values live until it returns.  It must not use the connection. */
	kf_err (*row)(void *arg, const struct value *v, size_t n);
	void *arg;
};

enum db_role {
	DB_OWNER,  /* the server: takes the lock where only one may work */
	DB_READER, /* beside it, for a backup */
};

enum { DB_DETAIL_SIZE = 200 };

struct db_target {
	const char *where;
	enum db_role role;
	uint64_t deadline_ns;
	char *detail; /* DB_DETAIL_SIZE; what the database says of a failure; or NULL */
};

struct store_driver {
	const char *scheme; /* what a location begins with */
	/* makes servers that start together upgrade the tables one by one; NULL: nobody else */
	const char *schema_lock;
	bool is_shared; /* other servers may write too */

	kf_err (*open)(const struct db_target *to, struct db **ret);
	void (*close)(struct db *db); /* NULL is fine; rolls back */

	kf_err (*script)(struct db *db, const char *sql); /* many statements, no rows */
	kf_err (*run)(struct db *db, const struct query *q);
	/* The same statement `times` times, without a row function. */
	kf_err (*run_many)(struct db *db, const struct query *q, size_t times);
	/* Waits for what was deferred; the first failure counts.  NULL: nothing ever is. */
	kf_err (*settle)(struct db *db);

	/* Millions of rows, in the order of an index: a statement without parameters, whose columns are of these kinds or
	 * null.  NULL: run() is as good. */
	kf_err (*run_bulk)(struct db *db, const struct query *q,
		const enum value_kind *kinds, size_t columns);

	kf_err (*begin)(
		struct db *db, bool is_write); /* reading: a consistent snapshot */
	kf_err (*commit)(struct db *db);
	void (*rollback)(struct db *db);

	/* In a transaction: tells the other servers once it is committed; NULL: nobody else. */
	kf_err (*announce)(struct db *db);
	/* Readable when another server may have changed something; -1: nobody tells. */
	int (*notice_fd)(const struct db *db);
	/* Sets *any when one has come; never waits. */
	kf_err (*take_notices)(struct db *db, bool *any);
};

extern const struct store_driver sqlite_driver, memory_driver, pgsql_driver;

/* By scheme; *ret_where is the rest of the location.  CONFIG if there is none. */
kf_err driver_find(
	const char *location, const struct store_driver **ret, const char **ret_where);
