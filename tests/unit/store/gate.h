/* SPDX-License-Identifier: Apache-2.0
 *
 * What the suite of every driver says of changes that wait for something else before they are committed.
 */
#pragma once
#include "fixture.h"
#include "store/work.h"
#include "test.h"
#include <sched.h>
#include <stdatomic.h>

enum { GATES = 3, LATE_US = 8000, CAREFUL_NS = 1000000000 };

/* A change, what it waits for, and who waits for it. */
struct gated {
	struct change change; /* first: the gate is asked with it */
	struct wait wait;
	_Atomic int gate;
	atomic_uint asked;
	const struct store *store;
	atomic_bool is_ahead;    /* it was in a transaction while it was shut */
	atomic_bool is_given_up; /* and was taken out of it again */
	bool is_late; /* it opens when the store has stopped waiting for it with a transaction */
};

/* By the store's worker, whose group nobody else may look at. */
static enum change_gate ask(const struct change *c)
{
	struct gated *g = (struct gated *)(uintptr_t)c;
	enum change_gate gate = (enum change_gate)atomic_load(&g->gate);
	bool is_in_group = g->store && g->store->grouped;
	if (gate == GATE_SHUT && is_in_group)
		atomic_store(&g->is_ahead, true);
	else if (atomic_load(&g->is_ahead) && !is_in_group)
		atomic_store(&g->is_given_up, true);
	atomic_fetch_add(&g->asked, 1);
	return gate;
}

static bool submit_gated(struct store *s, struct gated *g, const char *id)
{
	struct spec spec = { .id = id, .name = id, .material = id };
	*g = (struct gated){ .gate = GATE_SHUT,
		.store = s,
		.wait = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false } };
	g->change.gate = ask;
	g->change.done = wait_done;
	g->change.arg = &g->wait;
	return kf_ok(add_put(&g->change, &spec, NULL)) &&
	       kf_ok(store_submit(s, &g->change));
}

static void set_gate(struct store *s, struct gated *g, enum change_gate to)
{
	atomic_store(&g->gate, to);
	store_rouse(s);
}

static kf_err outcome(struct gated *g)
{
	pthread_mutex_lock(&g->wait.lock);
	while (!g->wait.done)
		pthread_cond_wait(&g->wait.is_done, &g->wait.lock);
	pthread_mutex_unlock(&g->wait.lock);
	return g->change.err;
}

static bool is_answered(struct gated *g)
{
	pthread_mutex_lock(&g->wait.lock);
	bool is = g->wait.done;
	pthread_mutex_unlock(&g->wait.lock);
	return is;
}

static bool is_there(struct store *s, const char *id)
{
	return catalog_find(store_catalog(s), slice_of(id)) != NULL;
}

TEST(a_change_behind_a_shut_gate_waits_and_holds_up_nobody)
{
	struct fixture f = { 0 };
	struct gated g;
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	OK(submit_gated(f.store, &g, "gated"));

	for (int i = 0; i < 3; i++) {
		char id[8];
		snprintf(id, sizeof(id), "n%d", i);
		struct spec other = { .id = id, .name = id, .material = "x" };
		OK(kf_ok(put(f.store, &other)));
	}
	OK(!is_answered(&g) && !is_there(f.store, "gated"));

	set_gate(f.store, &g, GATE_OPEN);
	OK(kf_ok(outcome(&g)));
	OK(holds(f.store, "gated", "gated"));
	struct store_status status;
	store_status(f.store, &status);
	OK(status.is_writable);
	fixture_close(&f);
}

TEST(a_change_behind_a_barred_gate_is_not_made)
{
	struct fixture f = { 0 };
	struct gated barred, open;
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	OK(submit_gated(f.store, &barred, "barred"));
	OK(submit_gated(f.store, &open, "open"));

	set_gate(f.store, &barred, GATE_BARRED);
	OK(kf_is(outcome(&barred), KF_E_AUDIT));
	OK(!is_answered(&open));
	set_gate(f.store, &open, GATE_OPEN);
	OK(kf_ok(outcome(&open)));
	OK(!is_there(f.store, "barred") && is_there(f.store, "open"));

	/* Its name is free. */
	struct spec again = { .id = "again", .name = "barred", .material = "x" };
	OK(kf_ok(put(f.store, &again)));
	fixture_close(&f);
}

/* Nothing but what is tested makes the store look before its answer would be late. */
enum { LOOK_MS = 30000, LATE_ANSWER_MS = 15000 };

static bool is_late_since(uint64_t began_ns)
{
	return clock_monotonic_ns() - began_ns > LATE_ANSWER_MS * UINT64_C(1000000);
}

