/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/segment.h"
#include "base/mem.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 256 << 10, NUMBERS_MIN = 64 };

void segment_name(char ret[SEGMENT_NAME_SIZE], uint64_t number)
{
	snprintf(ret, SEGMENT_NAME_SIZE, "audit-%010llu.log", (unsigned long long)number);
}

uint64_t segment_number(const char *name)
{
	unsigned long long number;
	char again[SEGMENT_NAME_SIZE];
	if (sscanf(name, "audit-%20llu.log", &number) != 1)
		return 0;
	segment_name(again, number);
	return strcmp(name, again) == 0 ? number : 0;
}

/* ---- the list ---- */

struct numbers {
	uint64_t *p;
	size_t n, room;
};

static kf_err add_number(struct numbers *l, uint64_t number)
{
	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : NUMBERS_MIN;
		uint64_t *p = reallocarray(l->p, room, sizeof(*p));
		if (!p)
			return kf_fail(NOMEM, "list of audit segments");
		l->p = p;
		l->room = room;
	}
	l->p[l->n++] = number;
	return KF_OK;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static kf_err list_entries(DIR *d, struct numbers *l)
{
	for (struct dirent *e = readdir(d); e; e = readdir(d)) {
		uint64_t number = segment_number(e->d_name);
		if (number)
			KF_TRY(add_number(l, number));
	}
	return KF_OK;
}

kf_err segment_list(int directory, uint64_t **ret, size_t *ret_n)
{
	struct numbers l = { 0 };
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		mem_closep(&fd);
		return kf_fail(IO, "audit directory cannot be listed");
	}
	kf_err e = list_entries(d, &l);
	closedir(d);
	if (!kf_ok(e)) {
		free(l.p);
		return e;
	}
	if (l.n)
		qsort(l.p, l.n, sizeof(*l.p), by_number);
	*ret = l.p;
	*ret_n = l.n;
	return KF_OK;
}

/* ---- one of them ---- */

kf_err segment_adopt(int fd, struct segment_reader *ret)
{
	struct stat st;
	uint8_t *p = malloc(BUFFER);
	if (!p || fstat(fd, &st) != 0) {
		free(p);
		mem_closep(&fd);
		return kf_fail(NOMEM, "audit segment");
	}
	*ret = (struct segment_reader){ .fd = fd, .size = (uint64_t)st.st_size, .p = p };
	return KF_OK;
}

kf_err segment_open(int directory, uint64_t number, struct segment_reader *ret)
{
	char name[SEGMENT_NAME_SIZE];
	struct stat st;
	segment_name(name, number);
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return kf_fail(NOT_FOUND, "there is no such audit segment");
	if (fd < 0)
		return kf_fail(IO, "audit segment cannot be opened");
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		mem_closep(&fd);
		return kf_fail(IO, "audit segment is no regular file");
	}
	KF_TRY(segment_adopt(fd, ret));
	ret->number = number;
	return KF_OK;
}

void segment_close(struct segment_reader *r)
{
	mem_closep(&r->fd);
	free(r->p);
	r->p = NULL;
}

/* Moves what is left to the front and reads behind it. */
static bool refill(struct segment_reader *r)
{
	memmove(r->p, r->p + r->pos, r->have - r->pos);
	r->at += r->pos;
	r->have -= r->pos;
	r->pos = 0;
	ssize_t n;
	do
		n = pread(r->fd, r->p + r->have, BUFFER - r->have,
			(off_t)(r->at + r->have));
	while (n < 0 && errno == EINTR);
	r->have += n > 0 ? (size_t)n : 0;
	return n > 0;
}

/* Length of the line at pos, if its end has been read. */
static bool find_line(struct segment_reader *r, size_t *ret)
{
	const uint8_t *p = r->p + r->pos;
	size_t n = r->have - r->pos;
	if (n > SEGMENT_LINE_MAX)
		n = SEGMENT_LINE_MAX;
	const uint8_t *stop = memchr(p, '\n', n);
	size_t length = stop ? (size_t)(stop - p) : n;
	r->is_at_zero = memchr(p, 0, length) != NULL;
	*ret = length;
	return !r->is_at_zero && (stop || n == SEGMENT_LINE_MAX);
}

bool segment_next(struct segment_reader *r, struct slice *ret)
{
	size_t n;
	while (!find_line(r, &n)) {
		if (r->is_at_zero || !refill(r)) {
			r->have = r->pos; /* what is there may change: read it again */
			return false;
		}
	}
	*ret = (struct slice){ r->p + r->pos, n };
	r->pos += n;
	if (r->pos < r->have && r->p[r->pos] == '\n')
		r->pos++;
	return true;
}

uint64_t segment_place(const struct segment_reader *r) { return r->at + r->pos; }

kf_err segment_rest(struct segment_reader *r, bool *ret_is_torn, bool *ret_has_more)
{
	bool is_torn = false, has_more = false, is_zero = false;
	r->have = r->pos;
	while (refill(r)) {
		for (; r->pos < r->have; r->pos++) {
			bool was_zero = is_zero;
			is_zero |= r->p[r->pos] == 0;
			is_torn |= !is_zero;
			has_more |= was_zero && r->p[r->pos] != 0;
		}
	}
	*ret_is_torn = is_torn;
	*ret_has_more = has_more;
	return KF_OK;
}
