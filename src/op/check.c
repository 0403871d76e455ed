/* SPDX-License-Identifier: Apache-2.0
 *
 * Check: may the client use the object so?  Nothing is spent or leased by it.  2.x answers no with an
 * error; 1.x with success, telling what is not allowed, without the Unique Identifier.
 */
#include "kmip/check.h"
#include "op/lease.h"
#include "op/step.h"
#include "op/usage.h"
#include <string.h>

struct check_call {
	struct check_request q;
	struct check_request refused;
};

static struct check_call *check_of(struct op_call *call)
{
	return OP_REQUEST(call, struct check_call);
}

kf_err op_check_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct check_request *q = &check_of(call)->q;

	KF_TRY(check_get_request(&r, q));
	return op_name_object(call, &q->uid);
}

static bool has_usage(const struct op_call *call, int64_t count)
{
	struct usage u;
	return !usage_get(call->object->attrs, &u) || (count >= 0 && count <= u.count);
}

static void compare(struct op_call *call)
{
	struct check_call *c = check_of(call);
	const struct check_request *q = &c->q;
	const uint32_t mask = (uint32_t)q->usage_mask;

	c->refused = *q;
	c->refused.uid = (struct kmip_uid){ 0 };
	c->refused.has_count = q->has_count && !has_usage(call, q->usage_limits_count);
	c->refused.has_mask = q->has_mask && (mask & ~call->object->usage_mask);
	c->refused.has_lease = q->has_lease && q->lease_time > lease_of(call);
}

static bool is_refused(const struct check_request *refused)
{
	return refused->has_count || refused->has_mask || refused->has_lease;
}

static kf_err refusal(const struct check_request *refused)
{
	if (refused->has_mask)
		return kf_fail(USAGE, "Cryptographic Usage Mask does not allow this");
	if (refused->has_count)
		return kf_fail(LIMIT, "the usage limit does not allow this");
	return kf_fail(DENIED, "a lease is not given for so long");
}

/* A no empties the ID Placeholder: the rest of the batch must not go on with the object. */
static kf_err check(struct op_call *call)
{
	const struct check_request *refused = &check_of(call)->refused;

	KF_TRY(op_check_present(call->object));
	if (call->object->type == OBJECT_TEMPLATE)
		return kf_fail(ILLEGAL, "a template is not used");
	compare(call);
	if (!is_refused(refused)) {
		check_of(call)->refused.uid = op_uid(call);
		return KF_OK;
	}
	memset(call->placeholder, 0, sizeof(call->placeholder));
	return kmip_is_2(call->version) ? refusal(refused) : KF_OK;
}

enum op_next op_check_start(struct op_call *call)
{
	return op_then(call, check(call), OP_ANSWER);
}

void op_check_answer(struct op_call *call, struct ttlv_writer *w)
{
	check_put_response(w, &(struct check_response){ check_of(call)->refused });
}
