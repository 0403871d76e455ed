/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/undo.h"
#include "base/clock.h"
#include "base/log.h"
#include "keyfleetd/answer.h"
#include "keyfleetd/peer.h"
#include "keyfleetd/server.h"
#include "op/undo.h"

bool undo_is_due(const struct req *r)
{
	if (!r->undo || op_undo_is_empty(r->undo))
		return false;
	return r->is_refused || !kf_ok(r->err) || (!r->peer && r->items_left);
}

/* ---- the change ---- */

/* On the store worker. */
static void committed(struct change *c)
{
	struct req *r = c->arg;
	loop_post(r->io->loop, &r->home);
}

/* The client's own deadline does not count: half of a batch would be worse than a late answer. */
static kf_err submit(struct req *r)
{
	KF_TRY(op_undo_change(r->undo, &r->undoing));
	struct change *c = r->undoing;
	c->done = committed;
	c->arg = r;
	c->deadline_ns = clock_monotonic_ns() + r->io->server->commit_timeout_ns;
	r->home.deliver = req_come_home;
	return store_submit(r->io->server->store, c);
}

enum step_result undo_step(struct req *r)
{
	r->undo_err = submit(r);
	r->step++;
	if (!kf_ok(r->undo_err)) {
		r->undoing = NULL;
		return STEP_AGAIN;
	}
	return STEP_PARKED;
}

/* ---- what came of it ---- */

static void record_step(
	struct req *r, const char *operation, const char *object, kf_err why)
{
	const bool is_undone = kf_ok(why);
	const struct audit_record a = {
		.phase = is_undone ? AUDIT_UNDONE : AUDIT_FAILED,
		.client = r->who.name,
		.operation = operation,
		.object = object,
		.why = is_undone ? NULL : "not undone",
		.correlation = r->header.client_correlation_value,
		.server_correlation = req_server_correlation(r),
		.connection = r->peer ? r->peer->number : 0,
	};
	uint64_t ticket = r->ticket;
	kf_err e = audit_add(r->io->server->audit, r->io->number, &a, &ticket);
	/* What cannot be recorded any more is true all the same, and no answer leaves then. */
	if (kf_ok(e))
		r->ticket = ticket;
}

static void record(struct req *r, kf_err why)
{
	const char *operation, *id;
	for (size_t i = 0; op_undo_step(r->undo, i, &operation, &id); i++)
		record_step(r, operation, id, why);
	if (!kf_ok(why))
		log_err(why, "batch not undone", LOG_TEXT("client", r->who.name));
}

enum step_result undo_done(struct req *r)
{
	kf_err e = r->undoing ? r->undoing->err : r->undo_err;
	record(r, e);
	op_undo_free(r->undo);
	r->undo = NULL;
	r->undoing = NULL;
	if (kf_is(e, KF_E_OUTCOME_UNKNOWN) && !r->is_refused) {
		r->is_refused = true;
		r->err = e;
	}
	return r->is_refused || !r->peer ? req_to_send(r) : answer_undone(r, kf_ok(e));
}
