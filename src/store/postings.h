/* SPDX-License-Identifier: Apache-2.0
 *
 * postings: which objects have a term (store/term.h), by their places in the order of making.
 *
 * One writer, any number of readers without a lock.  An object that has lost a term may still be found
 * by it, and one that has got it back be found twice: readers look at what they find.  Never more than
 * half of a list is of that kind.  Four bytes an object and term; a term of one object takes 21 to 43.
 *
 * Open addressing in cells of a term and what has it, so that a term of one object, a name, costs one access
 * to memory that no cache has.
 */
#pragma once
#include "base/buf.h"
#include <stdatomic.h>

struct epoch;
struct cells;

struct postings {
	_Atomic(struct cells *) cells;
	size_t used, n; /* the writer's: cells that are not free; terms */
	struct epoch *epoch;
};

kf_err postings_init(struct postings *p, struct epoch *epoch);
void postings_clear(struct postings *p); /* no readers any more */

/* What readers may walk through; good until their next quiescent point. */
struct posting {
	const _Atomic uint32_t *at; /* NULL: there are none */
	uint32_t n;
	uint32_t one;   /* room for a single one */
	bool is_sorted; /* ascending, each once */
};
void postings_find(const struct postings *p, uint64_t term, struct posting *ret);
uint32_t posting_at(const struct posting *p, size_t i);
/* The term will be looked for soon: its cell comes from memory meanwhile. */
void postings_expect(const struct postings *p, uint64_t term);

/* --- the writer --- */

kf_err postings_add(struct postings *p, uint64_t term, uint32_t place);
/* The object has lost the term, which it had. */
kf_err postings_drop(struct postings *p, uint64_t term, uint32_t place);
