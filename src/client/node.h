/* SPDX-License-Identifier: Apache-2.0 */
/* node: one address of one server, as a client sees it: is it healthy, how busy is it?
 *
 * Pure state: no socket, no clock, no lock.  Time and randomness come in as arguments; whoever owns the
 * nodes serialises the calls.
 *
 * healthy --failure--> backing off --time is up--> due --somebody takes it--> probing --> healthy
 *                          ^-----------------------------------failure----------'
 */
#pragma once
#include "net/address.h"

enum {
	NODES_MAX =
		64, /* addresses of all servers of a client; a bit each in route masks */
	NODE_NAME_MAX = 272,
	NODE_LOAD_MAX = 10000,
	NODE_BACKOFF_MIN_MS = 50,
	NODE_BACKOFF_MAX_MS =
		1000, /* a probe costs a server little and a waiting handshake much */
	NODE_HOPELESS = 6, /* failures in a row after which nobody waits for it */
	NODE_LOAD_AGE_MS =
		2000, /* a report fades away, or an idle client would never ask again */
};

struct tls_session;

struct node {
	struct address address;
	char host[256]; /* the certificate must show it; "": any of the authority */
	char name[NODE_NAME_MAX]; /* for texts: "keys.example.net:5696" */

	uint32_t failures; /* in a row */
	uint64_t retry_at_ns;
	bool is_probing;
	uint64_t answered_at_ns; /* last sign of life */

	uint32_t outstanding; /* calls in flight, of ours */
	uint32_t load;        /* as reported, 0..NODE_LOAD_MAX */
	uint64_t load_at_ns;

	bool is_keyfleet; /* the last connection spoke keyfleet/1 */
	uint16_t version; /* protocol version to speak; 0: not negotiated yet */
	struct tls_session *session; /* to come back quickly; NULL: none */
};

bool node_is_healthy(const struct node *n);
bool node_is_due(
	const struct node *n, uint64_t now_ns); /* for a probe that nobody makes yet */
bool node_is_hopeless(const struct node *n);

void node_probe(struct node *n);                     /* a due node was taken */
void node_answered(struct node *n, uint64_t now_ns); /* anything at all: it lives */
void node_failed(struct node *n, uint64_t now_ns, uint32_t random);
void node_reported(struct node *n, uint32_t load, uint64_t now_ns);

/* How long a new call would wait, in no unit: calls in flight, stretched by how busy the node is. */
uint64_t node_cost(const struct node *n, uint64_t now_ns);
bool node_is_full(
	const struct node *n, uint64_t now_ns); /* reported "do not send more" */
