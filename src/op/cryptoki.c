/* SPDX-License-Identifier: Apache-2.0 */
#include "op/cryptoki.h"
#include "store/object.h"
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct use {
	uint64_t age; /* grows; 0: free */
	char client[CLIENT_NAME_SIZE];
	uint8_t id[CRYPTOKI_ID_SIZE];
};

struct op_cryptoki {
	pthread_mutex_t lock; /* guards what follows */
	uint64_t newest;
	struct use use[CRYPTOKI_MAX];
};

kf_err op_cryptoki_new(struct op_cryptoki **ret)
{
	struct op_cryptoki *c = calloc(1, sizeof(*c));
	if (!c)
		return kf_fail(NOMEM, "users of PKCS#11");
	pthread_mutex_init(&c->lock, NULL);
	*ret = c;
	return KF_OK;
}

void op_cryptoki_free(struct op_cryptoki *c)
{
	if (!c)
		return;
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static bool is_of(const struct use *u, const char *client)
{
	return u->age && strcmp(u->client, client) == 0;
}

/* A free place; else the client's oldest if it has enough, or the oldest of all. */
static struct use *choose(struct op_cryptoki *c, const char *client)
{
	struct use *oldest = &c->use[0], *own = NULL;
	unsigned n = 0;
	for (size_t i = 0; i < CRYPTOKI_MAX; i++) {
		struct use *u = &c->use[i];
		oldest = u->age < oldest->age ? u : oldest;
		if (!is_of(u, client))
			continue;
		n++;
		own = !own || u->age < own->age ? u : own;
	}
	return n >= CRYPTOKI_CLIENT_MAX ? own : oldest;
}

kf_err op_cryptoki_begin(
	struct op_cryptoki *c, const char *client, uint8_t ret[CRYPTOKI_ID_SIZE])
{
	if (RAND_bytes(ret, CRYPTOKI_ID_SIZE) != 1)
		return kf_fail(CRYPTO, "random numbers");
	pthread_mutex_lock(&c->lock);
	struct use *u = choose(c, client);
	*u = (struct use){ .age = ++c->newest };
	strncpy(u->client, client, sizeof(u->client) - 1);
	memcpy(u->id, ret, sizeof(u->id));
	pthread_mutex_unlock(&c->lock);
	return KF_OK;
}

static bool look(struct op_cryptoki *c, const char *client, struct slice id, bool ends)
{
	bool is_found = false;
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < CRYPTOKI_MAX && !is_found; i++) {
		struct use *u = &c->use[i];
		is_found = is_of(u, client) &&
			   slice_eq(id, (struct slice){ u->id, sizeof(u->id) });
		if (is_found)
			u->age = ends ? 0 : ++c->newest;
	}
	pthread_mutex_unlock(&c->lock);
	return is_found;
}

bool op_cryptoki_has(struct op_cryptoki *c, const char *client, struct slice id)
{
	return look(c, client, id, false);
}

bool op_cryptoki_end(struct op_cryptoki *c, const char *client, struct slice id)
{
	return look(c, client, id, true);
}
