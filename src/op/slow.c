/* SPDX-License-Identifier: Apache-2.0 */
#include "op/slow.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ORPHANS_MAX = 64 };

struct op_slow {
	pthread_mutex_t lock; /* guards what follows */
	struct {
		bool is_taken;
		char client[CLIENT_NAME_SIZE]; /* "": none */
		size_t n;
		uint8_t id[16];
		bool has_key; /* that it brings to tokens */
		uint8_t key_id[32];
	} request[OP_SLOW_MAX];
	bool is_erasing;
	uint8_t erasing[32];
	size_t orphans; /* in all */
	uint8_t orphan[ORPHANS_MAX][32];
};

kf_err op_slow_new(struct op_slow **ret)
{
	struct op_slow *s = calloc(1, sizeof(*s));
	if (!s)
		return kf_fail(NOMEM, "table of slow requests");
	pthread_mutex_init(&s->lock, NULL);
	*ret = s;
	return KF_OK;
}

void op_slow_free(struct op_slow *s)
{
	if (!s)
		return;
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static bool is_same(const struct op_slow *s, unsigned i, struct slice id)
{
	return id.n && slice_eq(id, (struct slice){ s->request[i].id, s->request[i].n });
}

static bool may_take(const struct op_slow *s, const char *client)
{
	unsigned all = 0, own = 0;
	for (unsigned i = 0; i < OP_SLOW_MAX; i++) {
		if (!s->request[i].is_taken || !s->request[i].client[0])
			continue;
		all++;
		own += !strcmp(s->request[i].client, client);
	}
	return all + 1 < OP_SLOW_CLIENTS || (all < OP_SLOW_CLIENTS && !own);
}

static kf_err find_place(
	const struct op_slow *s, struct slice id, const char *client, unsigned *ret)
{
	unsigned place = OP_SLOW_MAX;
	for (unsigned i = OP_SLOW_MAX; i-- > 0;) {
		if (!s->request[i].is_taken)
			place = i;
		else if (is_same(s, i, id))
			return kf_fail(BUSY, "this very request is being carried out");
	}
	if (client && !may_take(s, client))
		place = OP_SLOW_MAX;
	*ret = place;
	return place < OP_SLOW_MAX ? KF_OK
				   : kf_fail(BUSY, "the tokens have enough to do");
}

kf_err op_slow_begin(
	struct op_slow *s, struct slice id, const char *client, unsigned *ret)
{
	unsigned i;
	pthread_mutex_lock(&s->lock);
	kf_err e = find_place(s, id, client, &i);
	if (kf_ok(e)) {
		s->request[i].is_taken = true;
		snprintf(s->request[i].client, sizeof(s->request[i].client), "%s",
			client ? client : "");
		s->request[i].n = id.n < 16 ? id.n : 16;
		if (id.n)
			memcpy(s->request[i].id, id.p, s->request[i].n);
		*ret = i + 1;
	}
	pthread_mutex_unlock(&s->lock);
	return e;
}

void op_slow_end(struct op_slow *s, unsigned which)
{
	if (!which)
		return;
	pthread_mutex_lock(&s->lock);
	s->request[which - 1].is_taken = s->request[which - 1].has_key = false;
	pthread_mutex_unlock(&s->lock);
}

bool op_slow_is_idle(struct op_slow *s)
{
	bool is_taken = false;
	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < OP_SLOW_MAX; i++)
		is_taken |= s->request[i].is_taken;
	pthread_mutex_unlock(&s->lock);
	return !is_taken;
}

kf_err op_slow_brings(struct op_slow *s, unsigned which, const uint8_t key_id[32])
{
	pthread_mutex_lock(&s->lock);
	bool is_erased = s->is_erasing && !memcmp(s->erasing, key_id, 32);
	s->request[which - 1].has_key = !is_erased;
	memcpy(s->request[which - 1].key_id, key_id, 32);
	pthread_mutex_unlock(&s->lock);
	return is_erased ? kf_fail(BUSY, "the key is being deleted just now") : KF_OK;
}

kf_err op_slow_erase(struct op_slow *s, const uint8_t key_id[32])
{
	bool is_brought = false;
	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < OP_SLOW_MAX; i++)
		is_brought |= s->request[i].has_key &&
			      !memcmp(s->request[i].key_id, key_id, 32);
	s->is_erasing = !is_brought;
	memcpy(s->erasing, key_id, 32);
	pthread_mutex_unlock(&s->lock);
	return is_brought ? kf_fail(BUSY, "the key is being brought back") : KF_OK;
}

void op_slow_erased(struct op_slow *s)
{
	pthread_mutex_lock(&s->lock);
	s->is_erasing = false;
	pthread_mutex_unlock(&s->lock);
}

void op_slow_orphan(struct op_slow *s, const uint8_t key_id[32])
{
	pthread_mutex_lock(&s->lock);
	memcpy(s->orphan[s->orphans++ % ORPHANS_MAX], key_id, 32);
	pthread_mutex_unlock(&s->lock);
}

bool op_slow_is_orphan(struct op_slow *s, const uint8_t key_id[32])
{
	bool is = false;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < ORPHANS_MAX && i < s->orphans; i++)
		is |= !memcmp(s->orphan[i], key_id, 32);
	pthread_mutex_unlock(&s->lock);
	return is;
}
