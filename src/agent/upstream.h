/* SPDX-License-Identifier: Apache-2.0 */
/* upstream: the agent's way to the key servers: a kf_async on a net/loop.
 *
 * Holds no more than the configuration it was made with.  After a reload the agent makes a new one; the
 * old one is retired, ends its calls and frees itself.  The same happens when a server is away and its
 * name or address file leads elsewhere now, which is looked up on a thread (agent/resolver.h).
 */
#pragma once
#include "client/async.h"
#include "net/loop.h"
#include "net/tls.h"

struct upstream;

/* Takes the settings' contents.  CONFIG with lines in `why`. */
kf_err upstream_new(
	struct loop *loop, struct settings *take, struct buf *why, struct upstream **ret);
/* Tells when servers have moved: `next` is to be used instead, this one to be retired. */
void upstream_on_move(
	struct upstream *u, void (*moved)(void *arg, struct upstream *next), void *arg);
/* No new calls; frees itself after the last one.  NULL is fine. */
void upstream_retire(struct upstream *u);
void upstream_free(struct upstream *u); /* at once; running calls end with UNAVAILABLE */

kf_err upstream_call(struct upstream *u, const struct async_request *q);
void upstream_expiry(struct upstream *u, struct tls_expiry *ret);
void upstream_stats(const struct upstream *u, struct async_stats *ret);
/* `i` < stats.servers. */
void upstream_server(const struct upstream *u, size_t i, struct async_server *ret);
size_t upstream_servers_up(const struct upstream *u, size_t *ret_all);
