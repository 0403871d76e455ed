/* SPDX-License-Identifier: Apache-2.0
 *
 * Get.  On the hot path: the value is written from where the store has it open (store_material()), or
 * is unsealed into the call's own memory.
 */
#include "kmip/get.h"
#include "op/material.h"
#include "op/step.h"

struct get_call {
	struct get_request q;
	struct get_response a;
};

kf_err op_get_decode(struct op_call *call)
{
	struct ttlv_reader r;
	struct get_call *g = OP_REQUEST(call, struct get_call);

	op_start_payload(call, &r);
	KF_TRY(get_get_request(&r, &g->q));
	return op_name_object(call, &g->q.uid);
}

static kf_err check_asked(const struct get_request *q)
{
	if (q->key_wrapping_specification.n)
		return kf_fail(FEATURE, "key wrapping");
	if (q->key_compression_type)
		return kf_fail(KEY_FORMAT, "key compression");
	return KF_OK;
}

/* The converted key replaces the registered one in the answer; both live in call->scratch. */
static kf_err convert(struct op_call *call, struct get_call *g)
{
	struct kmip_object *k = &g->a.object;
	autobuf other = buf_new(PKCS8_MAX);

	KF_TRY(material_convert(
		k, g->q.key_format_type, material_alg(call->object), &other));
	buf_clear(&call->scratch);
	buf_add_slice(&call->scratch, buf_slice(&other));
	k->block.format = g->q.key_format_type;
	k->block.material = buf_slice(&call->scratch);
	return buf_err(&call->scratch);
}

static kf_err get(struct op_call *call)
{
	struct get_call *g = OP_REQUEST(call, struct get_call);
	const struct object *o = call->object;
	struct slice material;

	KF_TRY(check_asked(&g->q));
	KF_TRY(op_check_material(o, call->now_s));
	KF_TRY(op_check_secrecy(o));
	KF_TRY(store_material(call->server->store, o, &call->scratch, &material));
	KF_TRY(kmip_object_parse(material, &g->a.object));
	if (g->a.object.block.format == KMIP_KEY_FORMAT_TYPE_TOKEN)
		return kf_fail(SENSITIVE, "the key is on tokens");
	g->a.object_type = o->type;
	g->a.uid = op_uid(call);
	const uint32_t wanted = g->q.key_format_type;
	return wanted && wanted != g->a.object.block.format ? convert(call, g) : KF_OK;
}

enum op_next op_get_start(struct op_call *call)
{
	return op_then(call, get(call), OP_ANSWER);
}

void op_get_answer(struct op_call *call, struct ttlv_writer *w)
{
	get_put_response(w, &OP_REQUEST(call, struct get_call)->a);
}
