/* SPDX-License-Identifier: Apache-2.0
 *
 * Get Attributes and Get Attribute List.  A destroyed object keeps its attributes.
 */
#include "kmip/get_attributes.h"
#include "kmip/get_attribute_list.h"
#include "op/step.h"

kf_err op_get_attributes_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct get_attributes_request *q =
		OP_REQUEST(call, struct get_attributes_request);

	KF_TRY(get_attributes_get_request(&r, q));
	return op_name_object(call, &q->uid);
}

/* KMIP 1.x: an archived object is not even described.  2.x has no such error for these two: what is archived is the
 * object, and its attributes say when that was. */
static kf_err check_described(const struct op_call *call)
{
	return kmip_is_2(call->version) ? KF_OK : op_check_present(call->object);
}

/* Was this name asked for before?  KMIP 1.x calls that an invalid message; 2.x says nothing, and is answered
 * once. */
static bool came_before(const struct op_call *call, struct slice names,
	const struct attr_ref *ref, size_t n)
{
	struct ttlv_reader r = ttlv_read_as(names, call->version, call->is_lenient);
	struct attr_ref other = { 0 };

	while (n-- && attr_ref_get(&r, &other))
		if (attr_ref_eq(&other, ref))
			return true;
	return false;
}

/* Names that we do not know, or that the object has not, are simply not answered. */
static kf_err pick_named(struct op_call *call, struct slice names)
{
	struct ttlv_reader r = ttlv_read_as(names, call->version, call->is_lenient);
	struct attr_ref ref = { 0 };
	autobuf all = buf_new(call->server->message_max);

	op_attrs_now(call, &all);
	for (size_t n = 0; attr_ref_get(&r, &ref); n++) {
		const bool is_again = ref.tag && came_before(call, names, &ref, n);
		if (is_again && !kmip_is_2(call->version))
			return kf_fail(MALFORMED, "an Attribute Name twice");
		if (ref.tag && !is_again)
			attrs_pick(buf_slice(&all), &ref, &call->scratch);
	}
	KF_TRY(buf_err(&all));
	return ttlv_done(&r);
}

static kf_err get_attributes(struct op_call *call)
{
	const struct get_attributes_request *q =
		OP_REQUEST(call, struct get_attributes_request);

	KF_TRY(check_described(call));
	if (q->names.n)
		KF_TRY(pick_named(call, q->names));
	else
		op_attrs_now(call, &call->scratch);
	return buf_err(&call->scratch);
}

enum op_next op_get_attributes_start(struct op_call *call)
{
	return op_then(call, get_attributes(call), OP_ANSWER);
}

void op_get_attributes_answer(struct op_call *call, struct ttlv_writer *w)
{
	get_attributes_put_response(w, &(struct get_attributes_response){
					       .uid = op_uid(call),
					       .attributes = buf_slice(&call->scratch),
				       });
}

kf_err op_get_attribute_list_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct get_attribute_list_request *q =
		OP_REQUEST(call, struct get_attribute_list_request);

	KF_TRY(get_attribute_list_get_request(&r, q));
	return op_name_object(call, &q->uid);
}

enum op_next op_get_attribute_list_start(struct op_call *call)
{
	kf_err err = check_described(call);

	if (kf_ok(err)) {
		op_attrs_now(call, &call->scratch);
		err = buf_err(&call->scratch);
	}
	return op_then(call, err, OP_ANSWER);
}

void op_get_attribute_list_answer(struct op_call *call, struct ttlv_writer *w)
{
	get_attribute_list_put_response(
		w, &(struct get_attribute_list_response){
			   .uid = op_uid(call),
			   .attributes = buf_slice(&call->scratch),
		   });
}
