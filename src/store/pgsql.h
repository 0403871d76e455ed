/* SPDX-License-Identifier: Apache-2.0
 *
 * pgsql: a libpq connection that never waits longer than its deadline.
 *
 * pgsql_connect.c makes it: every host of the conninfo in turn, only where one may write.
 * pgsql.c uses it.  A wait that ends early closes the connection; nothing ever sends a cancel
 * request, which would turn "not yet replicated" into "success".
 */
#pragma once
#include "store/driver.h"
#include <libpq-fe.h>

enum { STATEMENTS_MAX = 64 };

struct pgsql {
	struct db db;
	PGconn *conn;
	bool was_warned; /* since the commit began: it may not be replicated */
	bool is_posting; /* statements were sent whose answers were not read yet */
	size_t posted;   /* bytes of them, since the last flush */
	size_t n;
	const char *prepared[STATEMENTS_MAX]; /* its name is its number */
};

/* --- pgsql.c --- */

kf_err pgsql_send(struct pgsql *p, const char *sql);
/* NULL at the end of a statement's results. */
kf_err pgsql_next_result(struct pgsql *p, PGresult **ret);
/* To the end of a statement, whatever happens; the first failure counts. */
kf_err pgsql_read_all(struct pgsql *p, const struct query *q);
kf_err pgsql_failure(struct pgsql *p, const PGresult *r);
kf_err pgsql_connection_lost(struct pgsql *p);

/* --- pgsql_copy.c --- */

kf_err pgsql_run_bulk(struct db *db, const struct query *q, const enum value_kind *kinds,
	size_t columns);

/* What a server says of itself is checked like a stranger's. */
struct pgsql_copy {
	const struct query *q;
	const enum value_kind *kinds;
	size_t columns;
	bool has_begun; /* the header has come */
};
/* One row, the first one behind the header; in the end there is none, which is said by a negative number.  STORE: it
 * is no such row. */
kf_err pgsql_copy_take(struct pgsql_copy *c, struct slice message);

/* --- pgsql_connect.c --- */

/* Ready for queries, non-blocking. */
kf_err pgsql_connect(const struct db_target *to, PGconn **ret);
/* Waits until the socket is ready for `events`; TIMEOUT. */
kf_err pgsql_wait(PGconn *conn, short events, uint64_t deadline_ns);
