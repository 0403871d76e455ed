/* SPDX-License-Identifier: Apache-2.0 */
#include "metric/process.h"
#include "base/clock.h"
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void put(struct metric_out *o, double value) { metric_put(o, value, NULL, NULL); }

void read_cpu(struct metric_out *o)
{
	struct timespec t = { 0 };
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	put(o, (double)t.tv_sec + (double)t.tv_nsec / 1e9);
}

/* A number of /proc/self/status, "VmLck:	    4096 kB"; 0 when the kernel does not say. */
static double status_bytes(const char *name)
{
	char line[256];
	unsigned long long kib = 0;
	FILE *f = fopen("/proc/self/status", "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)) &&
			sscanf(line + strlen(name), ": %llu kB", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return (double)kib * 1024;
}

void read_resident(struct metric_out *o) { put(o, status_bytes("VmRSS")); }
void read_virtual(struct metric_out *o) { put(o, status_bytes("VmSize")); }
void read_locked(struct metric_out *o) { put(o, status_bytes("VmLck")); }

/* Kernels since 6.2 know the number: an agent with ten thousand guests would stop for 10 ms to count. */
void read_fds(struct metric_out *o)
{
	double n = 0;
	struct stat st;
	if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0) {
		put(o, (double)st.st_size);
		return;
	}
	DIR *d = opendir("/proc/self/fd");
	if (!d)
		return;
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	put(o, n - 1); /* without the directory itself */
}

static void put_limit(struct metric_out *o, int resource)
{
	struct rlimit r;
	if (getrlimit((__rlimit_resource_t)resource, &r) == 0)
		put(o, r.rlim_cur == RLIM_INFINITY ? INFINITY : (double)r.rlim_cur);
}

void read_fds_max(struct metric_out *o) { put_limit(o, RLIMIT_NOFILE); }
void read_locked_max(struct metric_out *o) { put_limit(o, RLIMIT_MEMLOCK); }

/* Field 22 of stat counts ticks since the machine booted; the name in field 2 may hold blanks. */
static double start_after_boot(void)
{
	char line[1024] = "";
	unsigned long long ticks = 0;
	FILE *f = fopen("/proc/self/stat", "re");
	if (f && !fgets(line, sizeof(line), f))
		line[0] = 0;
	if (f)
		fclose(f);
	const char *at = strrchr(line, ')');
	if (at)
		sscanf(at + 1,
			" %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
			"%*d "
			"%*d %*d %*d %llu",
			&ticks);
	return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

void read_started(struct metric_out *o)
{
	struct timespec boot = { 0 };
	clock_gettime(CLOCK_BOOTTIME, &boot);
	double up = (double)boot.tv_sec - start_after_boot();
	put(o, (double)clock_wall_s() - up);
}
