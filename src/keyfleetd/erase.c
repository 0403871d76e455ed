/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/erase.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "keyfleetd/server.h"
#include "keyfleetd/tokens.h"
#include "op/slow.h"
#include "op/token_key.h"
#include "provision/provision.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 1000, AGAIN_MS = 60000, FAILED_MAX = 64 };

struct eraser {
	struct server *server;
	struct epoch_reader *reader;
	pthread_t thread;
	pthread_mutex_t lock; /* guards is_stopping */
	pthread_cond_t woken;
	bool is_stopping;
	bool has_told; /* that it leaves everything alone */
	/* Tried in vain, and not at once again; the oldest gives way. */
	struct {
		uint8_t key_id[KEY_ID_SIZE];
		uint64_t again_ns;
	} failed[FAILED_MAX];
	size_t failed_n;
};

/* ---- what failed ---- */

static bool is_resting(const struct eraser *e, const uint8_t *key_id)
{
	const uint64_t now = clock_monotonic_ns();
	for (size_t i = 0; i < FAILED_MAX; i++)
		if (!memcmp(e->failed[i].key_id, key_id, KEY_ID_SIZE) &&
			now < e->failed[i].again_ns)
			return true;
	return false;
}

static void rest(struct eraser *e, const uint8_t *key_id)
{
	const size_t i = e->failed_n++ % FAILED_MAX;
	memcpy(e->failed[i].key_id, key_id, KEY_ID_SIZE);
	e->failed[i].again_ns = clock_monotonic_ns() + (uint64_t)AGAIN_MS * 1000000;
}

/* ---- one key ---- */

static bool is_buried(struct eraser *e, const uint8_t *key_id, char *ret_id)
{
	epoch_online(e->reader);
	bool is = token_key_is_buried(e->server->op.catalog, key_id, ret_id);
	epoch_offline(e->reader);
	return is;
}

static void tell(
	const char *pool, const char *object, const struct provision_report *report)
{
	for (size_t i = 0; i < report->n; i++) {
		const struct provision_row *row = &report->row[i];
		if (row->outcome == PROVISION_FAILED)
			log_warn("a destroyed key is still on a token",
				LOG_TEXT("pool", pool), LOG_TEXT("object", object),
				LOG_TEXT("serial", row->serial),
				LOG_TEXT("why",
					row->why[0] ? row->why : row->err.site->text));
		else
			log_notice("a destroyed key was deleted from a token",
				LOG_TEXT("pool", pool), LOG_TEXT("object", object),
				LOG_TEXT("serial", row->serial));
	}
}

/* From every token here that holds it. */
static kf_err delete_key(struct eraser *e, const struct pool_key_status *k,
	const char *object, struct provision_report *report)
{
	char holder[POOL_TOKENS_MAX][TOKEN_SERIAL_SIZE];
	const char *serial[POOL_TOKENS_MAX];
	struct pools *pools = e->server->pools;
	size_t n = pool_key_holders(pools, k->pool, k->key_id, holder, POOL_TOKENS_MAX);
	n = n < POOL_TOKENS_MAX ? n : POOL_TOKENS_MAX;
	for (size_t i = 0; i < n; i++)
		serial[i] = holder[i];
	const struct provision p = { .pools = pools, .pool = k->pool };
	const struct provision_targets from = { serial, n };
	if (!n)
		return KF_OK;
	KF_TRY(provision_delete(&p, k->key_id, &from, true, report));
	tell(k->pool, object, report);
	return report->failed ? kf_fail(TOKEN, "not all tokens let it go") : KF_OK;
}

/* Whether it is destroyed is asked while nobody can bring it back. */
static void erase(struct eraser *e, const struct pool_key_status *k)
{
	char object[OBJECT_ID_SIZE];
	CLEANUP(mem_freep) struct provision_report *report = calloc(1, sizeof(*report));
	if (!report || !kf_ok(op_slow_erase(e->server->slow, k->key_id)))
		return;
	kf_err err = KF_OK;
	if (is_buried(e, k->key_id, object))
		err = delete_key(e, k, object, report);
	op_slow_erased(e->server->slow);
	if (!kf_ok(err))
		rest(e, k->key_id);
}

