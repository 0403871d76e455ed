/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/later.h"
#include "keyfleetd/answer.h"
#include "keyfleetd/peer.h"
#include "keyfleetd/server.h"
#include <string.h>

/* KMIP 2.1, Poll and Cancel: answered at once, as is what asks about such requests or the server. */
static bool is_about_requests(uint32_t operation)
{
	switch (operation) {
	case KMIP_OPERATION_POLL:
	case KMIP_OPERATION_CANCEL:
	case KMIP_OPERATION_PROCESS:
	case KMIP_OPERATION_QUERY_ASYNCHRONOUS_REQUESTS:
	case KMIP_OPERATION_QUERY:
	case KMIP_OPERATION_DISCOVER_VERSIONS: return true;
	default: return false;
	}
}

bool later_wants(const struct req *r)
{
	const struct op_call *c = &r->call;
	if (r->undo || is_about_requests(c->op->code))
		return false;
	switch (r->header.asynchronous) {
	case KMIP_ASYNCHRONOUS_INDICATOR_MANDATORY: return true;
	case KMIP_ASYNCHRONOUS_INDICATOR_OPTIONAL:
		return c->is_slow || (c->is_long && r->next == OP_WORK);
	default: return false;
	}
}

/* Not at once: a batch may hold many such items, each of which would stand on the other's stack. */
static void answer_pending(struct req *n, const uint8_t id[LATER_ID_SIZE])
{
	n->call.is_pending = true;
	memcpy(n->call.later_id, id, LATER_ID_SIZE);
	n->home.deliver = req_come_home;
	loop_post(n->io->loop, &n->home);
}

static kf_err add(const struct req *r, uint8_t id[LATER_ID_SIZE])
{
	const struct later_request q = {
		.right = later_right_of(&r->call),
		.client = r->who.name,
		.operation = r->call.op->code,
		.version = r->header.version,
		.now_s = r->call.now_s,
	};
	return op_later_add(r->io->server->later, &q, id);
}

enum step_result later_step(struct req *r)
{
	struct req *n = NULL;
	uint8_t id[LATER_ID_SIZE];
	struct buf none = { 0 };
	kf_err e = add(r, id);
	if (!kf_ok(e))
		return answer_fail(r, e);
	e = req_stand_in(r, &n);
	if (!kf_ok(e)) {
		op_later_end(r->io->server->later, id, r->call.now_s, e, &none);
		return answer_fail(r, e);
	}
	r->is_later = true;
	memcpy(r->call.later_id, id, LATER_ID_SIZE);
	answer_pending(n, id);
	return STEP_NEXT;
}
