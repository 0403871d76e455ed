/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/answer.h"
#include "base/clock.h"
#include "base/log.h"
#include "keyfleetd/admit.h"
#include "keyfleetd/metrics.h"
#include "keyfleetd/peer.h"
#include "keyfleetd/server.h"
#include "keyfleetd/undo.h"
#include "op/ids.h"
#include <string.h>

static struct kmip_response_header header_of(const struct req *r)
{
	return (struct kmip_response_header){
		.version = r->header.version,
		.time_stamp = io_now_s(r->io),
		.client_correlation_value = r->header.client_correlation_value,
		.server_correlation_value = req_server_correlation(r),
		.batch_count = r->header.batch_count,
	};
}

static void cut(struct buf *out, size_t n)
{
	explicit_bzero(out->p + n, out->n - n);
	out->n = n;
	out->err = KF_OK;
}

static bool is_too_big(const struct req *r, size_t n)
{
	int32_t most = r->header.maximum_response_size;
	return most > 0 && n > (size_t)most;
}

static size_t size_of(struct slice value)
{
	return value.n ? 8 + (value.n + 7) / 8 * 8 : 0;
}

/* Message, header, Protocol Version, Time Stamp and Batch Count. */
static size_t header_size(const struct req *r)
{
	const struct kmip_response_header h = header_of(r);
	return 8 + 8 + (8 + 16 + 16) + 16 + 16 + size_of(h.client_correlation_value) +
	       size_of(h.server_correlation_value);
}

/* Batch Item, Operation, Result Status and Response Payload; to our own clients also what they are told
 * beside it (put_extension() in kmip/message.c). */
static size_t item_size(const struct req *r)
{
	const bool has_extension = r->peer && r->peer->answers_out_of_order;
	return 8 + 16 + 16 + 8 + size_of(r->item.batch_id) + (has_extension ? 112 : 0);
}

kf_err answer_check_room(const struct req *r, size_t payload)
{
	const size_t before = r->answer.n ? r->answer.n : header_size(r);
	return is_too_big(r, before + item_size(r) + payload)
		       ? kf_fail(RESPONSE_TOO_BIG,
				 "the answer would be larger than the client allows")
		       : KF_OK;
}

/* What Poll answers is the answer of what was asked for then. */
static uint32_t operation_of(const struct req *r)
{
	return r->call.answers_for ? r->call.answers_for : r->item.operation;
}

static kf_err put_pending(struct req *r, struct ttlv_writer *w)
{
	kmip_put_response_pending(w, operation_of(r), r->item.batch_id,
		(struct slice){ r->call.later_id, sizeof(r->call.later_id) });
	return buf_err(w->out);
}

static kf_err put_success(struct req *r, struct ttlv_writer *w,
	const struct kmip_extension *extension, size_t message_at)
{
	if (r->call.is_pending)
		return put_pending(r, w);
	kmip_put_response_item_begin(w, operation_of(r), r->item.batch_id);
	KF_TRY(op_answer(&r->call, w));
	kmip_put_response_item_end(w, extension);
	KF_TRY(buf_err(w->out));
	if (is_too_big(r, w->out->n - message_at))
		return kf_fail(
			RESPONSE_TOO_BIG, "answer is larger than the client allows");
	return KF_OK;
}

/* What the client cannot have caused is for the people who run the server; who polls hears of it once more. */
static void log_own_failure(const struct req *r)
{
	if (r->call.answers_for)
		return;
	switch ((int)r->err.code) {
	case KF_E_INTERNAL:
	case KF_E_NOMEM:
	case KF_E_CRYPTO:
	case KF_E_STORE:
	case KF_E_TAMPERED:
	case KF_E_OUTCOME_UNKNOWN:
		log_err(r->err, "request failed",
			LOG_TEXT("operation", r->call.op ? r->call.op->name : "-"),
			LOG_TEXT("object", r->call.object_id),
			LOG_TEXT("server-correlation", r->server_correlation));
		break;
	default: break;
	}
}

/* Either a whole success or, in its place, a failure. */
static void write_item(struct req *r, struct ttlv_writer *w,
	const struct kmip_extension *extension, size_t message_at)
{
	struct ttlv_writer before = *w;
	size_t at = w->out->n;
	if (!kf_ok(buf_err(w->out)))
		return;
	if (kf_ok(r->err)) {
		r->err = put_success(r, w, extension, message_at);
		if (kf_ok(r->err))
			return;
		req_record_result(r, AUDIT_FAILED, r->err);
		cut(w->out, at);
		*w = before;
	}
	log_own_failure(r);
	kmip_put_response_failure(
		w, operation_of(r), r->item.batch_id, r->err.code, extension);
}

