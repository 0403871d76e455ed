/* SPDX-License-Identifier: Apache-2.0
 *
 * journal: the segments on disk.  Owned by the audit worker.
 *
 * DIRECTORY/audit-NNNNNNNNNN.log, the highest number being written, and DIRECTORY/spare.log, which
 * is allocated ahead.  A closed segment is cut to its records; the rest of an open one is zeros.
 * Synced segments are written past the page cache (O_DIRECT, where the file system can): copying
 * into it and writing it back cost more than the record itself.
 * Each start begins a new segment and cuts what a crash left torn off the last one.
 */
#pragma once
#include "audit/audit.h"
#include "audit/segment.h"
#include <sys/types.h>

/* The system calls that fail when a disk is full or broken, so that tests can make them fail. */
struct journal_ops {
	int (*allocate)(int fd, off_t size); /* 0, or an errno */
	ssize_t (*write)(int fd, const void *p, size_t n, off_t at);
	int (*sync)(int fd);
};
extern const struct journal_ops journal_system;

enum {
	JOURNAL_SEGMENT_MIN = 1 << 20,
	JOURNAL_GROUP_MAX = 256 << 10,
	JOURNAL_BLOCK = 4096,
};

struct journal_segment {
	int fd;
	size_t used, zeroed; /* bytes from the start */
};

struct journal {
	const struct journal_ops *ops;
	int directory;
	size_t segment_size;
	bool is_synced;
	bool is_broken; /* a write to the current segment failed: go on in another one */
	uint64_t number;
	size_t torn; /* bytes cut off when it was opened */
	/* Whole blocks, for writing past the page cache: it begins with the bytes of the current
	 * segment's last block. */
	uint8_t *blocks;
	struct journal_segment current, spare; /* fd -1: none */
};

/* No segment is current then: the first journal_roll() begins one. */
kf_err journal_open(
	struct journal *j, const struct audit_conf *conf, const struct journal_ops *ops);
void journal_close(struct journal *j);

/* False: the next lines need another segment. */
bool journal_fits(const struct journal *j, size_t n);
/* Begins the next one. */
kf_err journal_roll(struct journal *j);
/* Whole lines that fit, at most JOURNAL_GROUP_MAX.  All of it is durable, or it fails, and may be
 * repeated in another segment. */
kf_err journal_append(struct journal *j, struct slice lines);

/* The closed segments after this number, ascending, and what they take.  One counts for no more than the size of
 * a segment: a file that somebody has made longer drives no others out. */
struct journal_closed {
	uint64_t *number;
	size_t n;
	uint64_t size;
};
kf_err journal_closed(
	const struct journal *j, uint64_t after, struct journal_closed *ret);
void journal_closed_free(struct journal_closed *c);
/* All segments up to this one. */
void journal_remove(const struct journal *j, uint64_t upto);

/* A small step of work for later: makes the spare, writes zeros ahead.  False: nothing left to do
 * (or nothing that can be done now). */
bool journal_prepare(struct journal *j);
/* The same between two groups, while there is load: only what will be needed soon. */
void journal_keep_ahead(struct journal *j);

size_t journal_reserve(const struct journal *j); /* bytes that need no allocation */
