/* SPDX-License-Identifier: Apache-2.0 */
#include "store/catalog.h"
#include "base/epoch.h"
#include "base/map.h"
#include "store/rights.h"
#include "store/table.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { NAMESAKES_MAX = 64 };

/* An id for ever: objects are destroyed, their ids are not used again. */
struct node {
	struct entry entry;
	size_t order; /* place in the order of making */
	_Atomic(struct object *) object;
	struct name *names; /* the writer's */
};

struct name {
	struct entry entry;
	struct node *node;
	struct name *next; /* of this node; the writer's */
	char owner[CLIENT_NAME_SIZE];
	size_t n;
	uint8_t text[];
};

/* Oldest first.  Readers see the first n; more are appended behind their back. */
struct order {
	size_t cap;
	_Atomic size_t n;
	struct node *node[];
};

struct catalog {
	struct epoch *epoch;
	uint64_t seed[2];
	struct table ids, names;
	_Atomic(struct order *) order;
	struct rights_writer rights;
};

/* --- making --- */

static struct order *order_new(size_t cap)
{
	struct order *o = calloc(1, sizeof(*o) + cap * sizeof(o->node[0]));
	if (o)
		o->cap = cap;
	return o;
}

static kf_err fill(struct catalog *c, struct epoch *epoch)
{
	c->epoch = epoch;
	if (getrandom(c->seed, sizeof(c->seed), 0) != sizeof(c->seed))
		return kf_fail(INTERNAL, "no random numbers");
	KF_TRY(table_init(&c->ids, epoch));
	KF_TRY(table_init(&c->names, epoch));
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

static void node_free(struct node *n)
{
	while (n->names) {
		struct name *name = n->names;
		n->names = name->next;
		free(name);
	}
	object_unref(atomic_load(&n->object));
	free(n);
}

void catalog_free(struct catalog *c)
{
	if (!c)
		return;
	struct order *order = atomic_load(&c->order);
	for (size_t i = 0; order && i < atomic_load(&order->n); i++)
		node_free(order->node[i]);
	free(order);
	table_clear(&c->ids);
	table_clear(&c->names);
	rights_clear(&c->rights);
	free(c);
}

/* --- readers --- */

static struct node *find(const struct catalog *c, struct slice id)
{
	struct table_walk w;
	struct entry *e = table_first(&c->ids, map_siphash(c->seed, id), &w);
	for (; e; e = table_next(&w)) {
		struct node *n = (struct node *)e;
		const struct object *o =
			atomic_load_explicit(&n->object, memory_order_acquire);
		if (slice_is(id, o->id))
			return n;
	}
	return NULL;
}

const struct object *catalog_find(const struct catalog *c, struct slice id)
{
	struct node *n = find(c, id);
	const struct object *o =
		n ? atomic_load_explicit(&n->object, memory_order_acquire) : NULL;
	return o && !object_is_void(o) ? o : NULL;
}

static bool is_called(const struct name *have, const char *owner, struct slice name)
{
	return slice_eq((struct slice){ have->text, have->n }, name) &&
	       (!owner || strcmp(have->owner, owner) == 0);
}

const struct object *catalog_find_name(
	const struct catalog *c, const char *owner, struct slice name)
{
	const struct node *newest = NULL;
	struct table_walk w;
	struct entry *e = table_first(&c->names, map_siphash(c->seed, name), &w);
	for (; e; e = table_next(&w)) {
		const struct name *have = (const struct name *)e;
		if (is_called(have, owner, name) &&
			(!newest || have->node->order > newest->order))
			newest = have->node;
	}
	return newest ? atomic_load_explicit(&newest->object, memory_order_acquire)
		      : NULL;
}

static int newest_first(const void *a, const void *b)
{
	const struct node *x = *(const struct node *const *)a;
	const struct node *y = *(const struct node *const *)b;
	return (x->order < y->order) - (x->order > y->order);
}

bool catalog_each_named(const struct catalog *c, struct slice name,
	bool (*visit)(void *arg, const struct object *o), void *arg)
{
	const struct node *found[NAMESAKES_MAX];
	size_t n = 0;
	struct table_walk w;
	struct entry *e = table_first(&c->names, map_siphash(c->seed, name), &w);
	for (; e; e = table_next(&w)) {
		const struct name *have = (const struct name *)e;
		if (!is_called(have, NULL, name))
			continue;
		if (n == NAMESAKES_MAX)
			return false;
		found[n++] = have->node;
	}
	qsort(found, n, sizeof(*found), newest_first);
	for (size_t i = 0; i < n; i++)
		if (!visit(arg, atomic_load_explicit(
					&found[i]->object, memory_order_acquire)))
			break;
	return true;
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
		const struct object *o = atomic_load_explicit(
			&order->node[n]->object, memory_order_acquire);
		if (!object_is_void(o) && !visit(arg, o))
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

static kf_err append(struct catalog *c, struct node *n)
{
	struct order *o = atomic_load_explicit(&c->order, memory_order_relaxed);
	size_t have = atomic_load_explicit(&o->n, memory_order_relaxed);
	if (have == o->cap) {
		struct order *bigger = order_new(2 * o->cap);
		if (!bigger)
			return kf_fail(NOMEM, "growing the catalog");
		memcpy(bigger->node, o->node, have * sizeof(o->node[0]));
		atomic_init(&bigger->n, have);
		atomic_store_explicit(&c->order, bigger, memory_order_release);
		epoch_retire(c->epoch, o, free);
		o = bigger;
	}
	n->order = have;
	o->node[have] = n;
	atomic_store_explicit(&o->n, have + 1, memory_order_release);
	return KF_OK;
}

static kf_err add_node(struct catalog *c, struct object *o, struct node **ret)
{
	struct node *n = calloc(1, sizeof(*n));
	if (!n)
		return kf_fail(NOMEM, "adding an object");
	n->entry.hash = map_siphash(c->seed, slice_of(o->id));
	atomic_init(&n->object, object_ref(o));
	kf_err err = append(c, n);
	if (!kf_ok(err)) {
		node_free(n);
		return err;
	}
	*ret = n; /* in the order now, and freed with the catalog */
	return table_add(&c->ids, &n->entry);
}

static kf_err add_name(struct catalog *c, struct node *n, struct slice text)
{
	const struct object *o = atomic_load_explicit(&n->object, memory_order_relaxed);
	struct name *name = calloc(1, sizeof(*name) + text.n);
	if (!name)
		return kf_fail(NOMEM, "adding a name");
	name->entry.hash = map_siphash(c->seed, text);
	name->node = n;
	memcpy(name->owner, o->owner, sizeof(name->owner));
	name->n = text.n;
	if (text.n)
		memcpy(name->text, text.p, text.n);
	name->next = n->names;
	n->names = name;
	return table_add(&c->names, &name->entry);
}

static void drop_names(struct catalog *c, struct node *n)
{
	while (n->names) {
		struct name *name = n->names;
		n->names = name->next;
		table_remove(&c->names, &name->entry);
		epoch_retire(c->epoch, name, free);
	}
}

static kf_err add_names(struct catalog *c, struct node *n, const struct object *o)
{
	struct slice text;
	for (size_t i = 0; object_name(o, i, &text); i++)
		KF_TRY(add_name(c, n, text));
	return KF_OK;
}

static bool has_same_names(const struct object *a, const struct object *b)
{
	if (strcmp(a->owner, b->owner) != 0 ||
		object_is_destroyed(a) != object_is_destroyed(b))
		return false;
	for (size_t i = 0;; i++) {
		struct slice x = { 0 }, y = { 0 };
		bool has_x = object_name(a, i, &x);
		bool has_y = object_name(b, i, &y);
		if (has_x != has_y || (has_x && !slice_eq(x, y)))
			return false;
		if (!has_x)
			return true;
	}
}

static kf_err replace(struct catalog *c, struct node *n, struct object *o)
{
	struct object *old =
		atomic_exchange_explicit(&n->object, object_ref(o), memory_order_acq_rel);
	kf_err err = KF_OK;
	if (!has_same_names(old, o)) {
		drop_names(c, n);
		if (!object_is_destroyed(o))
			err = add_names(c, n, o);
	}
	epoch_retire(c->epoch, old, unref);
	return err;
}

kf_err catalog_put(struct catalog *c, struct object *take)
{
	CLEANUP(object_unrefp) struct object *o = take;
	struct node *n = find(c, slice_of(o->id));
	if (n)
		return replace(c, n, o);
	KF_TRY(add_node(c, o, &n));
	return object_is_destroyed(o) ? KF_OK : add_names(c, n, o);
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
