/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/erase.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "keyfleetd/chore.h"
#include "keyfleetd/rests.h"
#include "keyfleetd/server.h"
#include "keyfleetd/tokens.h"
#include "op/slow.h"
#include "op/token_key.h"
#include "provision/provision.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 1000, AGAIN_MS = 60000, AGAIN_MOST_MS = 3600000 };

/* Keys of a pool that belong to no object: what was made and lost, or is other programs'. */
struct strays {
	size_t seen, told;
};

struct eraser {
	struct chore chore;
	struct rests rests; /* keys that were tried in vain, and not at once again */
	struct strays strays[POOLS_MAX];
	const char *told; /* why it leaves everything alone */
	bool erases_restored;
};

/* A key that tokens hold and that was destroyed; or made for an object that never came to be ("none"). */
struct buried {
	const struct pool_key_status *key;
	char object[OBJECT_ID_SIZE], hex[2 * KEY_ID_SIZE + 1];
	int64_t destroyed_s;
};

static struct server *server_of(struct eraser *e) { return e->chore.server; }

static struct slice id_of(const struct pool_key_status *k)
{
	return (struct slice){ k->key_id, KEY_ID_SIZE };
}

/* ---- whether ---- */

static bool find_destroyed(struct eraser *e, struct buried *b)
{
	const struct object *o =
		token_key_buried(server_of(e)->op.catalog, b->key->key_id);
	if (!o)
		return false;
	memcpy(b->object, o->id, sizeof(b->object));
	b->destroyed_s = o->destroy_date;
	return true;
}

/* This server made it, and knows that the store refused its object; nor has it another one. */
static bool find_orphan(struct eraser *e, struct buried *b)
{
	memcpy(b->object, "none", sizeof("none"));
	b->destroyed_s = INT64_MAX; /* in this life of the store */
	return op_slow_is_orphan(server_of(e)->slow, b->key->key_id) &&
	       !token_key_object(server_of(e)->op.catalog, b->key->key_id);
}

static bool find_buried(struct eraser *e, struct buried *b)
{
	epoch_online(e->chore.reader);
	bool is = find_destroyed(e, b) || find_orphan(e, b);
	epoch_offline(e->chore.reader);
	for (size_t i = 0; i < KEY_ID_SIZE; i++)
		snprintf(b->hex + 2 * i, 3, "%02x", b->key->key_id[i]);
	return is;
}

/* An object that this server cannot read, or does not know yet, may be of a key that it believes destroyed.  NULL: it
 * knows all. */
static const char *ignorance(const struct store_status *s)
{
	if (s->tampered || s->unloaded)
		return "the store has objects that cannot be read";
	if (!s->is_reachable)
		return "the database is out of reach, and may know better";
	if (s->is_rolled_back)
		return "the store was rolled back while this server ran";
	return NULL;
}

static bool knows_all_keys(struct eraser *e)
{
	struct store_status status;
	store_status(server_of(e)->store, &status);
	const char *why = ignorance(&status);
	if (why && why != e->told)
		log_warn("destroyed keys are left on tokens", LOG_TEXT("why", why),
			LOG_NUM("tampered", status.tampered),
			LOG_NUM("unloaded", status.unloaded));
	e->told = why;
	return !why;
}

/* A backup knows nothing of what came after it: the key may have been brought back, by an object that is lost. */
static bool was_destroyed_before_restore(struct eraser *e, const struct buried *b)
{
	struct store_status status;
	store_status(server_of(e)->store, &status);
	return b->destroyed_s <= status.incarnation_us / 1000000;
}

/* What only a person can decide. */
static const char *objection(struct eraser *e, const struct buried *b)
{
	if (own_key_is(&server_of(e)->own_key, b->key->key_id))
		return "it is this key server's own TLS key: put another one into [tls]";
	if (!e->erases_restored && was_destroyed_before_restore(e, b))
		return "it was destroyed before the store was restored from a backup: "
		       "erase_restored in [store]";
	return NULL;
}

/* After everybody else's commits. */
static kf_err prove_destroyed(struct eraser *e, struct buried *b)
{
	KF_TRY(chore_catch_up(&e->chore));
	if (!knows_all_keys(e))
		return kf_fail(TAMPERED, "not all objects can be read");
	if (!find_buried(e, b))
		return kf_fail(CONFLICT, "an object with this key is there again");
	return KF_OK;
}

