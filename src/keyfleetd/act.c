/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/act.h"
#include "base/clock.h"
#include "keyfleetd/answer.h"
#include "keyfleetd/metrics.h"
#include "keyfleetd/server.h"
#include "op/token_use.h"
#include "op/undo.h"
#include <assert.h>

/* ---- workers ---- */

static void come_home(struct loop_message *m)
{
	struct req *r = container_of(m, struct req, home);
	assert(r->magic == REQ_MAGIC);
	metrics_count_work(r);
	req_resume(r);
}

/* Unless its client does not want it any more. */
static void begin_later(struct req *r)
{
	kf_err e = op_later_begin(r->io->server->later, r->call.later_id);
	if (kf_ok(e))
		return;
	r->call.err = e;
	r->next = OP_FAIL;
}

static void run_work(struct work *w, struct token_session *token)
{
	struct req *r = container_of(w, struct req, work);
	struct sign_job *job = &r->call.job;
	uint64_t began = clock_monotonic_ns();
	/* Whether its peer is still there is the loop's business; the clock is everybody's. */
	if (req_is_expired(r)) {
		r->call.err = kf_fail(TIMEOUT, "expired before it was begun");
		r->next = OP_FAIL;
	}
	if (r->is_later && r->next != OP_FAIL)
		begin_later(r);
	r->is_job = r->next == OP_SIGN || r->next == OP_DECRYPT;
	switch (r->next) {
	case OP_SIGN:
		soft_sign(token, &job, 1);
		r->next = OP_ANSWER;
		break;
	case OP_DECRYPT:
		soft_decrypt(token, &r->call.decrypt);
		r->next = OP_ANSWER;
		break;
	case OP_USE:
	case OP_ANSWER:
	case OP_WORK:
	case OP_COMMIT:
	case OP_WAIT: r->next = op_worked(&r->call); break;
	case OP_FAIL: break;
	}
	r->worked_ns = clock_monotonic_ns() - began;
	loop_post(r->io->loop, &r->home);
}

static struct workers *workers_for(const struct op_call *call, const struct server *s)
{
	if (call->is_slow)
		return s->slow_workers;
	return call->is_search ? s->searcher : s->workers;
}

static enum step_result to_worker(struct req *r)
{
	r->work.run = run_work;
	r->work.client = r->call.who->name;
	/* Those who wait for tokens have places of their own (op/slow.h). */
	r->work.is_long = r->call.is_long && !r->call.is_slow;
	r->home.deliver = come_home;
	r->waits_ns = io_latest_ns(r->io);
	workers_submit(workers_for(&r->call, r->io->server), &r->work);
	return STEP_PARKED;
}

/* What tokens do cannot be taken back when its answer is known; each is small. */
enum { SLOW_ANSWER = 512 };

static enum step_result to_slow_worker(struct req *r)
{
	kf_err e = answer_check_room(r, SLOW_ANSWER);
	if (kf_ok(e))
		return to_worker(r);
	r->call.err = e;
	r->next = OP_FAIL;
	return STEP_AGAIN;
}

/* ---- jobs: this round's batch, a worker, or whichever token is free ---- */

static const struct token_key *key_of(const struct req *r)
{
	return r->next == OP_SIGN  ? r->call.job.key
	       : r->next == OP_USE ? r->call.use.key
				   : r->call.decrypt.key;
}

static kf_err *result_of(struct req *r)
{
	return r->next == OP_SIGN  ? &r->call.job.err
	       : r->next == OP_USE ? &r->call.use.err
				   : &r->call.decrypt.err;
}

/* Tokens cannot do it in time, but the key has a copy for this, and the pool is told that it may be used. */
static bool overflows(const struct req *r, kf_err why)
{
	const struct pool_job *j = &r->job;
	bool is_for_want_of_tokens = kf_is(why, KF_E_BUSY) ||
				     kf_is(why, KF_E_UNAVAILABLE) ||
				     kf_is(why, KF_E_TIMEOUT) || kf_is(why, KF_E_TOKEN);
	return is_for_want_of_tokens && j->overflows && !j->is_once && !req_is_late(r);
}

