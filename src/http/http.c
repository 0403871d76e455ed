/* SPDX-License-Identifier: Apache-2.0 */
#include "http/http.h"
#include "base/clock.h"
#include "http/visitor.h"
#include "net/listen.h"
#include "net/loop.h"
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Those that were shown out go when the daemon next looks at them: until then they have places of their own. */
enum {
	TIMEOUT_S = 5,
	CONNECTIONS = 32,
	LEAVING = 32,
	BODY_MAX = 4 << 20,
	LOOP_SHARE = 10
};

struct http {
	struct MHD_Daemon *daemon;
	struct http_options options;
	struct visitors visitors;
	/* on a loop */
	struct loop_watch watch;
	struct loop_timer timer;
	bool is_resting, must_look_again;
};

/* ---- pages ---- */

static const struct http_route *find_route(const struct http *h, const char *path)
{
	for (size_t i = 0; i < h->options.n_routes; i++)
		if (strcmp(h->options.routes[i].path, path) == 0)
			return &h->options.routes[i];
	return NULL;
}

static void list_routes(const struct http *h, struct buf *b)
{
	buf_add_text(b, "ask for one of:");
	for (size_t i = 0; i < h->options.n_routes; i++)
		buf_printf(b, " %s", h->options.routes[i].path);
	buf_add_text(b, "\n");
}

static enum MHD_Result reply(struct MHD_Connection *c, const struct http_page *page)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(
		page->body.n, page->body.p, MHD_RESPMEM_MUST_COPY);
	if (!r)
		return MHD_NO;
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, page->type);
	MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	enum MHD_Result result = MHD_queue_response(c, page->status, r);
	MHD_destroy_response(r);
	return result;
}

static enum MHD_Result answer(void *arg, struct MHD_Connection *c, const char *url,
	const char *method, const char *version, const char *data, size_t *size,
	void **state)
{
	const struct http *h = arg;
	(void)version, (void)data, (void)size, (void)state;
	autobuf body = buf_new(BODY_MAX);
	struct http_page page = { MHD_lookup_connection_value(
					  c, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT),
		MHD_HTTP_OK, "text/plain", body };
	bool is_read = strcmp(method, MHD_HTTP_METHOD_GET) == 0 ||
		       strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
	const struct http_route *route = find_route(h, url);
	if (is_read && route) {
		route->make(h->options.arg, &page);
	} else {
		page.status = is_read ? MHD_HTTP_NOT_FOUND : MHD_HTTP_METHOD_NOT_ALLOWED;
		list_routes(h, &page.body);
	}
	body = page.body;
	if (!kf_ok(buf_err(&body)))
		return MHD_NO; /* half a page would be believed */
	return reply(c, &page);
}

static void came_or_went(void *arg, struct MHD_Connection *c, void **state,
	enum MHD_ConnectionNotificationCode what)
{
	struct http *h = arg;
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	if (what == MHD_CONNECTION_NOTIFY_CLOSED)
		visitor_leave(&h->visitors, *state);
	else if (info)
		*state = visitor_enter(&h->visitors, info->connect_fd);
}

/* ---- on a loop ---- */

static unsigned connections(const struct http *h)
{
	return MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)
		->num_connections;
}

/* Somebody who asks without end does not get the loop: after each piece of work comes a rest of nine times
 * as long.  A daemon that was full listens again only when it is run once more, which nothing would tell us. */
static void run(struct http *h)
{
	struct loop *l = h->options.loop;
	uint64_t began = clock_monotonic_ns();
	unsigned before = connections(h);
	MHD_run(h->daemon);
	h->must_look_again = connections(h) < before;
	uint64_t now = clock_monotonic_ns();
	h->is_resting =
		kf_ok(loop_arm(l, &h->timer, now + (now - began) * (LOOP_SHARE - 1))) &&
		kf_ok(loop_change(l, &h->watch, 0));
}

static void ready(struct loop_watch *w, uint32_t events)
{
	(void)events;
	run(container_of(w, struct http, watch));
}

/* Looks again, now or when one of libmicrohttpd's own timeouts is due. */
static void rest_is_over(struct http *h)
{
	MHD_UNSIGNED_LONG_LONG ms = 0;
	h->is_resting = !kf_ok(loop_change(h->options.loop, &h->watch, EPOLLIN));
	bool is_due = MHD_get_timeout(h->daemon, &ms) == MHD_YES;
	if (h->must_look_again || (is_due && ms == 0))
		run(h);
	else if (is_due && !kf_ok(loop_arm(h->options.loop, &h->timer,
				   clock_monotonic_ns() + ms * 1000000)))
		run(h);
}

static void expired(struct loop_timer *t)
{
	struct http *h = container_of(t, struct http, timer);
	if (h->is_resting)
		rest_is_over(h);
	else
		run(h);
}

static kf_err watch(struct http *h)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info)
		return kf_fail(IO, "HTTP endpoint cannot be watched");
	h->watch = (struct loop_watch){ .fd = info->epoll_fd, .ready = ready };
	h->timer.expired = expired;
	return loop_add(h->options.loop, &h->watch, EPOLLIN);
}

/* ---- beginning and end ---- */

static bool is_loopback(const struct address *a)
{
	if (a->sa.ss_family == AF_INET) {
		struct sockaddr_in v4;
		memcpy(&v4, &a->sa, sizeof(v4));
		return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
	}
	struct sockaddr_in6 v6;
	memcpy(&v6, &a->sa, sizeof(v6));
	return a->sa.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

bool http_may_listen(const char *address)
{
	struct address a;
	return kf_ok(address_parse(address, &a)) &&
	       (address_is_unix(&a) || is_loopback(&a));
}

static kf_err start(struct http *h, const char *address)
{
	struct address a;
	struct listen_options options = { 0 };
	int fd = -1;
	KF_TRY(address_parse(address, &a));
	KF_TRY(listen_open(&a, &options, &fd));
	unsigned how = h->options.loop ? MHD_USE_EPOLL
				       : MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL;
	h->daemon = MHD_start_daemon(how, 0, NULL, NULL, answer, h,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)(CONNECTIONS + LEAVING), MHD_OPTION_NOTIFY_CONNECTION,
		came_or_went, h, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S,
		MHD_OPTION_END);
	if (!h->daemon) {
		close(fd);
		return kf_fail(IO, "HTTP endpoint cannot be started");
	}
	return h->options.loop ? watch(h) : KF_OK;
}

kf_err http_open(
	const char *address, const struct http_options *options, struct http **ret)
{
	if (!address)
		return KF_OK;
	if (!http_may_listen(address))
		return kf_fail(CONFIG, "HTTP endpoints are for loopback or unix: only");
	struct http *h = calloc(1, sizeof(*h));
	if (!h)
		return kf_fail(NOMEM, "HTTP endpoint");
	h->options = *options;
	visitors_init(&h->visitors, CONNECTIONS);
	h->watch.fd = -1;
	kf_err e = start(h, address);
	if (kf_ok(e))
		*ret = h;
	else
		http_close(h);
	return e;
}

void http_close(struct http *h)
{
	if (!h)
		return;
	if (h->options.loop) {
		loop_remove(h->options.loop, &h->watch);
		loop_disarm(h->options.loop, &h->timer);
	}
	if (h->daemon)
		MHD_stop_daemon(h->daemon);
	free(h);
}
