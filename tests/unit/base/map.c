/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"
#include "base/list.h"
#include "test.h"

/* As CPython 3.11 computes them with PYTHONHASHSEED=0 (key of zeros). */
TEST(siphash_knows_its_answers)
{
	const uint64_t seed[2] = { 0, 0 };
	OK(map_siphash(seed, SLICE_LIT("a")) == 0x407448d2b89b1813);
	OK(map_siphash(seed, SLICE_LIT("abcdefgh")) == 0x3f7b849c0b8e35ea);
	OK(map_siphash(seed, SLICE_LIT("abcdefghijk")) == 0x14215fc65e2c3bd4);
}

TEST(what_was_put_is_found_and_nothing_else)
{
	CLEANUP(map_free) struct map m = map_new();
	int one, two;

	OK(map_get(&m, SLICE_LIT("a")) == NULL);
	OK(kf_ok(map_put(&m, SLICE_LIT("a"), &one)));
	OK(kf_ok(map_put(&m, SLICE_LIT(""), &two)));
	OK(kf_is(map_put(&m, SLICE_LIT("a"), &two), KF_E_EXISTS));

	OK(map_get(&m, SLICE_LIT("a")) == &one);
	OK(map_get(&m, SLICE_LIT("")) == &two);
	OK(map_get(&m, SLICE_LIT("b")) == NULL);
}

TEST(replacing_gives_the_old_value_back)
{
	CLEANUP(map_free) struct map m = map_new();
	int one, two;
	void *old;
	OK(kf_ok(map_replace(&m, SLICE_LIT("k"), &one, &old)) && old == NULL);
	OK(kf_ok(map_replace(&m, SLICE_LIT("k"), &two, &old)) && old == &one);
	OK(map_get(&m, SLICE_LIT("k")) == &two);
	EQ(m.n, 1);
}

enum { MANY = 2000 };
static uint32_t keys[MANY];
static struct slice key_of(size_t i) { return (struct slice){ (void *)&keys[i], 4 }; }

/* Removes every third of many, in an order that leaves and closes gaps. */
TEST(removing_leaves_the_others_in_place)
{
	CLEANUP(map_free) struct map m = map_new();
	for (uint32_t i = 0; i < MANY; i++) {
		keys[i] = i * 2654435761u;
		OK(kf_ok(map_put(&m, key_of(i), &keys[i])));
	}

	for (size_t i = 0; i < MANY; i += 3)
		OK(map_remove(&m, key_of(i)) == &keys[i]);

	for (size_t i = 0; i < MANY; i++)
		OK(map_get(&m, key_of(i)) == (i % 3 ? &keys[i] : NULL));
	OK(map_remove(&m, key_of(0)) == NULL);
	size_t seen = 0;
	for (size_t at = 0; map_next(&m, &at);)
		seen++;
	EQ(seen, m.n);
}

TEST(an_absurd_size_is_refused)
{
	CLEANUP(map_free) struct map m = map_new();
	OK(kf_is(map_reserve(&m, SIZE_MAX), KF_E_NOMEM));
}

struct item {
	int v;
	struct list link;
};

TEST(lists_keep_their_order)
{
	struct list all = LIST_INIT(all);
	struct item a = { .v = 1 }, b = { .v = 2 }, c = { .v = 3 };
	list_add_tail(&all, &b.link);
	list_add_tail(&all, &c.link);
	list_add_head(&all, &a.link);

	int want = 1;
	list_each(l, &all) EQ(container_of(l, struct item, link)->v, want++);
	list_each_safe(l, &all) if (container_of(l, struct item, link)->v == 2)
		list_remove(l);
	list_remove(&b.link);

	struct list moved;
	list_move_all(&moved, &all);
	OK(list_is_empty(&all));
	OK(list_take(&moved) == &a.link);
	OK(list_take(&moved) == &c.link);
	OK(list_take(&moved) == NULL);
}
TEST_MAIN
