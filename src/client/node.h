/* SPDX-License-Identifier: Apache-2.0 */
/* node: one address of one server, as a client sees it: is it healthy, how busy is it?
 *
 * Pure state: no socket, no clock, no lock.  Time and randomness come in as arguments; whoever owns the
 * nodes serialises the calls.
 *
 * A circuit breaker, which opens in two ways:
 *
 * healthy --failure--> backing off --time is up--> due --somebody takes it--> probing --> healthy
 *                          ^-----------------------------------failure----------'
 * healthy --slow, against the others--> slow --time is up--> due for a copy of a request --quick--> healthy
 *                                         ^-----------------------------------still slow--'
 * A slow node is asked when there is nobody else.
 */
#pragma once
#include "client/latency.h"
#include "net/address.h"

enum {
	NODES_MAX =
		64, /* addresses of all servers of a client; a bit each in route masks */
	NODE_NAME_MAX = 272,
	NODE_LOAD_MAX = 10000,
	NODE_BACKOFF_MIN_MS = 50,
	/* A probe costs a server little and a waiting handshake much.  With the half second that a probe may
	 * take, a server that is back is in use within a second. */
	NODE_BACKOFF_MAX_MS = 450,
	NODE_HOPELESS = 8, /* failures in a row after which nobody waits for it */
	NODE_WHY_MAX = 96,
	NODE_SLOW_TIMES = 4,    /* the best median, and ... */
	NODE_SLOW_MORE_MS = 2,  /* ... so much more, is slow */
	NODE_SLOW_MIN_MS = 500, /* until it is asked again; doubles */
	NODE_SLOW_MAX_MS = 16000,
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
	char why[NODE_WHY_MAX];  /* what went wrong last; "": nothing yet */

	struct latency latency; /* of signatures */
	uint64_t late_ns;       /* after so long a second server is asked; 0: not known */
	bool is_slow;
	uint32_t slow_rounds; /* probes in a row that found it slow */
	bool is_slow_probing;
	uint64_t slow_retry_ns;

	uint64_t calls, failed; /* ever */
	uint32_t outstanding;   /* calls in flight, of ours */
	uint32_t load;          /* as reported, 0..NODE_LOAD_MAX */
	uint64_t load_at_ns;

	/* keys on tokens (waits.h): what a call would wait, as reported; how long they took, on average */
	uint64_t token_wait_ns, token_wait_at_ns, token_took_ns;
	uint32_t token_calls; /* in flight, of ours */

	bool is_keyfleet; /* the last connection spoke keyfleet/1 */
	uint16_t version; /* protocol version to speak; 0: not negotiated yet */
	struct tls_session *session; /* to come back quickly; NULL: none */
};

bool node_is_healthy(const struct node *n);
bool node_is_due(
	const struct node *n, uint64_t now_ns); /* for a probe that nobody makes yet */
bool node_is_hopeless(const struct node *n);
/* Slow, and to be tried again now, by a request that somebody else gets too. */
bool node_is_slow_due(const struct node *n, uint64_t now_ns);

bool node_is_to_blame(const struct node *n); /* not used, and why is known */

/* Closed: used.  Half-open: a probe is under way.  Open: not used. */
enum node_breaker { NODE_CLOSED, NODE_HALF_OPEN, NODE_OPEN };
enum node_breaker node_breaker(const struct node *n);

void node_probe(struct node *n);                     /* a due node was taken */
void node_answered(struct node *n, uint64_t now_ns); /* anything at all: it lives */
void node_failed(struct node *n, uint64_t now_ns, uint32_t random);
/* For people: what went wrong. */
void node_blame(struct node *n, const char *why);
/* It takes much longer than the others, or says nothing while they do. */
void node_slowed(struct node *n, uint64_t now_ns, uint32_t random);
void node_slow_probe(struct node *n);
void node_slow_probed(struct node *n, bool is_quick, uint64_t now_ns, uint32_t random);
void node_reported(struct node *n, uint32_t load, uint64_t now_ns);

/* An answer for a key on tokens: what the next one would wait, and how long this one took; 0: no token did it. */
void node_token_answered(
	struct node *n, uint64_t wait_ns, uint64_t took_ns, uint64_t now_ns);
/* What a new call for a key on tokens would wait, in about nanoseconds. */
uint64_t node_token_cost(const struct node *n, uint64_t now_ns);

/* How long a new call would wait, in no unit: calls in flight, stretched by how busy the node is. */
uint64_t node_cost(const struct node *n, uint64_t now_ns);
bool node_is_full(
	const struct node *n, uint64_t now_ns); /* reported "do not send more" */
