/* SPDX-License-Identifier: Apache-2.0
 *
 * Preloaded into a program, counts the allocations that its own code asks for (not those of its
 * libraries) and prints the number on SIGUSR2.
 */
#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static uintptr_t first, last; /* the program's own addresses */
static atomic_long own;

/* dlsym() itself allocates before it has found what it is asked for. */
static uint8_t early[16384];
static size_t early_n;

static void *find(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);
	if (!f)
		_exit(1);
	return f;
}

static void note(const void *caller)
{
	if ((uintptr_t)caller >= first && (uintptr_t)caller < last)
		atomic_fetch_add(&own, 1);
}

void *malloc(size_t n)
{
	static void *(*real)(size_t);
	if (!real)
		real = (void *(*)(size_t))find("malloc");
	note(__builtin_return_address(0));
	return real(n);
}

void *realloc(void *p, size_t n)
{
	static void *(*real)(void *, size_t);
	if (!real)
		real = (void *(*)(void *, size_t))find("realloc");
	note(__builtin_return_address(0));
	return real(p, n);
}

static void *take_early(size_t n)
{
	void *p = early + early_n;
	early_n += (n + 15) & ~(size_t)15;
	return early_n <= sizeof(early) ? p : NULL;
}

void *calloc(size_t n, size_t size)
{
	static void *(*real)(size_t, size_t);
	static bool is_looking;
	if (is_looking)
		return take_early(n * size);
	if (!real) {
		is_looking = true;
		real = (void *(*)(size_t, size_t))find("calloc");
		is_looking = false;
	}
	note(__builtin_return_address(0));
	return real(n, size);
}

/* The first object is the program. */
static int look(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size, (void)arg;
	first = info->dlpi_addr;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		uintptr_t end = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr +
				info->dlpi_phdr[i].p_memsz;
		if (info->dlpi_phdr[i].p_type == PT_LOAD && end > last)
			last = end;
	}
	return 1;
}

static void print(int signal)
{
	char line[48];
	(void)signal;
	int n = snprintf(line, sizeof(line), "allocations %ld\n", atomic_load(&own));
	(void)!write(STDERR_FILENO, line, (size_t)n);
}

__attribute__((constructor)) static void begin(void)
{
	dl_iterate_phdr(look, NULL);
	signal(SIGUSR2, print);
}