/* From here on it is a job like those of software keys; the audit and the metrics tell of it. */
static void take_copy(struct req *r, kf_err why)
{
	struct token_key *copy = pool_key_overflow(key_of(r));
	if (r->next == OP_SIGN)
		r->call.job.key = copy;
	else
		r->call.decrypt.key = copy;
	*result_of(r) = KF_OK;
	r->is_overflow = true;
	r->waits_ns = io_latest_ns(r->io);
	metrics_count_overflow(r, why);
}

static void come_home_from_pool(struct loop_message *m)
{
	struct req *r = container_of(m, struct req, home);
	assert(r->magic == REQ_MAGIC);
	r->is_at_pool = false;
	metrics_count_pool_job(r);
	if (overflows(r, *result_of(r))) {
		take_copy(r, *result_of(r));
		req_resume(r);
		return;
	}
	*result_of(r) = token_said(*result_of(r));
	if (kf_ok(*result_of(r)))
		req_record_result(r, AUDIT_DONE, KF_OK);
	r->next = OP_ANSWER;
	req_resume(r);
}

/* On a thread of the pool's. */
static void done_by_pool(struct pool_job *j)
{
	struct req *r = container_of(j, struct req, job);
	loop_post(r->io->loop, &r->home);
}

static enum step_result to_pool(struct req *r)
{
	r->job = (struct pool_job){
		.sign = r->next == OP_SIGN ? &r->call.job : NULL,
		.decrypt = r->next == OP_DECRYPT ? &r->call.decrypt : NULL,
		.use = r->next == OP_USE ? &r->call.use : NULL,
		.deadline_ns = r->deadline_ns,
		.is_given_up = &r->is_withdrawn, /* while it waited for the store */
		.done = done_by_pool,
	};
	r->home.deliver = come_home_from_pool;
	r->waits_ns = io_latest_ns(r->io);
	r->is_pooled = r->is_at_pool = true;
	kf_err e = pool_submit(r->io->server->pools, &r->job);
	if (kf_ok(e))
		return STEP_PARKED;
	r->is_at_pool = false;
	if (overflows(r, e)) {
		take_copy(r, e);
		return STEP_AGAIN;
	}
	r->call.err = token_said(e);
	r->next = OP_FAIL;
	return STEP_AGAIN;
}

/* Nobody waits for it any more: what has not begun need not be done. */
void act_abandon(struct req *r)
{
	if (!r->is_at_pool || !pool_cancel(r->io->server->pools, &r->job))
		return;
	r->is_at_pool = false;
	r->call.err = kf_fail(CLOSED, "its client had gone before it was begun");
	r->next = OP_FAIL;
	req_resume(r);
}

static enum step_result to_batch(struct req *r)
{
	const struct token_key *key = key_of(r);
	if (pool_key_is(key))
		return to_pool(r);
	if (key->alg->cost == COST_WORKER)
		return to_worker(r);
	batch_add(&r->io->batch, r);
	return STEP_PARKED;
}

/* ---- the store ---- */

/* Unique Identifier, and a signature, a tag, an IV or padding. */
enum { COUNTED_ANSWER = 1024 };

/* On the store worker. */
static void committed(struct change *c)
{
	struct req *r = c->arg;
	loop_post(r->io->loop, &r->home);
}

static void come_home_committed(struct loop_message *m)
{
	struct req *r = container_of(m, struct req, home);
	assert(r->magic == REQ_MAGIC);
	histogram_add(&r->io->metrics->stage[STAGE_STORE],
		loop_now_ns(r->io->loop) - r->waits_ns, 1);
	if (r->undo && kf_ok(r->call.change.err) && !r->call.change.is_replay)
		op_undo_keep(r->undo);
	r->next = op_committed(&r->call);
	req_resume(r);
}

/* The answer to a change is made before it.  That to what is only counted is not known yet: it gives back
 * about as much as it was given, or a signature. */
