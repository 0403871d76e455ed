/* SPDX-License-Identifier: Apache-2.0
 *
 * fleet: blank cards become a pool whose keys are on all of them, by the pool's own tasks.
 */
#include "base/mem.h"
#include "bench/pool/bench.h"
#include <stdio.h>
#include <string.h>

enum { PATIENCE_MS = 120000, SHARE_SIZE = 32 };

static const enum alg_id algs[FLEET_KEYS] = { ALG_RSA_2048, ALG_BRAINPOOL_P256R1 };
static const struct token_pin so_pin = { 16, "3537363231383830" };

/* What is made on one token and comes to the others. */
struct dowry {
	const struct token_pin *pin;
	struct token_blob blob[FLEET_KEYS];
};

static kf_err initialise(const struct token_driver *d, struct token *t, void *arg)
{
	const struct dowry *dowry = arg;
	uint8_t share[SHARE_SIZE];
	memset(share, 0x5a, sizeof(share));
	KF_TRY(d->initialise(t, &(struct token_init){ .so_pin = &so_pin,
					.pin = dowry->pin,
					.shares = 1,
					.label = "bench" }));
	KF_TRY(d->login(t, dowry->pin));
	return d->import_share(t, share);
}

static kf_err make_key(const struct token_driver *d, struct token *t, enum alg_id alg,
	struct token_blob *ret)
{
	struct token_key_facts f = { 0 };
	struct token_new_key in = { .alg = alg_get(alg),
		.label = alg_get(alg)->name,
		.may_decrypt = true,
		.may_leave = true };
	KF_TRY(d->generate(t, &in, &f));
	kf_err e = d->wrap(t, f.handle, ret);
	token_key_facts_free(&f);
	return e;
}

static kf_err make_keys(const struct token_driver *d, struct token *t, void *arg)
{
	struct dowry *dowry = arg;
	for (int i = 0; i < FLEET_KEYS; i++)
		KF_TRY(make_key(d, t, algs[i], &dowry->blob[i]));
	return KF_OK;
}

static kf_err take_keys(const struct token_driver *d, struct token *t, void *arg)
{
	const struct dowry *dowry = arg;
	for (int i = 0; i < FLEET_KEYS; i++) {
		struct token_key_facts f = { 0 };
		KF_TRY(d->unwrap(t, &dowry->blob[i], &f));
		token_key_facts_free(&f);
	}
	return KF_OK;
}

static kf_err run(struct fleet *f, const char *serial, struct dowry *dowry,
	kf_err (*what)(const struct token_driver *d, struct token *t, void *arg))
{
	return pool_run(f->pools, &(struct pool_task){ .serial = serial,
					  .task = "being prepared",
					  .changes = true,
					  .run = what,
					  .arg = dowry });
}

static kf_err handle_of_key(struct fleet *f, int i, const struct token_blob *blob)
{
	struct pool_key k = { .pool = "bench", .spki = buf_slice(&blob->spki) };
	KF_TRY(pubkey_parse(k.spki, &f->pubkey[i]));
	return pool_key_new(&k, &f->key[i]);
}

static kf_err prepare(struct fleet *f, struct dowry *dowry)
{
	static struct pool_token_status row[CARDS_MAX];
	KF_TRY(pools_wait(f->pools, PATIENCE_MS));
	if (pool_tokens(f->pools, row, CARDS_MAX) != f->tokens)
		return kf_fail(CONFIG, "there are not as many cards as were asked for");
	for (unsigned i = 0; i < f->tokens; i++)
		KF_TRY(run(f, row[i].facts.serial, dowry, initialise));
	KF_TRY(run(f, row[0].facts.serial, dowry, make_keys));
	for (unsigned i = 1; i < f->tokens; i++)
		KF_TRY(run(f, row[i].facts.serial, dowry, take_keys));
	for (int i = 0; i < FLEET_KEYS; i++)
		KF_TRY(handle_of_key(f, i, &dowry->blob[i]));
	return pools_wait(f->pools, PATIENCE_MS);
}

kf_err fleet_open(
	unsigned tokens, unsigned timeout_ms, const char *socket, struct fleet *ret)
{
	static struct token_pin *pin; /* as long as the program: pools keep it */
	if (!pin && !(pin = secret_alloc(sizeof(*pin))))
		return kf_fail(NOMEM, "locked memory");
	*pin = (struct token_pin){ 6, "648219" };
	struct dowry dowry = { .pin = pin };
	struct pool_conf conf = { .name = "bench",
		.driver = socket ? &schsm_driver : cards_driver(),
		.source.socket = socket,
		.pin = pin,
		.queue = 4096,
		.timeout_ms = timeout_ms };
	*ret = (struct fleet){ .tokens = tokens, .timeout_ms = timeout_ms };
	if (!socket)
		KF_TRY(cards_open(tokens));
	KF_TRY(pools_open(&conf, 1, &ret->pools));
	kf_err e = prepare(ret, &dowry);
	for (int i = 0; i < FLEET_KEYS; i++)
		token_blob_free(&dowry.blob[i]);
	return e;
}

void fleet_close(struct fleet *f)
{
	pools_close(f->pools);
	for (int i = 0; i < FLEET_KEYS; i++) {
		token_key_put(f->key[i]);
		pubkey_free(f->pubkey[i]);
	}
	*f = (struct fleet){ 0 };
}