/* ---- one token ---- */

static void put_fields(const struct buried *b, const char *serial, struct buf *ret)
{
	audit_put_field(ret, "object", slice_of(b->object));
	audit_put_field(ret, "key", slice_of(b->hex));
	audit_put_field(ret, "pool", slice_of(b->key->pool));
	audit_put_field(ret, "token", slice_of(serial));
}

static void record_result(
	struct eraser *e, const struct buried *b, const char *serial, const char *why)
{
	autobuf fields = buf_new(1024);
	put_fields(b, serial, &fields);
	if (why)
		audit_put_field(&fields, "why", slice_of(why));
	kf_err recorded = audit_event(
		server_of(e)->audit, why ? "erase-failed" : "erased", buf_slice(&fields));
	if (!kf_ok(recorded))
		log_warn("the audit takes no record of a deletion", LOG_ERR(recorded));
	if (why)
		log_warn("a destroyed key is still on a token",
			LOG_TEXT("pool", b->key->pool), LOG_TEXT("object", b->object),
			LOG_TEXT("serial", serial), LOG_TEXT("why", why));
	else
		log_notice("a destroyed key was deleted from a token",
			LOG_TEXT("pool", b->key->pool), LOG_TEXT("object", b->object),
			LOG_TEXT("serial", serial));
}

static const char *outcome(const struct provision_report *r, kf_err whole)
{
	if (!kf_ok(whole))
		return whole.site->text;
	for (size_t i = 0; i < r->n; i++)
		if (r->row[i].outcome == PROVISION_FAILED)
			return r->row[i].why[0] ? r->row[i].why
						: r->row[i].err.site->text;
	return NULL;
}

/* The token before may have taken its time.  The record is on disk before the key goes. */
static kf_err delete_from(struct eraser *e, struct buried *b, const char *serial,
	struct provision_report *report)
{
	autobuf fields = buf_new(1024);
	const struct provision p = { .pools = server_of(e)->pools, .pool = b->key->pool };
	const struct provision_targets from = { &serial, 1 };
	KF_TRY(prove_destroyed(e, b));
	put_fields(b, serial, &fields);
	KF_TRY(buf_err(&fields));
	KF_TRY(chore_record(&e->chore, "erase", buf_slice(&fields)));
	kf_err whole = provision_erase(&p, b->key->key_id, &from, report);
	const char *why = outcome(report, whole);
	record_result(e, b, serial, why);
	return why ? kf_fail(TOKEN, "not all tokens let it go") : KF_OK;
}

/* ---- one key ---- */

/* From every token here that holds it. */
static kf_err delete_key(
	struct eraser *e, struct buried *b, struct provision_report *report)
{
	char holder[POOL_TOKENS_MAX][TOKEN_SERIAL_SIZE];
	kf_err err = KF_OK;
	size_t n = pool_key_holders(server_of(e)->pools, b->key->pool, b->key->key_id,
		holder, POOL_TOKENS_MAX);
	for (size_t i = 0; i < n && i < POOL_TOKENS_MAX && chore_pause(&e->chore, 0);
		i++) {
		kf_err one = delete_from(e, b, holder[i], report);
		if (!kf_ok(one))
			err = one;
	}
	return err;
}

/* Whether it is destroyed is asked while nobody can bring it back. */
static kf_err erase(struct eraser *e, struct buried *b)
{
	CLEANUP(mem_freep) struct provision_report *report = calloc(1, sizeof(*report));
	if (!report)
		return kf_fail(NOMEM, "deletion of destroyed keys");
	KF_TRY(op_slow_erase(server_of(e)->slow, b->key->key_id));
	kf_err err = delete_key(e, b, report);
	op_slow_erased(server_of(e)->slow);
	return err;
}

static kf_err erase_unless(struct eraser *e, struct buried *b)
{
	const char *why = objection(e, b);
	if (!why)
		return erase(e, b);
	log_warn("a destroyed key is left on its tokens", LOG_TEXT("pool", b->key->pool),
		LOG_TEXT("object", b->object), LOG_TEXT("why", why));
	return kf_fail(DENIED, "somebody has to look first");
}

/* ---- keys that nobody knows ---- */

