/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/client.h"
#include "base/map.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SWEEP_MAX = 16 };

struct clients {
	unsigned loops;
	pthread_mutex_t lock; /* guards the maps, and `connections` of slots */
	struct map slots;
	size_t vacant; /* slots without a connection: only they can be forgotten */
};

/* ---- making ---- */

static kf_err meter_new(
	struct clients *c, struct client_slot *slot, const char *rule, struct meter **ret)
{
	size_t size = sizeof(struct meter) + c->loops * sizeof(struct meter_part);
	struct meter *m = aligned_alloc(alignof(struct meter), size);
	if (!m)
		return kf_fail(NOMEM, "limits of a client");
	memset(m, 0, size);
	m->slot = slot;
	strncpy(m->rule, rule, sizeof(m->rule) - 1);
	for (unsigned i = 0; i < c->loops; i++) {
		m->part[i].meter = m;
		list_init(&m->part[i].link);
	}
	*ret = m;
	return KF_OK;
}

static void slot_free(struct client_slot *slot)
{
	struct meter *m;
	for (size_t at = 0; slot->meters && (m = map_next(slot->meters, &at));)
		free(m);
	if (slot->meters)
		map_free(slot->meters);
	free(slot->meters);
	free(slot->own);
	free(slot);
}

static kf_err fill_slot(struct clients *c, const char *name, struct client_slot *slot)
{
	strncpy(slot->name, name, sizeof(slot->name) - 1);
	for (unsigned i = 0; i < c->loops; i++)
		list_init(&slot->part[i].paused);
	slot->meters = calloc(1, sizeof(*slot->meters));
	if (!slot->meters)
		return kf_fail(NOMEM, "limits of a client");
	*slot->meters = map_new();
	KF_TRY(meter_new(c, slot, "client", &slot->own));
	return map_put(&c->slots, slice_of(slot->name), slot);
}

static kf_err add_slot(struct clients *c, const char *name, struct client_slot **ret)
{
	size_t size = sizeof(struct client_slot) + c->loops * sizeof(struct client_part);
	struct client_slot *slot = aligned_alloc(alignof(struct client_slot), size);
	if (!slot)
		return kf_fail(NOMEM, "client's count");
	memset(slot, 0, size);
	kf_err e = fill_slot(c, name, slot);
	if (!kf_ok(e)) {
		slot_free(slot);
		return e;
	}
	c->vacant++;
	*ret = slot;
	return KF_OK;
}

kf_err clients_new(unsigned loops, struct clients **ret)
{
	struct clients *c = calloc(1, sizeof(*c));
	if (!c)
		return kf_fail(NOMEM, "clients");
	c->loops = loops;
	pthread_mutex_init(&c->lock, NULL);
	c->slots = map_new();
	*ret = c;
	return KF_OK;
}

void clients_free(struct clients *c)
{
	if (!c)
		return;
	struct client_slot *slot;
	for (size_t at = 0; (slot = map_next(&c->slots, &at));)
		slot_free(slot);
	map_free(&c->slots);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* ---- coming and going ---- */

static kf_err enter(
	struct clients *c, const char *name, unsigned most, struct client_slot **ret)
{
	struct client_slot *slot = map_get(&c->slots, slice_of(name));
	if (!slot)
		KF_TRY(add_slot(c, name, &slot));
	if (slot->connections >= most)
		return kf_fail(LIMIT, "client has too many connections");
	c->vacant -= slot->connections++ == 0;
	atomic_fetch_add(&slot->refs, 1);
	*ret = slot;
	return KF_OK;
}

kf_err clients_enter(
	struct clients *c, const char *name, unsigned most, struct client_slot **ret)
{
	pthread_mutex_lock(&c->lock);
	kf_err e = enter(c, name, most, ret);
	pthread_mutex_unlock(&c->lock);
	return e;
}

void clients_leave(struct clients *c, struct client_slot *slot)
{
	if (!slot)
		return;
	pthread_mutex_lock(&c->lock);
	c->vacant += --slot->connections == 0;
	atomic_fetch_sub(&slot->refs, 1);
	pthread_mutex_unlock(&c->lock);
}

static kf_err find_meter(
	struct clients *c, struct client_slot *slot, const char *rule, struct meter **ret)
{
	struct meter *m = map_get(slot->meters, slice_of(rule));
	if (!m) {
		KF_TRY(meter_new(c, slot, rule, &m));
		kf_err e = map_put(slot->meters, slice_of(m->rule), m);
		if (!kf_ok(e)) {
			free(m);
			return e;
		}
	}
	*ret = m;
	return KF_OK;
}

kf_err clients_meter(
	struct clients *c, struct client_slot *slot, const char *rule, struct meter **ret)
{
	pthread_mutex_lock(&c->lock);
	kf_err e = find_meter(c, slot, rule, ret);
	pthread_mutex_unlock(&c->lock);
	return e;
}

/* ---- forgetting ---- */

static bool is_idle(const struct clients *c, const struct client_slot *slot, uint64_t now)
{
	const struct meter *m;
	if (atomic_load(&slot->refs))
		return false;
	for (unsigned i = 0; i < c->loops; i++)
		if (atomic_load(&slot->part[i].under_way))
			return false;
	if (!bucket_is_full(&slot->own->bucket, now))
		return false;
	for (size_t at = 0; (m = map_next(slot->meters, &at));)
		if (!bucket_is_full(&m->bucket, now))
			return false;
	return true;
}

static struct client_slot *find_idle(struct clients *c, uint64_t now)
{
	struct client_slot *slot;
	for (size_t at = 0; (slot = map_next(&c->slots, &at));)
		if (is_idle(c, slot, now))
			return slot;
	return NULL;
}

size_t clients_sweep(struct clients *c, uint64_t now)
{
	struct client_slot *slot;
	pthread_mutex_lock(&c->lock);
	for (int i = 0; i < SWEEP_MAX && c->vacant && (slot = find_idle(c, now)); i++) {
		c->vacant--;
		map_remove(&c->slots, slice_of(slot->name));
		slot_free(slot);
	}
	size_t left = c->slots.n;
	pthread_mutex_unlock(&c->lock);
	return left;
}