/* ---- all of them ---- */

static bool must_stop(struct eraser *e)
{
	pthread_mutex_lock(&e->lock);
	bool must = e->is_stopping;
	pthread_mutex_unlock(&e->lock);
	return must;
}

static void look_at_pool(struct eraser *e, const char *pool)
{
	char object[OBJECT_ID_SIZE];
	if (!kf_ok(pool_check(e->server->pools, pool, true)))
		return; /* read only */
	const size_t most = pool_keys(e->server->pools, pool, NULL, 0);
	CLEANUP(mem_freep) struct pool_key_status *keys = calloc(most + 1, sizeof(*keys));
	if (!keys)
		return;
	const size_t n = pool_keys(e->server->pools, pool, keys, most);
	for (size_t i = 0; i < n && i < most && !must_stop(e); i++)
		if (!is_resting(e, keys[i].key_id) &&
			is_buried(e, keys[i].key_id, object))
			erase(e, &keys[i]);
}

/* An object that this server cannot read may be of a key that it believes destroyed: then nothing is deleted,
 * until the store is whole again and the server was started anew. */
static bool knows_all_keys(struct eraser *e)
{
	struct store_status status;
	store_status(e->server->store, &status);
	const bool knows = !status.tampered && !status.unloaded;
	if (!knows && !e->has_told)
		log_warn("destroyed keys are left on tokens: the store has objects that "
			 "cannot be read",
			LOG_NUM("tampered", status.tampered),
			LOG_NUM("unloaded", status.unloaded));
	e->has_told = !knows;
	return knows;
}

static void look(struct eraser *e)
{
	struct pool_totals totals[POOLS_MAX];
	size_t n = tokens_totals(e->server->tokens, totals, POOLS_MAX);
	for (size_t i = 0; i < n && knows_all_keys(e); i++)
		look_at_pool(e, totals[i].name);
}

/* ---- the thread ---- */

static bool wait_for_next(struct eraser *e)
{
	struct timespec until;
	int result = 0;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += LOOK_MS / 1000;
	pthread_mutex_lock(&e->lock);
	while (!e->is_stopping && result == 0)
		result = pthread_cond_timedwait(&e->woken, &e->lock, &until);
	bool goes_on = !e->is_stopping;
	pthread_mutex_unlock(&e->lock);
	return goes_on;
}

static void *run(void *arg)
{
	struct eraser *e = arg;
	while (wait_for_next(e))
		look(e);
	return NULL;
}

static void release(struct eraser *e)
{
	epoch_unregister(e->reader);
	pthread_cond_destroy(&e->woken);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

kf_err eraser_start(struct server *s, struct eraser **ret)
{
	pthread_condattr_t clock;
	if (!s->pools)
		return KF_OK;
	struct eraser *e = calloc(1, sizeof(*e));
	if (!e)
		return kf_fail(NOMEM, "deletion of destroyed keys");
	e->server = s;
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&e->woken, &clock);
	pthread_condattr_destroy(&clock);
	pthread_mutex_init(&e->lock, NULL);
	kf_err err = epoch_register(s->epoch, &e->reader);
	if (kf_ok(err) && pthread_create(&e->thread, NULL, run, e) != 0)
		err = kf_fail(NOMEM, "no thread for the deletion of destroyed keys");
	if (kf_ok(err))
		*ret = e;
	else
		release(e);
	return err;
}

void eraser_stop(struct eraser *e)
{
	if (!e)
		return;
	pthread_mutex_lock(&e->lock);
	e->is_stopping = true;
	pthread_cond_signal(&e->woken);
	pthread_mutex_unlock(&e->lock);
	pthread_join(e->thread, NULL);
	release(e);
}
