/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/req.h"
#include "base/clock.h"
#include "keyfleetd/act.h"
#include "keyfleetd/admit.h"
#include "keyfleetd/answer.h"
#include "keyfleetd/gate.h"
#include "keyfleetd/header.h"
#include "keyfleetd/identity.h"
#include "keyfleetd/later.h"
#include "keyfleetd/limit.h"
#include "keyfleetd/metrics.h"
#include "keyfleetd/peer.h"
#include "keyfleetd/server.h"
#include "keyfleetd/undo.h"
#include "keyfleetd/withdraw.h"
#include "op/ids.h"
#include "op/undo.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- life ---- */

static struct req *req_new(struct io *io)
{
	struct list *l = list_take(&io->free_reqs);
	if (l) {
		io->free_n--;
		return container_of(l, struct req, run);
	}
	struct req *r = calloc(1, sizeof(*r));
	if (r)
		r->magic = REQ_MAGIC;
	return r;
}

static void destroy(struct req *r)
{
	op_free(&r->call);
	buf_free(&r->large);
	buf_free(&r->answer);
	r->magic = 0;
	free(r);
}

void req_free_all(struct list *free_reqs)
{
	for (struct list *l = list_take(free_reqs); l; l = list_take(free_reqs))
		destroy(container_of(l, struct req, run));
}

static void end_batch(struct req *r)
{
	if (!r->ids)
		return;
	op_ids_free(r->ids);
	free(r->ids);
	op_undo_free(r->undo);
	r->ids = NULL;
	r->undo = NULL;
}

static void detach(struct req *r)
{
	list_remove(&r->link);
	if (r->peer)
		r->peer->in_flight--;
	r->peer = NULL;
}

/* Wipes what the message brought and what was answered. */
static void finish(struct req *r)
{
	struct io *io = r->io;
	detach(r);
	limit_end(r);
	io->in_flight--;
	op_clear(&r->call);
	explicit_bzero(r->bytes, r->size < sizeof(r->bytes) ? r->size : sizeof(r->bytes));
	buf_free(&r->large);
	buf_free(&r->answer);
	end_batch(r);
	if (io->free_n >= REQ_KEEP) {
		destroy(r);
		return;
	}
	list_add_head(&io->free_reqs, &r->run);
	io->free_n++;
}

void req_abandon(struct req *r)
{
	detach(r);
	if (r->is_ready) {
		finish(r);
		return;
	}
	atomic_store_explicit(&r->is_withdrawn, true, memory_order_relaxed);
	act_abandon(r);
}

/* ---- decode ---- */

struct slice req_message(const struct req *r)
{
	if (r->large.n)
		return buf_slice(&r->large);
	return (struct slice){ r->bytes, r->size };
}

enum step_result req_refuse_all(struct req *r, kf_err e, bool is_last)
{
	r->is_refused = true;
	r->is_last = is_last;
	r->err = e;
	return req_to_send(r);
}

/* Under keyfleet/1 the id is what answers are matched by. */
static kf_err check_batch_id(const struct req *r)
{
	if (!r->peer || !r->peer->answers_out_of_order)
		return KF_OK;
	if (r->item.batch_id.n == 0 || r->item.batch_id.n > 16)
		return kf_fail(INVALID_FIELD, "Unique Batch Item ID of 1 to 16 bytes");
	if (withdraw_find(r, r->item.batch_id))
		return kf_fail(INVALID_FIELD, "Unique Batch Item ID is in use");
	return KF_OK;
}

/* Counted from when it was sent, as far as that can be known. */
static void set_deadline(struct req *r)
{
	const struct kmip_extension *e = &r->item.extension;
	uint32_t left_ms = (uint32_t)e->deadline_ms, age_ms = 0;
	if (e->has_sent_at && r->peer)
		age_ms = age_of(&r->peer->age, e->sent_at_ms, r->arrived_ns);
	left_ms -= age_ms < left_ms ? age_ms : left_ms;
	r->deadline_ns =
		e->deadline_ms > 0 ? r->arrived_ns + (uint64_t)left_ms * 1000000 : 0;
}

static void set_call(struct req *r)
{
	struct op_call *c = &r->call;
	c->server = &r->io->server->op;
	c->version = r->header.version;
	c->is_lenient = r->header.is_lenient;
	c->is_undoable = r->undo != NULL;
	c->newest = r->peer ? gate_newest(r->peer->gate) : 0;
	c->payload = r->item.payload;
	r->who = *identity_of(r);
	c->who = &r->who;
	c->ids = r->ids;
	/* What is recorded as done for ever cannot be taken back. */
	c->request_id = r->undo ? (struct slice){ 0 } : r->item.extension.request_id;
	c->tls_client_version = r->item.extension.tls_client_version;
	c->tls_negotiated_version = r->item.extension.tls_negotiated_version;
	c->now_s = io_now_s(r->io);
	c->deadline_ns = r->deadline_ns;
	c->is_withdrawn = &r->is_withdrawn;
	c->charge = limit_charge;
}

