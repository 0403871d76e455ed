/* SPDX-License-Identifier: Apache-2.0
 *
 * client: what each client uses of this server at the moment, over all loops: connections, and the
 * meters of its limits.  Taken and left by any thread, under a lock: asked once a connection, and once
 * a grant with limits that a connection uses.
 *
 * What requests touch is split into parts, a cache line or more a loop, which only that loop writes;
 * shared are a meter's bucket, written when a loop fetches tokens, and its count of requests under a
 * grant with a concurrency limit.
 */
#pragma once
#include "base/bucket.h"
#include "net/loop.h"
#include "store/catalog.h"
#include <stdalign.h>
#include <stdatomic.h>

struct clients;

enum meter_refusal { OVER_RATE, OVER_NUMBER, METER_REFUSALS };

/* One loop's part of a meter. */
struct meter_part {
	alignas(64) struct purse purse;
	uint64_t refused[METER_REFUSALS]; /* since the last record */
	struct list link; /* of those with refusals that nobody was told of yet */
	struct meter *meter;
};

/* What is measured: a client's requests, or those under one of its grants. */
struct meter {
	struct client_slot *slot;
	char rule[OBJECT_ID_SIZE]; /* the grant's id; "client": all its requests */
	alignas(64) struct bucket bucket;
	_Atomic uint32_t under_way; /* under a grant with a concurrency limit */
	struct meter_part part[];   /* one a loop */
};

/* One loop's part of a client. */
struct client_part {
	alignas(64) _Atomic uint32_t under_way; /* written by the loop alone */
	struct bucket refusals;                 /* answers that say "over the limit" */
	uint64_t paused_until_ns;
	struct list paused; /* connections that wait for that */
	struct loop_timer resume;
};

/* Stays while anybody refers to it, and until what its meters remember has passed: whoever comes back
 * finds its limits as used up as it left them. */
struct client_slot {
	unsigned connections;
	_Atomic unsigned refs; /* connections, and parts of meters in a list */
	char name[CLIENT_NAME_SIZE];
	struct meter *own;
	struct map *meters; /* of grants, by their ids */
	struct client_part part[];
};

kf_err clients_new(unsigned loops, struct clients **ret);
void clients_free(struct clients *c);

/* LIMIT when the client has `most` connections already. */
kf_err clients_enter(
	struct clients *c, const char *name, unsigned most, struct client_slot **ret);
void clients_leave(struct clients *c, struct client_slot *slot); /* NULL is fine */
/* The meter of a grant; it lives as long as the slot. */
kf_err clients_meter(struct clients *c, struct client_slot *slot, const char *rule,
	struct meter **ret);
/* Forgets who has left and whose limits are fresh again; returns how many are left. */
size_t clients_sweep(struct clients *c, uint64_t now_ns);
