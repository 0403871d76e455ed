/* SPDX-License-Identifier: Apache-2.0
 *
 * health: what load balancers, monitoring and people with curl ask, over HTTP on loopback or a Unix socket.
 *
 *     GET /up        200 while it answers requests (503: draining, or the audit fails closed)
 *     GET /drain     200 while it is not draining
 *     GET /writable  200 while changes can be committed
 *     GET /status    the facts as text, "name=value" lines
 *     GET /metrics   the numbers of metric.def for Prometheus
 *
 * Nothing here is secret and nothing can be changed.  Runs on a thread of libmicrohttpd.
 */
#pragma once
#include "http/http.h"

struct server;

/* `address` NULL: no endpoint. */
kf_err health_open(struct server *s, const char *address, struct http **ret);