/* Rights, tokens and backups are not taken back. */
static kf_err check_undo(const struct req *r)
{
	const struct op *op = r->call.op;
	return r->undo && op->permission == PERM_ADMINISTER && op->audit == AUDIT_FIRST
		       ? kf_fail(FEATURE, "not in a batch that is undone")
		       : KF_OK;
}

static kf_err decode_item(struct req *r)
{
	KF_TRY(check_batch_id(r));
	/* What spares us work has been paid for, by the request that it spares us. */
	const bool is_paid = withdraw_named(r) &&
			     r->item.operation == KMIP_OPERATION_DISCOVER_VERSIONS;
	if (r->is_busy)
		return kf_fail(BUSY, "too many requests in flight");
	KF_TRY(limit_client(r, is_paid));
	if (r->item.has_unknown_critical_extension)
		return kf_fail(FEATURE, "critical extension is not known");
	r->call.op = op_find(r->item.operation);
	if (!r->call.op)
		return kf_fail(UNSUPPORTED, "no such operation here");
	KF_TRY(check_undo(r));
	set_deadline(r);
	set_call(r);
	return op_decode(&r->call);
}

static enum step_result step_decode(struct req *r)
{
	if (!r->peer)
		return req_to_send(r);
	kf_err e = kmip_get_request_item(&r->reader, &r->item);
	if (!kf_ok(e))
		return req_refuse_all(r, e, true);
	r->items_left--;
	if (!kf_ok(r->auth_err)) {
		r->call.op = op_find(r->item.operation);
		return answer_fail(r, r->auth_err);
	}
	e = decode_item(r);
	/* If a payload makes no sense, the message is whole all the same, and so is the next. */
	return kf_ok(e) ? STEP_NEXT : answer_fail(r, e);
}

/* ---- identify, authorise, start ---- */

static enum step_result step_identify(struct req *r)
{
	kf_err e = admit_again(r->peer);
	if (kf_ok(e))
		return STEP_NEXT;
	r->is_last = true;
	return answer_fail(r, e);
}

static kf_err record(struct req *r, enum audit_phase phase, kf_err why)
{
	const struct op_call *c = &r->call;
	uint8_t digest[32];
	struct audit_record a = {
		.phase = phase,
		.client = c->who->name,
		.operation = c->op->name,
		.object = c->object_id[0] ? c->object_id : NULL,
		.rule = c->decision.rule,
		.mechanism = c->mechanism,
		.with = c->with[0] ? c->with : NULL,
		.message = c->message,
		.why = kf_ok(why) ? NULL : why.site->text,
		.correlation = r->header.client_correlation_value,
		.server_correlation = req_server_correlation(r),
		.op_id = r->item.extension.request_id,
		.has_uid = r->item.extension.has_user,
		.uid = (uint32_t)r->item.extension.user,
		.connection = r->peer ? r->peer->number : r->connection,
	};
	if (phase == AUDIT_DONE)
		a.token = r->is_overflow ? "software" : r->job.token;
	else
		a.token = c->token;
	if (phase == AUDIT_ALLOWED && op_aim(&r->call) == OP_SIGN)
		a.digest = hasher_job(&r->io->hasher, &c->job, digest);
	return audit_add(r->io->server->audit, r->io->number, &a, &r->ticket);
}

/* A record of something that did not happen: nobody waits for it, and an audit that cannot take it
 * does not make the refusal any less true. */
void req_record_result(struct req *r, enum audit_phase phase, kf_err why)
{
	uint64_t ticket = r->ticket;
	kf_err ignored = record(r, phase, why);
	(void)ignored;
	r->ticket = ticket;
}

static enum step_result step_authorise(struct req *r)
{
	kf_err e = op_authorise(&r->call);
	if (kf_ok(e)) {
		e = limit_grant(r);
		return kf_ok(e) ? STEP_NEXT : answer_fail(r, e);
	}
	req_record_result(r, AUDIT_DENIED, e);
	return answer_fail(r, e);
}

bool req_is_expired(const struct req *r)
{
	return atomic_load_explicit(&r->is_withdrawn, memory_order_relaxed) ||
	       (r->deadline_ns && clock_monotonic_ns() >= r->deadline_ns);
}

bool req_is_late(const struct req *r)
{
	return (!r->peer && !r->is_later) || req_is_expired(r);
}

static kf_err check_start(const struct req *r)
{
	if (req_is_late(r))
		return kf_fail(TIMEOUT, "expired before it was begun");
	return KF_OK;
}

