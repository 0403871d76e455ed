/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/turns.h"
#include "test.h"

enum { MANY = 100 };

static struct list begun[MANY], fresh[MANY];

static bool is_of(const struct list *l, const struct list *all)
{
	return l >= all && l < all + MANY;
}

static void fill(struct turns *t)
{
	turns_init(t);
	for (int i = 0; i < MANY; i++) {
		list_init(&begun[i]);
		list_init(&fresh[i]);
		turns_add(t, &fresh[i], false);
		turns_add(t, &begun[i], true);
	}
}

TEST(who_has_begun_has_three_turns_of_four)
{
	struct turns t;
	fill(&t);

	for (int i = 0; i < 40; i++)
		OK(is_of(turns_take(&t), i % 4 == 3 ? fresh : begun));
}

TEST(everybody_has_a_turn_once_and_in_order)
{
	struct turns t;
	int n_begun = 0, n_fresh = 0;
	fill(&t);

	for (struct list *l; (l = turns_take(&t));)
		OK(l == (is_of(l, begun) ? &begun[n_begun++] : &fresh[n_fresh++]));

	OK(n_begun == MANY && n_fresh == MANY && !turns_wait(&t));
}

TEST(those_who_come_back_at_once_keep_no_new_one_out)
{
	struct turns t;
	int n_fresh = 0;
	fill(&t);

	for (int i = 0; i < 4 * MANY; i++) {
		struct list *l = turns_take(&t);
		if (is_of(l, begun))
			turns_add(&t, l, true);
		else
			n_fresh++;
	}

	OK(n_fresh == MANY);
}

TEST(who_is_in_already_or_has_left_has_no_turn_more)
{
	struct turns t;
	turns_init(&t);
	list_init(&begun[0]);
	list_init(&begun[1]);
	turns_add(&t, &begun[0], true);
	turns_add(&t, &begun[0], true);
	turns_add(&t, &begun[1], false);
	list_remove(&begun[1]);

	OK(turns_wait(&t));
	OK(turns_take(&t) == &begun[0]);
	OK(!turns_take(&t) && !turns_wait(&t));
}

TEST_MAIN
