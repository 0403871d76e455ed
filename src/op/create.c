/* SPDX-License-Identifier: Apache-2.0
 *
 * Create: a symmetric key from the random number generator.
 */
#include "kmip/create.h"
#include "op/symmetric.h"
#include <string.h>

kf_err op_create_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return create_get_request(
		&r, OP_REQUEST(call, struct create_request), &call->attrs);
}

static kf_err describe(struct op_call *call, struct make *m)
{
	const struct create_request *q = OP_REQUEST(call, struct create_request);

	if (q->object_type != OBJECT_SYMMETRIC_KEY)
		return kf_fail(INVALID_FIELD, "only symmetric keys are created");
	buf_add_slice(&m->attrs, q->attributes);
	KF_TRY(make_check(call, m));
	return symmetric_describe(m);
}

static kf_err create(struct op_call *call, struct make *m)
{
	KF_TRY(describe(call, m));
	KF_TRY(symmetric_generate(m));
	KF_TRY(make_object(call, m));
	memcpy(call->object_id, m->id, OBJECT_ID_SIZE);
	memcpy(call->placeholder, m->id, OBJECT_ID_SIZE);
	return KF_OK;
}

enum op_next op_create_start(struct op_call *call)
{
	CLEANUP(make_free) struct make m = make_new(call, OBJECT_SYMMETRIC_KEY);
	return op_then(call, create(call, &m), OP_COMMIT);
}

void op_create_answer(struct op_call *call, struct ttlv_writer *w)
{
	create_put_response(w, &(struct create_response){
				       .object_type = OBJECT_SYMMETRIC_KEY,
				       .uid = op_uid(call),
			       });
}