static enum step_result step_start(struct req *r)
{
	kf_err e = check_start(r);
	if (!kf_ok(e)) {
		if (r->call.op->audit != AUDIT_NOT)
			req_record_result(r, AUDIT_FAILED, e);
		return answer_fail(r, e);
	}
	r->next = op_start(&r->call);
	if (r->undo && r->call.is_slow && r->next != OP_FAIL) {
		r->next = OP_FAIL;
		r->call.err = kf_fail(FEATURE, "what tokens do is not undone");
	}
	if (r->next != OP_FAIL)
		return later_is_wanted(r) ? later_step(r) : STEP_NEXT;
	/* What a limit refuses is recorded in sums. */
	if (r->call.op->audit != AUDIT_NOT && !op_is_over_limit(r->call.err))
		req_record_result(r, AUDIT_FAILED, r->call.err);
	return answer_fail(r, r->call.err);
}

/* ---- audit ---- */

/* The record is queued before the act.  A signature is computed while the record travels to disk and
 * held back until it is there; so is a change by the store.  What workers do for a change, or tokens, is not even
 * begun before. */
static enum step_result step_audit(struct req *r)
{
	const struct op *op = r->call.op;
	enum op_audit audit = op_audit_of(&r->call);
	if (audit == AUDIT_NOT)
		return STEP_NEXT;
	uint64_t ticket = r->ticket;
	kf_err e = record(r, AUDIT_ALLOWED, KF_OK);
	if (!kf_ok(e))
		return answer_fail(r, e);
	if (audit != AUDIT_FIRST) {
		r->ticket = ticket;
		return STEP_NEXT;
	}
	bool is_begun_first = r->next == OP_COMMIT || !op->changes_store;
	if (is_begun_first && !r->call.is_slow)
		return STEP_NEXT;
	r->step++;
	io_wait_for_audit(r->io, r);
	return STEP_PARKED;
}

/* ---- the end ---- */

/* Its turn: at once when answers may leave as they finish, else when it is the oldest. */
static void send_in_turn(struct peer *p)
{
	while (!list_is_empty(&p->reqs)) {
		struct req *oldest = container_of(p->reqs.next, struct req, link);
		if (!oldest->is_ready)
			return;
		answer_write(oldest);
		finish(oldest);
	}
}

static enum step_result step_send(struct req *r)
{
	if (r->ticket > audit_durable(r->io->server->audit, r->io->number)) {
		io_wait_for_audit(r->io, r);
		return STEP_PARKED;
	}
	r->is_ready = true;
	struct peer *p = r->peer;
	if (r->is_later) {
		answer_later(r);
		finish(r);
		return STEP_DONE;
	}
	if (p && !p->answers_out_of_order) {
		send_in_turn(p);
		return STEP_DONE;
	}
	if (p)
		answer_write(r);
	else
		count_add(&r->io->metrics->abandoned, 1);
	finish(r);
	return STEP_DONE;
}

/* ---- the table ---- */

enum { ROW_HEADER, ROW_DECODE, ROW_ANSWER = 7, ROW_SEND, ROW_UNDO };

static const struct step steps[] = {
	[ROW_HEADER] = { "header", header_step },
	[ROW_DECODE] = { "decode", step_decode },
	{ "identify", step_identify },
	{ "authorise", step_authorise },
	{ "start", step_start },
	{ "audit", step_audit },
	{ "act", act_step },
	[ROW_ANSWER] = { "answer", answer_item },
	[ROW_SEND] = { "send", step_send },
	[ROW_UNDO] = { "undo", undo_step },
	{ "undone", undo_done },
};

enum step_result req_next_item(struct req *r)
{
	op_clear(&r->call);
	limit_end_item(r);
	r->err = KF_OK;
	r->is_overflow = false;
	atomic_store_explicit(&r->is_withdrawn, false, memory_order_relaxed);
	r->waits_ns = io_latest_ns(r->io);
	r->step = &steps[ROW_DECODE];
	return STEP_AGAIN;
}

static kf_err copy_message(struct req *r, struct slice message)
{
	r->size = message.n;
	if (message.n <= sizeof(r->bytes)) {
		memcpy(r->bytes, message.p, message.n);
		return KF_OK;
	}
	r->large = buf_new(message.n);
	buf_add_slice(&r->large, message);
	return buf_err(&r->large);
}

