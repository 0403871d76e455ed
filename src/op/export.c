/* SPDX-License-Identifier: Apache-2.0
 *
 * Export: Get, with all attributes.
 */
#include "kmip/import.h"
#include "op/give.h"
#include "op/step.h"

kf_err op_export_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct giving *g = OP_REQUEST(call, struct giving);

	KF_TRY(get_get_request(&r, &g->q));
	return op_name_object(call, &g->q.uid);
}

/* The attributes of the request are none: the buffer is free for those of the object. */
static kf_err export(struct op_call *call)
{
	KF_TRY(op_check_tells(call));
	KF_TRY(op_give(call, OP_REQUEST(call, struct giving)));
	buf_clear(&call->attrs);
	op_attrs_now(call, &call->attrs);
	return buf_err(&call->attrs);
}

enum op_next op_export_start(struct op_call *call)
{
	const kf_err err = export(call);

	if (!kf_ok(err))
		return op_then(call, err, OP_FAIL);
	return op_given(call, OP_REQUEST(call, struct giving));
}

void op_export_answer(struct op_call *call, struct ttlv_writer *w)
{
	export_put_response(
		w, &(struct export_response){
			   .object_type = call->object->type,
			   .uid = op_uid(call),
			   .attributes = buf_slice(&call->attrs),
			   .object = OP_REQUEST(call, struct giving)->a.object,
		   });
}
