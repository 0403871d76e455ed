/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/key.h"
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct key {
	const struct provider *provider;
	_Atomic(unsigned) shares;
	enum alg_family family;
	EVP_PKEY *pub;
	size_t size;
	size_t id_size;
	uint8_t id[KEYREF_ID_MAX];
};

static const char *const types[] = {
	[FAMILY_RSA] = "RSA",
	[FAMILY_EC] = "EC",
	[FAMILY_ED25519] = "ED25519",
};

struct key *key_new(const struct provider *p, enum alg_family family)
{
	struct key *key = calloc(1, sizeof(*key));
	if (!key)
		return NULL;
	key->provider = p;
	key->family = family;
	atomic_init(&key->shares, 1);
	return key;
}

/* Sharing changes nothing that the holder of a const key can see. */
struct key *key_share(const struct key *key)
{
	struct key *shared = (struct key *)(uintptr_t)key;
	atomic_fetch_add_explicit(&shared->shares, 1, memory_order_relaxed);
	return shared;
}

void key_free(struct key *key)
{
	if (!key || atomic_fetch_sub_explicit(&key->shares, 1, memory_order_acq_rel) != 1)
		return;
	EVP_PKEY_free(key->pub);
	free(key);
}

void key_take_public(struct key *key, EVP_PKEY *pub)
{
	EVP_PKEY_free(key->pub);
	key->pub = pub;
	int size = EVP_PKEY_get_size(pub);
	key->size = size > 0 ? (size_t)size : 0;
}

bool key_set_reference(struct key *key, const struct keyref *ref)
{
	const unsigned char *at = ref->spki.p;
	ERR_set_mark();
	EVP_PKEY *pub =
		d2i_PUBKEY_ex(NULL, &at, (long)ref->spki.n, key->provider->lib, NULL);
	ERR_pop_to_mark();
	if (!pub || at != ref->spki.p + ref->spki.n ||
		!EVP_PKEY_is_a(pub, types[key->family]) || ref->id.n > sizeof(key->id)) {
		EVP_PKEY_free(pub);
		return false;
	}
	key_take_public(key, pub);
	memcpy(key->id, ref->id.p, ref->id.n);
	key->id_size = ref->id.n;
	return true;
}

const struct provider *key_provider(const struct key *key) { return key->provider; }
enum alg_family key_family(const struct key *key) { return key->family; }
const char *key_type(const struct key *key) { return types[key->family]; }
EVP_PKEY *key_public(const struct key *key) { return key->pub; }
struct slice key_id(const struct key *key)
{
	return (struct slice){ key->id, key->id_size };
}
size_t key_size(const struct key *key) { return key->size; }
