/* SPDX-License-Identifier: Apache-2.0
 *
 * Get.  On the hot path: see op/give.c.
 */
#include "op/give.h"
#include "op/served.h"
#include "op/step.h"

kf_err op_get_decode(struct op_call *call)
{
	struct ttlv_reader r;
	struct giving *g = OP_REQUEST(call, struct giving);

	op_start_payload(call, &r);
	KF_TRY(get_get_request(&r, &g->q));
	return op_name_object(call, &g->q.uid);
}

static kf_err get(struct op_call *call)
{
	struct giving *g = OP_REQUEST(call, struct giving);

	KF_TRY(op_give(call, g));
	g->a.object_type = call->object->type;
	g->a.uid = op_uid(call);
	return KF_OK;
}

enum op_next op_get_start(struct op_call *call)
{
	const struct giving *g = OP_REQUEST(call, struct giving);
	const kf_err err = get(call);

	if (!kf_ok(err))
		return op_then(call, err, OP_FAIL);
	if (!giving_waited(g))
		op_note_served(call);
	return op_given(call, g);
}

void op_get_answer(struct op_call *call, struct ttlv_writer *w)
{
	const struct giving *g = OP_REQUEST(call, struct giving);

	if (giving_waited(g))
		op_note_served(call);
	get_put_response(w, &g->a);
}
