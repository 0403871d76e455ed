/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/process.h"
#include "base/clock.h"
#include "base/mem.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { PROCESS_FILE_MAX = 4 << 20 };

kf_err process_read(pid_t pid, const char *name, struct buf *ret)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	CLEANUP(mem_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return kf_fail(NOT_FOUND, "the process is gone");
	for (;;) {
		uint8_t *p = buf_reserve(ret, 4096);
		ssize_t n = p ? read(fd, p, 4096) : -1;
		if (n <= 0)
			return n ? kf_fail(IO, "a process cannot be looked at") : KF_OK;
		buf_commit(ret, (size_t)n);
	}
}

void process_path(pid_t pid, char *ret, size_t size)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	ssize_t n = readlink(path, ret, size - 1);
	ret[n > 0 ? n : 0] = 0;
	/* replaced by an upgrade: the new one has the name */
	char *deleted = strstr(ret, " (deleted)");
	if (deleted)
		*deleted = 0;
}

void process_program(pid_t pid, char *ret, size_t size)
{
	char path[4096];
	process_path(pid, path, sizeof(path));
	const char *slash = strrchr(path, '/');
	snprintf(ret, size, "%s", slash ? slash + 1 : path);
}

/* Fields of /proc/PID/stat stand behind the program's name, which may hold anything. */
static bool read_stat(pid_t pid, char *ret_state, int *ret_parent)
{
	autobuf text = buf_new(16384);
	if (!kf_ok(process_read(pid, "stat", &text)))
		return false;
	buf_add_u8(&text, 0);
	const char *name_end =
		kf_ok(buf_err(&text)) ? strrchr((char *)text.p, ')') : NULL;
	return name_end && sscanf(name_end + 1, " %c %d", ret_state, ret_parent) == 2;
}

pid_t process_parent(pid_t pid)
{
	char state;
	int parent;
	return read_stat(pid, &state, &parent) ? parent : 0;
}

/* By all four ids of /proc/PID/status: the owner of the folder /proc/PID is root for whoever forbids dumps. */
bool process_is_ours(pid_t pid)
{
	autobuf text = buf_new(65536);
	unsigned id[4];
	if (!kf_ok(process_read(pid, "status", &text)))
		return false;
	buf_add_u8(&text, 0);
	const char *line =
		kf_ok(buf_err(&text)) ? strstr((char *)text.p, "\nUid:") : NULL;
	if (!line ||
		sscanf(line, "\nUid: %u %u %u %u", &id[0], &id[1], &id[2], &id[3]) != 4)
		return false;
	for (size_t i = 0; i < 4; i++)
		if (id[i] != id[0])
			return false;
	return id[0] == 0 || id[0] == geteuid();
}

bool process_is_gone(pid_t pid)
{
	char state;
	int parent;
	return !read_stat(pid, &state, &parent) || state == 'Z';
}

void process_title(pid_t pid, char *ret, size_t size)
{
	autobuf text = buf_new(PROCESS_FILE_MAX);
	size_t n = 0;
	if (kf_ok(process_read(pid, "cmdline", &text)))
		n = text.n < size - 1 ? text.n : size - 1;
	for (size_t i = 0; i < n; i++)
		ret[i] = text.p[i] ? (char)text.p[i] : ' ';
	while (n && ret[n - 1] == ' ')
		n--;
	ret[n] = 0;
}

bool process_maps(pid_t pid, const char *file_name)
{
	autobuf text = buf_new(16 << 20);
	return kf_ok(process_read(pid, "maps", &text)) && text.n &&
	       memmem(text.p, text.n, file_name, strlen(file_name));
}

