/* SPDX-License-Identifier: Apache-2.0 */
#include "store/crew.h"
#include "test.h"
#include <stdatomic.h>

enum { MANY = 20000 };

struct work {
	unsigned n, answer;
};

static struct {
	atomic_uint worked;
	unsigned taken, dropped, fails_at;
	unsigned expected;
	bool is_in_order, is_expected;
} seen;

static void square(void *arg, void *item)
{
	struct work *w = item;
	(void)arg;
	w->answer = w->n * w->n;
	atomic_fetch_add(&seen.worked, 1);
}

static kf_err take(void *arg, void *item)
{
	const struct work *w = item;
	(void)arg;
	seen.is_in_order &= w->n == seen.taken && w->answer == w->n * w->n;
	if (++seen.taken == seen.fails_at)
		return kf_fail(TAMPERED, "enough");
	return KF_OK;
}

static void drop(void *item)
{
	(void)item;
	seen.dropped++;
}

/* Before it is taken, and once. */
static void expect(void *arg, const void *item)
{
	(void)arg;
	seen.is_expected &= ((const struct work *)item)->n == seen.expected++;
	seen.is_expected &= seen.expected > seen.taken;
}

static const struct crew_ops ops = { sizeof(struct work), square, take, expect, drop };

/* Returns the first error. */
static kf_err work(unsigned n, unsigned fails_at, size_t bytes, unsigned *ret_added)
{
	struct crew *c = NULL;
	kf_err err = crew_new(&ops, NULL, &c);
	void *room = NULL;
	unsigned i = 0;
	seen.worked = 0;
	seen.taken = seen.dropped = 0;
	seen.fails_at = fails_at;
	seen.expected = 0;
	seen.is_in_order = seen.is_expected = true;
	while (i < n && kf_ok(err)) {
		err = crew_room(c, &room);
		if (!kf_ok(err))
			break;
		((struct work *)room)->n = i++;
		err = crew_add(c, bytes);
	}
	if (kf_ok(err))
		err = crew_finish(c);
	crew_free(c);
	*ret_added = i;
	return err;
}

TEST(results_are_taken_in_the_order_of_the_items)
{
	static const unsigned sizes[] = { 0, 1, 127, 128, 129, 1024, 1025, MANY };
	unsigned added;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		OK(kf_ok(work(sizes[i], 0, 100, &added)));
		EQ(seen.taken, sizes[i]);
		EQ(seen.worked, sizes[i]);
		EQ(seen.dropped, sizes[i]);
		OK(seen.is_in_order && seen.is_expected);
		EQ(seen.expected, sizes[i]);
	}
}

TEST(items_that_hold_much_are_handed_over_soon)
{
	unsigned added;
	OK(kf_ok(work(100, 0, 1 << 20, &added)));
	EQ(seen.taken, 100);
	OK(seen.is_in_order);
}

TEST(an_error_ends_it_and_everything_is_dropped)
{
	unsigned added;
	OK(kf_is(work(MANY, 5000, 100, &added), KF_E_TAMPERED));
	EQ(seen.taken, 5000);
	EQ(seen.dropped, added);
	OK(added < MANY);
}

TEST_MAIN
