/* SPDX-License-Identifier: Apache-2.0 */
#include "store/postings.h"
#include "base/epoch.h"
#include "base/mem.h"
#include <stdlib.h>

enum { CAP_MIN = 4, CELLS_MIN = 64 };

/* Places in the order in which they came; more are appended behind the readers' back. */
struct list {
	uint32_t cap;
	uint32_t *lost, lost_n, lost_cap; /* the writer's: what does not count any more */
	_Atomic uint32_t n;
	atomic_bool
		is_mixed; /* not ascending any more; set before the first that is not */
	_Atomic uint32_t at[];
};

static void list_free(void *list)
{
	struct list *l = list;
	free(l->lost);
	free(l);
}

static bool is_single(uintptr_t what) { return what & 1; }
static uint32_t single(uintptr_t what) { return (uint32_t)(what >> 1); }
static struct list *list_of(uintptr_t what) { return (struct list *)what; }
static uintptr_t of_single(uint32_t place) { return (uintptr_t)place << 1 | 1; }

/* `what` is a list, or a single place: twice its number, and one.  0: nobody has the term any more; the cell
 * stays, because a search goes on behind it. */
struct cell {
	_Atomic uint64_t term; /* 0: free */
	_Atomic uintptr_t what;
};

/* A cell never lies in two cache lines. */
struct cells {
	_Alignas(sizeof(struct cell)) size_t cap; /* a power of two */
	struct cell cell[];
};

static struct cells *cells_new(size_t cap)
{
	struct cells *c = mem_wide_alloc(sizeof(*c) + cap * sizeof(c->cell[0]));
	if (c)
		c->cap = cap;
	return c;
}

static struct cells *own(const struct postings *p)
{
	return atomic_load_explicit(&p->cells, memory_order_relaxed);
}

static uintptr_t what_of(const struct cell *c)
{
	return atomic_load_explicit(&c->what, memory_order_relaxed);
}

kf_err postings_init(struct postings *p, struct epoch *epoch)
{
	struct cells *c = cells_new(CELLS_MIN);
	if (!c)
		return kf_fail(NOMEM, "making an index");
	atomic_init(&p->cells, c);
	p->used = p->n = 0;
	p->epoch = epoch;
	return KF_OK;
}

void postings_clear(struct postings *p)
{
	struct cells *c = own(p);
	for (size_t i = 0; c && i < c->cap; i++)
		if (what_of(&c->cell[i]) && !is_single(what_of(&c->cell[i])))
			list_free(list_of(what_of(&c->cell[i])));
	free(c);
	atomic_init(&p->cells, NULL);
}

/* There is always a free cell: at most 3/4 are used. */
static struct cell *cell_at(struct cells *c, uint64_t term)
{
	size_t at = term & (c->cap - 1);
	for (;;) {
		struct cell *cell = &c->cell[at];
		const uint64_t have =
			atomic_load_explicit(&cell->term, memory_order_acquire);
		if (!have || have == term)
			return cell;
		at = (at + 1) & (c->cap - 1);
	}
}

/* No term is 0. */
static uint64_t key_of(uint64_t term) { return term ? term : 1; }

static struct cell *find(const struct postings *p, uint64_t term)
{
	return cell_at(
		atomic_load_explicit(&p->cells, memory_order_acquire), key_of(term));
}

/* --- readers --- */

void postings_expect(const struct postings *p, uint64_t term)
{
	const struct cells *c = atomic_load_explicit(&p->cells, memory_order_acquire);
	__builtin_prefetch(&c->cell[key_of(term) & (c->cap - 1)]);
}

void postings_find(const struct postings *p, uint64_t term, struct posting *ret)
{
	const struct cell *c = find(p, term);
	*ret = (struct posting){ .is_sorted = true };
	if (atomic_load_explicit(&c->term, memory_order_acquire) != key_of(term))
		return; /* free, or it was a moment ago */
	const uintptr_t what = atomic_load_explicit(&c->what, memory_order_acquire);
	if (!what)
		return;
	if (is_single(what)) {
		ret->one = single(what);
		ret->n = 1;
		return;
	}
	struct list *l = list_of(what);
	ret->at = l->at;
	ret->n = atomic_load_explicit(&l->n, memory_order_acquire);
	ret->is_sorted = !atomic_load_explicit(&l->is_mixed, memory_order_relaxed);
}

uint32_t posting_at(const struct posting *p, size_t i)
{
	return p->at ? atomic_load_explicit(&p->at[i], memory_order_relaxed) : p->one;
}

/* --- the writer --- */

static struct list *list_new(uint32_t cap)
{
	struct list *l = calloc(1, sizeof(*l) + cap * sizeof(l->at[0]));
	if (l)
		l->cap = cap;
	return l;
}

static void append(struct list *l, uint32_t place)
{
	const uint32_t n = atomic_load_explicit(&l->n, memory_order_relaxed);
	if (n && atomic_load_explicit(&l->at[n - 1], memory_order_relaxed) >= place)
		atomic_store_explicit(&l->is_mixed, true, memory_order_relaxed);
	atomic_store_explicit(&l->at[n], place, memory_order_relaxed);
	atomic_store_explicit(&l->n, n + 1, memory_order_release);
}

static void publish(struct postings *p, struct cell *c, uintptr_t what)
{
	const uintptr_t was = what_of(c);
	atomic_store_explicit(&c->what, what, memory_order_release);
	if (was && !is_single(was))
		epoch_retire(p->epoch, list_of(was), list_free);
}

