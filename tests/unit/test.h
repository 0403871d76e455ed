/* SPDX-License-Identifier: Apache-2.0 */
/* test: sixty lines instead of a framework.  Speaks TAP, which Meson reads.
 *
 *     TEST(buffer_forgets_secrets) { OK(...); EQ(a, b); }
 *     TEST_MAIN
 */
#pragma once
#include <stdio.h>
#include <string.h>

struct test {
	const char *name;
	void (*run)(void);
	struct test *next;
};
static struct test *tests_, **tests_end_ = &tests_;
static int test_failed_;
static const char *test_skipped_;

#define TEST(id)                                                                         \
	static void test_##id(void);                                                     \
	static struct test entry_##id = { #id, test_##id, NULL };                        \
	__attribute__((constructor)) static void add_##id(void)                          \
	{                                                                                \
		*tests_end_ = &entry_##id;                                               \
		tests_end_ = &entry_##id.next;                                           \
	}                                                                                \
	static void test_##id(void)

#define FAIL_(...)                                                                       \
	do {                                                                             \
		printf("# %s:%d: ", __FILE__, __LINE__);                                 \
		printf(__VA_ARGS__);                                                     \
		putchar('\n');                                                           \
		test_failed_ = 1;                                                        \
		return;                                                                  \
	} while (0)
/* What this machine cannot show, and says so. */
#define SKIP(why)                                                                        \
	do {                                                                             \
		test_skipped_ = (why);                                                   \
		return;                                                                  \
	} while (0)
#define OK(cond)                                                                         \
	do {                                                                             \
		if (!(cond))                                                             \
			FAIL_("not true: %s", #cond);                                    \
	} while (0)
#define EQ(a, b)                                                                         \
	do {                                                                             \
		long long a_ = (a), b_ = (b);                                            \
		if (a_ != b_)                                                            \
			FAIL_("%s = %lld, want %lld", #a, a_, b_);                       \
	} while (0)
#define MEMEQ(p, n, lit)                                                                 \
	OK((n) == sizeof(lit) - 1 && !memcmp((p), (lit), sizeof(lit) - 1))

static int test_main_(void)
{
	int n = 0, bad = 0;
	for (struct test *t = tests_; t; t = t->next) {
		test_failed_ = 0;
		test_skipped_ = NULL;
		t->run();
		printf("%s %d - %s%s%s\n", test_failed_ ? "not ok" : "ok", ++n, t->name,
			test_skipped_ ? " # SKIP " : "",
			test_skipped_ ? test_skipped_ : "");
		fflush(stdout); /* a test may fork: its child must not say it again */
		bad += test_failed_;
	}
	printf("1..%d\n", n);
	return bad != 0;
}
#define TEST_MAIN                                                                        \
	int main(void) { return test_main_(); }
