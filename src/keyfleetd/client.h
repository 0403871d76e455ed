/* SPDX-License-Identifier: Apache-2.0
 *
 * client: how many connections each client has, over all loops.  Any thread; asked once a
 * connection, so a lock is fine.
 */
#pragma once
#include "base/buf.h"

struct clients;
struct client_slot;

kf_err clients_new(struct clients **ret);
void clients_free(struct clients *c);

/* LIMIT when the client has `most` connections already. */
kf_err clients_enter(
	struct clients *c, const char *name, unsigned most, struct client_slot **ret);
void clients_leave(struct clients *c, struct client_slot *slot); /* NULL is fine */
