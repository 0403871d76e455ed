/* SPDX-License-Identifier: Apache-2.0 */
#include "base/conf.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static kf_err open_failed(const char *path, struct buf *why)
{
	int no = errno;
	buf_printf(why, "%s: cannot be read: %s\n", path, strerror(no));
	if (no == ENOENT || no == ENOTDIR)
		return kf_fail(NOT_FOUND, "file does not exist");
	if (no == EACCES || no == EPERM)
		return kf_fail(DENIED, "file may not be read by this user");
	return kf_fail(IO, "file cannot be read");
}

static kf_err open_file(const char *path, struct buf *why, int *ret_fd, struct stat *ret)
{
	/* Non-blocking, so that a FIFO in its place does not hang us. */
	CLEANUP(mem_closep)
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, ret) < 0)
		return open_failed(path, why);
	if (!S_ISREG(ret->st_mode)) {
		buf_printf(why, "%s: is not a regular file\n", path);
		return kf_fail(DENIED, "not a regular file");
	}
	*ret_fd = fd;
	fd = -1;
	return KF_OK;
}

/* No more than the limit of the buf, whatever fstat() says about the size. */
static kf_err read_all(int fd, const char *path, struct buf *ret, struct buf *why)
{
	uint8_t part[4096];
	ssize_t n;
	while ((n = read(fd, part, sizeof(part))) > 0 && kf_ok(buf_err(ret)))
		buf_add(ret, part, (size_t)n);
	explicit_bzero(part, sizeof(part));
	if (n < 0)
		return open_failed(path, why);
	if (!kf_ok(buf_err(ret)))
		buf_printf(why, "%s: is larger than %zu bytes\n", path, ret->limit);
	return buf_err(ret);
}

kf_err conf_read_file(const char *path, struct buf *ret, struct buf *why)
{
	CLEANUP(mem_closep) int fd = -1;
	struct stat st;
	KF_TRY(open_file(path, why, &fd, &st));
	return read_all(fd, path, ret, why);
}

static kf_err check_private(const char *path, const struct stat *st, struct buf *why)
{
	if (st->st_mode & (S_IRWXG | S_IRWXO)) {
		buf_printf(why,
			"%s: holds a secret, but others than its owner have access (mode "
			"%04o); "
			"run: chmod 600 %s\n",
			path, st->st_mode & 07777u, path);
		return kf_fail(DENIED, "secret file is open to others; chmod 600");
	}
	uid_t us = geteuid();
	if (us != 0 && st->st_uid != us && st->st_uid != 0) {
		buf_printf(why,
			"%s: holds a secret, but belongs to another user; run: chown %ld "
			"%s\n",
			path, (long)us, path);
		return kf_fail(DENIED, "secret file belongs to another user; chown");
	}
	return KF_OK;
}

/* systemd guards its credentials by the directory and by ACLs, which look like group rights here. */
static bool is_credential(const char *path)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	size_t n = dir ? strlen(dir) : 0;
	return n && strncmp(path, dir, n) == 0 && path[n] == '/' &&
	       !strchr(path + n + 1, '/');
}

kf_err conf_read_secret(const char *path, struct buf *ret, struct buf *why)
{
	CLEANUP(mem_closep) int fd = -1;
	struct stat st;
	KF_TRY(open_file(path, why, &fd, &st));
	if (!is_credential(path))
		KF_TRY(check_private(path, &st, why));
	return read_all(fd, path, ret, why);
}

kf_err conf_read_credential(const char *name, struct buf *ret, struct buf *why)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char path[PATH_MAX];
	if (!dir || strchr(name, '/'))
		return kf_fail(NOT_FOUND, "the service manager gave no credentials");
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path))
		return kf_fail(TOO_BIG, "path of a credential");
	return conf_read_secret(path, ret, why);
}
