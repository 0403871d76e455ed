/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/discover_versions.h"
#include "op/step.h"
#include <string.h>

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

/* The highest stand first. */
static void drop_newer(struct discover_versions_response *a, uint16_t newest)
{
	size_t n = 0;
	while (newest && n < a->n && a->version[n] > newest)
		n++;
	a->n -= n;
	memmove(a->version, a->version + n, a->n * sizeof(*a->version));
}

void op_discover_versions_answer(struct op_call *call, struct ttlv_writer *w)
{
	struct discover_versions_response a = { 0 };
	discover_versions_choose(OP_REQUEST(call, struct discover_versions_request), &a);
	drop_newer(&a, call->newest);
	discover_versions_put_response(w, &a);
}
