/* SPDX-License-Identifier: Apache-2.0 */
/* async_inside: shared by async.c (calls) and lane.c (connections), by nobody else. */
#pragma once
#include "base/list.h"
#include "client/async.h"
#include "client/fleet.h"
#include "client/repeat.h"
#include <sys/types.h>

enum {
	FLIGHT_INLINE = 2048,
	FLIGHT_SPARE_MAX = 1024,
	LANES_MAX = 128,
	NS_PER_MS = 1000000
};

struct lane;

/* A call on its way. */
struct flight {
	struct list link; /* in kf_async.waiting, .ended, or lane.flights */
	struct lane *lane;
	size_t slot;
	struct conn_request request; /* payload points to `inside` or to `outside` */
	enum repeat repeat;
	bool is_sent; /* a server may have done it */
	uint8_t request_id[KMIP_REQUEST_ID_SIZE];
	uint64_t tried;
	uint64_t sent_ns, attempt_ns, deadline_ns;
	async_done *done;
	void *arg;
	async_hook *hook;
	kf_err err; /* of one that has ended without an answer */
	struct call_report report;
	uint8_t *outside;
	uint8_t inside[FLIGHT_INLINE];
};

/* A connection to a node, open or not. */
struct lane {
	struct kf_async *async;
	struct node *node;
	struct conn *conn; /* NULL: closed */
	struct list flights;
	struct list dirty; /* link in kf_async.dirty while there is something to send */
	int watched_fd, watched_events;
	bool was_open;
	uint64_t asked_ns;       /* since when there is something to answer ... */
	uint64_t answers_before; /* ... and how many answers had come by then */
	uint64_t connect_by_ns;  /* while not open */
	uint64_t retry_ns;       /* while closed, of a node that is healthy */
};

struct kf_async {
	struct fleet fleet;
	struct kf_loop loop;
	struct async_options options;
	struct stream_pad *pad;
	pid_t owner;
	struct lane lane[LANES_MAX];
	size_t n_lanes, n_flights;
	struct list waiting, ended, dirty, spare;
	size_t n_spare;
	uint64_t id_base, ids; /* of requests */
	uint64_t due_ns; /* the earliest moment at which something may have to be done */
	uint64_t armed_ns; /* what the loop was asked for; UINT64_MAX: nothing */
	bool wants_flush;  /* the timer was asked for the end of the round */
	bool is_closing;
};

/* ---- lane.c ---- */
void lanes_init(struct kf_async *a);
void lanes_close(struct kf_async *a);
void lanes_maintain(struct kf_async *a, uint64_t now_ns); /* opens, gives up */
struct lane *lane_pick(struct kf_async *a, uint64_t tried, uint64_t now_ns);
bool lane_is_hoped_for(const struct kf_async *a, uint64_t tried);
void lane_ready(struct lane *l);
void lane_asked(struct lane *l, uint64_t now_ns);
void lane_flush(struct lane *l);
/* When its connection is to blame if nothing comes, though something was asked; UINT64_MAX: never. */
uint64_t lane_silent_at(const struct lane *l);
/* Closes it; its calls go elsewhere.  `why` is NULL when the server is not to blame. */
void lane_break(struct lane *l, const char *why, uint64_t now_ns);

/* ---- async.c ---- */
void async_due(struct kf_async *a, uint64_t at_ns);
void flight_answered(void *arg, void *waiter, const struct kmip_response_item *item);
/* Its connection is gone, or does not answer. */
void flight_lost(struct flight *f, const char *why);
void flights_dispatch(struct kf_async *a);
