/* SPDX-License-Identifier: Apache-2.0 */
#include "pool/inside.h"
#include <stdlib.h>
#include <string.h>

static void key_free(struct token_key *key)
{
	struct pool_key_handle *k = (struct pool_key_handle *)(void *)key;
	explicit_bzero(k->reject, sizeof(k->reject));
	pubkey_free(k->pub);
	token_key_put(k->overflow);
	free(k);
}

struct slice pool_key_spki(const struct token_key *key)
{
	const struct pubkey *pub = handle_of(key)->pub;
	return pub ? pubkey_spki(pub) : (struct slice){ 0 };
}

const char *pool_key_pool(const struct token_key *key) { return handle_of(key)->pool; }

struct token_key *pool_key_overflow(const struct token_key *key)
{
	return handle_of(key)->overflow;
}

const struct token_ops pool_token = { .name = "pool", .free_key = key_free };

bool pool_key_is(const struct token_key *key) { return key->ops == &pool_token; }

kf_err pool_key_new(const struct pool_key *in, struct token_key **ret)
{
	CLEANUP(pubkey_freep) struct pubkey *pub = NULL;
	if (!in->key_id)
		KF_TRY(pubkey_parse(in->spki, &pub));
	struct pool_key_handle *k = calloc(1, sizeof(*k));
	if (!k)
		return kf_fail(NOMEM, "handle of a key on tokens");
	k->base.ops = &pool_token;
	k->base.alg = pub ? pubkey_alg(pub) : in->alg;
	if (pub)
		pubkey_id(pub, k->base.id);
	else
		memcpy(k->base.id, in->key_id, KEY_ID_SIZE);
	atomic_init(&k->base.refs, 1);
	memcpy(k->pool, in->pool, sizeof(k->pool));
	k->pool[sizeof(k->pool) - 1] = 0;
	memcpy(k->reject, in->reject, sizeof(k->reject));
	k->overflow = token_key_get(in->overflow);
	k->pub = pub;
	pub = NULL;
	*ret = &k->base;
	return KF_OK;
}
