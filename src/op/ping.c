/* SPDX-License-Identifier: Apache-2.0
 *
 * Ping: is the server there, and does it know this client?
 */
#include "op/step.h"

kf_err op_ping_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return ttlv_done(&r);
}

enum op_next op_ping_start(struct op_call *call)
{
	(void)call;
	return OP_ANSWER;
}

void op_ping_answer(struct op_call *call, struct ttlv_writer *w)
{
	(void)call;
	(void)w;
}