/* A list with the same places, and room for more. */
static struct list *grown(uintptr_t what)
{
	struct list *was = is_single(what) ? NULL : list_of(what);
	const uint32_t n = was ? atomic_load_explicit(&was->n, memory_order_relaxed) : 1;
	struct list *l = list_new(n < CAP_MIN ? CAP_MIN : n + n / 2);
	if (!l)
		return NULL;
	for (uint32_t i = 0; i < n; i++)
		append(l, was ? atomic_load_explicit(&was->at[i], memory_order_relaxed)
			      : single(what));
	if (was) { /* readers do not look at these */
		l->lost = was->lost, l->lost_n = was->lost_n, l->lost_cap = was->lost_cap;
		was->lost = NULL;
	}
	return l;
}

static void move(struct cells *from, struct cells *to)
{
	for (size_t i = 0; i < from->cap; i++) {
		const uintptr_t what = what_of(&from->cell[i]);
		const uint64_t term =
			atomic_load_explicit(&from->cell[i].term, memory_order_relaxed);
		if (!what)
			continue;
		struct cell *c = cell_at(to, term);
		atomic_init(&c->what, what);
		atomic_init(&c->term, term);
	}
}

static kf_err make_room(struct postings *p)
{
	struct cells *old = own(p);
	size_t cap = old->cap;
	if ((p->used + 1) * 4 <= cap * 3)
		return KF_OK;
	while ((p->n + 1) * 2 > cap)
		cap *= 2;
	struct cells *c = cells_new(cap);
	if (!c)
		return kf_fail(NOMEM, "growing an index");
	move(old, c);
	p->used = p->n;
	atomic_store_explicit(&p->cells, c, memory_order_release);
	epoch_retire(p->epoch, old, free);
	return KF_OK;
}

/* In a cell that is free, or of a term that nobody has any more. */
static kf_err add_first(struct postings *p, uint64_t term, uint32_t place)
{
	KF_TRY(make_room(p));
	struct cell *c = find(p, term);
	const bool is_free = !atomic_load_explicit(&c->term, memory_order_relaxed);
	publish(p, c, of_single(place));
	if (is_free)
		atomic_store_explicit(&c->term, key_of(term), memory_order_release);
	p->used += is_free;
	p->n++;
	return KF_OK;
}

kf_err postings_add(struct postings *p, uint64_t term, uint32_t place)
{
	struct cell *c = find(p, term);
	const uintptr_t what = what_of(c);
	if (!what)
		return add_first(p, term, place);
	struct list *l = is_single(what) ? NULL : list_of(what);
	if (l && atomic_load_explicit(&l->n, memory_order_relaxed) < l->cap) {
		append(l, place);
		return KF_OK;
	}
	l = grown(what);
	if (!l)
		return kf_fail(NOMEM, "indexing an object");
	append(l, place);
	publish(p, c, (uintptr_t)l);
	return KF_OK;
}

/* --- forgetting --- */

static int ascending(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

/* What is left, ascending, each once; returns how many.  What was lost and came back is there twice, and
 * once among the lost. */
static uint32_t subtract(const struct list *l, uint32_t *ret)
{
	const uint32_t all = atomic_load_explicit(&l->n, memory_order_relaxed);
	uint32_t kept = 0, lost = 0;
	for (uint32_t i = 0; i < all; i++)
		ret[i] = atomic_load_explicit(&l->at[i], memory_order_relaxed);
	if (atomic_load_explicit(&l->is_mixed, memory_order_relaxed))
		qsort(ret, all, sizeof(*ret), ascending);
	qsort(l->lost, l->lost_n, sizeof(*l->lost), ascending);
	for (uint32_t i = 0; i < all; i++)
		if (lost < l->lost_n && l->lost[lost] == ret[i])
			lost++;
		else
			ret[kept++] = ret[i];
	return kept;
}

static void drop_term(struct postings *p, struct cell *c)
{
	publish(p, c, 0);
	p->n--;
}

static kf_err put_back(
	struct postings *p, struct cell *c, const uint32_t *place, uint32_t n)
{
	if (n == 0) {
		drop_term(p, c);
		return KF_OK;
	}
	if (n == 1) {
		publish(p, c, of_single(place[0]));
		return KF_OK;
	}
	struct list *l = list_new(n + n / 2);
	if (!l)
		return kf_fail(NOMEM, "indexing an object");
	for (uint32_t i = 0; i < n; i++)
		append(l, place[i]);
	publish(p, c, (uintptr_t)l);
	return KF_OK;
}

static kf_err lose(struct list *l, uint32_t place)
{
	if (l->lost_n == l->lost_cap) {
		const uint32_t cap = l->lost_cap ? 2 * l->lost_cap : CAP_MIN;
		uint32_t *more = reallocarray(l->lost, cap, sizeof(*more));
		if (!more)
			return kf_fail(NOMEM, "indexing an object");
		l->lost = more;
		l->lost_cap = cap;
	}
	l->lost[l->lost_n++] = place;
	return KF_OK;
}

static kf_err drop_from_list(
	struct postings *p, struct cell *c, struct list *l, uint32_t place)
{
	const uint32_t n = atomic_load_explicit(&l->n, memory_order_relaxed);
	KF_TRY(lose(l, place));
	if (l->lost_n < (n + 1) / 2)
		return KF_OK;
	CLEANUP(mem_freep) uint32_t *kept = reallocarray(NULL, n, sizeof(*kept));
	if (!kept)
		return kf_fail(NOMEM, "indexing an object");
	return put_back(p, c, kept, subtract(l, kept));
}

kf_err postings_drop(struct postings *p, uint64_t term, uint32_t place)
{
	struct cell *c = find(p, term);
	const uintptr_t what = what_of(c);
	if (what && !is_single(what))
		return drop_from_list(p, c, list_of(what), place);
	if (what && single(what) == place)
		drop_term(p, c);
	return KF_OK;
}