static kf_err check_room(const struct req *r)
{
	const struct op_call *c = &r->call;
	if (c->is_question)
		return KF_OK;
	return answer_check_room(r, c->op->changes_store ? c->change.answer.n
							 : c->payload.n + COUNTED_ANSWER);
}

static enum step_result refuse_change(struct req *r, kf_err e)
{
	r->call.fate = CHANGE_NOT_MADE;
	r->call.err = e;
	r->next = OP_FAIL;
	return STEP_AGAIN;
}

void act_submit(struct req *r)
{
	kf_err e = store_submit(r->io->server->store, &r->call.change);
	if (kf_ok(e))
		return;
	refuse_change(r, e);
	req_resume(r);
}

/* On the store worker, which has the request: nobody writes its ticket. */
static enum change_gate is_recorded(const struct change *c)
{
	const struct req *r = c->arg;
	struct audit *audit = r->io->server->audit;
	if (r->ticket <= audit_durable(audit, r->io->number))
		return GATE_OPEN;
	return audit_is_healthy(audit) ? GATE_SHUT : GATE_BARRED;
}

static enum step_result to_store(struct req *r)
{
	struct change *c = &r->call.change;
	c->done = committed;
	c->gate = r->call.op->changes_store ? is_recorded : NULL;
	c->arg = r;
	r->waits_ns = clock_monotonic_ns();
	c->deadline_ns = r->waits_ns + r->io->server->commit_timeout_ns;
	if (r->deadline_ns && r->deadline_ns < c->deadline_ns)
		c->deadline_ns = r->deadline_ns;
	r->home.deliver = come_home_committed;

	kf_err e = check_room(r);
	if (kf_ok(e) && r->undo)
		e = op_undo_expect(r->undo, c, r->call.op->name);
	if (!kf_ok(e))
		return refuse_change(r, e);
	io_store_later(r->io, r);
	return STEP_PARKED;
}

/* Beside the record that it was allowed: which of the two did it. */
static void record_overflow(struct req *r)
{
	if (!r->is_overflow)
		return;
	bool is_decryption = r->call.op->code == KMIP_OPERATION_DECRYPT;
	if (kf_ok(is_decryption ? r->call.decrypt.err : r->call.job.err))
		req_record_result(r, AUDIT_DONE, KF_OK);
}

/* ---- what is carried out meanwhile ---- */

/* On whichever thread ends it. */
static void waited(struct later_wait *w)
{
	struct req *r = container_of(w, struct req, wait);
	loop_post(r->io->loop, &r->home);
}

static void come_home_waited(struct loop_message *m)
{
	struct req *r = container_of(m, struct req, home);
	assert(r->magic == REQ_MAGIC);
	r->next = OP_ANSWER;
	req_resume(r);
}

static enum step_result to_wait(struct req *r)
{
	const struct later_name name = { r->who.name, r->call.later_wanted,
		r->call.now_s };
	r->wait.done = waited;
	r->home.deliver = come_home_waited;
	kf_err e = op_later_wait(r->io->server->later, &name, &r->wait);
	if (kf_ok(e))
		return STEP_PARKED;
	r->call.err = e;
	r->next = OP_FAIL;
	return STEP_AGAIN;
}

enum step_result act_step(struct req *r)
{
	/* What a worker does can still be canceled until it begins. */
	if (r->is_later && r->next != OP_WORK && r->next != OP_FAIL)
		begin_later(r);
	switch (r->next) {
	case OP_ANSWER: record_overflow(r); return STEP_NEXT;
	case OP_SIGN:
	case OP_DECRYPT: return to_batch(r);
	case OP_USE: return to_pool(r);
	case OP_WORK: return r->call.is_slow ? to_slow_worker(r) : to_worker(r);
	case OP_COMMIT: return to_store(r);
	case OP_WAIT: return to_wait(r);
	case OP_FAIL: break;
	}
	req_record_result(r, AUDIT_FAILED, r->call.err);
	return answer_fail(r, r->call.err);
}
