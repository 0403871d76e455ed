/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/client.h"
#include "base/map.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct client_slot {
	unsigned connections;
	char name[];
};

struct clients {
	pthread_mutex_t lock; /* guards slots and what they hold */
	struct map slots;     /* of clients that are connected */
};

kf_err clients_new(struct clients **ret)
{
	struct clients *c = calloc(1, sizeof(*c));
	if (!c)
		return kf_fail(NOMEM, "clients");
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
		free(slot);
	map_free(&c->slots);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static kf_err add_slot(struct clients *c, const char *name, struct client_slot **ret)
{
	size_t n = strlen(name);
	struct client_slot *slot = calloc(1, sizeof(*slot) + n + 1);
	if (!slot)
		return kf_fail(NOMEM, "client's count");
	memcpy(slot->name, name, n);
	kf_err e = map_put(&c->slots, slice_of(slot->name), slot);
	if (kf_ok(e))
		*ret = slot;
	else
		free(slot);
	return e;
}

static kf_err enter(
	struct clients *c, const char *name, unsigned most, struct client_slot **ret)
{
	struct client_slot *slot = map_get(&c->slots, slice_of(name));
	if (!slot)
		KF_TRY(add_slot(c, name, &slot));
	if (slot->connections >= most)
		return kf_fail(LIMIT, "client has too many connections");
	slot->connections++;
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
	bool is_last = --slot->connections == 0;
	if (is_last)
		map_remove(&c->slots, slice_of(slot->name));
	pthread_mutex_unlock(&c->lock);
	if (is_last)
		free(slot);
}
