/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/activate.h"
#include "op/token_step.h"

kf_err op_activate_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct activate_request *q = OP_REQUEST(call, struct activate_request);

	KF_TRY(activate_get_request(&r, q));
	return op_name_object(call, &q->uid);
}

/* A key on tokens is used when as many of them as were wanted hold it and have signed with it. */
kf_err op_check_copies(const struct op_call *call)
{
	const struct object *o = call->object;
	if (!o->key || !pool_key_is(o->key))
		return KF_OK;
	unsigned wanted = token_copies_wanted(o->attrs);
	unsigned serving = token_copies_serving(call, o->key);
	if (serving < wanted || !serving)
		return kf_fail(STATE, "fewer tokens than wanted hold the key; clone it");
	return KF_OK;
}

static kf_err activate(struct op_call *call)
{
	autobuf attrs = buf_new(call->server->message_max);

	if (call->object->type == OBJECT_TEMPLATE)
		return kf_fail(ILLEGAL, "a template has no state");
	KF_TRY(op_check_material(call->object, call->now_s));
	if (object_state(call->object, call->now_s) != STATE_PRE_ACTIVE)
		return kf_fail(STATE, "only what is pre-active can be activated");
	KF_TRY(op_check_copies(call));
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
