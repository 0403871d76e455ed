/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/rotation.h"
#include "base/clock.h"
#include "base/log.h"
#include "keyfleetd/server.h"
#include "op/replace.h"
#include "op/step.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DUE_MAX = 64, DISK_MS = 5000, LOOK_MS = 20 };

struct rotation {
	struct server *server;
	pthread_t thread;
	pthread_mutex_t lock; /* guards is_stopping and is_committed */
	pthread_cond_t woken;
	bool is_stopping, is_committed;
	struct epoch_reader *reader;
	int64_t every_ms;
	/* the thread's */
	struct op_call *call;
	struct who who;
	struct object *due[DUE_MAX];
	size_t n, failed;
	size_t skip; /* those that are due and failed, so that they keep nobody from his turn */
	size_t seen;
	int64_t now_s;
};

/* ---- waiting ---- */

static struct timespec after(int64_t ms)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

/* False: the server stops. */
static bool pause_for(struct rotation *r, int64_t ms)
{
	const struct timespec until = after(ms);
	int rc = 0;
	pthread_mutex_lock(&r->lock);
	while (!r->is_stopping && rc == 0)
		rc = pthread_cond_timedwait(&r->woken, &r->lock, &until);
	bool goes_on = !r->is_stopping;
	pthread_mutex_unlock(&r->lock);
	return goes_on;
}

/* ---- the audit ---- */

/* Ahead of the act, as for requests: on disk before anything is made. */
static kf_err record_first(struct rotation *r, const struct object *o)
{
	struct audit_status status;
	autobuf fields = buf_new(512);
	uint64_t began = clock_monotonic_ns();
	audit_put_field(&fields, "object", slice_of(o->id));
	audit_put_field(&fields, "operation", slice_of(r->call->op->name));
	KF_TRY(buf_err(&fields));
	KF_TRY(audit_event(r->server->audit, "rotation", buf_slice(&fields)));
	for (int waited = 0; waited < DISK_MS; waited += LOOK_MS) {
		audit_status(r->server->audit, &status);
		if (status.is_healthy && status.synced_ns > began)
			return KF_OK;
		if (!pause_for(r, LOOK_MS))
			return kf_fail(CLOSED, "the key server is being stopped");
	}
	return kf_fail(AUDIT, "audit record did not reach the disk");
}

static void record_result(struct rotation *r, const struct object *o, kf_err e)
{
	autobuf fields = buf_new(512);
	audit_put_field(&fields, "object", slice_of(o->id));
	if (kf_ok(e))
		audit_put_field(&fields, "new", slice_of(r->call->placeholder));
	else
		audit_put_field(&fields, "why", slice_of(e.site->text));
	kf_err recorded = audit_event(r->server->audit,
		kf_ok(e) ? "rotated" : "rotation-failed", buf_slice(&fields));
	if (!kf_ok(recorded))
		log_warn("rotation: the audit takes no record", LOG_ERR(recorded));
}

/* ---- changes ---- */

static void committed(struct change *c)
{
	struct rotation *r = c->arg;
	pthread_mutex_lock(&r->lock);
	r->is_committed = true;
	pthread_cond_signal(&r->woken);
	pthread_mutex_unlock(&r->lock);
}

/* The store worker frees what all readers have left: nobody waits for it as a reader. */
static kf_err commit(struct rotation *r, struct change *c)
{
	c->deadline_ns = clock_monotonic_ns() + r->server->commit_timeout_ns;
	c->done = committed;
	c->arg = r;
	r->is_committed = false;
	KF_TRY(store_submit(r->server->store, c));
	pthread_mutex_lock(&r->lock);
	while (!r->is_committed)
		pthread_cond_wait(&r->woken, &r->lock);
	pthread_mutex_unlock(&r->lock);
	return c->err;
}

/* Whoever is second finds another version, and makes nothing on any token. */
static kf_err claim(struct rotation *r, const struct object *o)
{
	struct op_call *call = r->call;
	autobuf attrs = buf_new(r->server->op.message_max);
	buf_add_slice(&attrs, o->attrs);
	attrs_set_date(&attrs, TAG_ROTATE_DATE, r->now_s);
	KF_TRY(op_replace_other(call, o, &attrs, true));
	kf_err e = commit(r, &call->change);
	op_clear(call);
	return e;
}

/* ---- one rotation ---- */

