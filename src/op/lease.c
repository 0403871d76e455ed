/* SPDX-License-Identifier: Apache-2.0
 *
 * Obtain Lease, and Get Usage Allocation.
 */
#include "op/lease.h"
#include "kmip/lease.h"
#include "op/step.h"
#include "op/usage.h"

uint32_t lease_of(const struct op_call *call)
{
	const struct object *o = call->object;
	const uint32_t given = atomic_load(&call->server->lease_s);
	const uint32_t whole = given ? given : LEASE_DEFAULT_S;

	if (object_state(o, call->now_s) != STATE_ACTIVE &&
		object_state(o, call->now_s) != STATE_PRE_ACTIVE)
		return 0;
	if (o->deactivation_date == DATE_UNSET ||
		o->deactivation_date - call->now_s >= whole)
		return whole;
	return o->deactivation_date > call->now_s
		       ? (uint32_t)(o->deactivation_date - call->now_s)
		       : 0;
}

/* --- Obtain Lease --- */

kf_err op_obtain_lease_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct obtain_lease_request *q = OP_REQUEST(call, struct obtain_lease_request);

	KF_TRY(obtain_lease_get_request(&r, q));
	return op_name_object(call, &q->uid);
}

static kf_err obtain(const struct op_call *call)
{
	KF_TRY(op_check_material(call->object, call->now_s));
	return lease_of(call) ? KF_OK
			      : kf_fail(LIMIT, "no lease of what is not to be used");
}

enum op_next op_obtain_lease_start(struct op_call *call)
{
	return op_then(call, obtain(call), OP_ANSWER);
}

void op_obtain_lease_answer(struct op_call *call, struct ttlv_writer *w)
{
	int64_t changed = call->object->initial_date;

	(void)attrs_get_date(call->object->attrs, TAG_LAST_CHANGE_DATE, &changed);
	obtain_lease_put_response(w, &(struct obtain_lease_response){
					     .uid = op_uid(call),
					     .lease_time = lease_of(call),
					     .last_change_date = changed,
				     });
}

/* --- Get Usage Allocation --- */

kf_err op_get_usage_allocation_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct get_usage_allocation_request *q =
		OP_REQUEST(call, struct get_usage_allocation_request);

	KF_TRY(get_usage_allocation_get_request(&r, q));
	return op_name_object(call, &q->uid);
}

/* What is allocated protects with the key where the client is, so the key must be one that may. */
enum {
	PROTECTING = KMIP_CRYPTOGRAPHIC_USAGE_MASK_SIGN |
		     KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT |
		     KMIP_CRYPTOGRAPHIC_USAGE_MASK_WRAP_KEY |
		     KMIP_CRYPTOGRAPHIC_USAGE_MASK_MAC_GENERATE,
};

static kf_err allocate(struct op_call *call)
{
	const struct get_usage_allocation_request *q =
		OP_REQUEST(call, struct get_usage_allocation_request);
	const struct object *o = call->object;
	autobuf attrs = buf_new(call->server->message_max);

	KF_TRY(op_check_material(o, call->now_s));
	if (!o->is_limited || !(o->usage_mask & PROTECTING))
		return kf_fail(NO_LIMITS, "the object has no usage limits");
	if (q->usage_limits_count < 0)
		return kf_fail(INVALID_FIELD, "Usage Limits Count is negative");
	KF_TRY(op_check_use(call, OP_PROTECT, PROTECTING));
	buf_add_slice(&attrs, o->attrs);
	if (!kf_ok(usage_take(&attrs, (uint64_t)q->usage_limits_count)))
		return kf_fail(LIMIT, "less than that is left");
	attrs_set_date(&attrs, TAG_LAST_CHANGE_DATE, call->now_s);
	return op_replace_object(call, &attrs, true);
}

enum op_next op_get_usage_allocation_start(struct op_call *call)
{
	return op_then(call, allocate(call), OP_COMMIT);
}

void op_get_usage_allocation_answer(struct op_call *call, struct ttlv_writer *w)
{
	get_usage_allocation_put_response(
		w, &(struct get_usage_allocation_response){ .uid = op_uid(call) });
}
