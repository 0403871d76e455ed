/* SPDX-License-Identifier: Apache-2.0 */
/* fleet: what one client knows: its settings, its identity, the servers and which to ask next.
 *
 * Owned by a kf_client (which locks around it) or by a kf_async.
 */
#pragma once
#include "client/conn.h"
#include "client/route.h"
#include "client/settings.h"

struct fleet {
	struct settings settings;
	struct tls_context *tls;
	struct conn_setup setup;
	struct node nodes[NODES_MAX];
	struct route route;
	uint64_t random; /* state of fleet_random() */
};

struct fleet_nodes;

/* Takes the settings' contents.  Reads the files they name and resolves names, unless `found` says what came
 * of that; without an answer of the name service there are no nodes yet.  *ret is to be freed in any case. */
kf_err fleet_init(struct fleet *ret, struct settings *take,
	const struct fleet_nodes *found, struct buf *why);
void fleet_clear(struct fleet *f);
/* Whether an address may change while the settings stay. */
bool fleet_has_names(const struct settings *s);
/* In whatever order. */
bool fleet_is_same(const struct fleet *f, const struct fleet_nodes *found);

/* What the name service and the address files say now; blocks, and touches nothing of the fleet. */
struct fleet_nodes {
	size_t n;
	bool is_partial; /* of some there was no answer */
	struct node node[NODES_MAX];
};
kf_err fleet_look_up(
	const struct settings *s, struct fleet_nodes *ret); /* UNAVAILABLE: none */
/* When of some there was no answer: adds what is known and was not found, as it may be well. */
void fleet_add_known(const struct fleet *f, struct fleet_nodes *found);
/* Replaces the nodes.  What is known of an address that stays is kept. */
void fleet_adopt(struct fleet *f, const struct fleet_nodes *found);
/* Each server that is not used, with what went wrong there: "HOST:PORT: text; ...", cut to the size. */
void fleet_say_why(const struct fleet *f, char *text, size_t size);
/* For jitter, not for secrets. */
uint32_t fleet_random(struct fleet *f);
