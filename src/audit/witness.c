/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/witness.h"
#include "audit/fields.h"
#include "audit/segment.h"
#include "base/mem.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* In a head the values are called chain and signature, in a line that has a chain value of its own head and
 * proof. */
bool witness_read(
	struct slice line, struct witness *ret, uint8_t ret_origin[CHAIN_ORIGIN_SIZE])
{
	bool is_event = slice_is(field_find(line, "event"), "witness");
	*ret = (struct witness){ 0 };
	return chain_from_hex(
		       field_find(line, "origin"), ret_origin, CHAIN_ORIGIN_SIZE) &&
	       field_number(
		       field_find(line, is_event ? "seen" : "number"), &ret->number) &&
	       chain_from_hex(field_find(line, is_event ? "head" : "chain"), ret->chain,
		       sizeof(ret->chain)) &&
	       chain_from_hex(field_find(line, is_event ? "proof" : "signature"),
		       ret->signature, sizeof(ret->signature));
}

static kf_err add(struct witnesses *l, const struct witness *w)
{
	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 64;
		struct witness *p = reallocarray(l->p, room, sizeof(*p));
		if (!p)
			return kf_fail(NOMEM, "witnesses");
		l->p = p;
		l->room = room;
	}
	l->p[l->n++] = *w;
	return KF_OK;
}

static void note_stranger(struct witnesses *l, struct slice line)
{
	char server[FIELD_TEXT_SIZE];
	field_text(field_find(line, "server"), server, sizeof(server));
	l->strangers += l->server[0] && strcmp(server, l->server) == 0;
}

static kf_err read_line(struct witnesses *l, struct slice line)
{
	struct witness w;
	uint8_t origin[CHAIN_ORIGIN_SIZE];
	const uint8_t *at = memmem(line.p, line.n, "origin=", 7);
	if (!at)
		return KF_OK;
	/* A line that syslog or a script has put something in front of. */
	bool is_bare = witness_read(line, &w, origin);
	struct slice rest = { at, line.n - (size_t)(at - line.p) };
	if (!is_bare && !witness_read(rest, &w, origin))
		return KF_OK;
	if (memcmp(origin, l->origin, sizeof(origin)) == 0)
		return add(l, &w);
	note_stranger(l, is_bare ? line : rest);
	return KF_OK;
}

static kf_err read_open(struct witnesses *l, int fd)
{
	struct segment_reader r;
	struct slice line;
	kf_err e = KF_OK;
	KF_TRY(segment_adopt(fd, &r));
	while (kf_ok(e) && segment_next(&r, &line))
		e = read_line(l, line);
	segment_close(&r);
	return e;
}

static kf_err read_file(struct witnesses *l, int directory, const char *name)
{
	struct stat st;
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return kf_fail(IO, "file of a witness cannot be opened");
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return read_open(l, fd);
	mem_closep(&fd);
	return KF_OK;
}

static kf_err read_entries(struct witnesses *l, DIR *d)
{
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		if (e->d_name[0] != '.')
			KF_TRY(read_file(l, dirfd(d), e->d_name));
	return KF_OK;
}

kf_err witnesses_read(struct witnesses *l, const char *path)
{
	DIR *d = opendir(path);
	if (!d && errno != ENOTDIR)
		return kf_fail(IO, "file of a witness cannot be opened");
	kf_err e = d ? read_entries(l, d) : read_file(l, AT_FDCWD, path);
	if (d)
		closedir(d);
	return e;
}

static int by_number(const void *a, const void *b)
{
	const struct witness *x = a, *y = b;
	return x->number < y->number ? -1 : x->number > y->number;
}

void witnesses_sort(struct witnesses *l)
{
	if (l->n)
		qsort(l->p, l->n, sizeof(*l->p), by_number);
}

void witnesses_free(struct witnesses *l)
{
	free(l->p);
	l->p = NULL;
	l->n = l->room = 0;
}

static size_t first_of(const struct witnesses *l, uint64_t number)
{
	size_t low = 0, high = l->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (l->p[mid].number < number)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct witness *witnesses_find(
	const struct witnesses *l, uint64_t number, const struct witness *from)
{
	size_t i = from ? (size_t)(from - l->p) + 1 : first_of(l, number);
	return i < l->n && l->p[i].number == number ? &l->p[i] : NULL;
}
