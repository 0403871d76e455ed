/* SPDX-License-Identifier: Apache-2.0 */
#include "net/loop.h"
#include "base/clock.h"
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { EVENTS_A_ROUND = 256, NS_A_MS = 1000000 };

struct loop {
	int epoll_fd, wake_fd;
	uint64_t (*clock_ns)(void);
	struct epoch_reader *reader;
	uint64_t now_ns;
	bool must_hurry;
	struct list hooks;

	struct loop_timer **heap; /* heap[1] is the next; heap[0] is not used */
	size_t n_timers, cap_timers;

	struct epoll_event events[EVENTS_A_ROUND];
	int at_event, n_events;

	/* Written by other threads. */
	_Alignas(64) _Atomic(struct loop_message *) inbox; /* newest first */
	_Atomic bool is_asleep, is_stopping;
};

static kf_err open_fds(struct loop *l)
{
	/* Edge triggered: every write is reported once, and the counter never has to be read. */
	struct epoll_event wake = { .events = EPOLLIN | EPOLLET };
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (l->epoll_fd < 0 || l->wake_fd < 0 ||
		epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->wake_fd, &wake) < 0)
		return kf_fail(IO, "epoll or eventfd");
	return KF_OK;
}

kf_err loop_new(const struct loop_options *options, struct loop **ret)
{
	struct loop *l = aligned_alloc(_Alignof(struct loop), sizeof(*l));
	if (!l)
		return kf_fail(NOMEM, "loop");
	*l = (struct loop){ .epoll_fd = -1,
		.wake_fd = -1,
		.reader = options->reader,
		.clock_ns = options->clock_ns ? options->clock_ns : clock_monotonic_ns };
	list_init(&l->hooks);
	l->now_ns = l->clock_ns();
	kf_err e = open_fds(l);
	if (!kf_ok(e)) {
		loop_free(l);
		return e;
	}
	*ret = l;
	return KF_OK;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	free(l->heap);
	free(l);
}

uint64_t loop_now_ns(const struct loop *l) { return l->now_ns; }
void loop_hurry(struct loop *l) { l->must_hurry = true; }

/* The sleeper stores is_asleep and then looks at the inbox; we fill the inbox and then look at
 * is_asleep: one of the two sees the other (both are sequentially consistent). */
static void wake(struct loop *l)
{
	uint64_t one = 1;
	if (!atomic_load(&l->is_asleep) || !atomic_exchange(&l->is_asleep, false))
		return;
	ssize_t n = write(l->wake_fd, &one, sizeof(one));
	(void)n; /* fails only when 2^64 wake-ups were not noticed */
}

void loop_post(struct loop *l, struct loop_message *m)
{
	struct loop_message *head = atomic_load_explicit(&l->inbox, memory_order_relaxed);
	do
		m->next = head;
	while (!atomic_compare_exchange_weak(&l->inbox, &head, m));
	wake(l);
}

void loop_stop(struct loop *l)
{
	atomic_store(&l->is_stopping, true);
	wake(l);
}

static void take_inbox(struct loop *l)
{
	if (!atomic_load_explicit(&l->inbox, memory_order_relaxed))
		return;
	struct loop_message *m = atomic_exchange(&l->inbox, NULL), *oldest = NULL;
	while (m) {
		struct loop_message *next = m->next;
		m->next = oldest;
		oldest = m;
		m = next;
	}
	while (oldest) {
		m = oldest;
		oldest = m->next;
		m->deliver(m);
	}
}

/* ---- timers: a binary heap ---- */

static void place(struct loop *l, size_t i, struct loop_timer *t)
{
	l->heap[i] = t;
	t->place = i;
}

static void move_up(struct loop *l, size_t i, struct loop_timer *t)
{
	for (; i > 1 && l->heap[i / 2]->at_ns > t->at_ns; i /= 2)
		place(l, i, l->heap[i / 2]);
	place(l, i, t);
}

static void move_down(struct loop *l, size_t i, struct loop_timer *t)
{
	for (size_t child; (child = 2 * i) <= l->n_timers; i = child) {
		if (child < l->n_timers &&
			l->heap[child + 1]->at_ns < l->heap[child]->at_ns)
			child++;
		if (l->heap[child]->at_ns >= t->at_ns)
			break;
		place(l, i, l->heap[child]);
	}
	place(l, i, t);
}

static void settle(struct loop *l, size_t i, struct loop_timer *t)
{
	if (i > 1 && l->heap[i / 2]->at_ns > t->at_ns)
		move_up(l, i, t);
	else
		move_down(l, i, t);
}

static kf_err grow_heap(struct loop *l)
{
	if (l->n_timers + 1 < l->cap_timers)
		return KF_OK;
	size_t cap = l->cap_timers ? 2 * l->cap_timers : 64;
	struct loop_timer **heap =
		reallocarray(l->heap, cap, sizeof(struct loop_timer *));
	if (!heap)
		return kf_fail(NOMEM, "timers");
	l->heap = heap;
	l->cap_timers = cap;
	return KF_OK;
}

