/* SPDX-License-Identifier: Apache-2.0 */
#include "store/catalog.h"
#include "base/epoch.h"
#include "base/map.h"
#include "base/mem.h"
#include "kmip/attrs.h"
#include "store/rights.h"
#include "store/table.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { NAMESAKES_MAX = 64, CACHE_LINE = 64, EXPECTED = 12 * CACHE_LINE };

/* An id for ever: objects are destroyed, their ids are not used again. */
struct node {
	struct entry entry;
	_Atomic(struct object *) object;
	uint32_t place; /* in the order of making */
};

/* The nodes' objects, oldest first.  Readers see the first n; more are appended behind their back. */
struct order {
	size_t cap;
	_Atomic size_t n;
	_Atomic(struct object *) object[];
};

/* Which values there ever were, of dates and usage masks: what is asked for by range or by a part of it. */
struct ranges {
	struct {
		_Atomic int64_t first, last; /* first > last: none */
	} date[TERM_DATES];
	_Atomic uint32_t mask[CATALOG_MASKS];
	_Atomic uint32_t masks; /* more than fit: CATALOG_MASKS + 1 */
};

struct catalog {
	struct epoch *epoch;
	uint64_t seed[2];
	struct table ids;
	struct postings index;
	struct ranges ranges;
	_Atomic(struct order *) order;
	struct rights_writer rights;
};

/* --- making --- */

static struct order *order_new(size_t cap)
{
	struct order *o = mem_wide_alloc(sizeof(*o) + cap * sizeof(o->object[0]));
	if (o)
		o->cap = cap;
	return o;
}

static void ranges_init(struct ranges *r)
{
	for (size_t i = 0; i < TERM_DATES; i++) {
		atomic_init(&r->date[i].first, INT64_MAX);
		atomic_init(&r->date[i].last, INT64_MIN);
	}
}

static kf_err fill(struct catalog *c, struct epoch *epoch)
{
	c->epoch = epoch;
	if (getrandom(c->seed, sizeof(c->seed), 0) != sizeof(c->seed))
		return kf_fail(INTERNAL, "no random numbers");
	KF_TRY(table_init(&c->ids, epoch));
	KF_TRY(postings_init(&c->index, epoch));
	ranges_init(&c->ranges);
	KF_TRY(rights_init(&c->rights, epoch));
	struct order *order = order_new(64);
	if (!order)
		return kf_fail(NOMEM, "making the catalog");
	atomic_init(&c->order, order);
	return KF_OK;
}

kf_err catalog_new(struct epoch *epoch, struct catalog **ret)
{
	struct catalog *c = calloc(1, sizeof(*c));
	if (!c)
		return kf_fail(NOMEM, "making the catalog");
	kf_err err = fill(c, epoch);
	if (!kf_ok(err)) {
		catalog_free(c);
		return err;
	}
	*ret = c;
	return KF_OK;
}

static void node_free(struct entry *e)
{
	struct node *n = (struct node *)e;
	object_unref(atomic_load(&n->object));
	free(n);
}

void catalog_free(struct catalog *c)
{
	if (!c)
		return;
	table_each(&c->ids, node_free);
	table_clear(&c->ids);
	free(atomic_load(&c->order));
	postings_clear(&c->index);
	rights_clear(&c->rights);
	free(c);
}

/* --- readers --- */

static struct node *find_hashed(const struct catalog *c, struct slice id, uint64_t hash)
{
	struct table_walk w;
	struct entry *e = table_first(&c->ids, hash, &w);
	for (; e; e = table_next(&w)) {
		struct node *n = (struct node *)e;
		const struct object *o =
			atomic_load_explicit(&n->object, memory_order_acquire);
		if (slice_is(id, o->id))
			return n;
	}
	return NULL;
}

static struct node *find(const struct catalog *c, struct slice id)
{
	return find_hashed(c, id, map_siphash(c->seed, id));
}

/* NULL: nobody is to see it. */
static const struct object *if_seen(const struct object *o)
{
	return object_is_void(o) ? NULL : o;
}

const struct object *catalog_find(const struct catalog *c, struct slice id)
{
	const struct node *n = find(c, id);
	return n ? if_seen(atomic_load_explicit(&n->object, memory_order_acquire)) : NULL;
}

static const struct object *object_at(const struct order *order, uint32_t place)
{
	return if_seen(atomic_load_explicit(&order->object[place], memory_order_acquire));
}

