/* SPDX-License-Identifier: Apache-2.0
 *
 * Interop: for servers that are tested, and for no others.  Begin and End change nothing.  Reset makes
 * every object void that the client may destroy, whatever its state: as if it had never been.
 */
#include "kmip/interop.h"
#include "op/step.h"
#include <stdlib.h>

struct interop_call {
	struct interop_request q;
	struct op_call *call;
	kf_err err;
};

kf_err op_interop_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct interop_call *s = OP_REQUEST(call, struct interop_call);

	if (!call->server->is_interop_test)
		return kf_fail(UNSUPPORTED, "this server is not under test");
	KF_TRY(interop_get_request(&r, &s->q));
	if (s->q.function < KMIP_INTEROP_FUNCTION_BEGIN ||
		s->q.function > KMIP_INTEROP_FUNCTION_RESET)
		return kf_fail(INVALID_FIELD, "no such Interop Function");
	return KF_OK;
}

static kf_err make_room(struct op_call *call)
{
	if (call->change.n == CHANGE_MUTATIONS_MAX)
		return kf_fail(LIMIT, "too many objects to be forgotten at once");
	if (call->change.n < CHANGE_MUTATIONS || call->change.more)
		return KF_OK;
	call->change.more = calloc(
		CHANGE_MUTATIONS_MAX - CHANGE_MUTATIONS, sizeof(*call->change.more));
	return call->change.more ? KF_OK : kf_fail(NOMEM, "forgetting objects");
}

static kf_err forget(struct op_call *call, const struct object *o)
{
	const struct object_parts nothing = {
		.id = slice_of(o->id),
		.owner = slice_of(o->owner),
		.type = o->type,
		.version = o->version + 1,
	};
	struct mutation m = { .kind = PUT_OBJECT, .expected_version = o->version };
	KF_TRY(make_room(call));
	KF_TRY(object_new(&nothing, &m.object.object));
	*change_mutation(&call->change, call->change.n++) = m;
	return KF_OK;
}

static bool forget_if_allowed(void *arg, const struct object *o)
{
	struct interop_call *s = arg;
	const struct decision d = policy_decide_linked(
		s->call->server->catalog, s->call->who, PERM_DESTROY, o);
	if (d.is_allowed)
		s->err = forget(s->call, o);
	return kf_ok(s->err);
}

enum op_next op_interop_start(struct op_call *call)
{
	struct interop_call *s = OP_REQUEST(call, struct interop_call);

	s->call = call;
	if (s->q.function != KMIP_INTEROP_FUNCTION_RESET)
		return OP_ANSWER;
	catalog_each(call->server->catalog, forget_if_allowed, s);
	/* An empty change would be none. */
	return op_then(call, s->err, call->change.n ? OP_COMMIT : OP_ANSWER);
}

void op_interop_answer(struct op_call *call, struct ttlv_writer *w)
{
	(void)call;
	(void)w; /* nothing: the payload is empty */
}
