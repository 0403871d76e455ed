/* SPDX-License-Identifier: Apache-2.0
 *
 * data: what encrypt, decrypt, mac and hash read and write, in pieces: files or the standard streams.
 */
#pragma once
#include "cli/cli.h"

/* Not through stdio, whose buffers nobody wipes. */
struct data_in {
	struct cli *cli;
	const char *name; /* for people */
	int fd;
	bool is_open, is_end; /* of its own descriptor; nothing follows */
	uint64_t size, done;  /* bytes; size 0: not known */
	struct progress progress;
};
/* `path` NULL: standard input. */
kf_err data_open(struct cli *c, const char *path, const char *what, struct data_in *ret);
void data_close(struct data_in *in);
/* Appends `most` bytes, or all that is left.  is_end is known afterwards only if less came. */
kf_err data_read(struct data_in *in, size_t most, struct buf *ret);

/* A file appears, 0600, when it is whole, at data_finish(); what is there already stays until then. */
struct data_out {
	struct cli *cli;
	const char *path; /* NULL: standard output */
	struct file_new file;
};
kf_err data_create(struct cli *c, const char *path, struct data_out *ret);
kf_err data_write(struct data_out *out, struct slice s);
kf_err data_finish(struct data_out *out);
void data_drop(struct data_out *out); /* always; what was not finished is removed */