static struct req *attach(struct peer *p)
{
	struct req *r = req_new(p->io);
	if (!r)
		return NULL;
	r->io = p->io;
	r->peer = p;
	list_init(&r->run);
	list_add_tail(&p->reqs, &r->link);
	p->in_flight++;
	p->io->in_flight++;
	r->is_busy = r->is_refused = r->is_last = r->is_ready = r->is_pooled = false;
	r->is_later = r->is_as_told = false;
	atomic_init(&r->is_withdrawn, false);
	r->auth_err = KF_OK;
	r->connection = 0;
	r->server_correlation[0] = '\0';
	r->is_overflow = false;
	r->err = KF_OK;
	r->ticket = r->deadline_ns = 0;
	r->answered = r->items_left = 0;
	r->call.placeholder[0] =
		'\0'; /* what an earlier message made is none of its business */
	r->item = (struct kmip_request_item){ 0 };
	r->header = (struct kmip_request_header){ 0 };
	r->size = 0;
	r->arrived_ns = r->waits_ns = loop_now_ns(p->io->loop);
	r->step = steps;
	return r;
}

/* Takes the peer's place in the queue, and all that the message still is to get an answer for. */
static void take_over(struct req *n, struct req *r)
{
	list_remove(&n->link);
	list_insert(r->link.prev, &n->link);
	list_remove(&r->link);
	list_init(&r->link);
	r->peer->in_flight--;
	r->connection = r->peer->number;
	r->peer = NULL;
	n->answered = r->answered;
	n->answer = r->answer;
	n->writer = r->writer;
	n->writer.out = &n->answer;
	n->count_at = r->count_at;
	n->ids = r->ids;
	n->ticket = r->ticket;
	n->items_left = r->items_left;
	n->arrived_ns = r->arrived_ns;
	memcpy(n->server_correlation, r->server_correlation,
		sizeof(n->server_correlation));
	memcpy(n->call.placeholder, r->call.placeholder, sizeof(n->call.placeholder));
	r->answer = (struct buf){ 0 };
	r->ids = NULL;
	r->call.ids = NULL;
	r->items_left = 0;
	r->header.batch_count = 1;
	r->header.maximum_response_size = 0;
	r->deadline_ns = r->call.deadline_ns = 0; /* that was for the answer */
}

/* The copy of the message up to and with the item that is being worked on. */
static kf_err read_again(struct req *n, const struct req *r)
{
	KF_TRY(copy_message(n, req_message(r)));
	ttlv_start(&n->reader, req_message(n), 0, false);
	KF_TRY(kmip_get_request_header(&n->reader, &n->header));
	for (int32_t i = r->items_left; i < n->header.batch_count; i++)
		KF_TRY(kmip_get_request_item(&n->reader, &n->item));
	return KF_OK;
}

kf_err req_stand_in(struct req *r, struct req **ret)
{
	struct req *n = attach(r->peer);
	if (!n)
		return kf_fail(NOMEM, "request");
	kf_err e = read_again(n, r);
	if (!kf_ok(e)) {
		finish(n);
		return e;
	}
	take_over(n, r);
	n->who = r->who;
	n->is_as_told = r->is_as_told;
	n->told = r->told;
	n->call.op = r->call.op;
	n->call.server = r->call.server;
	n->call.who = &n->who;
	n->step = &steps[ROW_ANSWER];
	*ret = n;
	return KF_OK;
}

enum step_result req_to_undo(struct req *r)
{
	r->step = &steps[ROW_UNDO];
	return STEP_AGAIN;
}

enum step_result req_to_send(struct req *r)
{
	if (undo_is_due(r))
		return req_to_undo(r);
	r->step = &steps[ROW_SEND];
	return STEP_AGAIN;
}

void req_resume(struct req *r)
{
	enum step_result result;
	assert(r->magic == REQ_MAGIC);
	do {
		result = r->step->run(r);
		if (result == STEP_NEXT)
			r->step++;
	} while (result == STEP_NEXT || result == STEP_AGAIN);
}

void req_come_home(struct loop_message *m)
{
	req_resume(container_of(m, struct req, home));
}

void req_fail_late(struct req *r)
{
	r->next = OP_FAIL;
	r->call.err = kf_fail(TIMEOUT, "expired before it was begun");
	req_resume(r);
}

void req_fail_audit(struct req *r)
{
	kf_err e = kf_fail(AUDIT, "audit record did not reach the disk");
	r->ticket = 0;
	if (r->header.batch_count > 1)
		req_refuse_all(r, e, false);
	else
		answer_fail(r, e);
	req_resume(r);
}

kf_err req_begin(struct peer *p, struct slice message, bool is_busy)
{
	struct req *r = attach(p);
	if (!r)
		return kf_fail(NOMEM, "request");
	kf_err e = copy_message(r, message);
	if (!kf_ok(e)) {
		finish(r);
		return e;
	}
	r->is_busy = is_busy;
	req_resume(r);
	return KF_OK;
}

kf_err req_refuse(struct peer *p, enum kf_code code)
{
	struct req *r = attach(p);
	if (!r)
		return kf_fail(NOMEM, "request");
	kf_err e = kf_fail(MALFORMED, "not a message");
	e.code = code;
	req_refuse_all(r, e, true);
	req_resume(r);
	return KF_OK;
}
