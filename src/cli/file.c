/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "base/conf.h"
#include "base/mem.h"
#include "cli/cli.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

kf_err path_join(const char *dir, const char *name, char *ret, size_t size)
{
	int n = snprintf(ret, size, "%s/%s", dir, name);
	if (n < 0 || (size_t)n >= size)
		return kf_fail(TOO_BIG, "the path is too long");
	return KF_OK;
}

kf_err file_failed(int error)
{
	switch (error) {
	case EEXIST: return kf_fail(EXISTS, "the file exists already");
	case ENOENT: return kf_fail(NOT_FOUND, "there is no such file or folder");
	case ENOTDIR: return kf_fail(NOT_FOUND, "part of the path is not a folder");
	case EACCES:
	case EPERM: return kf_fail(DENIED, "permission denied");
	case EROFS: return kf_fail(DENIED, "the file system is read-only");
	case ENOSPC:
	case EDQUOT: return kf_fail(FULL, "no space left for the file");
	case EISDIR: return kf_fail(EXISTS, "is a folder");
	case ELOOP: return kf_fail(EXISTS, "is a symbolic link");
	default: return kf_fail(IO, "the file cannot be opened");
	}
}

static kf_err write_some(int fd, struct slice bytes)
{
	while (bytes.n) {
		ssize_t n = write(fd, bytes.p, bytes.n);
		if (n < 0 && errno == ENOSPC)
			return kf_fail(FULL, "no space left for the file");
		if (n < 0)
			return kf_fail(IO, "the file cannot be written");
		bytes.p += n;
		bytes.n -= (size_t)n;
	}
	return KF_OK;
}

static kf_err sync_file(int fd)
{
	return fsync(fd) ? kf_fail(IO, "the file cannot be made durable") : KF_OK;
}

static kf_err write_all(int fd, struct slice bytes)
{
	KF_TRY(write_some(fd, bytes));
	return sync_file(fd);
}

kf_err file_create(const char *path, struct slice bytes, unsigned mode)
{
	CLEANUP(mem_closep)
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return file_failed(errno);
	kf_err e = write_all(fd, bytes);
	if (!kf_ok(e))
		unlink(path);
	return e;
}

/* Hidden, so that nothing that reads a folder takes it for a file of its own; always the same, so that what
 * somebody left who was killed is replaced by the next. */
static kf_err temporary_of(const char *path, char *ret, size_t size)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	int n = snprintf(
		ret, size, "%.*s.%s.keyfleet-new", (int)(base - path), path, base);
	if (n < 0 || (size_t)n >= size)
		return kf_fail(TOO_BIG, "the path is too long");
	return n - (base - path) > NAME_MAX ? kf_fail(TOO_BIG, "the name is too long")
					    : KF_OK;
}

void file_clean(const char *path)
{
	char temporary[4096];
	if (kf_ok(temporary_of(path, temporary, sizeof(temporary))))
		unlink(temporary);
}

/* ---- a new file in place of an old one ---- */

static kf_err become_like(struct file_new *f, const struct stat *like)
{
	if (fchown(f->fd, like->st_uid, like->st_gid) == 0 &&
		fchmod(f->fd, like->st_mode & 07777) == 0)
		return KF_OK;
	file_drop(f);
	return kf_fail(IO, "the file's owner and mode cannot be set");
}

static kf_err begin_like(const char *path, const struct stat *like, struct file_new *ret)
{
	*ret = (struct file_new){ .path = path, .fd = -1 };
	KF_TRY(temporary_of(path, ret->temporary, sizeof(ret->temporary)));
	unlink(ret->temporary);
	ret->fd = open(ret->temporary,
		O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	return ret->fd < 0 ? file_failed(errno) : become_like(ret, like);
}

/* NOT_FOUND: this file system has no files without names, or there is no /proc by which they get one. */
static kf_err begin_unnamed(
	const char *path, const struct stat *like, struct file_new *ret)
{
	char dir[4096];
	const char *slash = strrchr(path, '/');
	*ret = (struct file_new){ .path = path, .fd = -1, .is_unnamed = true };
	KF_TRY(temporary_of(path, ret->temporary, sizeof(ret->temporary)));
	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) + 1 : 1,
		slash ? path : ".");
	if (access("/proc/self/fd", X_OK) == 0)
		ret->fd = open(dir, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
	return ret->fd < 0 ? kf_fail(NOT_FOUND, "no files without names")
			   : become_like(ret, like);
}

