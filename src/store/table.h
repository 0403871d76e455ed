/* SPDX-License-Identifier: Apache-2.0
 *
 * table: pointers by hash, for one writer and any number of readers that take no lock.
 *
 * Open addressing.  Readers load slots; the writer stores them with release, and grows by swapping
 * in a bigger array and retiring the old one (base/epoch.h).  An entry begins with its hash, which
 * does not change; what else makes two entries equal is the caller's.
 */
#pragma once
#include "base/buf.h"
#include <stdatomic.h>

struct epoch;

struct entry {
	uint64_t hash;
};

/* A slot is a pointer with 16 bits of the hash where addresses have none: entries with another hash, which
 * lie anywhere in memory, are hardly ever looked at. */
struct slots {
	size_t cap; /* a power of two */
	_Atomic uint64_t slot[];
};

struct table {
	_Atomic(struct slots *) slots;
	size_t used, n; /* the writer's: slots that are not free; entries */
	struct epoch *epoch;
};

kf_err table_init(struct table *t, struct epoch *epoch);
void table_clear(struct table *t); /* no readers any more; entries are the caller's */

/* The writer's. */
void table_each(const struct table *t, void (*visit)(struct entry *e));

kf_err table_add(struct table *t, struct entry *e);
/* Readers may hold the entry until their next quiescent point. */
void table_remove(struct table *t, struct entry *e);

/* for (e = table_first(t, hash, &w); e; e = table_next(&w)): every entry with this hash. */
struct table_walk {
	const struct slots *slots;
	uint64_t hash;
	size_t at, left;
};
struct entry *table_first(const struct table *t, uint64_t hash, struct table_walk *w);
struct entry *table_next(struct table_walk *w);
/* The hash will be looked for soon: its slot comes from memory meanwhile. */
void table_expect(const struct table *t, uint64_t hash);
