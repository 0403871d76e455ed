/* SPDX-License-Identifier: Apache-2.0 */
#include "net/loop.h"
#include "base/mem.h"
#include "test.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

static uint64_t turned_ns;
static uint64_t our_clock(void) { return turned_ns; }

static void loop_freep(struct loop **l) { loop_free(*l); }
#define autoloop CLEANUP(loop_freep) struct loop

static struct loop *new_loop(void)
{
	struct loop *l = NULL;
	struct loop_options o = { .clock_ns = our_clock };
	return kf_ok(loop_new(&o, &l)) ? l : NULL;
}

struct end {
	struct loop_watch watch;
	struct loop *loop;
	struct end *victim; /* removed when we are called */
	int calls;
	uint32_t events;
};

static void note(struct loop_watch *w, uint32_t events)
{
	struct end *e = container_of(w, struct end, watch);
	e->calls++;
	e->events = events;
	if (e->victim)
		loop_remove(e->loop, &e->victim->watch);
}

static void make_ends(struct loop *l, struct end *a, struct end *b)
{
	int fd[2] = { -1, -1 };
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) < 0)
		return;
	*a = (struct end){ { fd[0], 0, note }, l, NULL, 0, 0 };
	*b = (struct end){ { fd[1], 0, note }, l, NULL, 0, 0 };
}

static void close_ends(struct end *a, struct end *b)
{
	close(a->watch.fd);
	close(b->watch.fd);
}

TEST(a_descriptor_is_reported_until_it_was_read)
{
	autoloop *l = new_loop();
	struct end a, b;
	char c;
	make_ends(l, &a, &b);
	OK(kf_ok(loop_add(l, &a.watch, EPOLLIN)));
	OK(kf_ok(loop_round(l, 0)));
	EQ(a.calls, 0);

	EQ(write(b.watch.fd, "x", 1), 1);
	OK(kf_ok(loop_round(l, 0)) && kf_ok(loop_round(l, 0)));
	EQ(a.calls, 2);
	EQ(read(a.watch.fd, &c, 1), 1);
	OK(kf_ok(loop_round(l, 0)));
	EQ(a.calls, 2);

	OK(kf_ok(loop_change(l, &a.watch, EPOLLIN | EPOLLOUT)));
	OK(kf_ok(loop_round(l, 0)));
	EQ(a.events, EPOLLOUT);
	loop_remove(l, &a.watch);
	OK(kf_ok(loop_round(l, 0)));
	EQ(a.calls, 3);
	close_ends(&a, &b);
}

TEST(a_removed_watch_gets_no_event_of_the_same_round)
{
	autoloop *l = new_loop();
	struct end a, b;
	make_ends(l, &a, &b);
	a.victim = &b;
	b.victim = &a;
	OK(kf_ok(loop_add(l, &a.watch, EPOLLOUT)) &&
		kf_ok(loop_add(l, &b.watch, EPOLLOUT)));
	OK(kf_ok(loop_round(l, 0)));
	EQ(a.calls + b.calls, 1);
	close_ends(&a, &b);
}

struct alarm {
	struct loop_timer timer;
	int id;
};
static int rung[32], n_rung;

static void ring(struct loop_timer *t)
{
	rung[n_rung++] = container_of(t, struct alarm, timer)->id;
}

TEST(timers_ring_in_order_and_never_early)
{
	autoloop *l = new_loop();
	static const int at[] = { 50, 10, 40, 20, 30, 60, 5 };
	struct alarm a[7] = { 0 };
	n_rung = 0;
	turned_ns = 0;
	for (int i = 0; i < 7; i++) {
		a[i] = (struct alarm){ { .expired = ring }, at[i] };
		OK(kf_ok(loop_arm(l, &a[i].timer, (uint64_t)at[i])));
	}
	loop_disarm(l, &a[3].timer); /* 20 */
	loop_disarm(l, &a[3].timer);
	OK(kf_ok(loop_arm(l, &a[5].timer, 35))); /* 60 moves */

	turned_ns = 4;
	OK(kf_ok(loop_round(l, 0)));
	EQ(n_rung, 0);
	turned_ns = 45;
	OK(kf_ok(loop_round(l, 0)));
	static const int want[] = { 5, 10, 30, 60, 40 };
	EQ(n_rung, 5);
	OK(memcmp(rung, want, sizeof(want)) == 0);
	turned_ns = 1000;
	OK(kf_ok(loop_round(l, -1)));
	EQ(n_rung, 6);
}

