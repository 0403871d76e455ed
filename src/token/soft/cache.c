/* SPDX-License-Identifier: Apache-2.0
 *
 * cache: a thread's prepared signatures.  Making one costs a P-256 signature and more (20 %
 * and 25 % are the price of preparing each time), keeping it costs nothing.
 */
#include "crypt/keygen.h"
#include "token/soft/soft.h"
#include <assert.h>
#include <stdlib.h>

static void slot_clear(struct soft_slot *slot)
{
	EVP_MD_CTX_free(slot->md);
	EVP_PKEY_CTX_free(slot->ctx);
	EVP_PKEY_CTX_free(slot->check);
	EVP_PKEY_free(slot->pkey);
	soft_key_drop(slot->key);
	*slot = (struct soft_slot){ 0 };
}

void cache_clear(struct token_session *s, bool only_retired)
{
	for (size_t i = 0; i < SLOT_SETS * SLOT_WAYS; i++) {
		struct soft_slot *slot = &s->slot[i / SLOT_WAYS][i % SLOT_WAYS];
		if (slot->key &&
			(!only_retired || atomic_load_explicit(&slot->key->is_retired,
						  memory_order_relaxed)))
			slot_clear(slot);
	}
}

void soft_forget(struct token_session *s) { cache_clear(s, true); }

/* A key id is a hash already. */
static struct soft_slot *set_of(struct token_session *s, const struct soft_key *key)
{
	static_assert(SLOT_SETS == 256, "a byte of the id picks the set");
	return s->slot[key->base.id[0]];
}

static struct soft_slot *find(struct soft_slot *set, const struct sign_job *job)
{
	const struct soft_key *key = soft_key_of(job->key);
	for (size_t i = 0; i < SLOT_WAYS; i++)
		if (set[i].key == key && set[i].mech == job->mech &&
			set[i].salt == job->salt)
			return &set[i];
	return NULL;
}

static struct soft_slot *oldest(struct soft_slot *set)
{
	struct soft_slot *old = set;
	for (size_t i = 1; i < SLOT_WAYS; i++)
		if (set[i].used < old->used)
			old = &set[i];
	return old;
}

/* Copies leave a quarter of the memory for keys to the keys themselves. */
static bool has_room(void) { return crypt_room() > crypt_heap_size() / 4; }

/* RSA: the copy another mechanism of this key has already, else a new one; threads that share an RSA
 * key share the lock of its blinding.  The others have nothing to share that costs (and OpenSSL 3.0
 * would copy an EC scalar into ordinary memory).  Without a copy it is only slower. */
static EVP_PKEY *own_copy(const struct soft_slot *set, const struct soft_key *key)
{
	EVP_PKEY *pkey = key->pkey;
	for (size_t i = 0; i < SLOT_WAYS; i++)
		if (set[i].key == key)
			pkey = set[i].pkey;
	if (pkey == key->pkey && key->base.alg->family == FAMILY_RSA && has_room()) {
		EVP_PKEY *copy = EVP_PKEY_dup(pkey);
		if (copy)
			return copy;
		ERR_clear_error();
	}
	return EVP_PKEY_up_ref(pkey) ? pkey : NULL;
}

static bool wants_check(const struct alg *alg)
{
	return alg->family == FAMILY_RSA && alg->cost == COST_WORKER;
}

static bool prepare_digest_mech(struct soft_slot *slot)
{
	struct ossl_mech m;
	ossl_mech_init(&m, slot->mech, slot->salt);
	slot->ctx = EVP_PKEY_CTX_new_from_pkey(NULL, slot->pkey, NULL);
	if (!slot->ctx || EVP_PKEY_sign_init_ex(slot->ctx, m.list) <= 0)
		return false;
	if (!wants_check(slot->key->base.alg))
		return true;
	slot->check = EVP_PKEY_CTX_new_from_pkey(NULL, slot->pkey, NULL);
	return slot->check && EVP_PKEY_verify_init_ex(slot->check, m.list) > 0;
}

static bool prepare_data_mech(struct soft_slot *slot)
{
	slot->md = EVP_MD_CTX_new();
	return slot->md && EVP_DigestSignInit_ex(slot->md, NULL, NULL, NULL, NULL,
				   slot->pkey, NULL) > 0;
}

static kf_err prepare(struct soft_slot *slot, EVP_PKEY *pkey, const struct sign_job *job)
{
	slot->key = soft_key_of(job->key);
	slot->mech = job->mech;
	slot->salt = job->salt;
	slot->pkey = pkey;
	soft_key_hold(slot->key);
	if (!pkey)
		return ossl_fail(NOMEM, "memory for keys is used up");
	if (job->mech->hash == HASH_NONE ? !prepare_data_mech(slot)
					 : !prepare_digest_mech(slot))
		return ossl_fail(CRYPTO, "preparing a signature");
	return KF_OK;
}

kf_err cache_find(
	struct token_session *s, const struct sign_job *job, struct soft_slot **ret)
{
	struct soft_slot *set = set_of(s, soft_key_of(job->key));
	struct soft_slot *slot = find(set, job);
	if (!slot) {
		slot = oldest(set);
		slot_clear(slot);
		kf_err err = prepare(slot, own_copy(set, soft_key_of(job->key)), job);
		if (!kf_ok(err)) {
			slot_clear(slot);
			return err;
		}
	}
	slot->used = ++s->clock;
	*ret = slot;
	return KF_OK;
}
