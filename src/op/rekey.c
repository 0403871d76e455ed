/* SPDX-License-Identifier: Apache-2.0
 *
 * Re-key: a symmetric key in the place of another one.
 */
#include "kmip/rekey.h"
#include "op/replace.h"
#include "op/symmetric.h"
#include <string.h>

kf_err op_rekey_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct rekey_request *q = OP_REQUEST(call, struct rekey_request);
	KF_TRY(rekey_get_request(&r, q, &call->attrs));
	return op_name_object(call, &q->uid);
}

static kf_err describe(struct op_call *call, struct make *m)
{
	const struct rekey_request *q = OP_REQUEST(call, struct rekey_request);
	const struct replace_wish wish = { q->has_offset, q->offset_s, q->attributes };
	if (call->object->type != OBJECT_SYMMETRIC_KEY)
		return kf_fail(OBJECT_TYPE, "only symmetric keys are re-keyed so");
	KF_TRY(replace_check(call, call->object));
	KF_TRY(replace_attributes(call->object, &wish, call->now_s, &m->attrs));
	m->replaces = call->object;
	KF_TRY(make_check(call, m));
	KF_TRY(symmetric_describe(m));
	replace_describe(call, m);
	return KF_OK;
}

static kf_err rekey(struct op_call *call, struct make *m)
{
	KF_TRY(describe(call, m));
	KF_TRY(symmetric_generate(m));
	KF_TRY(replace_old(call, call->object, m->id));
	KF_TRY(make_object(call, m));
	memcpy(call->placeholder, m->id, OBJECT_ID_SIZE);
	return KF_OK;
}

enum op_next op_rekey_start(struct op_call *call)
{
	CLEANUP(make_free) struct make m = make_new(call, OBJECT_SYMMETRIC_KEY);
	return op_then(call, rekey(call, &m), OP_COMMIT);
}

void op_rekey_answer(struct op_call *call, struct ttlv_writer *w)
{
	rekey_put_response(w,
		&(struct rekey_response){ kmip_uid_text(slice_of(call->placeholder)) });
}
