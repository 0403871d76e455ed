/* SPDX-License-Identifier: Apache-2.0
 *
 * Log: the client's words, in the record of the audit log that says who said them.
 */
#include "kmip/log.h"
#include "op/step.h"

kf_err op_log_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct log_request *q = OP_REQUEST(call, struct log_request);

	KF_TRY(log_get_request(&r, q));
	call->message = q->message;
	return KF_OK;
}

enum op_next op_log_start(struct op_call *call)
{
	(void)call;
	return OP_ANSWER;
}

void op_log_answer(struct op_call *call, struct ttlv_writer *w)
{
	(void)call;
	(void)w; /* nothing: the payload is empty */
}
