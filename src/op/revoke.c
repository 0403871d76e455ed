/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/revoke.h"
#include "op/step.h"

kf_err op_revoke_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct revoke_request *q = OP_REQUEST(call, struct revoke_request);

	KF_TRY(revoke_get_request(&r, q));
	return op_name_object(call, &q->uid);
}

static bool is_compromise(uint32_t reason)
{
	return reason == KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE ||
	       reason == KMIP_REVOCATION_REASON_CODE_CA_COMPROMISE;
}

/* The transitions of KMIP 2.1, State; any other is refused.  In 1.x, which has no error for it, what is deactivated
 * already is told why once more. */
static kf_err next_state(
	const struct op_call *call, uint32_t reason, enum object_state *ret)
{
	const enum object_state state = object_state(call->object, call->now_s);
	if (is_compromise(reason)) {
		if (state == STATE_COMPROMISED || state == STATE_DESTROYED_COMPROMISED)
			return kf_fail(STATE, "it is compromised already");
		*ret = state == STATE_DESTROYED ? STATE_DESTROYED_COMPROMISED
						: STATE_COMPROMISED;
		return KF_OK;
	}
	if (state != STATE_ACTIVE &&
		(state != STATE_DEACTIVATED || kmip_is_2(call->version)))
		return kf_fail(STATE, "only what is active can be deactivated");
	*ret = STATE_DEACTIVATED;
	return KF_OK;
}

static void add_reason(struct buf *attrs, const struct revoke_request *q)
{
	autobuf item = buf_new(q->message.n + 256);
	struct ttlv_writer w = ttlv_write(&item, 0);

	ttlv_begin(&w, TAG_REVOCATION_REASON);
	ttlv_put_enum(&w, TAG_REVOCATION_REASON_CODE, q->reason);
	if (q->message.n)
		ttlv_put_text(&w, TAG_REVOCATION_MESSAGE, q->message);
	ttlv_end(&w);
	attrs_set_item(attrs, buf_slice(&item));
}

/* Unless the client knows better, it may have been compromised from the first. */
static int64_t occurrence(struct op_call *call)
{
	const struct revoke_request *q = OP_REQUEST(call, struct revoke_request);
	int64_t date = call->now_s;
	(void)attrs_get_date(call->object->attrs, TAG_INITIAL_DATE, &date);
	return q->has_compromise_date ? q->compromise_occurrence_date : date;
}

static void add_dates(struct op_call *call, struct buf *attrs, enum object_state state)
{
	attrs_set_date(attrs, TAG_LAST_CHANGE_DATE, call->now_s);
	if (state == STATE_DEACTIVATED) {
		if (object_state(call->object, call->now_s) == STATE_ACTIVE)
			attrs_set_date(attrs, TAG_DEACTIVATION_DATE, call->now_s);
		return;
	}
	attrs_set_date(attrs, TAG_COMPROMISE_DATE, call->now_s);
	attrs_set_date(attrs, TAG_COMPROMISE_OCCURRENCE_DATE, occurrence(call));
}

static kf_err revoke(struct op_call *call)
{
	const struct revoke_request *q = OP_REQUEST(call, struct revoke_request);
	enum object_state state;
	autobuf attrs = buf_new(call->server->message_max);

	if (!ttlv_value_text(TTLV_KIND_REVOCATION_REASON_CODE, q->reason))
		return kf_fail(INVALID_FIELD, "unknown Revocation Reason Code");
	if (call->object->type == OBJECT_TEMPLATE)
		return kf_fail(ILLEGAL, "a template has no state");
	KF_TRY(op_check_present(call->object));
	KF_TRY(next_state(call, q->reason, &state));
	buf_add_slice(&attrs, call->object->attrs);
	attrs_set_enum(&attrs, TAG_STATE, state);
	add_reason(&attrs, q);
	add_dates(call, &attrs, state);
	return op_replace_object(call, &attrs, state != STATE_DESTROYED_COMPROMISED);
}

enum op_next op_revoke_start(struct op_call *call)
{
	return op_then(call, revoke(call), OP_COMMIT);
}

void op_revoke_answer(struct op_call *call, struct ttlv_writer *w)
{
	revoke_put_response(w, &(struct revoke_response){ .uid = op_uid(call) });
}
