/* SPDX-License-Identifier: Apache-2.0 */
#include "store/crew.h"
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum {
	BATCH_ITEMS = 128,
	BATCH_BYTES = 1 << 20,
	BATCHES = 8,
	THREADS_MAX = 3,
	AHEAD = 4
};

struct batch {
	size_t n, bytes;
	bool is_done;
	char *items;
};

/* Batches are numbered from 0; taken <= claimed <= filled <= taken + BATCHES. */
struct crew {
	const struct crew_ops *ops;
	void *arg;
	pthread_mutex_t lock; /* guards filled, claimed, is_over and is_done of batches */
	pthread_cond_t more, done;
	uint64_t filled, claimed;
	bool is_over;
	uint64_t taken; /* the owner's, as are threads */
	size_t threads;
	pthread_t thread[THREADS_MAX];
	struct batch batch[BATCHES];
};

static struct batch *batch_at(struct crew *c, uint64_t number)
{
	return &c->batch[number % BATCHES];
}

static void *item_at(const struct crew *c, const struct batch *b, size_t i)
{
	return b->items + i * c->ops->item_size;
}

kf_err crew_new(const struct crew_ops *ops, void *arg, struct crew **ret)
{
	struct crew *c = calloc(1, sizeof(*c));
	if (!c)
		return kf_fail(NOMEM, "making a crew");
	c->ops = ops;
	c->arg = arg;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->more, NULL);
	pthread_cond_init(&c->done, NULL);
	*ret = c;
	return KF_OK;
}

/* --- work: with the lock, which is given up meanwhile --- */

static void work_on_one(struct crew *c)
{
	struct batch *b = batch_at(c, c->claimed++);
	pthread_mutex_unlock(&c->lock);
	for (size_t i = 0; i < b->n; i++)
		c->ops->work(c->arg, item_at(c, b, i));
	pthread_mutex_lock(&c->lock);
	b->is_done = true;
	pthread_cond_signal(&c->done);
}

static void *run(void *arg)
{
	struct crew *c = arg;
	pthread_mutex_lock(&c->lock);
	while (!c->is_over)
		if (c->claimed < c->filled)
			work_on_one(c);
		else
			pthread_cond_wait(&c->more, &c->lock);
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* That this process may use. */
static size_t count_processors(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (size_t)CPU_COUNT(&set) : 1;
}

/* One for each other processor; without them the owner does it all. */
static void start_threads(struct crew *c)
{
	const size_t processors = count_processors();
	while (c->threads < THREADS_MAX && c->threads + 1 < processors) {
		if (pthread_create(&c->thread[c->threads], NULL, run, c) != 0)
			return;
		c->threads++;
	}
}

/* --- the owner --- */

static void wait_for_oldest(struct crew *c)
{
	const struct batch *b = batch_at(c, c->taken);
	pthread_mutex_lock(&c->lock);
	while (!b->is_done)
		if (c->claimed < c->filled)
			work_on_one(c);
		else
			pthread_cond_wait(&c->done, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

static void clear(struct crew *c, struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		c->ops->drop(item_at(c, b, i));
	b->n = b->bytes = 0;
	b->is_done = false;
}

static void expect(const struct crew *c, const struct batch *b, size_t i)
{
	if (c->ops->expect && i < b->n)
		c->ops->expect(c->arg, item_at(c, b, i));
}

static kf_err take_oldest(struct crew *c)
{
	struct batch *b = batch_at(c, c->taken);
	wait_for_oldest(c);
	kf_err err = KF_OK;
	for (size_t i = 0; i < AHEAD; i++)
		expect(c, b, i);
	for (size_t i = 0; i < b->n && kf_ok(err); i++) {
		expect(c, b, i + AHEAD);
		err = c->ops->take(c->arg, item_at(c, b, i));
	}
	clear(c, b);
	c->taken++;
	return err;
}

static kf_err hand_over(struct crew *c)
{
	if (!c->threads && !c->taken)
		start_threads(c);
	pthread_mutex_lock(&c->lock);
	c->filled++;
	pthread_cond_signal(&c->more);
	pthread_mutex_unlock(&c->lock);
	return c->filled - c->taken == BATCHES ? take_oldest(c) : KF_OK;
}

kf_err crew_room(struct crew *c, void **ret)
{
	struct batch *b = batch_at(c, c->filled);
	if (!b->items)
		b->items = calloc(BATCH_ITEMS, c->ops->item_size);
	if (!b->items)
		return kf_fail(NOMEM, "work of a crew");
	*ret = memset(item_at(c, b, b->n), 0, c->ops->item_size);
	return KF_OK;
}

kf_err crew_add(struct crew *c, size_t bytes)
{
	struct batch *b = batch_at(c, c->filled);
	b->bytes += bytes;
	return ++b->n == BATCH_ITEMS || b->bytes >= BATCH_BYTES ? hand_over(c) : KF_OK;
}

/* What is left is too little for other threads. */
kf_err crew_finish(struct crew *c)
{
	pthread_mutex_lock(&c->lock);
	c->filled++;
	pthread_mutex_unlock(&c->lock);
	while (c->taken < c->filled)
		KF_TRY(take_oldest(c));
	return KF_OK;
}

static void stop_threads(struct crew *c)
{
	pthread_mutex_lock(&c->lock);
	c->is_over = true;
	pthread_cond_broadcast(&c->more);
	pthread_mutex_unlock(&c->lock);
	while (c->threads)
		pthread_join(c->thread[--c->threads], NULL);
}

void crew_free(struct crew *c)
{
	if (!c)
		return;
	stop_threads(c);
	for (size_t i = 0; i < BATCHES; i++) {
		clear(c, &c->batch[i]);
		free(c->batch[i].items);
	}
	pthread_cond_destroy(&c->done);
	pthread_cond_destroy(&c->more);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
