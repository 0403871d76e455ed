/* SPDX-License-Identifier: Apache-2.0
 *
 * kill-at: LD_PRELOAD.  A program ends by SIGKILL right before its KILL_AT-th change of the outside world: a rename, a
 * removed file, a signal to another process.  Without KILL_AT, or beyond it, nothing happens.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void count(void)
{
	static long n;
	const char *at = getenv("KILL_AT");
	if (at && ++n == strtol(at, NULL, 10))
		raise(SIGKILL);
}

#define OURS             __attribute__((visibility("default")))
#define NEXT(type, name) __extension__((type)dlsym(RTLD_NEXT, name))

OURS int rename(const char *from, const char *to)
{
	count();
	return NEXT(int (*)(const char *, const char *), "rename")(from, to);
}

OURS int unlink(const char *path)
{
	count();
	return NEXT(int (*)(const char *), "unlink")(path);
}

OURS int kill(pid_t pid, int number)
{
	count();
	return NEXT(int (*)(pid_t, int), "kill")(pid, number);
}
