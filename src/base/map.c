/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static uint64_t rotate(uint64_t v, int n) { return v << n | v >> (64 - n); }

static uint64_t read64le(const uint8_t *p, size_t n)
{
	uint64_t v = 0;
	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

struct sip {
	uint64_t a, b, c, d;
};

static void sip_round(struct sip *s)
{
	s->a += s->b;
	s->b = rotate(s->b, 13) ^ s->a;
	s->a = rotate(s->a, 32);
	s->c += s->d;
	s->d = rotate(s->d, 16) ^ s->c;
	s->a += s->d;
	s->d = rotate(s->d, 21) ^ s->a;
	s->c += s->b;
	s->b = rotate(s->b, 17) ^ s->c;
	s->c = rotate(s->c, 32);
}

static void sip_add(struct sip *s, uint64_t word)
{
	s->d ^= word;
	sip_round(s);
	s->a ^= word;
}

uint64_t map_siphash(const uint64_t seed[2], struct slice in)
{
	struct sip s = { seed[0] ^ 0x736f6d6570736575, seed[1] ^ 0x646f72616e646f6d,
		seed[0] ^ 0x6c7967656e657261, seed[1] ^ 0x7465646279746573 };
	size_t whole = in.n & ~(size_t)7;
	for (size_t i = 0; i < whole; i += 8)
		sip_add(&s, read64le(in.p + i, 8));
	sip_add(&s, read64le(in.p + whole, in.n - whole) | (uint64_t)in.n << 56);
	s.c ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(&s);
	return s.a ^ s.b ^ s.c ^ s.d;
}

struct map map_new(void)
{
	struct map m = { 0 };
	/* Before the kernel has entropy this waits; it cannot fail for 16 bytes otherwise. */
	if (getrandom(m.seed, sizeof(m.seed), 0) != (ssize_t)sizeof(m.seed))
		abort();
	return m;
}

void map_free(struct map *m)
{
	free(m->slots);
	*m = (struct map){ 0 };
}

/* Where the key is, or the free slot where it would go.  There is always a free one. */
static struct map_slot *find(const struct map *m, uint64_t hash, struct slice key)
{
	for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
		struct map_slot *s = &m->slots[i];
		if (!s->value || (s->hash == hash && slice_eq(s->key, key)))
			return s;
	}
}

static kf_err resize(struct map *m, size_t cap)
{
	struct map bigger = *m;
	bigger.cap = cap;
	bigger.slots = calloc(cap, sizeof(*bigger.slots));
	if (!bigger.slots)
		return kf_fail(NOMEM, "growing a map");
	for (size_t i = 0; i < m->cap; i++)
		if (m->slots[i].value)
			*find(&bigger, m->slots[i].hash, m->slots[i].key) = m->slots[i];
	free(m->slots);
	*m = bigger;
	return KF_OK;
}

/* At most three quarters full. */
kf_err map_reserve(struct map *m, size_t n)
{
	if (n > SIZE_MAX / 4 / sizeof(struct map_slot))
		return kf_fail(NOMEM, "a map of that size");
	size_t cap = m->cap ? m->cap : 16;
	while (n > cap / 4 * 3)
		cap *= 2;
	return cap == m->cap ? KF_OK : resize(m, cap);
}

void *map_get(const struct map *m, struct slice key)
{
	return m->n ? find(m, map_siphash(m->seed, key), key)->value : NULL;
}

kf_err map_replace(struct map *m, struct slice key, void *value, void **ret_old)
{
	assert(value);
	KF_TRY(map_reserve(m, m->n + 1));
	uint64_t hash = map_siphash(m->seed, key);
	struct map_slot *s = find(m, hash, key);
	void *old = s->value;
	if (!old)
		m->n++;
	*s = (struct map_slot){ hash, key, value };
	*ret_old = old;
	return KF_OK;
}

kf_err map_put(struct map *m, struct slice key, void *value)
{
	if (map_get(m, key))
		return kf_fail(EXISTS, "key is in the map already");
	void *none;
	return map_replace(m, key, value, &none);
}

/* Moves the entries behind the hole forward, so that no search stops too early at it. */
static void close_gap(struct map *m, size_t hole)
{
	size_t mask = m->cap - 1;
	for (size_t i = (hole + 1) & mask; m->slots[i].value; i = (i + 1) & mask) {
		size_t from_home = (i - m->slots[i].hash) & mask;
		if (from_home < ((i - hole) & mask))
			continue;
		m->slots[hole] = m->slots[i];
		hole = i;
	}
	m->slots[hole] = (struct map_slot){ 0 };
}

void *map_remove(struct map *m, struct slice key)
{
	if (!m->n)
		return NULL;
	struct map_slot *s = find(m, map_siphash(m->seed, key), key);
	void *value = s->value;
	if (!value)
		return NULL;
	close_gap(m, (size_t)(s - m->slots));
	m->n--;
	return value;
}

void *map_next(const struct map *m, size_t *at)
{
	while (*at < m->cap) {
		void *value = m->slots[(*at)++].value;
		if (value)
			return value;
	}
	return NULL;
}