static struct loop *again_loop;
static void ring_again(struct loop_timer *t)
{
	n_rung++;
	kf_err e = loop_arm(again_loop, t, 0);
	(void)e;
}

TEST(a_timer_that_arms_itself_for_now_does_not_hold_the_loop)
{
	autoloop *l = again_loop = new_loop();
	struct loop_timer t = { .expired = ring_again };
	n_rung = 0;
	OK(kf_ok(loop_arm(l, &t, 0)));
	OK(kf_ok(loop_round(l, -1)));
	EQ(n_rung, 1);
}

struct hook {
	struct loop_hook hook;
	int id;
};
static void note_hook(struct loop_hook *h)
{
	rung[n_rung++] = container_of(h, struct hook, hook)->id;
}

TEST(hooks_run_at_the_end_of_a_round_in_their_order)
{
	autoloop *l = new_loop();
	struct hook late = { { .order = 9, .round_ends = note_hook }, 9 };
	struct hook soon = { { .order = 1, .round_ends = note_hook }, 1 };
	n_rung = 0;
	loop_add_hook(l, &late.hook);
	loop_add_hook(l, &soon.hook);
	loop_hurry(l);
	OK(kf_ok(loop_round(l, -1)));
	EQ(n_rung, 2);
	OK(rung[0] == 1 && rung[1] == 9);
	loop_remove_hook(&late.hook);
	OK(kf_ok(loop_round(l, 0)));
	EQ(n_rung, 3);
}

/* Two threads post to a loop that sleeps and works in turns; all arrives, each sender's in order. */
enum { SENDERS = 2, MESSAGES = 2000 };
struct letter {
	struct loop_message message;
	int sender, number;
};
static struct letter letters[SENDERS][MESSAGES];
static struct loop *post_box;
static int next_number[SENDERS], disorder, arrived;

static void deliver(struct loop_message *m)
{
	struct letter *n = container_of(m, struct letter, message);
	if (n->number != next_number[n->sender]++)
		disorder++;
	if (++arrived == SENDERS * MESSAGES)
		loop_stop(post_box);
}

static void *send_letters(void *arg)
{
	struct letter *n = arg;
	for (int i = 0; i < MESSAGES; i++)
		loop_post(post_box, &n[i].message);
	return NULL;
}

TEST(what_other_threads_post_arrives_once_and_in_order)
{
	pthread_t thread[SENDERS];
	struct loop_options o = { 0 };
	OK(kf_ok(loop_new(&o, &post_box)));
	for (int s = 0; s < SENDERS; s++)
		for (int i = 0; i < MESSAGES; i++)
			letters[s][i] = (struct letter){ { NULL, deliver }, s, i };
	for (int s = 0; s < SENDERS; s++)
		pthread_create(&thread[s], NULL, send_letters, letters[s]);

	OK(kf_ok(loop_run(post_box)));

	for (int s = 0; s < SENDERS; s++)
		pthread_join(thread[s], NULL);
	loop_free(post_box);
	EQ(arrived, SENDERS * MESSAGES);
	EQ(disorder, 0);
}

static void *stop(void *l)
{
	loop_stop(l);
	return NULL;
}

TEST(another_thread_stops_a_loop_that_sleeps)
{
	autoloop *l = new_loop();
	pthread_t thread;
	pthread_create(&thread, NULL, stop, l);
	OK(kf_ok(loop_run(l)));
	pthread_join(thread, NULL);
}

static void *run_to_end(void *l)
{
	kf_err e = loop_run(l);
	return kf_ok(e) ? NULL : l;
}

TEST(a_sleeping_loop_holds_no_epoch_up)
{
	struct epoch *e = NULL;
	struct epoch_reader *r = NULL;
	struct loop *l = NULL;
	pthread_t thread;
	OK(kf_ok(epoch_new(&e)) && kf_ok(epoch_register(e, &r)));
	struct loop_options o = { .reader = r };
	OK(kf_ok(loop_new(&o, &l)));
	OK(kf_ok(loop_round(l, 0))); /* online now */

	pthread_create(&thread, NULL, run_to_end, l);
	epoch_synchronize(e); /* returns only once the loop sleeps or has gone round */

	loop_stop(l);
	pthread_join(thread, NULL);
	loop_free(l);
	epoch_unregister(r);
	epoch_free(e);
}
TEST_MAIN
