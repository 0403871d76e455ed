/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/metrics.h"
#include "agent/agent.h"
#include "http/http.h"
#include "metric/process.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- labels ---- */

static const char *agent_operation_name(size_t i)
{
	static const char *const names[AGENT_OPERATIONS] = { "Sign", "Decrypt", "Get",
		"Get Attributes", "Locate", "other" };
	return names[i];
}

size_t agent_operation(const struct request *q)
{
	return q->kind ? (size_t)__builtin_ctz(q->kind) : AGENT_OPERATIONS - 1;
}

static const char *agent_refusal_name(size_t i)
{
	static const char *const names[AGENT_REFUSALS] = { "full", "user", "malformed",
		"not_allowed", "rate" };
	return names[i];
}

/* ---- what is asked when somebody prints ---- */

static struct agent *agent_of(const struct metric_out *o) { return metric_arg(o); }
static void put(struct metric_out *o, double value) { metric_put(o, value, NULL, NULL); }

static void read_connections(struct metric_out *o)
{
	put(o, (double)agent_of(o)->n_guests);
}

static void read_connections_max(struct metric_out *o)
{
	const struct agent *a = agent_of(o);
	bool is_short =
		a->descriptors && a->descriptors < (size_t)a->conf.connections_max;
	put(o, is_short ? (double)a->descriptors : (double)a->conf.connections_max);
}

static void read_in_flight(struct metric_out *o) { put(o, (double)agent_of(o)->n_busy); }
static void read_draining(struct metric_out *o) { put(o, agent_of(o)->is_draining); }

static void read_servers(struct metric_out *o)
{
	size_t all;
	upstream_servers_up(agent_of(o)->upstream, &all);
	put(o, (double)all);
}

static void read_servers_up(struct metric_out *o)
{
	size_t all;
	put(o, (double)upstream_servers_up(agent_of(o)->upstream, &all));
}

/* ---- servers ---- */

static bool is_same(const struct async_server *a, const struct async_server *b)
{
	return strcmp(a->name, b->name) == 0;
}

static bool has_same_address(const struct async_server *a, const struct async_server *b)
{
	return a->address->n == b->address->n &&
	       memcmp(&a->address->sa, &b->address->sa, a->address->n) == 0;
}

enum { SERVER_TEXT_MAX = NODE_NAME_MAX + ADDRESS_TEXT_MAX + 2 };

/* Its name as configured; with its address when the name has several.  False: it is there twice, and was
 * told already. */
static bool label_of(const struct upstream *u, size_t i, char ret[SERVER_TEXT_MAX])
{
	struct async_server me, other;
	struct async_stats stats;
	char address[ADDRESS_TEXT_MAX];
	bool is_unique = true;
	upstream_stats(u, &stats);
	upstream_server(u, i, &me);
	for (size_t j = 0; j < stats.servers; j++) {
		upstream_server(u, j, &other);
		if (j == i || !is_same(&me, &other))
			continue;
		is_unique = false;
		if (j < i && has_same_address(&me, &other))
			return false;
	}
	address_print(me.address, address);
	snprintf(ret, SERVER_TEXT_MAX, is_unique ? "%s" : "%s %s", me.name, address);
	return true;
}

static void put_servers(
	struct metric_out *o, double (*value)(const struct async_server *s))
{
	const struct upstream *u = agent_of(o)->upstream;
	struct async_stats stats;
	struct async_server s;
	char name[SERVER_TEXT_MAX];
	upstream_stats(u, &stats);
	for (size_t i = 0; i < stats.servers; i++) {
		upstream_server(u, i, &s);
		if (!isnan(value(&s)) && label_of(u, i, name))
			metric_put(o, value(&s), name, NULL);
	}
}

