/* SPDX-License-Identifier: Apache-2.0 */
#include "op/backup.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct op_backup {
	struct store *store;
	op_backup_copy copy;
	char *directory;
	pthread_mutex_t one; /* guards fd and size */
	int fd;              /* -1: none yet */
	int64_t size;
};

kf_err op_backup_new(struct store *store, op_backup_copy copy, const char *directory,
	struct op_backup **ret)
{
	struct op_backup *b = calloc(1, sizeof(*b));
	char *path = strdup(directory);

	if (!b || !path) {
		free(b);
		free(path);
		return kf_fail(NOMEM, "backup");
	}
	*b = (struct op_backup){
		.store = store, .copy = copy, .directory = path, .fd = -1
	};
	pthread_mutex_init(&b->one, NULL);
	*ret = b;
	return KF_OK;
}

void op_backup_free(struct op_backup *b)
{
	if (!b)
		return;
	mem_closep(&b->fd);
	pthread_mutex_destroy(&b->one);
	free(b->directory);
	free(b);
}

static kf_err write_all(void *arg, struct slice bytes)
{
	const int fd = *(const int *)arg;

	while (bytes.n) {
		const ssize_t n = write(fd, bytes.p, bytes.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return errno == ENOSPC ? kf_fail(FULL, "writing a backup")
					       : kf_fail(IO, "writing a backup");
		bytes = (struct slice){ bytes.p + n, bytes.n - (size_t)n };
	}
	return KF_OK;
}

static kf_err make_copy(struct op_backup *b)
{
	CLEANUP(mem_closep)
	int fd = open(b->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct store_backup_facts facts;

	if (fd < 0)
		return kf_fail(IO, "no file for the backup");
	KF_TRY(b->copy(b->store, write_all, &fd, &facts));
	const off_t size = lseek(fd, 0, SEEK_END);
	if (size < 0)
		return kf_fail(IO, "size of the backup");
	mem_closep(&b->fd);
	b->fd = fd;
	b->size = size;
	fd = -1;
	return KF_OK;
}

static kf_err read_chunk(
	const struct op_backup *b, int64_t offset, size_t maximum, struct buf *chunk)
{
	uint8_t *p = buf_reserve(chunk, maximum);

	if (!p)
		return buf_err(chunk);
	const ssize_t n = pread(b->fd, p, maximum, offset);
	if (n < 0)
		return kf_fail(IO, "reading the backup");
	buf_commit(chunk, (size_t)n);
	return KF_OK;
}

static kf_err locked_read(
	struct op_backup *b, int64_t offset, size_t maximum, struct buf *chunk)
{
	if (offset == 0)
		KF_TRY(make_copy(b));
	if (b->fd < 0 || offset < 0 || offset > b->size)
		return kf_fail(INVALID_FIELD, "no such part of a backup");
	return read_chunk(b, offset, maximum, chunk);
}

kf_err op_backup_read(struct op_backup *b, int64_t offset, size_t maximum,
	struct buf *chunk, int64_t *ret_size)
{
	pthread_mutex_lock(&b->one);
	const kf_err err = locked_read(b, offset, maximum, chunk);
	if (kf_ok(err))
		*ret_size = b->size;
	pthread_mutex_unlock(&b->one);
	return err;
}
