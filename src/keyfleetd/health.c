/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/health.h"
#include "keyfleetd/server.h"
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TIMEOUT_S = 5, CONNECTIONS = 32, BODY_MAX = 65536 };

struct health {
	struct MHD_Daemon *daemon;
	struct server *server;
};

static bool is_up(struct server *s) { return server_is_up(s); }
static bool is_not_draining(struct server *s) { return !atomic_load(&s->is_draining); }
static bool is_writable(struct server *s) { return server_is_writable(s); }
static bool is_there(struct server *s) { return s != NULL; }

static const struct question {
	const char *url;
	bool (*is_fine)(struct server *s);
	bool has_facts;
} questions[] = {
	{ "/up", is_up, false },
	{ "/drain", is_not_draining, false },
	{ "/writable", is_writable, false },
	{ "/status", is_there, true },
};

static const struct question *find_question(const char *url)
{
	for (size_t i = 0; i < sizeof(questions) / sizeof(*questions); i++)
		if (strcmp(questions[i].url, url) == 0)
			return &questions[i];
	return NULL;
}

static enum MHD_Result reply(
	struct MHD_Connection *c, unsigned status, const struct buf *b)
{
	struct MHD_Response *r =
		MHD_create_response_from_buffer(b->n, b->p, MHD_RESPMEM_MUST_COPY);
	if (!r)
		return MHD_NO;
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain");
	MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	enum MHD_Result result = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return result;
}

static enum MHD_Result answer(void *arg, struct MHD_Connection *c, const char *url,
	const char *method, const char *version, const char *data, size_t *size,
	void **state)
{
	struct health *h = arg;
	(void)version, (void)data, (void)size, (void)state;
	autobuf body = buf_new(BODY_MAX);
	bool is_read = strcmp(method, MHD_HTTP_METHOD_GET) == 0 ||
		       strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
	const struct question *q = find_question(url);
	if (!is_read || !q) {
		buf_add_text(&body, "ask /up, /drain, /writable or /status\n");
		return reply(c,
			is_read ? MHD_HTTP_NOT_FOUND : MHD_HTTP_METHOD_NOT_ALLOWED,
			&body);
	}
	bool is_fine = q->is_fine(h->server);
	if (q->has_facts)
		server_health(h->server, &body);
	else
		buf_add_text(&body, is_fine ? "yes\n" : "no\n");
	return reply(c, is_fine ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, &body);
}

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

bool health_may_listen(const char *address)
{
	struct address a;
	return kf_ok(address_parse(address, &a)) &&
	       (address_is_unix(&a) || is_loopback(&a));
}

static kf_err start(struct health *h, const struct address *a)
{
	struct listen_options options = { 0 };
	int fd = -1;
	KF_TRY(listen_open(a, &options, &fd));
	h->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL, 0,
		NULL, NULL, answer, h, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S, MHD_OPTION_END);
	if (h->daemon)
		return KF_OK;
	close(fd);
	return kf_fail(IO, "health endpoint cannot be started");
}

kf_err health_open(struct server *s, const char *address, struct health **ret)
{
	struct address a;
	if (!address)
		return KF_OK;
	if (!health_may_listen(address))
		return kf_fail(CONFIG, "health endpoint is for loopback or unix: only");
	KF_TRY(address_parse(address, &a));
	struct health *h = calloc(1, sizeof(*h));
	if (!h)
		return kf_fail(NOMEM, "health endpoint");
	h->server = s;
	kf_err e = start(h, &a);
	if (kf_ok(e))
		*ret = h;
	else
		free(h);
	return e;
}

void health_close(struct health *h)
{
	if (!h)
		return;
	MHD_stop_daemon(h->daemon);
	free(h);
}
