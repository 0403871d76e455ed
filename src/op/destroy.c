/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/destroy.h"
#include "op/token_key.h"
#include "op/token_step.h"

kf_err op_destroy_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct destroy_request *q = OP_REQUEST(call, struct destroy_request);

	KF_TRY(destroy_get_request(&r, q));
	return op_name_object(call, &q->uid);
}

/* Nobody could connect any more, not even to mend it. */
static bool is_own(const struct op_call *call)
{
	const struct op_server *s = call->server;
	return s->is_own_key && s->is_own_key(s->arg, call->object->key_id);
}

/* Key material on tokens that must not be written to cannot be destroyed; whoever says it were would lie.
 * From the others it is deleted as soon as the change is there: an undone batch would find it gone. */
static kf_err check_tokens(const struct op_call *call)
{
	const struct token_key *key = call->object->key;
	if (!key || !pool_key_is(key))
		return KF_OK;
	if (call->is_undoable)
		return kf_fail(FEATURE, "what tokens delete is not undone");
	if (is_own(call))
		return kf_fail(OWN_KEY, "handshakes are signed with it");
	if (!call->server->pools)
		return KF_OK;
	kf_err e = op_token_check(call, pool_key_pool(key), true);
	return kf_is(e, KF_E_READ_ONLY) ? e : KF_OK;
}

/* The material goes with the commit; from tokens soon after it (keyfleetd/erase.h). the attributes stay, and the name is free again. */
static kf_err destroy(struct op_call *call)
{
	const enum object_state state = object_state(call->object, call->now_s);
	autobuf attrs = buf_new(call->server->message_max);

	if (state == STATE_DESTROYED || state == STATE_DESTROYED_COMPROMISED)
		return kf_fail(DESTROYED_BEFORE, "it was destroyed before");
	KF_TRY(op_check_present(call->object));
	if (state == STATE_ACTIVE)
		return kf_fail(STATE, "what is active must be revoked first");
	KF_TRY(check_tokens(call));
	buf_add_slice(&attrs, call->object->attrs);
	if (call->object->key && pool_key_is(call->object->key))
		token_key_bury(&attrs, call->object->key);
	attrs_set_enum(&attrs, TAG_STATE,
		state == STATE_COMPROMISED ? STATE_DESTROYED_COMPROMISED
					   : STATE_DESTROYED);
	attrs_set_date(&attrs, TAG_DESTROY_DATE, call->now_s);
	attrs_set_date(&attrs, TAG_LAST_CHANGE_DATE, call->now_s);
	return op_replace_object(call, &attrs, false);
}

enum op_next op_destroy_start(struct op_call *call)
{
	return op_then(call, destroy(call), OP_COMMIT);
}

void op_destroy_answer(struct op_call *call, struct ttlv_writer *w)
{
	destroy_put_response(w, &(struct destroy_response){ .uid = op_uid(call) });
}
