/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "bench/bench.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* schedstat counts nanoseconds, where stat counts ticks; one line a thread. */
static double thread_seconds(pid_t pid, const char *thread)
{
	char path[64], text[128];
	snprintf(path, sizeof(path), "/proc/%d/task/%.20s/schedstat", (int)pid, thread);
	CLEANUP(mem_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = 0;
	return strtod(text, NULL) / 1e9;
}

static double process_seconds(pid_t pid)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *d = opendir(path);
	if (!d)
		return 0;
	double sum = 0;
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_name[0] != '.')
			sum += thread_seconds(pid, e->d_name);
	closedir(d);
	return sum;
}

double bench_cpu_seconds(const struct bench_pids *pids)
{
	double sum = 0;
	for (size_t i = 0; i < pids->n; i++)
		sum += process_seconds(pids->pid[i]);
	return sum;
}
