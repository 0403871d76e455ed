/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "test.h"
#include <stdint.h>

enum { ARENA = 65536 };

static bool is_there(void) { return kf_ok(secret_init(ARENA)); }

TEST(secret_memory_is_zeroed_and_wiped)
{
	OK(is_there());
	uint8_t *p = secret_alloc(100);
	OK(p);
	memset(p, 0x5a, 100);
	secret_free(p);
	uint8_t *again = secret_alloc(100);
	OK(again);
	for (size_t i = 0; i < 100; i++)
		EQ(again[i], 0);
	secret_free(again);
}

TEST(pieces_do_not_overlap)
{
	OK(is_there());
	uint8_t *p[64];
	for (size_t i = 0; i < 64; i++) {
		p[i] = secret_alloc(1 + i * 7);
		OK(p[i]);
		memset(p[i], (int)i, 1 + i * 7);
	}
	for (size_t i = 0; i < 64; i++)
		for (size_t j = 0; j < 1 + i * 7; j++)
			EQ(p[i][j], i);
	for (size_t i = 0; i < 64; i += 2)
		secret_free(p[i]);
	for (size_t i = 1; i < 64; i += 2)
		secret_free(p[i]);
}

TEST(a_full_arena_says_so_and_recovers)
{
	OK(is_there());
	void *all = secret_alloc(ARENA);
	OK(all);
	OK(!secret_alloc(1));
	secret_free(all);
	void *one = secret_alloc(1);
	OK(one);
	secret_free(one);
}

TEST(what_can_be_had_again_leaves_a_quarter)
{
	OK(is_there());
	void *most = secret_alloc_spare(ARENA / 4 * 3);
	OK(most);
	OK(!secret_alloc_spare(1));
	void *last = secret_alloc(ARENA / 4);
	OK(last);
	secret_free(last);
	secret_free(most);
}

TEST(nonsense_is_refused)
{
	OK(is_there());
	OK(!secret_alloc(0));
	OK(!secret_alloc(ARENA + 1));
	OK(!secret_alloc(SIZE_MAX));
	secret_free(NULL);
}
TEST_MAIN
