/* SPDX-License-Identifier: Apache-2.0 */
#include "base/epoch.h"
#include "base/buf.h"
#include "test.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

static _Atomic int freed;
static void count_free(void *p)
{
	free(p);
	atomic_fetch_add(&freed, 1);
}

static void epoch_freep(struct epoch **e) { epoch_free(*e); }
static void epoch_unregisterp(struct epoch_reader **r) { epoch_unregister(*r); }

TEST(nothing_is_freed_before_every_reader_has_passed)
{
	CLEANUP(epoch_freep) struct epoch *e = NULL;
	CLEANUP(epoch_unregisterp) struct epoch_reader *a = NULL, *b = NULL;
	OK(kf_ok(epoch_new(&e)));
	OK(kf_ok(epoch_register(e, &a)) && kf_ok(epoch_register(e, &b)));
	atomic_store(&freed, 0);
	epoch_online(a);
	epoch_online(b);

	epoch_retire(e, malloc(1), count_free);
	epoch_reclaim(e);
	EQ(atomic_load(&freed), 0);
	epoch_quiescent(a);
	epoch_reclaim(e);
	EQ(atomic_load(&freed), 0);
	epoch_quiescent(b);
	epoch_reclaim(e);
	EQ(atomic_load(&freed), 1);
}

TEST(a_reader_that_is_offline_holds_nothing_up)
{
	CLEANUP(epoch_freep) struct epoch *e = NULL;
	CLEANUP(epoch_unregisterp) struct epoch_reader *r = NULL;
	OK(kf_ok(epoch_new(&e)) && kf_ok(epoch_register(e, &r)));
	atomic_store(&freed, 0);

	epoch_retire(e, malloc(1), count_free);
	epoch_synchronize(e);
	EQ(atomic_load(&freed), 1);
	epoch_online(r);
	epoch_retire(e, malloc(1), count_free);
	epoch_reclaim(e);
	EQ(atomic_load(&freed), 1);
	epoch_offline(r);
	epoch_reclaim(e);
	EQ(atomic_load(&freed), 2);
}

TEST(what_is_left_is_freed_with_the_epoch)
{
	struct epoch *e = NULL;
	OK(kf_ok(epoch_new(&e)));
	atomic_store(&freed, 0);
	epoch_retire(e, malloc(1), count_free);
	epoch_retire(e, malloc(1), count_free);
	epoch_retire(e, NULL, count_free);
	epoch_free(e);
	EQ(atomic_load(&freed), 2);
}

/* A table that a writer replaces while readers look: a reader must never see a freed one. */
enum { TABLE_LIVES = 0x600d, SWAPS = 300, READERS = 2 };
struct table {
	int state;
};
static struct epoch *shared;
static struct table *_Atomic table;
static _Atomic bool is_over;
static _Atomic int broken;

static struct table *new_table(void)
{
	struct table *t = malloc(sizeof(*t));
	t->state = TABLE_LIVES;
	return t;
}

static void free_table(void *p)
{
	((struct table *)p)->state = 0;
	free(p);
}

static void *read_tables(void *arg)
{
	struct epoch_reader *r = arg;
	for (int round = 0; !atomic_load(&is_over); round++) {
		epoch_online(r);
		for (int i = 0; i < 20; i++) {
			struct table *t =
				atomic_load_explicit(&table, memory_order_acquire);
			if (t->state != TABLE_LIVES)
				atomic_fetch_add(&broken, 1);
			epoch_quiescent(r);
		}
		epoch_offline(r);
	}
	return NULL;
}

TEST(readers_on_other_threads_never_see_freed_memory)
{
	pthread_t thread[READERS];
	struct epoch_reader *r[READERS];
	OK(kf_ok(epoch_new(&shared)));
	atomic_store(&table, new_table());
	for (int i = 0; i < READERS; i++) {
		OK(kf_ok(epoch_register(shared, &r[i])));
		pthread_create(&thread[i], NULL, read_tables, r[i]);
	}

	for (int i = 0; i < SWAPS; i++) {
		struct table *old = atomic_exchange(&table, new_table());
		epoch_retire(shared, old, free_table);
		if (i % 50 == 0)
			epoch_synchronize(shared);
		else
			epoch_reclaim(shared);
	}

	atomic_store(&is_over, true);
	for (int i = 0; i < READERS; i++) {
		pthread_join(thread[i], NULL);
		epoch_unregister(r[i]);
	}
	free(atomic_load(&table));
	epoch_free(shared);
	EQ(atomic_load(&broken), 0);
}
TEST_MAIN