TEST(a_gate_that_is_barred_while_a_transaction_waits_for_it_is_noticed_at_once)
{
	struct fixture f = { .conf = { .poll_ms = LOOK_MS, .deadline_ms = 60000 } };
	struct gated g;
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	const uint64_t began = clock_monotonic_ns();
	OK(submit_gated(f.store, &g, "barred"));
	/* Once before it is taken into the transaction, once more in there. */
	while (atomic_load(&g.asked) < 2) {
		store_rouse(f.store);
		sched_yield();
	}

	set_gate(f.store, &g, GATE_BARRED);
	OK(kf_is(outcome(&g), KF_E_AUDIT));
	OK(!is_late_since(began));

	OK(!is_there(f.store, "barred"));
	fixture_close(&f);
}

TEST(a_gate_that_stays_shut_is_given_up_at_the_deadline)
{
	struct fixture f = { .conf.poll_ms = LOOK_MS };
	struct gated g;
	const uint64_t began = clock_monotonic_ns();
	struct spec spec = { .id = "late", .material = "x" };
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	g = (struct gated){ .gate = GATE_SHUT,
		.wait = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false } };
	g.change.gate = ask;
	g.change.done = wait_done;
	g.change.arg = &g.wait;
	g.change.deadline_ns = clock_monotonic_ns() + 30000000;
	OK(kf_ok(add_put(&g.change, &spec, NULL)));
	OK(kf_ok(store_submit(f.store, &g.change)));

	/* Somebody was in a hurry, which is no failure of the audit. */
	OK(kf_is(outcome(&g), KF_E_UNAVAILABLE));

	OK(!is_late_since(began));
	OK(!is_there(f.store, "late"));
	fixture_close(&f);
}

/* Whoever opens gates is another thread than whoever asks: none may be missed. */
static void *open_gates(void *arg)
{
	struct fixture *f = ((void **)arg)[0];
	struct gated *g = ((void **)arg)[1];
	for (int i = 0; i < GATES; i++) {
		while (!atomic_load(&g[i].asked))
			;
		if (g->is_late)
			usleep(LATE_US);
		set_gate(f->store, &g[i], GATE_OPEN);
	}
	return NULL;
}

TEST(no_gate_that_opens_is_missed)
{
	/* Nothing but the gates makes the store look. */
	struct fixture f = { .conf = { .poll_ms = 60000, .deadline_ms = 60000 } };
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	for (int round = 0; round < 50; round++) {
		struct gated g[GATES];
		void *arg[] = { &f, g };
		pthread_t thread;
		for (int i = 0; i < GATES; i++) {
			char id[16];
			snprintf(id, sizeof(id), "g%d-%d", round, i);
			OK(submit_gated(f.store, &g[i], id));
		}
		g->is_late = round % 10 == 0;
		OK(pthread_create(&thread, NULL, open_gates, arg) == 0);
		for (int i = 0; i < GATES; i++)
			OK(kf_ok(outcome(&g[i])));
		pthread_join(thread, NULL);
	}
	EQ(catalog_count(store_catalog(f.store)), 50 * GATES);
	fixture_close(&f);
}

static bool is_given_up(struct gated *g)
{
	const uint64_t began = clock_monotonic_ns();
	while (!atomic_load(&g->is_given_up) && !is_late_since(began))
		usleep(LATE_US);
	return atomic_load(&g->is_given_up);
}

/* Its transaction would be filled and given up for each group. */
TEST(a_slow_log_is_not_run_ahead_of_again_and_again)
{
	struct fixture f = { .conf = { .poll_ms = 60000, .deadline_ms = 60000 } };
	struct gated g;
	OK(kf_ok(fixture_open(&f, fresh_location(), KEY_A)));
	const uint64_t began = clock_monotonic_ns();
	OK(submit_gated(f.store, &g, "slow"));
	OK(store_is_shared(f.store) || is_given_up(&g)); /* that one never runs ahead */
	set_gate(f.store, &g, GATE_OPEN);
	OK(kf_ok(outcome(&g)));

	for (int i = 0; i < 3; i++) {
		char id[8];
		snprintf(id, sizeof(id), "s%d", i);
		OK(submit_gated(f.store, &g, id));
		usleep(LATE_US); /* longer than the store waits with a transaction */
		set_gate(f.store, &g, GATE_OPEN);
		OK(kf_ok(outcome(&g)));
		bool is_long_ago = clock_monotonic_ns() - began >= CAREFUL_NS;
		OK(!atomic_load(&g.is_ahead) || is_long_ago);
	}
	fixture_close(&f);
}
