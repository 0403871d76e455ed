/* SPDX-License-Identifier: Apache-2.0
 *
 * health: what load balancers and people with curl ask, over HTTP on loopback or a Unix socket.
 *
 *     GET /up        200 while it answers requests (503: draining, or the audit fails closed)
 *     GET /drain     200 while it is not draining
 *     GET /writable  200 while changes can be committed
 *     GET /status    the facts as text, "name=value" lines
 *
 * Nothing here is secret and nothing can be changed.  Runs on a thread of libmicrohttpd.
 */
#pragma once
#include "base/err.h"

struct health;
struct server;

bool health_may_listen(const char *address);
/* `address` NULL: no endpoint. */
kf_err health_open(struct server *s, const char *address, struct health **ret);
void health_close(struct health *h); /* NULL is fine */