static void put_item(struct req *r, struct ttlv_writer *w,
	const struct kmip_extension *extension, size_t message_at)
{
	write_item(r, w, extension, message_at);
	if (!r->call.is_pending || r->call.answers_for)
		metrics_count_answer(r);
}

/* ---- batches ---- */

static void begin_batch(struct req *r)
{
	struct kmip_response_header h = header_of(r);
	r->answer = buf_new(ANSWER_MAX);
	r->writer = ttlv_write(&r->answer, h.version);
	kmip_put_response_header(&r->writer, &h, &r->count_at);
}

static kf_err close_batch(struct req *r)
{
	kf_err e = kmip_put_response_end(&r->writer);
	kmip_set_batch_count(&r->answer, r->count_at, r->answered);
	return e;
}

static bool wants_undo(const struct req *r)
{
	return r->header.batch_error_continuation ==
	       KMIP_BATCH_ERROR_CONTINUATION_OPTION_UNDO;
}

static enum step_result end_batch(struct req *r)
{
	kf_err e = close_batch(r);
	if (!kf_ok(e)) {
		r->is_refused = true;
		r->err = e;
		return req_to_send(r);
	}
	if (kf_ok(r->err) || !wants_undo(r))
		return req_to_send(r);
	return undo_is_due(r) ? req_to_undo(r) : answer_undone(r, true);
}

/* ---- a batch that was undone ---- */

static bool names_object(const struct ttlv_item *it)
{
	return it->tag == TAG_UNIQUE_IDENTIFIER ||
	       it->tag == TAG_PRIVATE_KEY_UNIQUE_IDENTIFIER ||
	       it->tag == TAG_PUBLIC_KEY_UNIQUE_IDENTIFIER;
}

/* Which objects it was about, and nothing else: no secret leaves by what was taken back. */
static void put_undone(struct ttlv_writer *w, const struct kmip_response_item *item)
{
	autobuf kept = buf_new(ANSWER_MAX);
	struct ttlv_reader r = ttlv_read(item->payload);
	struct ttlv_item it;
	while (ttlv_next(&r, &it))
		if (names_object(&it))
			buf_add_slice(&kept, it.whole);
	kmip_put_response_undone(w, item->operation, item->batch_id, buf_slice(&kept));
}

/* The last one is what failed. */
static kf_err copy_undone(struct req *r, struct slice was)
{
	struct ttlv_reader from = ttlv_read(was);
	struct kmip_response_header h;
	struct kmip_response_item item;
	struct ttlv_item whole;
	KF_TRY(kmip_get_response_header(&from, &h));
	for (int32_t i = 1; i < h.batch_count; i++) {
		KF_TRY(kmip_get_response_item(&from, &item));
		put_undone(&r->writer, &item);
	}
	if (ttlv_next(&from, &whole))
		ttlv_put_items(&r->writer, whole.whole);
	return from.err;
}

static kf_err rewrite(struct req *r)
{
	autobuf was = r->answer;
	begin_batch(r);
	KF_TRY(copy_undone(r, buf_slice(&was)));
	return close_batch(r);
}

enum step_result answer_undone(struct req *r, bool is_undone)
{
	kf_err e = is_undone ? rewrite(r) : KF_OK;
	if (!kf_ok(e)) {
		r->is_refused = true;
		r->err = e;
	}
	return req_to_send(r);
}

static bool stops(const struct req *r)
{
	return !kf_ok(r->err) && r->header.batch_error_continuation !=
					 KMIP_BATCH_ERROR_CONTINUATION_OPTION_CONTINUE;
}

/* What later items may refer to. */
static void note_item(struct req *r, size_t at)
{
	struct ttlv_reader reader =
		ttlv_read((struct slice){ r->answer.p + at, r->answer.n - at });
	struct kmip_response_item item = { 0 };
	if (kf_ok(buf_err(&r->answer)) && kf_ok(r->err))
		(void)kf_ok(kmip_get_response_item(&reader, &item));
	op_ids_note(r->ids, &r->call, r->item.operation, item.payload);
}

/* Of a long batch whose items are done at once the rest comes in the next round: others wait for this one's end. */
static enum step_result next_in_turn(struct req *r)
{
	const enum step_result next = req_next_item(r);
	const uint64_t took = clock_monotonic_ns() - loop_now_ns(r->io->loop);
	if (took < io_settings(r->io)->round_cost_ns)
		return next;
	r->home.deliver = req_come_home;
	loop_post(r->io->loop, &r->home);
	return STEP_PARKED;
}

