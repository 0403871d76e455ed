/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/rotation.h"
#include "base/clock.h"
#include "base/log.h"
#include "keyfleetd/chore.h"
#include "keyfleetd/rests.h"
#include "keyfleetd/server.h"
#include "op/replace.h"
#include "op/step.h"
#include <stdlib.h>
#include <string.h>

enum { DUE_MAX = 64 };

struct rotation {
	struct chore chore;
	/* the thread's */
	struct op_call *call;
	struct who who;
	struct rests
		rests; /* keys that could not be rotated, until they are tried again */
	struct object *due[DUE_MAX];
	size_t n;
	int64_t now_s, retry_s;
	bool is_recorded; /* that it begins: then how it ends is, too */
	bool has_made;    /* something on tokens, that is lost without its commit */
};

static struct server *server_of(struct rotation *r) { return r->chore.server; }

static struct slice id_of(const struct object *o) { return slice_of(o->id); }

/* ---- the audit ---- */

/* Ahead of the act, as for requests: on disk before anything is made. */
static kf_err record_first(struct rotation *r, const struct object *o)
{
	autobuf fields = buf_new(512);
	audit_put_field(&fields, "object", slice_of(o->id));
	audit_put_field(&fields, "operation", slice_of(r->call->op->name));
	KF_TRY(buf_err(&fields));
	KF_TRY(chore_record(&r->chore, "rotation", buf_slice(&fields)));
	r->is_recorded = true;
	return KF_OK;
}

static void record_result(
	struct rotation *r, const struct object *o, const char *event, kf_err e)
{
	autobuf fields = buf_new(512);
	audit_put_field(&fields, "object", slice_of(o->id));
	if (kf_ok(e))
		audit_put_field(&fields, "new", slice_of(r->call->placeholder));
	else
		audit_put_field(&fields, "why", slice_of(e.site->text));
	kf_err recorded = audit_event(server_of(r)->audit, event, buf_slice(&fields));
	if (!kf_ok(recorded))
		log_warn("rotation: the audit takes no record", LOG_ERR(recorded));
}

/* ---- leases ---- */

/* After so long a key that could not be rotated is tried again; not so long that it waits for an interval of its own. */
static int64_t retry_s(const struct rotation *r, const struct object *o)
{
	return o->rotate_interval < r->retry_s ? o->rotate_interval : r->retry_s;
}

/* Whoever is second finds another version, and makes nothing on any token.  What the server does not live to finish
 * is due again when the lease is over. */
static kf_err claim(struct rotation *r, const struct object *o)
{
	struct op_call *call = r->call;
	autobuf attrs = buf_new(server_of(r)->op.message_max);
	buf_add_slice(&attrs, o->attrs);
	replace_put_lease(&attrs, r->now_s + replace_lease_s(o));
	KF_TRY(op_replace_other(call, o, &attrs, true));
	kf_err e = chore_commit(&r->chore, &call->change);
	op_clear(call);
	return e;
}

static struct object *find_version(struct rotation *r, const struct object *o, uint64_t n)
{
	epoch_online(r->chore.reader);
	const struct object *now =
		catalog_find(store_catalog(server_of(r)->store), id_of(o));
	struct object *ret = now && now->version == n ? object_ref(now) : NULL;
	epoch_offline(r->chore.reader);
	return ret;
}

/* What failed here another server may do at once, if nobody has changed the key since it was claimed. */
static void give_back(struct rotation *r, const struct object *o)
{
	autobuf attrs = buf_new(server_of(r)->op.message_max);
	struct object *claimed = find_version(r, o, o->version + 1);
	op_clear(r->call);
	if (!claimed)
		return;
	buf_add_slice(&attrs, claimed->attrs);
	replace_end_lease(&attrs);
	kf_err e = op_replace_other(r->call, claimed, &attrs, true);
	if (kf_ok(e))
		e = chore_commit(&r->chore, &r->call->change);
	if (!kf_ok(e) && !kf_is(e, KF_E_CONFLICT))
		log_err(e, "rotation: a lease stays until it is over",
			LOG_TEXT("object", o->id));
	object_unref(claimed);
}

/* ---- one rotation ---- */

static void prepare(struct rotation *r, uint32_t operation, struct slice payload)
{
	struct op_call *call = r->call;
	call->op = op_find(operation);
	call->server = &server_of(r)->op;
	call->version = KMIP_2_1;
	call->payload = payload;
	call->who = &r->who;
	call->now_s = r->now_s;
}

/* The request names the object as it is now.  What another server has replaced meanwhile is not due any more,
 * and yet could be re-keyed. */
static kf_err find_unchanged(struct rotation *r, uint64_t version)
{
	struct op_call *call = r->call;
	KF_TRY(op_decode(call));
	if (!call->object || call->object->version != version)
		return kf_fail(CONFLICT, "object was changed meanwhile");
	return op_authorise(call);
}

static kf_err start(struct rotation *r, uint64_t version, enum op_next *ret)
{
	struct op_call *call = r->call;
	epoch_online(r->chore.reader);
	kf_err e = find_unchanged(r, version);
	if (kf_ok(e))
		*ret = op_start(call);
	epoch_offline(r->chore.reader);
	KF_TRY(e);
	return *ret == OP_FAIL ? call->err : KF_OK;
}

/* What could not begin here claims nothing: its tokens are away, or have enough to do. */
static kf_err check_start(struct rotation *r, uint64_t version)
{
	enum op_next next = OP_FAIL;
	kf_err e = start(r, version, &next);
	op_clear(r->call);
	return e;
}

