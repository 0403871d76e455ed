/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	GRAIN = 64,
	HUGE_PAGE = 2 << 20,
	MEMFD_SECRET =
		447, /* the system call's number on every architecture; glibc 2.36 has no wrapper */
};

/* First fit over grains; `run[i]` is the number of grains of the piece that starts at grain i.
 * Secrets are few and long-lived, so the search is short where it matters. */
static struct {
	pthread_mutex_t lock; /* guards run, used, taken and hint */
	uint8_t *base;
	uint32_t *run;
	uint8_t *used;
	size_t grains, taken, hint;
} arena = { .lock = PTHREAD_MUTEX_INITIALIZER };

void mem_freep(void *p)
{
	free(*(void **)p);
	*(void **)p = NULL;
}

void *mem_wide_alloc(size_t n)
{
	if (n < HUGE_PAGE || n > SIZE_MAX - HUGE_PAGE)
		return calloc(1, n);
	const size_t size = (n + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
	void *p = aligned_alloc(HUGE_PAGE, size);
	if (!p)
		return NULL;
	(void)madvise(p, size, MADV_HUGEPAGE);
	memset(p, 0, size);
	return p;
}

void mem_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void *map_secret(size_t size)
{
	int fd = (int)syscall(MEMFD_SECRET, O_CLOEXEC);
	if (fd < 0)
		return NULL;
	void *p = MAP_FAILED;
	if (ftruncate(fd, (off_t)size) == 0)
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

static void *map_locked(size_t size)
{
	void *p = mmap(
		NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (mlock(p, size) || madvise(p, size, MADV_DONTDUMP)) {
		munmap(p, size);
		return NULL;
	}
	return p;
}

kf_err secret_init(size_t size)
{
	if (arena.base)
		return KF_OK;
	size = (size + 4095) & ~(size_t)4095;
	size_t grains = size / GRAIN;
	uint8_t *base = map_secret(size);
	if (!base)
		base = map_locked(size);
	if (!base)
		return kf_fail(NOMEM,
			"memory for secrets cannot be locked; raise RLIMIT_MEMLOCK");
	arena.run = calloc(grains, sizeof(*arena.run));
	arena.used = calloc(grains, 1);
	if (!arena.run || !arena.used)
		return kf_fail(NOMEM, "book-keeping of the memory for secrets");
	arena.grains = grains;
	arena.base = base;
	return KF_OK;
}

static size_t find_gap(size_t from, size_t want)
{
	size_t found = 0;
	for (size_t i = from; i < arena.grains;) {
		if (arena.used[i]) {
			i += arena.run[i];
			found = 0;
			continue;
		}
		if (++found == want)
			return i + 1 - want;
		i++;
	}
	return arena.grains;
}

static void *take(size_t n, size_t keep_free)
{
	if (!arena.base || n == 0 || n > arena.grains * GRAIN)
		return NULL;
	size_t want = (n + GRAIN - 1) / GRAIN;

	pthread_mutex_lock(&arena.lock);
	size_t at = arena.grains;
	if (arena.taken + want + keep_free <= arena.grains) {
		at = find_gap(arena.hint, want);
		if (at == arena.grains)
			at = find_gap(0, want);
	}
	if (at < arena.grains) {
		arena.run[at] = (uint32_t)want;
		memset(arena.used + at, 1, want);
		arena.taken += want;
		arena.hint = at + want < arena.grains ? at + want : 0;
	}
	pthread_mutex_unlock(&arena.lock);
	return at < arena.grains ? arena.base + at * GRAIN : NULL;
}

void *secret_alloc(size_t n) { return take(n, 0); }
void *secret_alloc_spare(size_t n) { return take(n, arena.grains / 4); }

void secret_free(void *p)
{
	if (!p)
		return;
	size_t at = (size_t)((uint8_t *)p - arena.base) / GRAIN;

	pthread_mutex_lock(&arena.lock);
	size_t n = arena.run[at];
	explicit_bzero(p, n * GRAIN);
	memset(arena.used + at, 0, n);
	arena.taken -= n;
	arena.run[at] = 0;
	arena.hint = at;
	pthread_mutex_unlock(&arena.lock);
}

struct secret_use secret_use(void)
{
	pthread_mutex_lock(&arena.lock);
	struct secret_use use = { arena.taken * GRAIN, arena.grains * GRAIN };
	pthread_mutex_unlock(&arena.lock);
	return use;
}

/* Under a limit, however high, locking succeeds now and allocating fails later: asked of a mapping that costs
 * nothing and is larger than any memory. */
bool mem_lock_all(void)
{
	const size_t room = (size_t)1 << (sizeof(size_t) > 4 ? 42 : 30);
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
		return false;
	void *trial = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (trial == MAP_FAILED) {
		munlockall();
		return false;
	}
	munmap(trial, room);
	return true;
}

static _Thread_local bool wipes_freed;

void mem_wipe_freed(bool on) { wipes_freed = on; }

void *mem_library_malloc(size_t n, const char *file, int line)
{
	(void)file, (void)line;
	return malloc(n);
}

void mem_library_free(void *p, const char *file, int line)
{
	(void)file, (void)line;
	if (wipes_freed && p)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

void *mem_library_realloc(void *p, size_t n, const char *file, int line)
{
	if (!n) {
		mem_library_free(p, file, line);
		return NULL;
	}
	if (!wipes_freed || !p)
		return realloc(p, n);
	const size_t had = malloc_usable_size(p);
	void *moved = malloc(n);
	if (!moved)
		return NULL;
	memcpy(moved, p, had < n ? had : n);
	mem_library_free(p, file, line);
	return moved;
}

void mem_forbid_dumps(void)
{
	struct rlimit none = { 0, 0 };
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