static enum step_result end_item(struct req *r)
{
	if (r->header.batch_count == 1)
		return req_to_send(r);
	if (r->answered++ == 0)
		begin_batch(r);
	const size_t at = r->answer.n;
	put_item(r, &r->writer, NULL, 0);
	note_item(r, at);
	if (stops(r) || r->items_left == 0 || r->is_last)
		return end_batch(r);
	return next_in_turn(r);
}

enum step_result answer_fail(struct req *r, kf_err e)
{
	r->err = e;
	return end_item(r);
}

enum step_result answer_item(struct req *r) { return end_item(r); }

/* ---- the response ---- */

/* It is told of the object that was asked for, not of another one that wrapped it. */
static bool has_waited_for_key(const struct req *r)
{
	const struct object *o = r->call.object;
	return r->is_pooled && o && o->key && pool_key_is(o->key);
}

static int32_t expected_wait_us(const struct req *r)
{
	const struct token_key *key = r->call.object->key;
	uint64_t us = pool_expected_wait_ns(r->io->server->pools, key) / 1000;
	return us < INT32_MAX ? (int32_t)us : INT32_MAX;
}

/* Which limit was reached, what others would wait for a token, and how busy the server is: this once a flush.  To clients that know what it
 * means. */
static const struct kmip_extension *extension_of(
	struct req *r, struct kmip_extension *room)
{
	struct peer *p = r->peer;
	if (!p->answers_out_of_order)
		return NULL;
	*room = (struct kmip_extension){ 0 };
	if (!kf_ok(r->err))
		room->limit = (int32_t)kmip_limit_of(r->err.code);
	if (!p->has_told_load) {
		room->has_load = true;
		room->load = (int32_t)server_load(r->io->server);
		p->has_told_load = true;
	}
	if (has_waited_for_key(r)) {
		room->has_expected_wait = true;
		room->expected_wait_us = expected_wait_us(r);
	}
	return room->has_load || room->limit || room->has_expected_wait ? room : NULL;
}

static void write_single(struct req *r, struct buf *out)
{
	struct kmip_extension room;
	const struct kmip_extension *extension = extension_of(r, &room);
	struct kmip_response_header h = header_of(r);
	size_t at = out->n;
	struct ttlv_writer w = ttlv_write(out, h.version);
	w.allows_vendor = extension != NULL;
	kmip_put_response_header(&w, &h, NULL);
	put_item(r, &w, extension, at);
	kf_err e = kmip_put_response_end(&w);
	(void)e; /* out remembers it, and the peer looks there */
}

static void refuse_if_ended(struct req *r)
{
	kf_err e = admit_answer(r);
	if (kf_ok(e))
		return;
	if (kf_ok(r->err) && r->call.op->audit != AUDIT_NOT)
		req_record_result(r, AUDIT_FAILED, e);
	r->is_last |= kf_is(e, KF_E_AUTH);
	r->is_refused = r->header.batch_count > 1;
	r->err = e;
}

static kf_err put_later(struct req *r, struct ttlv_writer *w)
{
	const kf_err e = op_answer(&r->call, w);
	if (!kf_ok(e))
		req_record_result(r, AUDIT_FAILED, e);
	return e;
}

void answer_later(struct req *r)
{
	autobuf payload = buf_new(ANSWER_MAX);
	struct ttlv_writer w = ttlv_write(&payload, r->header.version);
	if (kf_ok(r->err))
		r->err = put_later(r, &w);
	if (!kf_ok(r->err))
		log_own_failure(r);
	op_later_end(r->io->server->later, r->call.later_id, io_now_s(r->io), r->err,
		&payload);
	metrics_count_answer(r);
}

void answer_write(struct req *r)
{
	struct peer *p = r->peer;
	refuse_if_ended(r);
	if (r->is_refused) {
		count_add(&r->io->metrics->malformed, 1);
		kf_err e = kmip_put_refusal(&p->out, kmip_version(req_message(r)),
			r->err.code, io_now_s(r->io));
		(void)e; /* as above */
	} else if (r->header.batch_count > 1) {
		buf_add_slice(&p->out, buf_slice(&r->answer));
	} else {
		write_single(r, &p->out);
	}
	if (r->is_last)
		peer_end(p);
	peer_touch(p);
}
