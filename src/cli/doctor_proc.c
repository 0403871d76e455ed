/* SPDX-License-Identifier: Apache-2.0
 *
 * What /proc says of processes that may belong to others.
 */
#include "base/conf.h"
#include "cli/doctor.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	ENVIRONMENT_MAX = 4 << 20,
	MAPS_MAX = 16 << 20,
	LINE_MAX_BYTES = 256,
	PATIENCE_S = 30
};

static kf_err read_of(pid_t pid, const char *name, struct buf *ret)
{
	autobuf why = buf_new(65536);
	return conf_read_file(doctor_at_pid(pid, name).text, ret, &why);
}

static bool has_comm(pid_t pid, const char *comm)
{
	autobuf text = buf_new(LINE_MAX_BYTES);
	size_t n = strlen(comm);
	return kf_ok(read_of(pid, "comm", &text)) && text.n == n + 1 &&
	       !memcmp(text.p, comm, n);
}

static pid_t parent_of(pid_t pid)
{
	autobuf text = buf_new(4096);
	if (!kf_ok(read_of(pid, "stat", &text)))
		return 0;
	buf_add_u8(&text, 0);
	const char *end = text.p ? strrchr((const char *)text.p, ')') : NULL;
	return end && strlen(end) > 4 ? (pid_t)atoi(end + 4) : 0;
}

/* nginx writes its title over its arguments: "nginx: master process nginx -c FILE". */
static bool has_argument(pid_t pid, const char *argument)
{
	autobuf text = buf_new(65536);
	if (!kf_ok(read_of(pid, "cmdline", &text)))
		return false;
	size_t n = strlen(argument);
	for (size_t i = 0; i + n <= text.n; i++) {
		bool begins = i == 0 || !text.p[i - 1] || text.p[i - 1] == ' ';
		bool ends = i + n == text.n || !text.p[i + n] || text.p[i + n] == ' ';
		if (begins && ends && !memcmp(text.p + i, argument, n))
			return true;
	}
	return false;
}

static bool names_a_file(pid_t pid)
{
	return has_argument(pid, "-c") || has_argument(pid, "-f") ||
	       has_argument(pid, "--config");
}

/* A file may be named from the folder in which the process was started, or by a symbolic link. */
static bool is_file(pid_t pid, const char *argument, const struct stat *file)
{
	char path[DOCTOR_PATH + 64];
	struct stat st;
	snprintf(path, sizeof(path), "%s%s",
		*argument == '/' ? "" : doctor_at_pid(pid, "cwd/").text, argument);
	return *argument && stat(path, &st) == 0 && st.st_ino == file->st_ino &&
	       st.st_dev == file->st_dev;
}

static bool names(pid_t pid, const char *path)
{
	autobuf text = buf_new(65536);
	struct stat file;
	if (has_argument(pid, path))
		return true;
	if (stat(path, &file) || !kf_ok(read_of(pid, "cmdline", &text)))
		return false;
	buf_add_u8(&text, 0);
	for (size_t at = 0, n; kf_ok(buf_err(&text)) && at < text.n; at += n + 1) {
		char *argument = (char *)text.p + at;
		n = strcspn(argument, " ");
		argument[n] = 0;
		if (is_file(pid, argument, &file))
			return true;
	}
	return false;
}

static bool fits(pid_t pid, const struct proc_wish *w)
{
	return has_comm(pid, w->comm) && (!w->argument || names(pid, w->argument));
}

/* One that is ending has no arguments any more: nobody knows which file it had. */
static bool has_arguments(pid_t pid)
{
	autobuf text = buf_new(65536);
	return kf_ok(read_of(pid, "cmdline", &text)) && text.n;
}

/* It has the file that it takes if none is named. */
static bool may_fit(pid_t pid, const struct proc_wish *w)
{
	return w->takes_any && has_comm(pid, w->comm) && has_arguments(pid) &&
	       !names_a_file(pid);
}

static bool owner_of(pid_t pid, uid_t *ret_uid, gid_t *ret_gid)
{
	struct stat st;
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d", pid);
	if (stat(path, &st))
		return false;
	*ret_uid = st.st_uid;
	*ret_gid = st.st_gid;
	return true;
}

/* Anybody's program may have the name: the one that root started is the service. */
static bool is_likelier(pid_t a, pid_t b)
{
	uid_t of_a = 1, of_b = 1;
	gid_t gid;
	owner_of(a, &of_a, &gid);
	owner_of(b, &of_b, &gid);
	return !of_a == !of_b ? a < b : !of_a;
}

