/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "base/mem.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

kf_err file_sync_folder(const char *path)
{
	char dir[4096];
	const char *slash = strrchr(path, '/');
	int n = slash ? (int)(slash - path) + 1 : 1;
	if (snprintf(dir, sizeof(dir), "%.*s", n, slash ? path : ".") >= (int)sizeof(dir))
		return kf_fail(TOO_BIG, "the path is too long");
	CLEANUP(mem_closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && fsync(fd) == 0
		       ? KF_OK
		       : kf_fail(IO, "the file's folder cannot be made durable");
}

kf_err file_put_in_place(const char *from, const char *to)
{
	if (rename(from, to) != 0)
		return kf_fail(IO, "the file cannot be renamed into place");
	return file_sync_folder(to);
}
