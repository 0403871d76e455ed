/* SPDX-License-Identifier: Apache-2.0 */
#include "store/postings.h"
#include "base/epoch.h"
#include "test.h"
#include <pthread.h>
#include <stdlib.h>

enum { TERMS = 40, PLACES = 200, STEPS = 60000 };

struct world {
	struct epoch *epoch;
	struct postings p;
	bool has[TERMS][PLACES];
};

static bool world_open(struct world *w)
{
	*w = (struct world){ 0 };
	return kf_ok(epoch_new(&w->epoch)) && kf_ok(postings_init(&w->p, w->epoch));
}

static void world_close(struct world *w)
{
	postings_clear(&w->p);
	epoch_free(w->epoch);
}

/* Like a hash; none is 0. */
static uint64_t term(unsigned t) { return (t + 1) * UINT64_C(0x9e3779b97f4a7c15); }

static bool turn(struct world *w, unsigned t, uint32_t place)
{
	const bool had = w->has[t][place];
	const kf_err err = had ? postings_drop(&w->p, term(t), place)
			       : postings_add(&w->p, term(t), place);
	w->has[t][place] = !had;
	return kf_ok(err);
}

/* All that have the term are found, few others, and what is said to be sorted is. */
static bool is_right(const struct world *w, unsigned t)
{
	struct posting p;
	unsigned found[PLACES] = { 0 };
	size_t have = 0;
	postings_find(&w->p, term(t), &p);
	for (size_t i = 0; i < p.n; i++) {
		found[posting_at(&p, i)]++;
		if (p.is_sorted && i && posting_at(&p, i) <= posting_at(&p, i - 1))
			return false;
	}
	for (uint32_t i = 0; i < PLACES; i++) {
		if (w->has[t][i] && !found[i])
			return false;
		have += w->has[t][i];
	}
	return p.n <= 3 * have + 3;
}

TEST(whoever_has_a_term_is_found_by_it_and_few_others)
{
	static struct world w;
	OK(world_open(&w));
	srand(1);
	for (int i = 0; i < STEPS; i++) {
		const unsigned t = (unsigned)rand() % TERMS;
		OK(turn(&w, t, (uint32_t)rand() % PLACES));
		OK(is_right(&w, t));
		if (i % 100 == 0)
			epoch_reclaim(w.epoch);
	}
	world_close(&w);
}

TEST(a_term_that_nobody_has_is_forgotten)
{
	static struct world w;
	struct posting p;
	OK(world_open(&w));
	for (uint32_t n = 1; n < PLACES; n += 7) {
		for (uint32_t i = 0; i < n; i++)
			OK(turn(&w, 3, i));
		postings_find(&w.p, term(3), &p);
		EQ(p.n, n);
		OK(p.is_sorted);
		for (uint32_t i = n; i-- > 0;)
			OK(turn(&w, 3, i));
		postings_find(&w.p, term(3), &p);
		EQ(p.n, 0);
	}
	EQ(w.p.n, 0);
	postings_find(&w.p, term(4), &p);
	EQ(p.n, 0);
	world_close(&w);
}

TEST(what_is_not_there_can_be_dropped)
{
	static struct world w;
	struct posting p;
	OK(world_open(&w));
	OK(kf_ok(postings_drop(&w.p, term(1), 5)));
	OK(turn(&w, 1, 6));
	OK(kf_ok(postings_drop(&w.p, term(1), 5)));
	postings_find(&w.p, term(1), &p);
	EQ(p.n, 1);
	EQ(posting_at(&p, 0), 6);
	world_close(&w);
}

/* --- readers beside the writer --- */

struct reading {
	struct world *w;
	atomic_bool is_over;
	unsigned wrong;
};

/* Place 0 has every term all the time; whatever else is found is a place. */
static void *read_on(void *arg)
{
	struct reading *r = arg;
	struct epoch_reader *reader = NULL;
	if (!kf_ok(epoch_register(r->w->epoch, &reader)))
		abort();
	epoch_online(reader);
	for (unsigned t = 0; !r->is_over; t = (t + 1) % TERMS) {
		struct posting p;
		bool is_found = false;
		postings_find(&r->w->p, term(t), &p);
		for (size_t i = 0; i < p.n; i++) {
			is_found |= posting_at(&p, i) == 0;
			r->wrong += posting_at(&p, i) >= PLACES;
		}
		r->wrong += !is_found;
		epoch_quiescent(reader);
	}
	epoch_offline(reader);
	epoch_unregister(reader);
	return NULL;
}

TEST(who_keeps_a_term_is_found_while_others_come_and_go)
{
	static struct world w;
	struct reading r = { .w = &w };
	pthread_t thread;
	OK(world_open(&w));
	for (unsigned t = 0; t < TERMS; t++)
		OK(turn(&w, t, 0));
	OK(pthread_create(&thread, NULL, read_on, &r) == 0);
	bool is_fine = true;
	for (int i = 0; i < STEPS; i++) {
		is_fine &= turn(&w, (unsigned)rand() % TERMS,
			1 + (uint32_t)rand() % (PLACES - 1));
		epoch_reclaim(w.epoch);
	}
	r.is_over = true;
	pthread_join(thread, NULL);
	OK(is_fine);
	EQ(r.wrong, 0);
	world_close(&w);
}
TEST_MAIN