static pid_t find(const struct proc_wish *wish,
	bool (*is_wanted)(pid_t pid, const struct proc_wish *wish))
{
	DIR *dir = opendir("/proc");
	pid_t found = 0;
	struct dirent *e;
	while (dir && (e = readdir(dir))) {
		pid_t pid = (pid_t)atoi(e->d_name);
		if (pid <= 0 || !is_wanted(pid, wish))
			continue;
		bool is_child = has_comm(parent_of(pid), wish->comm);
		if (!is_child && (!found || is_likelier(pid, found)))
			found = pid;
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Who names the file comes first, however many others there are. */
pid_t proc_find(const struct proc_wish *wish)
{
	const pid_t found = find(wish, fits);
	return found ? found : find(wish, may_fit);
}

kf_err proc_getenv(pid_t pid, const char *name, char *ret, size_t size)
{
	autobuf text = buf_new(ENVIRONMENT_MAX);
	KF_TRY(read_of(pid, "environ", &text));
	/* nginx writes its title over its environment. */
	if (!text.n || !memchr(text.p, '=', text.n))
		return kf_fail(
			UNAVAILABLE, "the process has overwritten its environment");
	size_t n = strlen(name);
	for (size_t i = 0; i + n < text.n;) {
		size_t length = strnlen((const char *)text.p + i, text.n - i);
		if (length > n && !memcmp(text.p + i, name, n) && text.p[i + n] == '=')
			return slice_to_text(
				(struct slice){ text.p + i + n + 1, length - n - 1 }, ret,
				size);
		i += length + 1;
	}
	return kf_fail(NOT_FOUND, "the variable is not set");
}

kf_err proc_limit(pid_t pid, const char *name, uint64_t *ret)
{
	autobuf text = buf_new(65536);
	KF_TRY(read_of(pid, "limits", &text));
	buf_add_u8(&text, 0);
	KF_TRY(buf_err(&text));
	const char *at = strstr((const char *)text.p, name);
	if (!at)
		return kf_fail(NOT_FOUND, "there is no such limit");
	at += strlen(name);
	at += strspn(at, " ");
	*ret = !strncmp(at, "unlimited", 9) ? UINT64_MAX : strtoull(at, NULL, 10);
	return KF_OK;
}

enum proc_mapped proc_maps(pid_t pid, const char *file_name)
{
	autobuf text = buf_new(MAPS_MAX);
	if (!kf_ok(read_of(pid, "maps", &text)) || !text.n)
		return PROC_UNSEEN;
	buf_add_u8(&text, 0);
	const char *at =
		kf_ok(buf_err(&text)) ? strstr((const char *)text.p, file_name) : NULL;
	if (!at)
		return PROC_ABSENT;
	at += strlen(file_name);
	return !strncmp(at, " (deleted)", 10) ? PROC_REPLACED : PROC_MAPPED;
}

bool proc_has_own_mounts(pid_t pid)
{
	struct stat ours, theirs;
	return !stat("/proc/self/ns/mnt", &ours) &&
	       !stat(doctor_at_pid(pid, "ns/mnt").text, &theirs) &&
	       (ours.st_ino != theirs.st_ino || ours.st_dev != theirs.st_dev);
}

/* ---- workers ---- */

/* Other children are helpers, like those that rotate Apache's logs as root. */
static bool is_worker(pid_t child, pid_t of)
{
	autobuf comm = buf_new(LINE_MAX_BYTES);
	if (parent_of(child) != of || !kf_ok(read_of(of, "comm", &comm)) || comm.n < 2)
		return false;
	comm.p[comm.n - 1] = 0;
	return has_comm(child, (const char *)comm.p);
}

bool proc_worker(pid_t pid, uid_t *ret_uid, gid_t *ret_gid)
{
	DIR *dir = opendir("/proc");
	struct dirent *e;
	bool is_found = false;
	while (dir && !is_found && (e = readdir(dir))) {
		pid_t child = (pid_t)atoi(e->d_name);
		if (child > 0 && is_worker(child, pid))
			is_found = owner_of(child, ret_uid, ret_gid);
	}
	if (dir)
		closedir(dir);
	return is_found || owner_of(pid, ret_uid, ret_gid);
}

/* ---- our other programs ---- */

/* Beside this program, in sbin beside its bin, else by PATH. */
static void find_program(const char *name, char *ret, size_t size)
{
	static const char *const where[] = { "", "../sbin/", NULL };
	char self[DOCTOR_PATH];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = 0;
	char *slash = strrchr(self, '/');
	for (const char *const *w = where; slash && *w; w++) {
		snprintf(ret, size, "%.*s/%s%s", (int)(slash - self), self, *w, name);
		if (access(ret, X_OK) == 0)
			return;
	}
	snprintf(ret, size, "%s", name);
}

static void become(const char *path, const char *const argv[], int errors)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char *copy[16] = { NULL };
	for (size_t i = 0; argv[i] && i < 15; i++)
		copy[i] = strdup(argv[i]);
	if (null >= 0 && dup2(null, 0) >= 0 && dup2(null, 1) >= 0 &&
		dup2(errors, 2) >= 0) {
		alarm(PATIENCE_S); /* it is kept: nobody waits for a check that hangs */
		execvp(path, copy);
	}
	_exit(127);
}

static void read_all(int fd, struct buf *ret)
{
	uint8_t part[4096];
	ssize_t n;
	while ((n = read(fd, part, sizeof(part))) > 0)
		buf_add(ret, part, (size_t)n);
}

kf_err proc_run(const char *const argv[], struct buf *ret_errors, int *ret_status)
{
	char path[DOCTOR_PATH];
	int pipes[2], status = 0;
	find_program(argv[0], path, sizeof(path));
	if (pipe2(pipes, O_CLOEXEC))
		return kf_fail(IO, "no pipe");
	pid_t child = fork();
	if (child == 0)
		become(path, argv, pipes[1]);
	close(pipes[1]);
	read_all(pipes[0], ret_errors);
	close(pipes[0]);
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return kf_fail(IO, "the program could not be run");
	*ret_status = WEXITSTATUS(status);
	return *ret_status == 127 ? kf_fail(NOT_FOUND, "the program is not installed")
				  : KF_OK;
}
