/* SPDX-License-Identifier: Apache-2.0
 *
 * libpq's own walk over many hosts has no deadline when it does not block, so the hosts are tried
 * one by one here.
 */
#include "base/clock.h"
#include "store/pgsql.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 64, HOSTS_MAX = 16, VALUE_MAX = 512 };
#define HOST_NS (2000 * UINT64_C(1000000))

/* What holds unless the conninfo says something else. */
static const struct default_option {
	const char *keyword, *value;
} defaults[] = {
	{ "application_name", "keyfleetd" },
	{ "client_encoding", "UTF8" },
	{ "tcp_user_timeout", "3000" },
	{ "keepalives_idle", "2" },
	{ "keepalives_interval", "1" },
	{ "keepalives_count", "3" },
};

struct options {
	const char *keyword[OPTIONS_MAX + 1], *value[OPTIONS_MAX + 1];
	size_t n;
	char host[VALUE_MAX], hostaddr[VALUE_MAX], port[VALUE_MAX];
};

static int milliseconds_until(uint64_t when_ns)
{
	uint64_t now = clock_monotonic_ns();
	return now >= when_ns ? 0 : (int)((when_ns - now) / 1000000) + 1;
}

kf_err pgsql_wait(PGconn *conn, short events, uint64_t deadline_ns)
{
	struct pollfd fd = { .fd = PQsocket(conn), .events = events };
	int n;
	do
		n = poll(&fd, 1, deadline_ns ? milliseconds_until(deadline_ns) : -1);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return kf_fail(IO, "waiting for PostgreSQL");
	return n ? KF_OK : kf_fail(TIMEOUT, "PostgreSQL has not answered in time");
}

/* --- options --- */

static const char *option(const PQconninfoOption *o, const char *keyword)
{
	for (; o->keyword; o++)
		if (strcmp(o->keyword, keyword) == 0)
			return o->val;
	return NULL;
}

static size_t count_parts(const char *list)
{
	size_t n = 1;
	for (; list && *list; list++)
		n += *list == ',';
	return n;
}

/* The i-th of a list; the only one stands for all. */
static kf_err part(const char *list, size_t i, char ret[VALUE_MAX])
{
	if (count_parts(list) == 1)
		i = 0;
	while (i--) {
		list = strchr(list, ',');
		if (!list)
			return kf_fail(
				CONFIG, "hosts and ports of the conninfo do not match");
		list++;
	}
	size_t n = strcspn(list, ",");
	return slice_to_text((struct slice){ (const uint8_t *)list, n }, ret, VALUE_MAX);
}

static void set(struct options *o, const char *keyword, const char *value)
{
	if (!value || !*value || o->n == OPTIONS_MAX)
		return;
	o->keyword[o->n] = keyword;
	o->value[o->n++] = value;
}

static kf_err set_part(
	struct options *o, const char *keyword, const char *list, size_t i, char *space)
{
	if (!list || !*list)
		return KF_OK;
	KF_TRY(part(list, i, space));
	set(o, keyword, space);
	return KF_OK;
}

static bool is_per_host(const char *keyword)
{
	return strcmp(keyword, "host") == 0 || strcmp(keyword, "hostaddr") == 0 ||
	       strcmp(keyword, "port") == 0;
}

static kf_err options_for(
	const PQconninfoOption *all, enum db_role role, size_t host, struct options *ret)
{
	*ret = (struct options){ 0 };
	for (const PQconninfoOption *o = all; o->keyword; o++)
		if (!is_per_host(o->keyword))
			set(ret, o->keyword, o->val);
	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		if (!option(all, defaults[i].keyword))
			set(ret, defaults[i].keyword, defaults[i].value);
	if (!option(all, "target_session_attrs"))
		set(ret, "target_session_attrs", role == DB_OWNER ? "read-write" : "any");
	KF_TRY(set_part(ret, "host", option(all, "host"), host, ret->host));
	KF_TRY(set_part(ret, "hostaddr", option(all, "hostaddr"), host, ret->hostaddr));
	return set_part(ret, "port", option(all, "port"), host, ret->port);
}

/* --- one host --- */

static kf_err poll_connection(PGconn *conn, uint64_t deadline_ns)
{
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;
	while (status != PGRES_POLLING_OK) {
		if (status == PGRES_POLLING_FAILED)
			return PQconnectionNeedsPassword(conn)
				       ? kf_fail(CONFIG, "PostgreSQL wants a password")
				       : kf_fail(UNAVAILABLE,
						 "PostgreSQL cannot be reached");
		KF_TRY(pgsql_wait(conn,
			status == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_ns));
		status = PQconnectPoll(conn);
	}
	return KF_OK;
}

static void note_detail(PGconn *conn, char *detail)
{
	if (!detail)
		return;
	snprintf(detail, DB_DETAIL_SIZE, "%s", PQerrorMessage(conn));
	for (char *p = detail; *p; p++)
		if (*p == '\n')
			*p = ' ';
}

static kf_err connect_host(const struct options *o, const struct db_target *to,
	uint64_t deadline_ns, PGconn **ret)
{
	PGconn *conn = PQconnectStartParams(o->keyword, o->value, 0);
	if (!conn)
		return kf_fail(NOMEM, "connecting to PostgreSQL");
	kf_err err = PQstatus(conn) == CONNECTION_BAD
			     ? kf_fail(UNAVAILABLE, "PostgreSQL cannot be reached")
			     : poll_connection(conn, deadline_ns);
	if (kf_ok(err) && PQsetnonblocking(conn, 1) != 0)
		err = kf_fail(IO, "PostgreSQL connection");
	if (!kf_ok(err)) {
		note_detail(conn, to->detail);
		PQfinish(conn);
		return err;
	}
	*ret = conn;
	return KF_OK;
}

/* --- all of them --- */

static uint64_t earlier(uint64_t a, uint64_t b) { return a < b ? a : b; }

static kf_err connect_any(
	const PQconninfoOption *all, const struct db_target *to, PGconn **ret)
{
	const char *hosts = option(all, "hostaddr");
	size_t n = count_parts(hosts ? hosts : option(all, "host"));
	if (n > HOSTS_MAX)
		return kf_fail(CONFIG, "conninfo has more than 16 hosts");
	kf_err err = KF_OK;
	for (size_t i = 0; i < n; i++) {
		struct options o;
		uint64_t now = clock_monotonic_ns();
		if (now >= to->deadline_ns)
			return kf_fail(UNAVAILABLE, "PostgreSQL cannot be reached");
		uint64_t share = (to->deadline_ns - now) / (n - i);
		KF_TRY(options_for(all, to->role, i, &o));
		err = connect_host(&o, to, now + earlier(share, HOST_NS), ret);
		if (kf_ok(err) || kf_is(err, KF_E_CONFIG))
			return err;
	}
	return kf_is(err, KF_E_TIMEOUT)
		       ? kf_fail(UNAVAILABLE, "PostgreSQL does not answer")
		       : err;
}

kf_err pgsql_connect(const struct db_target *to, PGconn **ret)
{
	autobuf uri = buf_new(8192);
	if (strncmp(to->where, "//", 2) == 0)
		buf_add_text(&uri, "postgresql:");
	buf_add(&uri, to->where, strlen(to->where) + 1);
	KF_TRY(buf_err(&uri));
	char *why = NULL;
	PQconninfoOption *all = PQconninfoParse((const char *)uri.p, &why);
	PQfreemem(why);
	if (!all)
		return kf_fail(CONFIG, "conninfo of postgresql: cannot be read");
	kf_err err = connect_any(all, to, ret);
	PQconninfoFree(all);
	return err;
}
