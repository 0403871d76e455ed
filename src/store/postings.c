/* SPDX-License-Identifier: Apache-2.0 */
#include "store/postings.h"
#include "base/epoch.h"
#include "base/mem.h"
#include <stdlib.h>

enum { CAP_MIN = 4 };

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

/* `what` is a list, or a single place: twice its number, and one. */
struct member {
	struct entry entry;
	_Atomic uintptr_t what;
};

static bool is_single(uintptr_t what) { return what & 1; }
static uint32_t single(uintptr_t what) { return (uint32_t)(what >> 1); }
static struct list *list_of(uintptr_t what) { return (struct list *)what; }
static uintptr_t of_single(uint32_t place) { return (uintptr_t)place << 1 | 1; }

kf_err postings_init(struct postings *p, struct epoch *epoch)
{
	p->epoch = epoch;
	return table_init(&p->terms, epoch);
}

static void free_member(struct entry *e)
{
	struct member *m = (struct member *)e;
	const uintptr_t what = atomic_load_explicit(&m->what, memory_order_relaxed);
	if (!is_single(what))
		list_free(list_of(what));
	free(m);
}

void postings_clear(struct postings *p)
{
	table_each(&p->terms, free_member);
	table_clear(&p->terms);
}

static struct member *find(const struct postings *p, uint64_t term)
{
	struct table_walk w;
	return (struct member *)table_first(&p->terms, term, &w);
}

/* --- readers --- */

void postings_find(const struct postings *p, uint64_t term, struct posting *ret)
{
	struct member *m = find(p, term);
	*ret = (struct posting){ .is_sorted = true };
	if (!m)
		return;
	const uintptr_t what = atomic_load_explicit(&m->what, memory_order_acquire);
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

static void publish(struct postings *p, struct member *m, uintptr_t what)
{
	const uintptr_t was = atomic_load_explicit(&m->what, memory_order_relaxed);
	atomic_store_explicit(&m->what, what, memory_order_release);
	if (!is_single(was))
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

static kf_err add_member(struct postings *p, uint64_t term, uint32_t place)
{
	struct member *m = calloc(1, sizeof(*m));
	if (!m)
		return kf_fail(NOMEM, "indexing an object");
	m->entry.hash = term;
	atomic_init(&m->what, of_single(place));
	kf_err err = table_add(&p->terms, &m->entry);
	if (!kf_ok(err))
		free(m);
	return err;
}

kf_err postings_add(struct postings *p, uint64_t term, uint32_t place)
{
	struct member *m = find(p, term);
	if (!m)
		return add_member(p, term, place);
	const uintptr_t what = atomic_load_explicit(&m->what, memory_order_relaxed);
	struct list *l = is_single(what) ? NULL : list_of(what);
	if (l && atomic_load_explicit(&l->n, memory_order_relaxed) < l->cap) {
		append(l, place);
		return KF_OK;
	}
	l = grown(what);
	if (!l)
		return kf_fail(NOMEM, "indexing an object");
	append(l, place);
	publish(p, m, (uintptr_t)l);
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

static void drop_member(struct postings *p, struct member *m)
{
	table_remove(&p->terms, &m->entry);
	const uintptr_t what = atomic_load_explicit(&m->what, memory_order_relaxed);
	if (!is_single(what))
		epoch_retire(p->epoch, list_of(what), list_free);
	epoch_retire(p->epoch, m, free);
}

static kf_err put_back(
	struct postings *p, struct member *m, const uint32_t *place, uint32_t n)
{
	if (n == 0) {
		drop_member(p, m);
		return KF_OK;
	}
	if (n == 1) {
		publish(p, m, of_single(place[0]));
		return KF_OK;
	}
	struct list *l = list_new(n + n / 2);
	if (!l)
		return kf_fail(NOMEM, "indexing an object");
	for (uint32_t i = 0; i < n; i++)
		append(l, place[i]);
	publish(p, m, (uintptr_t)l);
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
	struct postings *p, struct member *m, struct list *l, uint32_t place)
{
	const uint32_t n = atomic_load_explicit(&l->n, memory_order_relaxed);
	KF_TRY(lose(l, place));
	if (l->lost_n < (n + 1) / 2)
		return KF_OK;
	CLEANUP(mem_freep) uint32_t *kept = reallocarray(NULL, n, sizeof(*kept));
	if (!kept)
		return kf_fail(NOMEM, "indexing an object");
	return put_back(p, m, kept, subtract(l, kept));
}

kf_err postings_drop(struct postings *p, uint64_t term, uint32_t place)
{
	struct member *m = find(p, term);
	if (!m)
		return KF_OK;
	const uintptr_t what = atomic_load_explicit(&m->what, memory_order_relaxed);
	if (!is_single(what))
		return drop_from_list(p, m, list_of(what), place);
	if (single(what) == place)
		drop_member(p, m);
	return KF_OK;
}