static void prepare(struct rotation *r, uint32_t operation, struct slice payload)
{
	struct op_call *call = r->call;
	call->op = op_find(operation);
	call->server = &r->server->op;
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

/* A conflict is no reason to look again: another server has rotated it, or a client has changed it, and then
 * the next look finds it. */
static kf_err run_steps(struct rotation *r, uint64_t version)
{
	struct op_call *call = r->call;
	epoch_online(r->reader);
	kf_err e = find_unchanged(r, version);
	enum op_next next = kf_ok(e) ? op_start(call) : OP_FAIL;
	epoch_offline(r->reader);
	KF_TRY(e);
	if (next == OP_WORK)
		next = op_worked(call);
	if (next == OP_COMMIT)
		return commit(r, &call->change);
	return next == OP_FAIL ? call->err : kf_fail(INTERNAL, "nothing was changed");
}

static kf_err rotate(struct rotation *r, struct object *o)
{
	uint32_t operation;
	autobuf payload = buf_new(4096);
	if (!replace_rotation(o, &operation, &payload))
		return kf_fail(OBJECT_TYPE, "objects of this type are not rotated");
	prepare(r, operation, buf_slice(&payload));
	KF_TRY(record_first(r, o));
	if (!o->key || !pool_key_is(o->key))
		return run_steps(r, o->version);
	KF_TRY(claim(r, o));
	prepare(r, operation, buf_slice(&payload));
	return run_steps(r, o->version + 1);
}

static void rotate_one(struct rotation *r, struct object *o)
{
	memset(r->call->placeholder, 0, sizeof(r->call->placeholder));
	kf_err e = rotate(r, o);
	if (kf_is(e, KF_E_CONFLICT)) {
		log_debug("rotation: another was first", LOG_TEXT("object", o->id));
	} else {
		record_result(r, o, e);
		r->failed += !kf_ok(e);
		if (kf_ok(e))
			log_notice("key was rotated", LOG_TEXT("object", o->id),
				LOG_TEXT("new", r->call->placeholder));
		else
			log_err(e, "key cannot be rotated", LOG_TEXT("object", o->id));
	}
	op_clear(r->call);
}

/* ---- looking ---- */

static bool see(void *arg, const struct object *o)
{
	struct rotation *r = arg;
	int64_t at = object_rotates_at(o);
	bool is_key = o->type == OBJECT_SYMMETRIC_KEY || o->type == OBJECT_PRIVATE_KEY;
	bool is_due = is_key && at != DATE_UNSET && at <= r->now_s;
	if (is_due && r->seen++ >= r->skip)
		r->due[r->n++] = object_ref(o);
	return r->n < DUE_MAX;
}

static void look(struct rotation *r)
{
	r->now_s = clock_wall_s();
	r->n = r->seen = r->failed = 0;
	epoch_online(r->reader);
	catalog_each(store_catalog(r->server->store), see, r);
	epoch_offline(r->reader);
	for (size_t i = 0; i < r->n; i++) {
		if (pause_for(r, 0))
			rotate_one(r, r->due[i]);
		object_unref(r->due[i]);
	}
	r->skip = r->n == DUE_MAX ? r->skip + r->failed : 0;
}

static void *run(void *arg)
{
	struct rotation *r = arg;
	while (pause_for(r, r->every_ms))
		look(r);
	return NULL;
}

/* ---- life ---- */

static void release(struct rotation *r)
{
	if (r->call)
		op_free(r->call);
	free(r->call);
	epoch_unregister(r->reader);
	pthread_cond_destroy(&r->woken);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static void init_condition(struct rotation *r)
{
	pthread_condattr_t a;
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(&r->woken, &a);
	pthread_condattr_destroy(&a);
}

static kf_err begin(struct rotation *r)
{
	KF_TRY(epoch_register(r->server->epoch, &r->reader));
	r->call = calloc(1, sizeof(*r->call));
	if (!r->call || pthread_create(&r->thread, NULL, run, r) != 0)
		return kf_fail(NOMEM, "thread for rotation");
	return KF_OK;
}

kf_err rotation_start(struct server *s, struct rotation **ret)
{
	if (!s->conf.rotation_check_ms)
		return KF_OK;
	struct rotation *r = calloc(1, sizeof(*r));
	if (!r)
		return kf_fail(NOMEM, "rotation");
	r->server = s;
	r->every_ms = s->conf.rotation_check_ms;
	r->who = (struct who){ .name = "rotation", .is_admin = true };
	init_condition(r);
	kf_err e = begin(r);
	if (kf_ok(e))
		*ret = r;
	else
		release(r);
	return e;
}

void rotation_stop(struct rotation *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->is_stopping = true;
	pthread_cond_broadcast(&r->woken);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	release(r);
}
