/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/activate.h"
#include "op/step.h"

kf_err op_activate_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct activate_request *q = OP_REQUEST(call, struct activate_request);

	KF_TRY(activate_get_request(&r, q));
	return op_name_object(call, &q->uid);
}

static kf_err activate(struct op_call *call)
{
	autobuf attrs = buf_new(call->server->message_max);

	KF_TRY(op_check_material(call->object, call->now_s));
	if (object_state(call->object, call->now_s) != STATE_PRE_ACTIVE)
		return kf_fail(STATE, "only what is pre-active can be activated");
	buf_add_slice(&attrs, call->object->attrs);
	attrs_set_enum(&attrs, TAG_STATE, STATE_ACTIVE);
	attrs_set_date(&attrs, TAG_ACTIVATION_DATE, call->now_s);
	attrs_set_date(&attrs, TAG_LAST_CHANGE_DATE, call->now_s);
	return op_replace_object(call, &attrs, true);
}

enum op_next op_activate_start(struct op_call *call)
{
	return op_then(call, activate(call), OP_COMMIT);
}

void op_activate_answer(struct op_call *call, struct ttlv_writer *w)
{
	activate_put_response(w, &(struct activate_response){ .uid = op_uid(call) });
}