/* Of a posting that was read before: what is in it is in the order. */
const struct object *catalog_at(const struct catalog *c, uint32_t place)
{
	return object_at(atomic_load_explicit(&c->order, memory_order_acquire), place);
}

/* Attributes lie behind the object; what is longer than most comes while it is read. */
void catalog_expect(const struct catalog *c, uint32_t place)
{
	const struct order *order = atomic_load_explicit(&c->order, memory_order_acquire);
	const char *p = (const char *)atomic_load_explicit(
		&order->object[place], memory_order_acquire);
	for (size_t i = 0; i < EXPECTED; i += CACHE_LINE)
		__builtin_prefetch(p + i);
}

bool catalog_place(const struct catalog *c, struct slice id, uint32_t *ret)
{
	const struct node *n = find(c, id);
	if (n)
		*ret = n->place;
	return n != NULL;
}

struct term_space catalog_terms(const struct catalog *c, bool is_gone)
{
	return (struct term_space){ { c->seed[0], c->seed[1] }, is_gone };
}

void catalog_having(const struct catalog *c, uint64_t term, struct posting *ret)
{
	postings_find(&c->index, term, ret);
	if (ret->n != 1)
		return;
	const struct order *order = atomic_load_explicit(&c->order, memory_order_acquire);
	__builtin_prefetch(&order->object[posting_at(ret, 0)]); /* looked at next */
}

bool catalog_periods(const struct catalog *c, uint32_t tag, int64_t *first, int64_t *last)
{
	const int i = term_date_number(tag);
	if (i < 0)
		return false;
	*first = atomic_load_explicit(&c->ranges.date[i].first, memory_order_relaxed);
	*last = atomic_load_explicit(&c->ranges.date[i].last, memory_order_relaxed);
	return *first <= *last;
}

bool catalog_masks(const struct catalog *c, uint32_t ret[CATALOG_MASKS], size_t *ret_n)
{
	const uint32_t n = atomic_load_explicit(&c->ranges.masks, memory_order_acquire);
	if (n > CATALOG_MASKS)
		return false;
	for (uint32_t i = 0; i < n; i++)
		ret[i] = atomic_load_explicit(&c->ranges.mask[i], memory_order_relaxed);
	*ret_n = n;
	return true;
}

static bool is_called(const struct object *o, struct slice name)
{
	return !object_is_destroyed(o) && attrs_has_name(o->attrs, name);
}

static void find_named(const struct catalog *c, struct slice name, struct posting *ret)
{
	const struct term_space s = catalog_terms(c, false);
	catalog_having(c, term_of_name(&s, name), ret);
}

const struct object *catalog_find_name(
	const struct catalog *c, const char *owner, struct slice name)
{
	const struct object *newest = NULL;
	uint32_t newest_place = 0;
	struct posting p;
	find_named(c, name, &p);
	for (size_t i = p.n; i-- > 0 && !(newest && p.is_sorted);) {
		const uint32_t place = posting_at(&p, i);
		const struct object *o = catalog_at(c, place);
		if (o && is_called(o, name) && (!owner || !strcmp(o->owner, owner)) &&
			(!newest || place > newest_place)) {
			newest = o;
			newest_place = place;
		}
	}
	return newest;
}

