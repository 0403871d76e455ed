/* SPDX-License-Identifier: Apache-2.0 */
/* async_inside: shared by async.c (the outside), flight.c (calls), late.c (copies of late calls) and
 * lane.c (connections), by nobody else. */
#pragma once
#include "base/list.h"
#include "client/async.h"
#include "client/fleet.h"
#include "client/repeat.h"
#include "client/waits.h"
#include <sys/types.h>

enum {
	FLIGHT_INLINE = 2048,
	FLIGHT_SPARE_MAX = 1024,
	LANES_MAX = 128,
	NS_PER_MS = 1000000
};

struct lane;
struct flight;

/* A call's request at one server.  It stays when its call has ended by another one's answer: the server
 * has it still, and how long it takes is worth knowing. */
struct attempt {
	struct list
		link; /* in lane.attempts, in the order of sending, or kf_async.spare_attempts */
	struct flight *flight; /* NULL: nobody waits for it any more */
	struct lane *lane;
	uint64_t sent_ns;
	bool is_signature; /* its time counts */
	bool is_token;     /* ... not, for it waits for a token */
	bool is_copy;      /* while the first goes on */
	bool is_probe;     /* shows whether a slow server still is */
	bool is_judged;    /* as late; what could be done was done */
};

/* A call on its way. */
struct flight {
	struct list
		link; /* in kf_async.waiting or .ended; by itself while there are attempts */
	struct kf_async *async;
	struct attempt *first, *copy; /* under way; NULL: none */
	struct conn_request request;  /* payload points to `inside` or to `outside` */
	enum repeat repeat;
	bool is_sent;        /* a server may have done it */
	bool is_token;       /* its key is known to be on tokens */
	bool was_over_limit; /* one server said so; one more may be asked */
	bool is_abandoned;   /* sent to nobody any more */
	uint8_t request_id[KMIP_REQUEST_ID_SIZE];
	uint64_t tried;
	uint64_t attempt_ns, deadline_ns;
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
	struct list attempts;
	struct list dirty; /* link in kf_async.dirty while there is something to send */
	int watched_fd, watched_events;
	bool was_open;
	uint64_t asked_ns;       /* since when there is something to answer ... */
	uint64_t answers_before; /* ... and how many answers had come by then */
	uint64_t started_ns;     /* while not open */
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
	struct list waiting, ended, dirty, spare, spare_attempts;
	size_t n_spare;
	uint64_t id_base, ids; /* of requests */
	struct hedge hedge;
	struct waits waits;
	struct async_stats stats; /* what counts up */
	uint64_t patient_until_ns;
	uint64_t due_ns; /* the earliest moment at which something may have to be done */
	uint64_t late_at_ns; /* the earliest at which a signature may be late */
	uint64_t armed_ns;   /* what the loop was asked for; UINT64_MAX: nothing */
	bool is_measured;    /* anew: late_judge() has something to do */
	bool wants_flush;    /* the timer was asked for the end of the round */
	bool is_closing;
};

static inline bool is_under_way(const struct flight *f) { return f->first || f->copy; }

/* ---- lane.c ---- */
void lanes_init(struct kf_async *a);
void lanes_close(struct kf_async *a);
void lanes_maintain(struct kf_async *a, uint64_t now_ns); /* opens, gives up */
struct lane *lane_pick(struct kf_async *a, uint64_t tried, uint64_t now_ns);
struct lane *lane_pick_token(struct kf_async *a, uint64_t tried, uint64_t now_ns);
/* For a copy: of a server that is well, or of this one, by an open connection of keyfleet/1. */
struct lane *lane_pick_second(struct kf_async *a, uint64_t tried, uint64_t now_ns);
struct lane *lane_of(struct kf_async *a, const struct node *n);
bool lane_is_any_free(struct kf_async *a);
/* Is there reason to wait for a server that has not been tried? */
bool lane_is_hoped_for(struct kf_async *a, uint64_t tried);
void lane_ready(struct lane *l);
void lane_asked(struct lane *l, uint64_t now_ns);
void lane_answered(struct lane *l, uint64_t now_ns);
void lane_will_flush(struct lane *l); /* at the end of the round */
void lane_flush(struct lane *l);
/* Since when nothing comes though something was asked; UINT64_MAX: it is not so. */
uint64_t lane_silent_since(const struct lane *l);
/* When its connection is to blame for that; UINT64_MAX: never. */
uint64_t lane_silent_at(const struct lane *l);
/* Closes it; its calls go elsewhere.  `why` is NULL when the server is not to blame. */
void lane_break(struct lane *l, const char *why, uint64_t now_ns);

/* ---- async.c ---- */
void async_due(struct kf_async *a, uint64_t at_ns);
void async_late(struct kf_async *a, uint64_t at_ns);

/* ---- flight.c ---- */
struct flight *flight_new(struct kf_async *a, size_t payload);
void flight_free(struct kf_async *a, struct flight *f);
void flight_dispatch(struct kf_async *a, struct flight *f);
/* Those that wait, the first so many of them. */
void flights_dispatch(struct kf_async *a, size_t most);
void flights_finish_ended(struct kf_async *a);
void flights_expire(struct kf_async *a, uint64_t now_ns);
void flights_end_all(struct kf_async *a);
void flight_answered(void *arg, void *waiter, const struct kmip_response_item *item);
/* Its connection is gone, or does not answer. */
void attempt_lost(struct attempt *t, const char *why);
/* Sends it by this lane: the first, or beside the first a copy (NULL: it cannot). */
kf_err flight_send(struct flight *f, struct lane *l, uint64_t now_ns);
struct attempt *flight_send_copy(struct flight *f, struct lane *l, uint64_t now_ns);
/* The servers that have it need not begin it. */
void flight_abandon(struct flight *f);
/* To another server, away from those that have it. */
void flight_move(struct kf_async *a, struct flight *f);

/* ---- late.c ---- */
/* Sends second copies of what is late, and takes calls away from servers that say nothing. */
void late_look(struct kf_async *a, uint64_t now_ns);
/* Where no copies are made: the lane of a slow server that is due, for itself. */
struct lane *late_probe_instead(
	struct kf_async *a, const struct flight *f, uint64_t now_ns);
/* It was sent: a copy to a slow server that is due, unless it is there already. */
void late_probe_too(struct kf_async *a, struct flight *f, uint64_t now_ns);
/* An answer has come, or will not any more. */
void late_measure(struct attempt *t, bool is_good, uint64_t now_ns);
/* Who is slow, at the end of a round: if we were held up ourselves, whoever is read first is not. */
void late_judge(struct kf_async *a, uint64_t now_ns);
