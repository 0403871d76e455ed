/* SPDX-License-Identifier: Apache-2.0 */
/* loop: one epoll loop a thread.  All that hangs on a loop belongs to its thread, without locks; only
 * loop_post() and loop_stop() may be called from elsewhere.
 *
 * A round: wait; take the inbox; run timers that are due; call the watches that are ready; then the
 * hooks "end of round" in their order.  Watches, timers, messages and hooks are embedded in the things
 * they serve (container_of) and allocate nothing.
 */
#pragma once
#include "base/epoch.h"
#include "base/list.h"
#include <stdint.h>
#include <sys/epoll.h>

struct loop;

struct loop_options {
	uint64_t (*clock_ns)(void); /* NULL: clock_monotonic_ns */
	struct epoch_reader *
		reader; /* NULL is fine; else offline while waiting, quiescent every round */
};

kf_err loop_new(const struct loop_options *options, struct loop **ret);
void loop_free(struct loop *l); /* NULL is fine */

/* Until loop_stop().  Returns IO when epoll itself fails. */
kf_err loop_run(struct loop *l);
void loop_stop(struct loop *l); /* any thread; the round that runs is finished first */
/* One round, for tests and for callers with a loop of their own; waits at most wait_ms (-1: as long
 * as it takes, 0: not at all). */
kf_err loop_round(struct loop *l, int wait_ms);
uint64_t loop_now_ns(const struct loop *l); /* as of the start of the round */
/* The next round does not wait: work is left over (a budget was used up). */
void loop_hurry(struct loop *l);

/* A descriptor.  Level triggered: what is not read is reported again, unless EPOLLET is among the events.
 * EPOLLERR and EPOLLHUP are always reported. */
struct loop_watch {
	int fd;
	uint32_t events; /* EPOLLIN, EPOLLOUT; set by add and change */
	void (*ready)(struct loop_watch *w, uint32_t events);
};

kf_err loop_add(struct loop *l, struct loop_watch *w, uint32_t events);
/* No system call when nothing changes. */
kf_err loop_change(struct loop *l, struct loop_watch *w, uint32_t events);
/* Before the descriptor is closed.  Afterwards the watch may be freed at once: an event of this round
 * that has not been delivered yet is dropped.  Not being added is fine. */
void loop_remove(struct loop *l, struct loop_watch *w);

/* A timer; zeroed but for `expired` it is not armed. */
struct loop_timer {
	uint64_t at_ns;
	size_t place; /* in the heap, from 1; 0: not armed */
	void (*expired)(struct loop_timer *t);
};

/* Arms or moves.  Resolution is a millisecond, never early. */
kf_err loop_arm(struct loop *l, struct loop_timer *t, uint64_t at_ns);
void loop_disarm(struct loop *l, struct loop_timer *t); /* not being armed is fine */

/* Something that comes from another thread (or from the same one: then it is delivered in the next
 * round).  Costs a system call only when the loop sleeps.  The sender must not touch the message after
 * posting: ownership has moved.  Messages of one sender arrive in order. */
struct loop_message {
	struct loop_message *next;
	void (*deliver)(struct loop_message *m);
};

void loop_post(struct loop *l, struct loop_message *m);

/* Called at the end of every round, lower order first. */
struct loop_hook {
	struct list link;
	int order;
	void (*round_ends)(struct loop_hook *h);
};

void loop_add_hook(struct loop *l, struct loop_hook *h);
void loop_remove_hook(struct loop_hook *h);