/* NAN: not known. */
#define READ_SERVER(what, expression)                                                    \
	static double value_of_##what(const struct async_server *s)                      \
	{                                                                                \
		return (expression);                                                     \
	}                                                                                \
	static void read_server_##what(struct metric_out *o)                             \
	{                                                                                \
		put_servers(o, value_of_##what);                                         \
	}
READ_SERVER(up, s->connections > 0)
READ_SERVER(breaker, s->breaker)
READ_SERVER(calls, (double)s->calls)
READ_SERVER(failures, (double)s->failures)
READ_SERVER(in_flight, s->outstanding)
READ_SERVER(p50, s->p50_ns ? (double)s->p50_ns / 1e9 : NAN)
READ_SERVER(p99, s->p99_ns ? (double)s->p99_ns / 1e9 : NAN)

#define READ_STATS(what, member)                                                         \
	static void read_##what(struct metric_out *o)                                    \
	{                                                                                \
		struct async_stats stats;                                                \
		upstream_stats(agent_of(o)->upstream, &stats);                           \
		put(o, (double)stats.member);                                            \
	}
READ_STATS(retries, retries)
READ_STATS(hedges, copies)
READ_STATS(hedges_won, copies_won)
READ_STATS(hedges_denied, copies_denied)
READ_STATS(probes, probes)
READ_STATS(late, expired)
READ_STATS(waiting, waiting)

static void put_expiry(struct metric_out *o, const char *certificate, int64_t at_s)
{
	if (at_s)
		metric_put(o, (double)at_s, certificate, NULL);
}

static void read_expiry(struct metric_out *o)
{
	struct tls_expiry ends;
	upstream_expiry(agent_of(o)->upstream, &ends);
	put_expiry(o, "client", ends.certificate_s);
	put_expiry(o, "ca", ends.authority_s);
	put_expiry(o, "crl", ends.revoked_s);
}

static void read_build_info(struct metric_out *o)
{
	metric_put(o, 1, "keyfleet-agent", KEYFLEET_VERSION);
}

/* ---- the table ---- */

#define LABEL(id, name_, n_, value_)                                                     \
	static const struct metric_label label_##id = { name_, n_, value_ };
#include "agent/metric.def"

#define METRIC_BLOCK struct agent_metrics
/* clang-format off */
static const struct metric_row rows[] = {
#include "metric/rows.def"
#include "agent/metric.def"
};
/* clang-format on */

static const struct metric_table table = { rows, sizeof(rows) / sizeof(rows[0]) };

void agent_metrics_manual(struct buf *to) { metric_print_manual(&table, to); }

void agent_metrics_print(struct agent *a, enum metric_format f, struct buf *ret)
{
	const void *block = &a->metrics;
	struct metric_source source = { &table, &block, 1, a };
	metric_print(&source, f, ret);
}

/* ---- the endpoint ---- */

static void make_metrics(void *arg, struct http_page *page)
{
	enum metric_format format = metric_format_of(page->accept);
	page->type = metric_content_type(format);
	agent_metrics_print(arg, format, &page->body);
}

static void make_up(void *arg, struct http_page *page)
{
	const struct agent *a = arg;
	size_t all;
	bool is_up = !a->is_draining && upstream_servers_up(a->upstream, &all) > 0;
	page->status = is_up ? HTTP_OK : HTTP_UNAVAILABLE;
	buf_add_text(&page->body, is_up ? "yes\n" : "no\n");
}

static kf_err open_at(struct agent *a, const char *address)
{
	static const struct http_route routes[] = {
		{ "/metrics", make_metrics },
		{ "/up", make_up },
	};
	struct http_options options = { .routes = routes,
		.n_routes = sizeof(routes) / sizeof(routes[0]),
		.arg = a,
		.loop = a->loop };
	KF_TRY(http_open(address, &options, &a->http));
	a->http_at = strdup(address);
	return a->http_at ? KF_OK : kf_fail(NOMEM, "address of the metrics");
}

kf_err agent_metrics_open(struct agent *a, struct buf *why)
{
	const char *address = a->conf.metrics;
	if (a->http_at && address && strcmp(a->http_at, address) == 0)
		return KF_OK;
	agent_metrics_close(a);
	if (!address)
		return KF_OK;
	kf_err e = open_at(a, address);
	if (!kf_ok(e)) {
		agent_metrics_close(a);
		buf_printf(why, "metrics: %.200s: %s\n", address, e.site->text);
	}
	return e;
}

void agent_metrics_close(struct agent *a)
{
	http_close(a->http);
	free(a->http_at);
	a->http = NULL;
	a->http_at = NULL;
}
