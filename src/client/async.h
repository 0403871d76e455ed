/* SPDX-License-Identifier: Apache-2.0 */
/* async: calls in flight for event loops; the inside of a kf_async, and what keyfleet-agent uses of it.
 *
 * Each server has a few lanes (connections).  A call goes to the best server that has an open lane;
 * when there is none it waits for one, unless nobody is expected to come back.  What breaks on the way
 * sends its calls to another server, if they may be repeated.  Everything is bounded by the calls that
 * its user starts; nothing is allocated for a call of usual size once as many have been in flight.
 *
 * Threads: one owner.
 */
#pragma once
#include "client/call.h"
#include "client/node.h"
#include "client/settings.h"
#include "net/tls.h"

struct fleet_nodes;
struct flight;

struct async_options {
	/* kf_async_flush() is called at the end of every round of the loop: no timer is asked for it. */
	bool is_flushed;
	/* For `patience` after the start nobody is given up, though no address be known yet: servers and names that are slow to
	 * come cost the first calls time, and fail none within their deadlines. */
	bool is_patient;
	/* What a look for the servers' addresses has found; NULL: async_new() looks, and may block. */
	const struct fleet_nodes *found;
};

/* Takes the settings' contents, also on failure.  CONFIG with lines in `why`. */
kf_err async_new(struct settings *take, const kf_loop *loop,
	const struct async_options *options, struct buf *why, struct kf_async **ret);

typedef void async_hook(
	void); /* what a layer above wants to have back, of whatever type */

/* answer and report are borrowed until done() returns. */
struct async_outcome {
	kf_err err;
	const struct call_report *report;
	struct slice payload; /* content of Response Payload; empty after a failure */
	async_hook *hook;
};
typedef void async_done(void *arg, const struct async_outcome *outcome);

/* As client_call().  `payload` is copied.  When OK is returned done() will be called exactly once, never
 * from within this function. */
struct async_request {
	uint32_t operation;
	struct slice payload;
	struct call_options options; /* no report */
	async_done *done;
	void *arg;
	async_hook *hook;
	struct flight **held; /* where to put what async_abandon() wants; NULL: nowhere */
};
kf_err async_call(struct kf_async *a, const struct async_request *q);
/* Nobody waits for this call any more, whose done() has not been called yet.  It is sent to nobody from now on, and
 * servers that have it are asked not to begin it.  done() is called once all the same: CLOSED if no
 * server has it, else when its answer comes or is not to be expected any more. */
void async_abandon(struct flight *f);
/* Its servers have moved: what waits for a connection waits for one of the other's. */
void async_hand_over(struct kf_async *from, struct kf_async *to);

/* For looking for addresses again, elsewhere. */
const struct settings *async_settings(const struct kf_async *a);
void async_add_known(const struct kf_async *a, struct fleet_nodes *found); /* fleet.h */
bool async_is_at(const struct kf_async *a, const struct fleet_nodes *found);

/* For metrics: since it was made, and how things are now. */
struct async_stats {
	uint64_t calls; /* begun */
	uint64_t
		retries; /* sent once more, because the first server failed, was busy or silent */
	uint64_t
		copies; /* of late signatures, to a second server while the first went on */
	uint64_t copies_won;    /* answered before the first */
	uint64_t copies_denied; /* late, but the budget was used up */
	uint64_t probes;  /* copies sent to find out whether a slow server still is */
	uint64_t expired; /* deadlines that passed */
	size_t in_flight, waiting, servers;
};
void async_stats(const struct kf_async *a, struct async_stats *ret);
/* `i` < stats.servers; the texts are valid until the next call of anything. */
struct async_server {
	const char *name, *why; /* what went wrong last, or "" */
	const struct address *address;
	enum node_breaker breaker;
	bool is_slow; /* why it is open */
	uint32_t connections, outstanding;
	uint64_t calls, failures;
	uint64_t p50_ns, p99_ns; /* of signatures; 0: not known */
};
void async_server(const struct kf_async *a, size_t i, struct async_server *ret);
/* Each server that is not used, with what went wrong there, in one line. */
void async_say_why(const struct kf_async *a, char *text, size_t size);

size_t async_in_flight(const struct kf_async *a);
/* Servers with an open connection, and all of them; for people. */
size_t async_servers_up(const struct kf_async *a, size_t *ret_all);
/* When the client's certificate and those of its authorities end. */
void async_expiry(struct kf_async *a, struct tls_expiry *ret);
