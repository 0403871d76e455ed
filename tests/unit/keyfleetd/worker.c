/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/worker.h"
#include "test.h"
#include <semaphore.h>
#include <stddef.h>

enum { MANY = 2048 };

/* A piece of work that says that it has begun, and ends when it is told to. */
struct piece {
	struct work work;
	sem_t may_end;
	bool waits;
};

static struct {
	sem_t begun;
	_Atomic(int) n;
	const struct piece *_Atomic order[MANY];
} seen;

static void run(struct work *w, struct token_session *token)
{
	struct piece *p = (struct piece *)((char *)w - offsetof(struct piece, work));
	(void)token;
	seen.order[seen.n++] = p;
	sem_post(&seen.begun);
	while (p->waits && sem_wait(&p->may_end))
		;
}

static void await(int n)
{
	while (n--)
		while (sem_wait(&seen.begun))
			;
}

static void prepare(struct piece *p, const char *client, bool is_long, bool waits)
{
	*p = (struct piece){ .work = { run, client, .is_long = is_long },
		.waits = waits };
	sem_init(&p->may_end, 0, 0);
}

static struct workers *begin(unsigned threads)
{
	struct workers *w = NULL;
	sem_init(&seen.begun, 0, 0);
	seen.n = 0;
	return kf_ok(workers_start(threads, NULL, &w)) ? w : NULL;
}

TEST(clients_have_their_turns_whoever_came_first)
{
	struct workers *w = begin(1);
	struct piece first, a[5], b, c;
	OK(w);
	prepare(&first, "x", false, true);
	workers_submit(w, &first.work);
	await(1);
	for (int i = 0; i < 5; i++) {
		prepare(&a[i], "a", false, false);
		workers_submit(w, &a[i].work);
	}
	prepare(&b, "b", false, false);
	prepare(&c, NULL, false, false);
	workers_submit(w, &b.work);
	workers_submit(w, &c.work);
	EQ(workers_queued(w), 7);

	sem_post(&first.may_end);
	workers_stop(w);

	EQ(seen.n, 8);
	OK(seen.order[1] == &a[0] && seen.order[2] == &b && seen.order[3] == &c);
	for (int i = 1; i < 5; i++)
		OK(seen.order[3 + i] == &a[i]);
}

TEST(one_client_never_has_all_threads_for_what_is_long)
{
	struct workers *w = begin(2);
	struct piece a[3], quick, b;
	OK(w);
	for (int i = 0; i < 3; i++) {
		prepare(&a[i], "a", true, true);
		workers_submit(w, &a[i].work);
	}
	await(1);
	EQ(workers_queued(w), 2);

	/* Others, and what is quick, find the other thread. */
	prepare(&quick, "a", false, false);
	workers_submit(w, &quick.work);
	await(1);
	prepare(&b, "b", true, true);
	workers_submit(w, &b.work);
	await(1);
	OK(seen.n == 3 && seen.order[0] == &a[0] && seen.order[1] == &quick);
	OK(seen.order[2] == &b);
	EQ(workers_queued(w), 2);

	/* One after the other, once its own is done. */
	sem_post(&a[0].may_end);
	await(1);
	OK(seen.order[3] == &a[1]);
	sem_post(&b.may_end);
	sem_post(&a[1].may_end);
	await(1);
	OK(seen.order[4] == &a[2]);
	sem_post(&a[2].may_end);
	workers_stop(w);
	EQ(seen.n, 5);
}

TEST(two_clients_have_a_thread_each)
{
	struct workers *w = begin(2);
	struct piece a[2], b[2];
	OK(w);
	for (int i = 0; i < 2; i++) {
		prepare(&a[i], "a", true, true);
		prepare(&b[i], "b", true, true);
	}
	workers_submit(w, &a[0].work);
	await(1);
	workers_submit(w, &b[0].work);
	await(1);
	workers_submit(w, &b[1].work);
	workers_submit(w, &a[1].work);
	sem_post(&b[0].may_end);
	await(1); /* b's: a has the other thread */
	OK(seen.order[2] == &b[1]);
	sem_post(&a[0].may_end);
	await(1);
	OK(seen.order[3] == &a[1]);
	sem_post(&a[1].may_end);
	sem_post(&b[1].may_end);
	workers_stop(w);
	EQ(seen.n, 4);
}

/* More clients than buckets, each with three pieces, handed over in any order. */
TEST(many_clients_each_have_theirs_in_order)
{
	enum { CLIENTS = 600, EACH = 3, ALL = CLIENTS * EACH };
	static struct piece first, p[CLIENTS][EACH];
	static char name[CLIENTS][8];
	struct workers *w = begin(1);
	OK(w);
	prepare(&first, "first", false, true);
	workers_submit(w, &first.work);
	await(1);
	for (int i = 0; i < ALL; i++) {
		const int client = i * 7 % CLIENTS, n = i / CLIENTS;
		snprintf(name[client], sizeof(name[client]), "c%d", client);
		prepare(&p[client][n], name[client], false, false);
		workers_submit(w, &p[client][n].work);
	}
	EQ(workers_queued(w), ALL);
	sem_post(&first.may_end);
	workers_stop(w);

	EQ(seen.n, ALL + 1);
	for (int i = 0; i < ALL; i++)
		OK(seen.order[i + 1] == &p[i * 7 % CLIENTS][i / CLIENTS]);
}

TEST(a_lone_thread_does_all_of_it_and_so_does_a_stop)
{
	struct workers *w = begin(1);
	struct piece a[3];
	OK(w);
	for (int i = 0; i < 3; i++) {
		prepare(&a[i], "a", true, false);
		workers_submit(w, &a[i].work);
	}
	await(3);
	workers_stop(w);
	EQ(seen.n, 3);

	w = begin(2);
	OK(w);
	for (int i = 0; i < 3; i++) {
		prepare(&a[i], "a", true, i == 0);
		workers_submit(w, &a[i].work);
	}
	await(1);
	sem_post(&a[0].may_end);
	workers_stop(w);
	EQ(seen.n, 3);
}

TEST_MAIN
