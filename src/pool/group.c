/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "crypt/ossl.h"
#include "pool/inside.h"
#include <openssl/core_names.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t SERVICE_UNKNOWN_NS = 250000000;

unsigned set_next(const struct token_set *s, unsigned slot)
{
	for (unsigned word = slot / 64; word < POOL_TOKENS_MAX / 64; word++) {
		uint64_t bits = s->bits[word];
		if (word == slot / 64)
			bits &= ~(uint64_t)0 << slot % 64;
		if (bits)
			return word * 64 + (unsigned)__builtin_ctzll(bits);
	}
	return POOL_TOKENS_MAX;
}

struct pool_key_group *group_find(struct pool *p, const uint8_t id[KEY_ID_SIZE])
{
	return map_get(&p->groups, (struct slice){ id, KEY_ID_SIZE });
}

static void group_free(struct pool_key_group *g)
{
	pubkey_free(g->pubkey);
	free(g);
}

static void group_freep(struct pool_key_group **g)
{
	if (*g)
		group_free(*g);
}

static kf_err read_modulus(struct pool_key_group *g)
{
	if (g->key.alg->family != FAMILY_RSA)
		return KF_OK;
	int size = (int)g->key.alg->sig_max;
	CLEANUP(ossl_bn_freep) BIGNUM *n = NULL;
	if (!EVP_PKEY_get_bn_param(pubkey_pkey(g->pubkey), OSSL_PKEY_PARAM_RSA_N, &n) ||
		BN_bn2binpad(n, g->modulus, size) != size)
		return ossl_fail(KEY_FORMAT, "modulus cannot be read");
	return KF_OK;
}

/* A secret key's name is what its token computed with it. */
static kf_err name_group(struct pool_key_group *g, const struct token_key_facts *f)
{
	if (f->alg->family == FAMILY_AES) {
		memcpy(g->key.id, f->key_id, KEY_ID_SIZE);
		g->key.alg = f->alg;
		return KF_OK;
	}
	KF_TRY(pubkey_parse(buf_slice(&f->spki), &g->pubkey));
	pubkey_id(g->pubkey, g->key.id);
	g->key.alg = pubkey_alg(g->pubkey);
	return KF_OK;
}

static kf_err group_new(
	struct pool *p, const struct token_key_facts *f, struct pool_key_group **ret)
{
	CLEANUP(group_freep) struct pool_key_group *g = calloc(1, sizeof(*g));
	if (!g)
		return kf_fail(NOMEM, "key of a pool");
	KF_TRY(name_group(g, f));
	g->key.ops = &pool_token;
	atomic_init(&g->key.refs, 1);
	memcpy(g->label, f->label, sizeof(g->label));
	list_init(&g->jobs);
	list_init(&g->busy);
	if (g->key.alg != f->alg || memcmp(g->key.id, f->key_id, KEY_ID_SIZE))
		return kf_fail(KEY_FORMAT, "its description contradicts its public key");
	KF_TRY(read_modulus(g));
	KF_TRY(map_put(&p->groups, (struct slice){ g->key.id, KEY_ID_SIZE }, g));
	*ret = g;
	g = NULL;
	return KF_OK;
}

/* Nobody has it, but somebody may come back with it; or it must not be taken for another kind of key. */
static bool is_remembered(const struct pool_key_group *g)
{
	return g->refs || g->counts || clock_monotonic_ns() < g->hope_ns;
}

static void forget(struct pool *p, struct pool_key_group *g)
{
	map_remove(&p->groups, (struct slice){ g->key.id, KEY_ID_SIZE });
	group_free(g);
}

void group_put(struct pool *p, struct pool_key_group *g)
{
	if (--g->refs == 0 && !is_remembered(g))
		forget(p, g);
}

void groups_sweep(struct pool *p, bool all)
{
	struct pool_key_group *g;
	for (size_t at = 0; (g = map_next(&p->groups, &at));)
		if (all || !is_remembered(g)) {
			forget(p, g);
			at = 0;
		}
}

kf_err group_get(
	struct pool *p, const struct token_key_facts *f, struct pool_key_group **ret)
{
	struct pool_key_group *g = group_find(p, f->key_id);
	if (!g) {
		groups_sweep(p, false);
		if (p->groups.n >= GROUPS_MAX)
			return kf_fail(FULL, "too many keys on tokens");
		KF_TRY(group_new(p, f, &g));
	}
	g->refs++;
	if (f->has_counter)
		group_count(g);
	*ret = g;
	return KF_OK;
}

void group_heed(const struct pool_key_group *g, struct pool_job *j)
{
	if (!g->counts)
		return;
	j->is_once = true;
	j->overflows = false;
}

void group_count(struct pool_key_group *g)
{
	g->counts = true;
	list_each(l, &g->jobs) group_heed(g, container_of(l, struct pool_job, own.link));
}

bool group_has_hope(const struct pool_key_group *g, enum pool_op op, uint64_t now)
{
	return !set_is_empty(&g->serving[op]) || now < g->hope_ns;
}

uint64_t service_of(const struct worker *w, const struct alg *alg, enum pool_op op)
{
	return w->card ? w->card->service_ns[alg->id][op] : 0;
}

enum pool_op group_main_op(const struct pool_key_group *g)
{
	if (g->key.alg->family == FAMILY_AES)
		return OP_USE;
	return set_is_empty(&g->serving[OP_SIGN]) ? OP_DECRYPT : OP_SIGN;
}

/* Operations a nanosecond of all that serve the key; ret_shared: how many of them are in `other`, too. */
static double rate_of(struct pool *p, const struct pool_key_group *g,
	const struct token_set *other, unsigned *ret_shared)
{
	enum pool_op op = group_main_op(g);
	double sum = 0;
	*ret_shared = 0;
	for (unsigned i = 0; (i = set_next(&g->serving[op], i)) < POOL_TOKENS_MAX; i++) {
		uint64_t ns = service_of(p->slot[i], g->key.alg, op);
		sum += 1.0 / (double)(ns ? ns : SERVICE_UNKNOWN_NS);
		*ret_shared += set_next(other, i) == i;
	}
	return sum;
}

static bool has_idle(struct pool *p, const struct token_set *s)
{
	for (unsigned i = 0; (i = set_next(s, i)) < POOL_TOKENS_MAX; i++)
		if (p->slot[i]->is_idle)
			return true;
	return false;
}

/* Of all that waits, what falls to the tokens of this key; a job of another key as far as its tokens are the
 * same.  What is at work is half done, on average. */
uint64_t group_wait_ns(
	struct pool *p, const struct pool_key_group *g, enum pool_op op, bool yields)
{
	const struct token_set *own = &g->serving[op];
	unsigned tokens, shared;
	double rate = rate_of(p, g, own, &tokens), wait = 0.5 / rate;
	if (set_is_empty(own))
		return UINT64_MAX;
	if (has_idle(p, own))
		return 0;
	list_each(l, &p->busy)
	{
		const struct pool_key_group *k =
			container_of(l, struct pool_key_group, busy);
		rate = rate_of(p, k, own, &shared);
		if (shared)
			wait += (k->waiting - (yields ? 0 : k->yielding)) / rate *
				shared / tokens;
	}
	return (uint64_t)wait;
}
