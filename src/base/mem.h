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

/* For daemons: no core dumps, no ptrace by equals (PR_SET_DUMPABLE 0, RLIMIT_CORE 0). */
void mem_forbid_dumps(void);