static kf_err give_name(const struct file_new *f)
{
	char self[64];
	if (!f->is_unnamed)
		return KF_OK;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
	unlink(f->temporary);
	return linkat(AT_FDCWD, self, AT_FDCWD, f->temporary, AT_SYMLINK_FOLLOW)
		       ? file_failed(errno)
		       : KF_OK;
}

kf_err file_add(struct file_new *f, struct slice bytes)
{
	return write_some(f->fd, bytes);
}

kf_err file_end(struct file_new *f)
{
	KF_TRY(sync_file(f->fd));
	KF_TRY(give_name(f));
	f->is_unnamed = false;
	KF_TRY(file_put_in_place(f->temporary, f->path));
	close(f->fd);
	f->fd = -1;
	return KF_OK;
}

void file_drop(struct file_new *f)
{
	if (f->fd < 0)
		return;
	if (!f->is_unnamed)
		unlink(f->temporary);
	close(f->fd);
	f->fd = -1;
}

kf_err file_write_like(const char *path, const struct stat *like, struct slice bytes)
{
	struct file_new f;
	KF_TRY(begin_like(path, like, &f));
	kf_err e = file_add(&f, bytes);
	if (kf_ok(e))
		e = file_end(&f);
	file_drop(&f);
	return e;
}

/* Written by root, it belongs to whom the old one belonged to. */
static struct stat like_old(const char *path, unsigned mode)
{
	struct stat like;
	if (geteuid() || lstat(path, &like) || !S_ISREG(like.st_mode))
		like = (struct stat){ .st_uid = geteuid(), .st_gid = getegid() };
	like.st_mode = mode;
	return like;
}

kf_err file_begin(const char *path, unsigned mode, struct file_new *ret)
{
	struct stat old;
	*ret = (struct file_new){ .path = path, .fd = -1 };
	if (lstat(path, &old) == 0 && !S_ISREG(old.st_mode))
		return kf_fail(EXISTS, "it is there, and no plain file");
	const struct stat like = like_old(path, mode);
	kf_err e = begin_unnamed(path, &like, ret);
	return kf_is(e, KF_E_NOT_FOUND) ? begin_like(path, &like, ret) : e;
}

kf_err file_may_replace(const char *path)
{
	struct stat was;
	struct file_new f;
	if (lstat(path, &was) || !S_ISREG(was.st_mode))
		KF_TRY(file_begin(path, 0600, &f));
	else
		KF_TRY(begin_like(path, &was, &f));
	file_drop(&f);
	return KF_OK;
}

kf_err file_may_create(const char *path)
{
	struct stat was;
	return lstat(path, &was) == 0 ? file_failed(EEXIST) : file_may_replace(path);
}

kf_err file_write(const char *path, struct slice bytes, unsigned mode)
{
	const struct stat like = like_old(path, mode);
	return file_write_like(path, &like, bytes);
}

kf_err file_replace(const char *path, struct slice bytes)
{
	struct stat was;
	if (lstat(path, &was) || !S_ISREG(was.st_mode))
		return kf_fail(IO, "this is no file");
	return file_write_like(path, &was, bytes);
}

static kf_err find_user(const char *name, const struct passwd **ret)
{
	*ret = getpwnam(name);
	return *ret ? KF_OK : kf_fail(NOT_FOUND, "this host has no such user");
}

kf_err file_may_give(const char *user)
{
	const struct passwd *who;
	KF_TRY(find_user(user, &who));
	return geteuid() == 0 || geteuid() == who->pw_uid
		       ? KF_OK
		       : kf_fail(DENIED, "only root gives files to others");
}

kf_err file_give(const char *path, const char *user)
{
	const struct passwd *who;
	KF_TRY(find_user(user, &who));
	return lchown(path, who->pw_uid, who->pw_gid) == 0 ? KF_OK : file_failed(errno);
}