static bool is_same_network(pid_t pid)
{
	char path[64];
	struct stat ours, theirs;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	return stat("/proc/self/ns/net", &ours) == 0 && stat(path, &theirs) == 0 &&
	       ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

void process_each(bool (*each)(void *arg, pid_t pid), void *arg)
{
	DIR *d = opendir("/proc");
	bool goes_on = d != NULL;
	for (struct dirent *e = d ? readdir(d) : NULL; e && goes_on; e = readdir(d)) {
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
		if (pid > 0 && is_same_network(pid))
			goes_on = each(arg, pid);
	}
	if (d)
		closedir(d);
}

struct looking {
	pid_t parent;
	struct pids *found;
};

static bool take_child(void *arg, pid_t pid)
{
	struct looking *l = arg;
	if (process_parent(pid) == l->parent && !process_is_gone(pid) &&
		l->found->n < PROCESS_CHILDREN_MAX)
		l->found->item[l->found->n++] = pid;
	return true;
}

void process_children(pid_t pid, struct pids *ret)
{
	struct looking l = { pid, ret };
	ret->n = 0;
	process_each(take_child, &l);
}

bool pids_has(const struct pids *p, pid_t pid)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->item[i] == pid)
			return true;
	return false;
}

/* ---- programs ---- */

/* What a master tells its own processes, and a service manager its service, is not for others. */
static bool is_private(const char *variable)
{
	static const char *const names[] = { "HAPROXY_", "NOTIFY_SOCKET=", "LISTEN_",
		"NGINX=" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(variable, names[i], strlen(names[i])))
			return true;
	return false;
}

/* The texts of /proc/PID/environ as execve() wants them, in memory of `texts`. */
static char **environment_of(pid_t pid, struct buf *texts)
{
	if (!pid || !kf_ok(process_read(pid, "environ", texts)) || !texts->n)
		return NULL;
	buf_add_u8(texts, 0);
	size_t n = 0, kept = 0;
	for (size_t i = 0; i < texts->n; i++)
		n += !texts->p[i];
	char **list = calloc(n + 1, sizeof(*list));
	for (size_t at = 0; list && at < texts->n;
		at += strlen((char *)texts->p + at) + 1)
		if (texts->p[at] && !is_private((char *)texts->p + at))
			list[kept++] = (char *)texts->p + at;
	return list;
}

static kf_err start(const struct run *run, int out, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	if (posix_spawn_file_actions_init(&actions))
		return kf_fail(NOMEM, "no memory for a program");
	autobuf texts = buf_new(PROCESS_FILE_MAX);
	CLEANUP(mem_freep) char **list = environment_of(run->environ_of, &texts);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_adddup2(&actions, out, 2);
	union {
		const char *const *ours;
		char *const *theirs;
	} argv = { .ours = run->argv };
	int rc = posix_spawnp(
		ret, argv.theirs[0], &actions, NULL, argv.theirs, list ? list : environ);
	posix_spawn_file_actions_destroy(&actions);
	return rc ? kf_fail(IO, "the program cannot be started") : KF_OK;
}

/* Until the last writer is gone; what does not fit is read and forgotten. */
static kf_err read_output(int fd, uint64_t deadline_ns, struct buf *output)
{
	for (;;) {
		char bytes[4096];
		uint64_t now = clock_monotonic_ns();
		struct pollfd p = { .fd = fd, .events = POLLIN };
		if (now >= deadline_ns ||
			poll(&p, 1, (int)((deadline_ns - now) / 1000000) + 1) <= 0)
			return kf_fail(TIMEOUT, "the program does not end");
		ssize_t n = read(fd, bytes, sizeof(bytes));
		if (n <= 0)
			return KF_OK;
		if (output->n + (size_t)n <= output->limit)
			buf_add(output, bytes, (size_t)n);
	}
}

kf_err process_run(const struct run *run, struct buf *output)
{
	int ends[2], status = 0;
	if (pipe2(ends, O_CLOEXEC))
		return kf_fail(IO, "no descriptors for a program");
	pid_t pid = 0;
	kf_err e = start(run, ends[1], &pid);
	close(ends[1]);
	if (kf_ok(e))
		e = read_output(ends[0],
			clock_monotonic_ns() + (uint64_t)run->timeout_ms * 1000000,
			output);
	if (!kf_ok(e) && pid)
		kill(pid, SIGKILL);
	if (pid && waitpid(pid, &status, 0) == pid && kf_ok(e) && status)
		e = kf_fail(DENIED, "the program ended with an error");
	close(ends[0]);
	return e;
}
