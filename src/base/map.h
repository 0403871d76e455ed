/* SPDX-License-Identifier: Apache-2.0 */
/* map: bytes -> pointer.  Open addressing; the hash is SipHash-1-3 under a random key, so that
 * peers who choose the keys cannot choose collisions.
 *
 * The bytes of a key belong to the caller and outlive their entry (usually they are a field of the
 * value).  One owner; for readers on other threads build a new map and swap it (base/epoch.h).
 * map_get() only reads, so a map that nobody changes may be read by all.
 */
#pragma once
#include "base/buf.h"

struct map_slot {
	uint64_t hash;
	struct slice key;
	void *value; /* NULL: free */
};

struct map {
	struct map_slot *slots;
	size_t cap, n;
	uint64_t seed[2];
};

struct map map_new(void);                    /* allocates nothing yet */
void map_free(struct map *m);                /* the values are the caller's */
kf_err map_reserve(struct map *m, size_t n); /* room for n entries in all */

void *map_get(const struct map *m, struct slice key); /* NULL: not there */
/* EXISTS when the key is there already; value is never NULL. */
kf_err map_put(struct map *m, struct slice key, void *value);
/* Puts or replaces; the old value goes to *ret_old (NULL if none), whose key may now be freed. */
kf_err map_replace(struct map *m, struct slice key, void *value, void **ret_old);
void *map_remove(struct map *m, struct slice key); /* the value that was there, or NULL */

/* for (size_t at = 0; (v = map_next(&m, &at));) ... ; the map must not be changed meanwhile. */
void *map_next(const struct map *m, size_t *at);

uint64_t map_siphash(const uint64_t seed[2], struct slice bytes);
