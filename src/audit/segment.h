/* SPDX-License-Identifier: Apache-2.0
 *
 * segment: the files of a directory, and reading one while it may still be written.
 */
#pragma once
#include "base/buf.h"

enum { SEGMENT_NAME_SIZE = 32, SEGMENT_LINE_MAX = 64 << 10 };

void segment_name(char ret[SEGMENT_NAME_SIZE], uint64_t number);
uint64_t segment_number(const char *name); /* 0: not the name of a segment */

/* Ascending; *ret is freed by the caller. */
kf_err segment_list(int directory, uint64_t **ret, size_t *ret_n);

struct segment_reader {
	int fd;
	uint64_t number, size; /* of the file when it was opened */
	uint64_t at;           /* where p begins in the file */
	uint8_t *p;
	size_t have, pos;
	bool is_at_zero; /* the text has ended at a zero byte, not at the end of the file */
};

kf_err segment_open(int directory, uint64_t number, struct segment_reader *ret);
/* Any file of lines; takes the descriptor, also when it fails. */
kf_err segment_adopt(int fd, struct segment_reader *ret);
void segment_close(struct segment_reader *r);
/* The next whole line, without its newline, valid until the next call; one that is longer than
 * SEGMENT_LINE_MAX comes in pieces.  False: no more of them now; perhaps later. */
bool segment_next(struct segment_reader *r, struct slice *ret);
uint64_t segment_place(const struct segment_reader *r); /* bytes read so far */
/* After the last line: bytes that are no line.  They are zeros, or the file ends within a line. */
kf_err segment_rest(struct segment_reader *r, bool *ret_is_torn, bool *ret_has_more);
