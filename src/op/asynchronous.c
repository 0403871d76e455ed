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

/* Grants may have gone meanwhile. */
static bool is_allowed(
	const struct op_call *call, const struct later_right *r, const struct object *o)
{
	const struct catalog *c = call->server->catalog;
	const struct decision d = r->permission == PERM_SIGN
					  ? policy_decide_sign(catalog_rights(c),
						    call->who, o, r->constraints)
					  : policy_decide_linked(c, call->who,
						    (enum permission)r->permission, o);
	return d.is_allowed && !d.unkept;
}

static kf_err authorise_again(const struct op_call *call, const struct later_right *r)
{
	if (!r->object[0])
		return KF_OK;
	const struct object *o = catalog_find(call->server->catalog, slice_of(r->object));
	return o && is_allowed(call, r, o)
		       ? KF_OK
		       : kf_fail(NOT_FOUND,
				 "no such object, or none that this client may know");
}

/* Of a change that was made the client is told. */
struct later_right later_right_of(const struct op_call *call)
{
	struct later_right r = { .permission = call->op->permission,
		.constraints = call->decision.constraints };
	if (!call->op->needs_object || call->op->changes_store || !call->object)
		return r;
	memcpy(r.object, call->object->id, sizeof(r.object));
	if (r.permission == PERM_DECRYPT && call->tls_client_version)
		r.permission = PERM_DECRYPT_TLS;
	/* The one operation that goes by either of two. */
	if (r.permission == PERM_SIGN && !is_allowed(call, &r, call->object))
		r.permission = PERM_CSR;
	return r;
}

static kf_err fetch(struct op_call *call, const struct later_answer *a)
{
	kf_err err = kf_fail(INTERNAL, "what was asked then failed");
	err.code = a->code;
	if (a->code != KF_E_NONE)
		return err;
	if (a->version != call->version)
		return kf_fail(FEATURE, "asked then in another protocol version");
	return authorise_again(call, &a->right);
}

static kf_err poll(struct op_call *call)
{
	const struct later_name name = name_of(call, call_of(call)->q.id);
	struct later_answer a;
	KF_TRY(op_later_poll(call->server->later, &name, &a, &call->scratch));
	/* From here on it is the answer to what was asked then. */
	call->answers_for = a.operation;
	call->is_pending = a.is_pending;
	if (!a.is_pending)
		return fetch(call, &a);
	memcpy(call->later_id, name.id.p, sizeof(call->later_id));
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