static bool is_stray(struct eraser *e, const struct pool_key_status *k)
{
	const struct catalog *c = server_of(e)->op.catalog;
	epoch_online(e->chore.reader);
	bool is = !token_key_object(c, k->key_id) && !token_key_buried(c, k->key_id);
	epoch_offline(e->chore.reader);
	return is && !op_slow_is_orphan(server_of(e)->slow, k->key_id) &&
	       !own_key_is(&server_of(e)->own_key, k->key_id);
}

/* False: objects that are not known, or on their way, may be theirs. */
static bool count_strays(
	struct eraser *e, const struct pool_key_status *keys, size_t n, size_t *ret)
{
	struct store_status status;
	store_status(server_of(e)->store, &status);
	bool is_known = !ignorance(&status) && op_slow_is_idle(server_of(e)->slow);
	*ret = 0;
	for (size_t i = 0; is_known && i < n; i++)
		*ret += is_stray(e, &keys[i]);
	return is_known && op_slow_is_idle(server_of(e)->slow);
}

/* Whoever made them may be gone: a command that failed, a key server that died.  Told when two looks agree, and when
 * there are other numbers of them. */
static void tell_strays(
	struct eraser *e, struct strays *s, const struct pool_key_status *keys, size_t n)
{
	size_t found;
	if (!count_strays(e, keys, n, &found)) {
		s->seen = SIZE_MAX;
		return;
	}
	if (found && found == s->seen && found != s->told)
		log_notice("tokens hold keys that belong to no object",
			LOG_TEXT("pool", keys->pool), LOG_NUM("keys", (int64_t)found),
			LOG_TEXT("see", "keyfleet dkek status --drift"));
	if (found == s->seen)
		s->told = found;
	s->seen = found;
}

/* ---- all of them ---- */

static void look_at_key(struct eraser *e, const struct pool_key_status *k)
{
	struct buried b = { .key = k };
	if (rests_has(&e->rests, id_of(k), clock_monotonic_ns()) || !find_buried(e, &b) ||
		!knows_all_keys(e))
		return;
	kf_err err = erase_unless(e, &b);
	if (kf_ok(err))
		rests_drop(&e->rests, id_of(k));
	else
		rests_add(&e->rests, id_of(k), clock_monotonic_ns());
}

static void look_at_pool(struct eraser *e, const char *pool, struct strays *strays)
{
	struct pools *pools = server_of(e)->pools;
	if (!kf_ok(pool_check(pools, pool, true)))
		return; /* read only */
	const size_t most = pool_keys(pools, pool, NULL, 0);
	CLEANUP(mem_freep) struct pool_key_status *keys = calloc(most + 1, sizeof(*keys));
	if (!keys)
		return;
	const size_t found = pool_keys(pools, pool, keys, most);
	const size_t n = found < most ? found : most;
	for (size_t i = 0; i < n && chore_pause(&e->chore, 0); i++)
		look_at_key(e, &keys[i]);
	tell_strays(e, strays, keys, n);
}

static void look(struct chore *c)
{
	struct eraser *e = container_of(c, struct eraser, chore);
	struct pool_totals totals[POOLS_MAX];
	size_t n = tokens_totals(c->server->tokens, totals, POOLS_MAX);
	for (size_t i = 0; i < n; i++)
		look_at_pool(e, totals[i].name, &e->strays[i]);
	rests_sweep(&e->rests, clock_monotonic_ns());
}

/* ---- life ---- */

static void release(struct eraser *e)
{
	rests_free(&e->rests);
	free(e);
}

kf_err eraser_start(struct server *s, struct eraser **ret)
{
	if (!s->pools)
		return KF_OK;
	struct eraser *e = calloc(1, sizeof(*e));
	if (!e)
		return kf_fail(NOMEM, "deletion of destroyed keys");
	e->chore = (struct chore){
		.server = s, .name = "eraser", .every_ms = LOOK_MS, .look = look
	};
	e->erases_restored = s->conf.erases_restored;
	rests_init(&e->rests, AGAIN_MS, AGAIN_MOST_MS);
	kf_err err = chore_start(&e->chore);
	if (kf_ok(err))
		*ret = e;
	else
		release(e);
	return err;
}

bool eraser_stop(struct eraser *e, uint64_t until_ns)
{
	if (!e)
		return true;
	if (!chore_stop(&e->chore, until_ns))
		return false;
	release(e);
	return true;
}
