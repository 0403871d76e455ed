/* SPDX-License-Identifier: Apache-2.0
 *
 * http: a few pages for programs of the same host, over HTTP on loopback or a Unix socket: health,
 * metrics.  Reads only; what is asked for cannot change anything.
 *
 * Runs on a thread of libmicrohttpd, or on a loop of the owner's: then pages are made between the loop's
 * other work, and get a tenth of its time at most.
 */
#pragma once
#include "base/buf.h"

struct http;
struct loop;

struct http_page {
	const char *accept; /* what the client takes; NULL: it does not say */
	unsigned status;    /* 200 unless the page says otherwise */
	const char *type;   /* "text/plain" unless ...; a constant text */
	struct buf body;
};

struct http_route {
	const char *path; /* "/up" */
	void (*make)(void *arg, struct http_page *ret);
};

struct http_options {
	const struct http_route *routes;
	size_t n_routes;
	void *arg;         /* for make() */
	struct loop *loop; /* NULL: a thread of its own */
};

enum { HTTP_OK = 200, HTTP_UNAVAILABLE = 503 };

/* Loopback or unix:, which is all that http_open() takes. */
bool http_may_listen(const char *address);
/* `address` NULL: *ret stays NULL. */
kf_err http_open(
	const char *address, const struct http_options *options, struct http **ret);
void http_close(struct http *h); /* NULL is fine */
