/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/data.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- reading ---- */

kf_err data_open(struct cli *c, const char *path, const char *what, struct data_in *ret)
{
	*ret = (struct data_in){ .cli = c,
		.name = path ? path : "standard input",
		.fd = STDIN_FILENO,
		.progress = progress_start(what) };
	if (path) {
		ret->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (ret->fd < 0)
			return cli_file_error(c, path, file_failed(errno));
		ret->is_open = true;
	}
	struct stat s;
	if (fstat(ret->fd, &s) == 0 && S_ISREG(s.st_mode) && s.st_size > 0)
		ret->size = (uint64_t)s.st_size;
	return KF_OK;
}

void data_close(struct data_in *in)
{
	if (in->is_open)
		close(in->fd);
	progress_done(&in->progress, in->cli);
	in->is_open = false;
}

static kf_err read_some(struct data_in *in, size_t most, struct buf *ret)
{
	uint8_t *to = buf_reserve(ret, most);
	if (!to)
		return buf_err(ret);
	ssize_t n;
	do
		n = read(in->fd, to, most);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return cli_file_error(
			in->cli, in->name, kf_fail(IO, "it cannot be read"));
	buf_commit(ret, (size_t)n);
	in->is_end = n == 0;
	in->done += (size_t)n;
	return KF_OK;
}

kf_err data_read(struct data_in *in, size_t most, struct buf *ret)
{
	size_t end = ret->n + most;
	while (ret->n < end && !in->is_end)
		KF_TRY(read_some(in, end - ret->n, ret));
	if (in->size && in->done <= in->size)
		progress_show(
			&in->progress, in->cli, (double)in->done / (double)in->size);
	return KF_OK;
}

/* ---- writing ---- */

kf_err data_create(struct cli *c, const char *path, struct data_out *ret)
{
	*ret = (struct data_out){ .cli = c, .path = path, .file = { .fd = -1 } };
	return path ? cli_file_error(c, path, file_begin(path, 0600, &ret->file)) : KF_OK;
}

static kf_err write_stdout(struct slice s)
{
	while (s.n) {
		ssize_t n = write(STDOUT_FILENO, s.p, s.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return kf_fail(IO, "standard output cannot be written");
		s.p += n;
		s.n -= (size_t)n;
	}
	return KF_OK;
}

kf_err data_write(struct data_out *out, struct slice s)
{
	return out->path ? cli_file_error(out->cli, out->path, file_add(&out->file, s))
			 : write_stdout(s);
}

kf_err data_finish(struct data_out *out)
{
	return out->path ? cli_file_error(out->cli, out->path, file_end(&out->file))
			 : KF_OK;
}

void data_drop(struct data_out *out)
{
	if (out->path)
		file_drop(&out->file);
}
