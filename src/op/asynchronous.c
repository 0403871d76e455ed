/* SPDX-License-Identifier: Apache-2.0
 *
 * Poll, Cancel, Process and Query Asynchronous Requests: about what is carried out meanwhile (op/later.h).
 */
#include "kmip/asynchronous.h"
#include "op/later.h"
#include "op/step.h"
#include <string.h>

struct asynchronous_call {
	struct asynchronous_request q;
	struct cancel_response a;
};

static struct asynchronous_call *call_of(struct op_call *call)
{
	return OP_REQUEST(call, struct asynchronous_call);
}

static struct later_name name_of(const struct op_call *call, struct slice id)
{
	return (struct later_name){ call->who->name, id, call->now_s };
}

static kf_err decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return asynchronous_get_request(&r, &call_of(call)->q);
}

/* --- Poll --- */

kf_err op_poll_decode(struct op_call *call) { return decode(call); }

static kf_err poll(struct op_call *call)
{
	const struct later_name name = name_of(call, call_of(call)->q.id);
	struct later_answer a;
	KF_TRY(op_later_poll(call->server->later, &name, &a, &call->scratch));
	/* From here on it is the answer to what was asked then. */
	call->answers_for = a.operation;
	call->is_pending = a.is_pending;
	if (a.is_pending)
		memcpy(call->later_id, name.id.p, sizeof(call->later_id));
	else if (a.code != KF_E_NONE) {
		kf_err err = kf_fail(INTERNAL, "what was asked then failed");
		err.code = a.code;
		return err;
	} else if (a.version != call->version)
		return kf_fail(FEATURE, "asked then in another protocol version");
	return KF_OK;
}

enum op_next op_poll_start(struct op_call *call)
{
	return op_then(call, poll(call), OP_ANSWER);
}

void op_poll_answer(struct op_call *call, struct ttlv_writer *w)
{
	ttlv_put_items(w, buf_slice(&call->scratch));
}

/* --- Cancel --- */

kf_err op_cancel_decode(struct op_call *call) { return decode(call); }

enum op_next op_cancel_start(struct op_call *call)
{
	struct asynchronous_call *a = call_of(call);
	const struct later_name name = name_of(call, a->q.id);
	a->a.id = a->q.id;
	a->a.result = op_later_cancel(call->server->later, &name);
	return OP_ANSWER;
}

void op_cancel_answer(struct op_call *call, struct ttlv_writer *w)
{
	cancel_put_response(w, &call_of(call)->a);
}

/* --- Process: the client waits after all --- */

kf_err op_process_decode(struct op_call *call) { return decode(call); }

enum op_next op_process_start(struct op_call *call)
{
	call->later_wanted = call_of(call)->q.id;
	return OP_WAIT;
}

void op_process_answer(struct op_call *call, struct ttlv_writer *w)
{
	(void)call;
	(void)w;
}

/* --- Query Asynchronous Requests --- */

/* Read again when it is carried out: the filters are larger than the call's own memory. */
kf_err op_query_asynchronous_requests_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct query_asynchronous_request q;
	return query_asynchronous_get_request(&r, &q);
}

static bool names_id(const struct query_asynchronous_request *q, const uint8_t *id)
{
	bool is_named = !q->has_ids;
	for (size_t i = 0; i < q->ids; i++)
		is_named |= slice_eq(q->id[i], (struct slice){ id, LATER_ID_SIZE });
	return is_named;
}

static bool names_operation(
	const struct query_asynchronous_request *q, uint32_t operation)
{
	bool is_named = !q->has_operations;
	for (size_t i = 0; i < q->operations; i++)
		is_named |= q->operation[i] == operation;
	return is_named;
}

static void add_row(struct op_call *call, const struct query_asynchronous_request *q,
	const struct later_row *row)
{
	struct ttlv_writer w = ttlv_write(&call->scratch, call->version);
	if (!names_id(q, row->id) || !names_operation(q, row->operation))
		return;
	asynchronous_put_row(&w, &(struct asynchronous_row){
					 .id = { row->id, LATER_ID_SIZE },
					 .operation = row->operation,
					 .submitted_s = row->submitted_s,
					 .stage = row->stage,
				 });
}

enum op_next op_query_asynchronous_requests_start(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct query_asynchronous_request q;
	struct later_row row;
	kf_err err = query_asynchronous_get_request(&r, &q);
	for (size_t i = 0; kf_ok(err) && op_later_row(call->server->later,
						 call->who->name, i, call->now_s, &row);
		i++)
		add_row(call, &q, &row);
	if (kf_ok(err))
		err = buf_err(&call->scratch);
	return op_then(call, err, OP_ANSWER);
}

void op_query_asynchronous_requests_answer(struct op_call *call, struct ttlv_writer *w)
{
	ttlv_put_items(w, buf_slice(&call->scratch));
}