kf_err loop_arm(struct loop *l, struct loop_timer *t, uint64_t at_ns)
{
	if (!t->place) {
		KF_TRY(grow_heap(l));
		t->place = ++l->n_timers;
	}
	t->at_ns = at_ns;
	settle(l, t->place, t);
	return KF_OK;
}

void loop_disarm(struct loop *l, struct loop_timer *t)
{
	size_t i = t->place;
	if (!i)
		return;
	assert(l->heap[i] == t);
	t->place = 0;
	struct loop_timer *last = l->heap[l->n_timers--];
	if (last != t)
		settle(l, i, last);
}

/* At most as many as there were, so that a timer that arms itself for "now" cannot hold the loop. */
static void run_timers(struct loop *l)
{
	for (size_t left = l->n_timers; left && l->n_timers; left--) {
		struct loop_timer *t = l->heap[1];
		if (t->at_ns > l->now_ns)
			return;
		loop_disarm(l, t);
		t->expired(t);
	}
}

/* ---- watches ---- */

static kf_err control(struct loop *l, int op, struct loop_watch *w, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = w };
	if (epoll_ctl(l->epoll_fd, op, w->fd, &e) < 0)
		return kf_fail(IO, "descriptor cannot be watched");
	w->events = events;
	return KF_OK;
}

kf_err loop_add(struct loop *l, struct loop_watch *w, uint32_t events)
{
	return control(l, EPOLL_CTL_ADD, w, events);
}

kf_err loop_change(struct loop *l, struct loop_watch *w, uint32_t events)
{
	return events == w->events ? KF_OK : control(l, EPOLL_CTL_MOD, w, events);
}

void loop_remove(struct loop *l, struct loop_watch *w)
{
	epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
	w->events = 0;
	for (int i = l->at_event; i < l->n_events; i++)
		if (l->events[i].data.ptr == w)
			l->events[i].data.ptr = NULL;
}

static void run_watches(struct loop *l)
{
	for (l->at_event = 0; l->at_event < l->n_events; l->at_event++) {
		struct epoll_event *e = &l->events[l->at_event];
		struct loop_watch *w =
			e->data.ptr; /* NULL: the eventfd, or removed meanwhile */
		if (w)
			w->ready(w, e->events);
	}
	l->at_event = l->n_events = 0;
}

/* ---- rounds ---- */

void loop_add_hook(struct loop *l, struct loop_hook *h)
{
	struct list *before = &l->hooks;
	while (before->next != &l->hooks &&
		container_of(before->next, struct loop_hook, link)->order <= h->order)
		before = before->next;
	list_insert(before, &h->link);
}

void loop_remove_hook(struct loop_hook *h) { list_remove(&h->link); }

static void run_hooks(struct loop *l)
{
	list_each_safe(i, &l->hooks)
	{
		struct loop_hook *h = container_of(i, struct loop_hook, link);
		h->round_ends(h);
	}
}

static int until_timer_ms(const struct loop *l, int limit_ms)
{
	if (l->must_hurry)
		return 0;
	if (l->n_timers == 0 || limit_ms == 0)
		return limit_ms;
	uint64_t at = l->heap[1]->at_ns, now = l->clock_ns();
	uint64_t ms = at <= now ? 0 : (at - now + NS_A_MS - 1) / NS_A_MS;
	return limit_ms >= 0 && ms > (uint64_t)limit_ms ? limit_ms
	       : ms > 3600000                           ? 3600000
							: (int)ms;
}

static int wait_events(struct loop *l, int ms)
{
	if (ms != 0) {
		if (l->reader)
			epoch_offline(l->reader);
		atomic_store(&l->is_asleep, true);
		if (atomic_load(&l->inbox) || atomic_load(&l->is_stopping))
			ms = 0;
	}
	int n = epoll_wait(l->epoll_fd, l->events, EVENTS_A_ROUND, ms);
	atomic_store_explicit(&l->is_asleep, false, memory_order_relaxed);
	if (l->reader)
		epoch_online(l->reader);
	return n;
}

kf_err loop_round(struct loop *l, int wait_ms)
{
	int ms = until_timer_ms(l, wait_ms);
	l->must_hurry = false;
	int n = wait_events(l, ms);
	if (n < 0 && errno != EINTR)
		return kf_fail(IO, "epoll_wait");
	l->n_events = n < 0 ? 0 : n;
	l->now_ns = l->clock_ns();
	take_inbox(l);
	run_timers(l);
	run_watches(l);
	run_hooks(l);
	return KF_OK;
}

kf_err loop_run(struct loop *l)
{
	while (!atomic_load_explicit(&l->is_stopping, memory_order_acquire))
		KF_TRY(loop_round(l, -1));
	if (l->reader)
		epoch_offline(l->reader);
	return KF_OK;
}
