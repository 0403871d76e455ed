/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/rests.h"
#include <stdlib.h>
#include <string.h>

struct rest {
	uint8_t key[REST_KEY_MAX];
	size_t n;
	uint64_t for_ns, until_ns;
};

void rests_init(struct rests *r, uint64_t first_ms, uint64_t most_ms)
{
	*r = (struct rests){ map_new(), first_ms * 1000000, most_ms * 1000000 };
}

void rests_free(struct rests *r)
{
	void *rest;
	for (size_t at = 0; (rest = map_next(&r->map, &at));)
		free(rest);
	map_free(&r->map);
}

bool rests_has(const struct rests *r, struct slice key, uint64_t now_ns)
{
	const struct rest *rest = map_get(&r->map, key);
	return rest && now_ns < rest->until_ns;
}

static struct rest *add(struct rests *r, struct slice key)
{
	struct rest *rest = key.n <= REST_KEY_MAX ? calloc(1, sizeof(*rest)) : NULL;
	if (!rest)
		return NULL;
	memcpy(rest->key, key.p, key.n);
	rest->n = key.n;
	if (kf_ok(map_put(&r->map, (struct slice){ rest->key, rest->n }, rest)))
		return rest;
	free(rest);
	return NULL;
}

static struct rest *find_or_add(struct rests *r, struct slice key)
{
	struct rest *rest = map_get(&r->map, key);
	return rest ? rest : add(r, key);
}

void rests_add(struct rests *r, struct slice key, uint64_t now_ns)
{
	struct rest *rest = find_or_add(r, key);
	if (!rest)
		return;
	rest->for_ns = rest->for_ns ? 2 * rest->for_ns : r->first_ns;
	if (rest->for_ns > r->most_ns)
		rest->for_ns = r->most_ns;
	rest->until_ns = now_ns + rest->for_ns;
}

void rests_put(struct rests *r, struct slice key, uint64_t until_ns)
{
	struct rest *rest = find_or_add(r, key);
	if (rest)
		rest->until_ns = until_ns;
}

void rests_drop(struct rests *r, struct slice key) { free(map_remove(&r->map, key)); }

static struct rest *oldest_of(const struct rests *r, uint64_t now_ns)
{
	struct rest *rest;
	for (size_t at = 0; (rest = map_next(&r->map, &at));)
		if (now_ns > rest->until_ns && now_ns - rest->until_ns > r->most_ns)
			return rest;
	return NULL;
}

void rests_sweep(struct rests *r, uint64_t now_ns)
{
	for (struct rest *rest; (rest = oldest_of(r, now_ns));)
		rests_drop(r, (struct slice){ rest->key, rest->n });
}
