/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "test.h"
#include <linux/capability.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* Whoever has CAP_IPC_LOCK, root or not, has no limit. */
static bool give_up_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
	return (geteuid() != 0 || setuid(65534) == 0) &&
	       syscall(SYS_capset, &head, none) == 0;
}

/* Far above what a test has, and no more than is allowed. */
static bool set_limit(rlim_t *ret)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_MEMLOCK, &r) < 0)
		return false;
	r.rlim_cur = (rlim_t)16 << 30;
	if (r.rlim_cur > r.rlim_max)
		r.rlim_cur = r.rlim_max;
	*ret = r.rlim_max = r.rlim_cur;
	return setrlimit(RLIMIT_MEMLOCK, &r) == 0;
}

/* Of a child. */
static bool can_go_on_allocating(void)
{
	rlim_t limit = 0;
	if (!set_limit(&limit) || !give_up_capabilities() || mem_lock_all())
		return false;
	return mmap(NULL, 2 * limit, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
	       MAP_FAILED;
}

/* Sanitizers lock nothing and say that they did. */
static bool is_lock_real(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
	return false;
#else
	return true;
#endif
#else
	return true;
#endif
}

TEST(a_limit_that_is_high_does_not_end_in_memory_that_cannot_be_had)
{
	int status = -1;
	if (!is_lock_real())
		SKIP("a sanitizer locks no memory");
	pid_t child = fork();
	if (child == 0)
		_exit(can_go_on_allocating() ? 0 : 1);
	OK(child > 0 && waitpid(child, &status, 0) == child);
	EQ(status, 0);
}

TEST(a_librarys_memory_that_shrinks_to_nothing_is_freed)
{
	for (int on = 0; on < 2; on++) {
		mem_wipe_freed(on);
		void *p = mem_library_malloc(10, NULL, 0);
		OK(p);
		OK(!mem_library_realloc(p, 0, NULL, 0)); /* sanitizers see what is lost */
		p = mem_library_realloc(NULL, 10, NULL, 0);
		OK(p);
		memset(p, 7, 10);
		p = mem_library_realloc(p, 100000, NULL, 0);
		OK(p && ((uint8_t *)p)[9] == 7);
		mem_library_free(p, NULL, 0);
		mem_wipe_freed(false);
	}
}
TEST_MAIN
