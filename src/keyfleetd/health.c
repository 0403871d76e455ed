/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/health.h"
#include "keyfleetd/metrics.h"
#include "keyfleetd/server.h"

static void say(struct http_page *page, bool is_fine)
{
	page->status = is_fine ? HTTP_OK : HTTP_UNAVAILABLE;
	buf_add_text(&page->body, is_fine ? "yes\n" : "no\n");
}

static void make_up(void *server, struct http_page *page)
{
	say(page, server_is_up(server));
}

static void make_drain(void *server, struct http_page *page)
{
	const struct server *s = server;
	say(page, !atomic_load(&s->is_draining));
}

static void make_writable(void *server, struct http_page *page)
{
	say(page, server_is_writable(server));
}

static void make_status(void *server, struct http_page *page)
{
	server_health(server, &page->body);
}

static void make_metrics(void *server, struct http_page *page)
{
	enum metric_format format = metric_format_of(page->accept);
	page->type = metric_content_type(format);
	server_metrics(server, format, &page->body);
}

kf_err health_open(struct server *s, const char *address, struct http **ret)
{
	static const struct http_route routes[] = {
		{ "/up", make_up },
		{ "/drain", make_drain },
		{ "/writable", make_writable },
		{ "/status", make_status },
		{ "/metrics", make_metrics },
	};
	struct http_options options = {
		.routes = routes, .n_routes = sizeof(routes) / sizeof(routes[0]), .arg = s
	};
	return http_open(address, &options, ret);
}