static int ascending(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static void visit_posting(const struct catalog *c, const struct posting *p,
	bool (*visit)(void *arg, const struct object *o), void *arg)
{
	for (size_t i = p->n; i-- > 0;) {
		const struct object *o = catalog_at(c, posting_at(p, i));
		if (o && !visit(arg, o))
			return;
	}
}

struct naming {
	struct slice name;
	bool (*visit)(void *arg, const struct object *o);
	void *arg;
};

static bool visit_if_called(void *arg, const struct object *o)
{
	const struct naming *n = arg;
	return !is_called(o, n->name) || n->visit(n->arg, o);
}

/* An array of places on the stack serves as a posting that is in order. */
static void put_in_order(struct posting *p, _Atomic uint32_t room[NAMESAKES_MAX])
{
	uint32_t at[NAMESAKES_MAX];
	uint32_t n = 0;
	if (p->is_sorted || p->n > NAMESAKES_MAX)
		return;
	for (size_t i = 0; i < p->n; i++)
		at[i] = posting_at(p, i);
	qsort(at, p->n, sizeof(*at), ascending);
	for (size_t i = 0; i < p->n; i++)
		if (!i || at[i] != at[i - 1])
			atomic_init(&room[n++], at[i]);
	*p = (struct posting){ .at = room, .n = n, .is_sorted = true };
}

void catalog_each_named(const struct catalog *c, struct slice name,
	bool (*visit)(void *arg, const struct object *o), void *arg)
{
	struct naming n = { name, visit, arg };
	_Atomic uint32_t room[NAMESAKES_MAX];
	struct posting p;
	find_named(c, name, &p);
	put_in_order(&p, room);
	visit_posting(c, &p, visit_if_called, &n);
}

void catalog_each_key(const struct catalog *c, const uint8_t key_id[32],
	bool (*visit)(void *arg, const struct object *o), void *arg)
{
	const struct term_space s = catalog_terms(c, false);
	struct posting p;
	catalog_having(c, term_of_key(&s, key_id), &p);
	visit_posting(c, &p, visit, arg);
}

const struct rights *catalog_rights(const struct catalog *c)
{
	return atomic_load_explicit(&c->rights.now, memory_order_acquire);
}

void catalog_each(const struct catalog *c,
	bool (*visit)(void *arg, const struct object *o), void *arg)
{
	const struct order *order = atomic_load_explicit(&c->order, memory_order_acquire);
	size_t n = atomic_load_explicit(&order->n, memory_order_acquire);
	while (n-- > 0) {
		const struct object *o = object_at(order, (uint32_t)n);
		if (o && !visit(arg, o))
			return;
	}
}

size_t catalog_count(const struct catalog *c)
{
	const struct order *order = atomic_load_explicit(&c->order, memory_order_acquire);
	return atomic_load_explicit(&order->n, memory_order_acquire);
}

/* --- the writer --- */

static void unref(void *o) { object_unref(o); }

static kf_err make_room(struct catalog *c)
{
	struct order *o = atomic_load_explicit(&c->order, memory_order_relaxed);
	const size_t have = atomic_load_explicit(&o->n, memory_order_relaxed);
	if (have == UINT32_MAX)
		return kf_fail(LIMIT, "more objects than there are places");
	if (have < o->cap)
		return KF_OK;
	struct order *bigger = order_new(2 * o->cap);
	if (!bigger)
		return kf_fail(NOMEM, "growing the catalog");
	memcpy(bigger->object, o->object, have * sizeof(o->object[0]));
	atomic_init(&bigger->n, have);
	atomic_store_explicit(&c->order, bigger, memory_order_release);
	epoch_retire(c->epoch, o, free);
	return KF_OK;
}

/* Of the order's room. */
static void set_place(struct catalog *c, uint32_t place, struct object *o)
{
	struct order *order = atomic_load_explicit(&c->order, memory_order_relaxed);
	atomic_store_explicit(&order->object[place], o, memory_order_release);
}

static void count_place(struct catalog *c, uint32_t place)
{
	struct order *order = atomic_load_explicit(&c->order, memory_order_relaxed);
	atomic_store_explicit(&order->n, (size_t)place + 1, memory_order_release);
}

static kf_err add_node(
	struct catalog *c, struct object *o, uint64_t hash, struct node **ret)
{
	KF_TRY(make_room(c));
	struct node *n = calloc(1, sizeof(*n));
	if (!n)
		return kf_fail(NOMEM, "adding an object");
	n->entry.hash = hash;
	n->place = (uint32_t)catalog_count(c);
	atomic_init(&n->object, object_ref(o));
	set_place(c, n->place, o); /* whoever finds the id looks there */
	kf_err err = table_add(&c->ids, &n->entry);
	if (!kf_ok(err)) {
		node_free(&n->entry);
		return err;
	}
	count_place(c, n->place);
	*ret = n;
	return KF_OK;
}

/* --- the index --- */

static void note_date(struct ranges *r, const struct ttlv_item *it)
{
	const int i = term_date_number(it->tag);
	const int64_t period = term_period(ttlv_item_long(it));
	if (period < atomic_load_explicit(&r->date[i].first, memory_order_relaxed))
		atomic_store_explicit(&r->date[i].first, period, memory_order_relaxed);
	if (period > atomic_load_explicit(&r->date[i].last, memory_order_relaxed))
		atomic_store_explicit(&r->date[i].last, period, memory_order_relaxed);
}

static void note_mask(struct ranges *r, uint32_t mask)
{
	const uint32_t n = atomic_load_explicit(&r->masks, memory_order_relaxed);
	for (uint32_t i = 0; i < n && i < CATALOG_MASKS; i++)
		if (atomic_load_explicit(&r->mask[i], memory_order_relaxed) == mask)
			return;
	if (n < CATALOG_MASKS)
		atomic_store_explicit(&r->mask[n], mask, memory_order_relaxed);
	if (n <= CATALOG_MASKS)
		atomic_store_explicit(&r->masks, n + 1, memory_order_release);
}

/* Before the object can be found: who asks for a range then looks wherever it may be. */
static void note_ranges(struct ranges *r, const struct object *o)
{
	struct ttlv_reader reader = ttlv_read(o->attrs);
	struct ttlv_item it;
	while (ttlv_next(&reader, &it)) {
		if (it.type == TTLV_DATE && term_date_number(it.tag) >= 0)
			note_date(r, &it);
		if (it.tag == TAG_CRYPTOGRAPHIC_USAGE_MASK)
			note_mask(r, (uint32_t)ttlv_item_int(&it));
	}
}

static kf_err add_terms(struct catalog *c, uint32_t place, const struct terms *now,
	const struct terms *was)
{
	for (size_t i = 0, k = 0; i < now->n; i++) {
		while (k < was->n && was->p[k] < now->p[i])
			k++;
		if (k == was->n || was->p[k] != now->p[i])
			KF_TRY(postings_add(&c->index, now->p[i], place));
	}
	return KF_OK;
}

static kf_err drop_terms(struct catalog *c, uint32_t place, const struct terms *now,
	const struct terms *was)
{
	for (size_t i = 0, k = 0; i < was->n; i++) {
		while (k < now->n && now->p[k] < was->p[i])
			k++;
		if (k == now->n || now->p[k] != was->p[i])
			KF_TRY(postings_drop(&c->index, was->p[i], place));
	}
	return KF_OK;
}

/* `old`: what the place held before, or NULL. */
static kf_err index_terms(struct catalog *c, uint32_t place, const struct terms *now,
	const struct object *old)
{
	CLEANUP(terms_free) struct terms was;
	terms_init(&was);
	if (old)
		terms_of_object(c->seed, old, &was);
	KF_TRY(now->err);
	KF_TRY(was.err);
	KF_TRY(add_terms(c, place, now, &was));
	return drop_terms(c, place, now, &was);
}

/* The new one can be seen before it is in the index, the old one is in the index until it cannot: who has a term
 * all the time is found by it all the time. */
static kf_err replace(
	struct catalog *c, struct node *n, struct object *o, const struct terms *terms)
{
	struct object *old =
		atomic_exchange_explicit(&n->object, object_ref(o), memory_order_acq_rel);
	set_place(c, n->place, o);
	note_ranges(&c->ranges, o);
	kf_err err = index_terms(c, n->place, terms, old);
	epoch_retire(c->epoch, old, unref);
	return err;
}

void catalog_make_ready(
	const struct catalog *c, const struct object *o, struct catalog_ready *ret)
{
	ret->hash = map_siphash(c->seed, slice_of(o->id));
	terms_init(&ret->terms);
	terms_of_object(c->seed, o, &ret->terms);
}

void catalog_ready_free(struct catalog_ready *r) { terms_free(&r->terms); }

void catalog_expect_put(const struct catalog *c, const struct catalog_ready *r)
{
	table_expect(&c->ids, r->hash);
	for (size_t i = 0; i < r->terms.n; i++)
		postings_expect(&c->index, r->terms.p[i]);
}

kf_err catalog_put_ready(
	struct catalog *c, struct object *take, const struct catalog_ready *r)
{
	CLEANUP(object_unrefp) struct object *o = take;
	struct node *n = find_hashed(c, slice_of(o->id), r->hash);
	if (n)
		return replace(c, n, o, &r->terms);
	KF_TRY(add_node(c, o, r->hash, &n));
	note_ranges(&c->ranges, o);
	return index_terms(c, n->place, &r->terms, NULL);
}

kf_err catalog_put(struct catalog *c, struct object *take)
{
	CLEANUP(catalog_ready_free) struct catalog_ready r;
	catalog_make_ready(c, take, &r);
	return catalog_put_ready(c, take, &r);
}

kf_err catalog_put_client(struct catalog *c, const struct client_row *row)
{
	return rights_put_client(&c->rights, row);
}

kf_err catalog_put_grant(struct catalog *c, const struct grant_row *row)
{
	return rights_put_grant(&c->rights, row);
}

kf_err catalog_drop_grant(struct catalog *c, const char *id)
{
	return rights_drop_grant(&c->rights, id);
}

void catalog_hold(struct catalog *c) { c->rights.holds++; }

kf_err catalog_release(struct catalog *c)
{
	assert(c->rights.holds);
	c->rights.holds--;
	return rights_publish(&c->rights);
}
