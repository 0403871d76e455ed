/* SPDX-License-Identifier: Apache-2.0
 *
 * mem: scope cleanup for C library things, and pages that hold secrets.
 *
 * Secret pages are locked, not dumped, invisible to ptrace where the kernel knows
 * memfd_secret, and wiped when freed.  secret_alloc() is thread-safe.
 */
#pragma once
#include "base/buf.h"

void mem_freep(void *p);  /* for CLEANUP(mem_freep) char *x */
void mem_closep(int *fd); /* for CLEANUP(mem_closep) int fd = -1 */

/* Zeroed, for free(): large tables that are read at random, on huge pages where the kernel has them. */
void *mem_wide_alloc(size_t n);

/* Makes the arena, at most `size` bytes; called once before threads exist.  Fails with NOMEM and a
 * remedy in the text when the memory cannot be locked (RLIMIT_MEMLOCK). */
kf_err secret_init(size_t size);
void *secret_alloc(size_t n); /* zeroed; NULL when the arena is full or was not made */
/* For what can be had again: leaves the last quarter of the arena to those who must have it. */
void *secret_alloc_spare(size_t n);
void secret_free(void *p); /* wipes; NULL is fine */

struct secret_use {
	size_t used, size;
};
struct secret_use secret_use(void);

/* For daemons, before there are threads and secrets: all their memory stays out of swap, what is not used yet costs
 * nothing.  False: RLIMIT_MEMLOCK does not allow it, and nothing is locked. */
bool mem_lock_all(void);

/* For a library that forgets to wipe: allocators that wipe what a thread gives back between mem_wipe_freed(true)
 * and mem_wipe_freed(false); otherwise they are those of the C library. */
void mem_wipe_freed(bool on);
void *mem_library_malloc(size_t n, const char *file, int line);
void *mem_library_realloc(void *p, size_t n, const char *file, int line);
void mem_library_free(void *p, const char *file, int line);

/* For daemons: no core dumps, no ptrace by equals (PR_SET_DUMPABLE 0, RLIMIT_CORE 0). */
void mem_forbid_dumps(void);
