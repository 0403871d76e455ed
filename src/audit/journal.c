/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/journal.h"
#include "base/mem.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ZERO_STEP = 256 << 10, ZERO_AHEAD = 8 << 20 };
/* Far from where counting on would begin at 0 again, over what is there. */
#define NUMBER_MAX (UINT64_MAX / 2)
static const char spare_name[] = "spare.log";
static alignas(
	JOURNAL_BLOCK) uint8_t zeros[ZERO_STEP]; /* not const: no room in the program */

static int allocate(int fd, off_t size) { return posix_fallocate(fd, 0, size); }
const struct journal_ops journal_system = { allocate, pwrite, fdatasync };

static const struct journal_segment no_segment = { .fd = -1 };

static kf_err write_all(const struct journal *j, int fd, struct slice s, size_t at)
{
	while (s.n) {
		ssize_t n = j->ops->write(fd, s.p, s.n, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return kf_fail(FULL, "audit segment cannot be written");
		s.p += n;
		s.n -= (size_t)n;
		at += (size_t)n;
	}
	return KF_OK;
}

static int open_at(const struct journal *j, const char *name, int flags)
{
	return openat(j->directory, name, flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* Not every file system can: then the page cache it is. */
static void bypass_cache(const struct journal *j, int fd)
{
	if (j->is_synced)
		(void)!fcntl(fd, F_SETFL, O_DIRECT);
}

/* A spare that an earlier run left holds nothing but zeros, and its blocks are worth keeping when
 * the disk is full. */
static bool is_whole(int fd, size_t size)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (size_t)st.st_size == size &&
	       (size_t)st.st_blocks * 512 >= size;
}

static bool reuse_spare(struct journal *j)
{
	CLEANUP(mem_closep) int fd = open_at(j, spare_name, 0);
	if (fd < 0 || !is_whole(fd, j->segment_size))
		return false;
	bypass_cache(j, fd);
	j->spare = (struct journal_segment){ .fd = fd };
	fd = -1;
	return true;
}

static kf_err make_spare(struct journal *j)
{
	unlinkat(j->directory, spare_name, 0);
	CLEANUP(mem_closep) int fd = open_at(j, spare_name, O_CREAT | O_EXCL);
	if (fd < 0)
		return kf_fail(FULL, "audit segment cannot be created");
	if (j->ops->allocate(fd, (off_t)j->segment_size) != 0) {
		unlinkat(j->directory, spare_name, 0);
		return kf_fail(FULL, "no room for an audit segment");
	}
	bypass_cache(j, fd);
	j->spare = (struct journal_segment){ .fd = fd };
	fd = -1;
	return KF_OK;
}

static void close_segment(struct journal_segment *s)
{
	if (s->fd >= 0)
		close(s->fd);
	*s = no_segment;
}

/* Cuts the zeros off; also what a failed write may have left behind the last record. */
static void finish_current(struct journal *j)
{
	if (j->current.fd < 0)
		return;
	if (ftruncate(j->current.fd, (off_t)j->current.used) != 0)
		j->is_broken = true; /* zeros at the end harm nobody */
	close_segment(&j->current);
}

/* The spare becomes the current segment. */
kf_err journal_roll(struct journal *j)
{
	finish_current(j);
	if (j->spare.fd < 0)
		KF_TRY(make_spare(j));

	char name[SEGMENT_NAME_SIZE];
	segment_name(name, j->number + 1);
	if (renameat(j->directory, spare_name, j->directory, name) != 0 ||
		fsync(j->directory) != 0)
		return kf_fail(IO, "audit segment cannot be renamed");
	j->number++;
	j->current = j->spare;
	j->spare = no_segment;
	j->is_broken = false;
	return KF_OK;
}

static size_t whole_blocks(size_t n)
{
	return (n + JOURNAL_BLOCK - 1) / JOURNAL_BLOCK * JOURNAL_BLOCK;
}

static size_t in_last_block(const struct journal *j)
{
	return j->current.used % JOURNAL_BLOCK;
}

/* The last block is written again with what is new behind the old; the rest of it is zeros. */
static kf_err write_blocks(struct journal *j, struct slice lines)
{
	size_t old = in_last_block(j), n = old + lines.n;
	memcpy(j->blocks + old, lines.p, lines.n);
	memset(j->blocks + n, 0, whole_blocks(n) - n);
	struct slice blocks = { j->blocks, whole_blocks(n) };
	KF_TRY(write_all(j, j->current.fd, blocks, j->current.used - old));
	if (j->is_synced && j->ops->sync(j->current.fd) != 0)
		return kf_fail(IO, "audit segment cannot be synced");
	return KF_OK;
}

static void take_last_block(struct journal *j, size_t written)
{
	size_t old = in_last_block(j);
	j->current.used += written;
	size_t new = in_last_block(j);
	memmove(j->blocks, j->blocks + old + written - new, new);
}

bool journal_fits(const struct journal *j, size_t n)
{
	return j->current.fd >= 0 && !j->is_broken &&
	       n <= j->segment_size - j->current.used;
}

kf_err journal_append(struct journal *j, struct slice lines)
{
	if (!journal_fits(j, lines.n))
		return kf_fail(FULL, "audit segment is used up");
	kf_err e = write_blocks(j, lines);
	/* After a failed sync the kernel may have dropped the pages: the segment is not
	 * trusted again. */
	j->is_broken = !kf_ok(e);
	if (kf_ok(e))
		take_last_block(j, lines.n);
	return e;
}

/* Zeros ahead of use: a sync then finds written extents and needs no journal of the file system. */
static bool zero_step(struct journal *j, struct journal_segment *s)
{
	if (s->zeroed < s->used)
		s->zeroed = whole_blocks(s->used);
	size_t left = j->segment_size - s->zeroed;
	if (s->fd < 0 || left == 0 || !j->is_synced)
		return false;
	struct slice piece = { zeros, left < ZERO_STEP ? left : ZERO_STEP };
	bool is_written = kf_ok(write_all(j, s->fd, piece, s->zeroed));
	s->zeroed = is_written ? s->zeroed + piece.n : j->segment_size;
	return true;
}

bool journal_prepare(struct journal *j)
{
	if (j->spare.fd < 0)
		return kf_ok(make_spare(j));
	return (!j->is_broken && zero_step(j, &j->current)) || zero_step(j, &j->spare);
}

/* What is zeroed ahead and not used yet; the spare follows the current segment. */
static size_t zeroed_ahead(const struct journal *j)
{
	const struct journal_segment *s = &j->current;
	size_t n = s->zeroed > s->used ? s->zeroed - s->used : 0;
	return s->zeroed == j->segment_size || j->is_broken ? n + j->spare.zeroed : n;
}

void journal_keep_ahead(struct journal *j)
{
	if (j->spare.fd < 0 || zeroed_ahead(j) < ZERO_AHEAD)
		journal_prepare(j);
}

size_t journal_reserve(const struct journal *j)
{
	size_t n = j->spare.fd < 0 ? 0 : j->segment_size;
	if (j->current.fd >= 0 && !j->is_broken)
		n += j->segment_size - j->current.used;
	return n;
}

static kf_err find_last(struct journal *j)
{
	uint64_t *number = NULL;
	size_t n = 0;
	KF_TRY(segment_list(j->directory, &number, &n));
	j->number = n ? number[n - 1] : 0;
	free(number);
	if (j->number > NUMBER_MAX)
		return kf_fail(TAMPERED,
			"the audit directory has a segment of a number that no server "
			"reaches: move it away");
	return KF_OK;
}

/* Records end at the first zero byte; the last of them may be torn.  (Behind the first zero there may
 * be sectors of a group that was never acknowledged.) */
static size_t find_end(int fd, size_t *ret_torn)
{
	CLEANUP(mem_freep) uint8_t *piece = malloc(ZERO_STEP);
	size_t at = 0, end = 0;
	ssize_t n = 0;
	while (piece && (n = pread(fd, piece, ZERO_STEP, (off_t)at)) > 0) {
		const uint8_t *zero = memchr(piece, 0, (size_t)n);
		size_t live = zero ? (size_t)(zero - piece) : (size_t)n;
		const uint8_t *line = memrchr(piece, '\n', live);
		end = line ? at + (size_t)(line - piece) + 1 : end;
		at += live;
		if (zero)
			break;
	}
	*ret_torn = at - end;
	return end;
}

static kf_err cut_last(struct journal *j)
{
	char name[SEGMENT_NAME_SIZE];
	segment_name(name, j->number);
	CLEANUP(mem_closep) int fd = open_at(j, name, 0);
	if (fd < 0)
		return j->number == 0
			       ? KF_OK
			       : kf_fail(IO, "last audit segment cannot be opened");
	size_t end = find_end(fd, &j->torn);
	if (ftruncate(fd, (off_t)end) != 0)
		return kf_fail(IO, "last audit segment cannot be cut");
	return KF_OK;
}

static kf_err open_directory(struct journal *j, const char *path)
{
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return kf_fail(CONFIG, "audit directory cannot be made");
	j->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (j->directory < 0)
		return kf_fail(CONFIG, "audit directory cannot be opened");
	if (flock(j->directory, LOCK_EX | LOCK_NB) != 0)
		return kf_fail(CONFIG, "audit directory is in use by another process");
	return KF_OK;
}

static kf_err open_segments(struct journal *j, const char *path)
{
	KF_TRY(open_directory(j, path));
	KF_TRY(find_last(j));
	KF_TRY(cut_last(j));
	return reuse_spare(j) ? KF_OK : make_spare(j);
}

kf_err journal_open(
	struct journal *j, const struct audit_conf *conf, const struct journal_ops *ops)
{
	*j = (struct journal){ .ops = ops,
		.directory = -1,
		.segment_size = whole_blocks(conf->segment_size),
		.is_synced = conf->is_synced,
		.current = no_segment,
		.spare = no_segment };
	if (j->segment_size < JOURNAL_SEGMENT_MIN)
		return kf_fail(CONFIG, "audit segments are at least 1 MiB");
	j->blocks = aligned_alloc(JOURNAL_BLOCK, JOURNAL_GROUP_MAX + 2 * JOURNAL_BLOCK);
	if (!j->blocks)
		return kf_fail(NOMEM, "audit blocks");
	kf_err e = open_segments(j, conf->directory);
	if (!kf_ok(e))
		journal_close(j);
	return e;
}

void journal_close(struct journal *j)
{
	finish_current(j);
	close_segment(&j->spare);
	mem_closep(&j->directory);
	free(j->blocks);
	j->blocks = NULL;
}

/* ---- retention ---- */

static uint64_t size_of(const struct journal *j, uint64_t number)
{
	char name[SEGMENT_NAME_SIZE];
	struct stat st;
	segment_name(name, number);
	if (fstatat(j->directory, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		!S_ISREG(st.st_mode))
		return 0;
	uint64_t size = (uint64_t)st.st_size;
	return size < j->segment_size ? size : j->segment_size;
}

kf_err journal_closed(const struct journal *j, uint64_t after, struct journal_closed *ret)
{
	uint64_t *number = NULL;
	size_t n = 0, left = 0;
	*ret = (struct journal_closed){ 0 };
	KF_TRY(segment_list(j->directory, &number, &n));
	for (size_t i = 0; i < n; i++) {
		if (number[i] <= after || number[i] >= j->number)
			continue;
		ret->size += size_of(j, number[i]);
		number[left++] = number[i];
	}
	ret->number = number;
	ret->n = left;
	return KF_OK;
}

void journal_closed_free(struct journal_closed *c)
{
	free(c->number);
	*c = (struct journal_closed){ 0 };
}

void journal_remove(const struct journal *j, uint64_t upto)
{
	CLEANUP(mem_freep) uint64_t *number = NULL;
	char name[SEGMENT_NAME_SIZE];
	size_t n = 0;
	if (!kf_ok(segment_list(j->directory, &number, &n)))
		return;
	for (size_t i = 0; i < n && number[i] <= upto && number[i] < j->number; i++) {
		segment_name(name, number[i]);
		(void)!unlinkat(
			j->directory, name, 0); /* tried again with the next one */
	}
}
