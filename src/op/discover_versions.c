/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/discover_versions.h"
#include "op/step.h"

kf_err op_discover_versions_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return discover_versions_get_request(
		&r, OP_REQUEST(call, struct discover_versions_request));
}

enum op_next op_discover_versions_start(struct op_call *call)
{
	(void)call;
	return OP_ANSWER;
}

void op_discover_versions_answer(struct op_call *call, struct ttlv_writer *w)
{
	struct discover_versions_response a = { 0 };
	discover_versions_choose(OP_REQUEST(call, struct discover_versions_request), &a);
	discover_versions_put_response(w, &a);
}