static kf_err run_steps(struct rotation *r, uint64_t version)
{
	struct op_call *call = r->call;
	enum op_next next = OP_FAIL;
	KF_TRY(start(r, version, &next));
	if (next == OP_WORK)
		next = op_worked(call);
	r->has_made = next == OP_COMMIT && call->is_slow;
	if (next != OP_COMMIT)
		return next == OP_FAIL ? call->err
				       : kf_fail(INTERNAL, "nothing was changed");
	kf_err e = chore_commit(&r->chore, &call->change);
	op_learn_fate(call);
	return e;
}

static kf_err rotate_on_tokens(struct rotation *r, const struct object *o)
{
	KF_TRY(check_start(r, o->version));
	KF_TRY(record_first(r, o));
	KF_TRY(claim(r, o));
	kf_err e = run_steps(r, o->version + 1);
	if (!kf_ok(e))
		give_back(r, o);
	return e;
}

static kf_err rotate(struct rotation *r, struct object *o)
{
	uint32_t operation;
	autobuf payload = buf_new(4096);
	if (!replace_rotation(o, &operation, &payload))
		return kf_fail(OBJECT_TYPE, "objects of this type are not rotated");
	prepare(r, operation, buf_slice(&payload));
	if (o->key && pool_key_is(o->key))
		return rotate_on_tokens(r, o);
	KF_TRY(record_first(r, o));
	return run_steps(r, o->version);
}

static void tell(struct rotation *r, const struct object *o, kf_err e)
{
	record_result(r, o, kf_ok(e) ? "rotated" : "rotation-failed", e);
	if (kf_ok(e))
		log_notice("key was rotated", LOG_TEXT("object", o->id),
			LOG_TEXT("new", r->call->placeholder));
	else
		log_err(e, "key cannot be rotated", LOG_TEXT("object", o->id));
}

/* What is no failure, as long as nothing was made.  A conflict: another server is rotating it, or a client has changed
 * it, and then the next look finds it.  Busy: the tokens, or the store, have enough to do. */
static bool is_put_off(const struct rotation *r, const struct object *o, kf_err e)
{
	if (r->has_made || (!kf_is(e, KF_E_CONFLICT) && !kf_is(e, KF_E_BUSY)))
		return false;
	if (kf_is(e, KF_E_BUSY))
		log_notice("key is rotated later", LOG_TEXT("object", o->id),
			LOG_TEXT("why", e.site->text));
	else
		log_debug("rotation: another was first", LOG_TEXT("object", o->id));
	return true;
}

static void rotate_one(struct rotation *r, struct object *o)
{
	memset(r->call->placeholder, 0, sizeof(r->call->placeholder));
	r->has_made = r->is_recorded = false;
	r->now_s = clock_wall_s();
	kf_err e = rotate(r, o);
	if (!is_put_off(r, o, e))
		tell(r, o, e);
	else if (r->is_recorded)
		record_result(r, o, "rotation-later", e);
	if (kf_ok(e))
		rests_drop(&r->rests, id_of(o));
	else if (!kf_is(e, KF_E_CONFLICT))
		rests_put(&r->rests, id_of(o),
			clock_monotonic_ns() + (uint64_t)retry_s(r, o) * 1000000000);
	op_clear(r->call);
}

/* ---- looking ---- */

static bool is_due(const struct rotation *r, const struct object *o)
{
	const int64_t at = object_rotates_at(o);
	const bool is_key =
		o->type == OBJECT_SYMMETRIC_KEY || o->type == OBJECT_PRIVATE_KEY;
	return is_key && at != DATE_UNSET && at <= r->now_s &&
	       !replace_is_leased(o, r->now_s) &&
	       !rests_has(&r->rests, id_of(o), clock_monotonic_ns());
}

static bool see(void *arg, const struct object *o)
{
	struct rotation *r = arg;
	if (is_due(r, o))
		r->due[r->n++] = object_ref(o);
	return r->n < DUE_MAX;
}

static void look(struct chore *c)
{
	struct rotation *r = container_of(c, struct rotation, chore);
	r->now_s = clock_wall_s();
	r->n = 0;
	epoch_online(c->reader);
	catalog_each(store_catalog(c->server->store), see, r);
	epoch_offline(c->reader);
	for (size_t i = 0; i < r->n; i++) {
		if (chore_pause(c, 0))
			rotate_one(r, r->due[i]);
		object_unref(r->due[i]);
	}
	rests_sweep(&r->rests, clock_monotonic_ns());
}

/* ---- life ---- */

static void release(struct rotation *r)
{
	if (r->call)
		op_free(r->call);
	free(r->call);
	rests_free(&r->rests);
	free(r);
}

static kf_err begin(struct rotation *r)
{
	r->call = calloc(1, sizeof(*r->call));
	return r->call ? chore_start(&r->chore) : kf_fail(NOMEM, "rotation");
}

kf_err rotation_start(struct server *s, struct rotation **ret)
{
	if (!s->conf.rotation_check_ms)
		return KF_OK;
	struct rotation *r = calloc(1, sizeof(*r));
	if (!r)
		return kf_fail(NOMEM, "rotation");
	r->chore = (struct chore){ .server = s,
		.name = "rotation",
		.every_ms = s->conf.rotation_check_ms,
		.look = look };
	r->who = (struct who){ .name = "rotation", .is_admin = true };
	r->retry_s = s->conf.rotation_retry_ms / 1000;
	rests_init(&r->rests, (uint64_t)r->retry_s * 1000, (uint64_t)r->retry_s * 1000);
	kf_err e = begin(r);
	if (kf_ok(e))
		*ret = r;
	else
		release(r);
	return e;
}

bool rotation_stop(struct rotation *r, uint64_t until_ns)
{
	if (!r)
		return true;
	if (!chore_stop(&r->chore, until_ns))
		return false;
	release(r);
	return true;
}
