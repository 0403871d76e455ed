/* SPDX-License-Identifier: Apache-2.0
 *
 * Create: a symmetric key from the random number generator, or one that tokens make; from 2.0 on secret data.
 */
#include "kmip/create.h"
#include "op/attr_rule.h"
#include "op/symmetric.h"
#include "op/token_secret.h"
#include <string.h>

/* A key on tokens is described here until it is made. */
struct create_call {
	struct token_secret secret; /* first: token_secret_start() */
	struct create_request q;
};

static struct create_call *create_of(struct op_call *call)
{
	return OP_REQUEST(call, struct create_call);
}

kf_err op_create_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return create_get_request(&r, &create_of(call)->q, &call->attrs);
}

static kf_err describe(struct op_call *call, struct make *m)
{
	const struct create_request *q = &create_of(call)->q;

	const bool is_data =
		q->object_type == OBJECT_SECRET_DATA && kmip_is_2(call->version);
	if (q->object_type != OBJECT_SYMMETRIC_KEY && !is_data)
		return kf_fail(INVALID_FIELD, "no such objects are created");
	KF_TRY(attr_rule_check_wishes(q->attributes, attr_key_wishes));
	buf_add_slice(&m->attrs, q->attributes);
	KF_TRY(make_check(call, m));
	if (!is_data)
		return symmetric_describe(m);
	if (token_secret_is_meant(q->attributes))
		return kf_fail(FEATURE, "tokens make no secret data");
	return symmetric_describe_data(m);
}

static kf_err create(struct op_call *call, struct make *m)
{
	KF_TRY(symmetric_generate(m));
	KF_TRY(make_object(call, m));
	memcpy(call->object_id, m->id, OBJECT_ID_SIZE);
	memcpy(call->placeholder, m->id, OBJECT_ID_SIZE);
	return KF_OK;
}

enum op_next op_create_start(struct op_call *call)
{
	struct make *m = &create_of(call)->secret.make;

	*m = make_new(call, (enum object_type)create_of(call)->q.object_type);
	call->release = token_secret_free;
	kf_err err = describe(call, m);
	if (kf_ok(err) && token_secret_is_meant(buf_slice(&m->attrs)))
		return token_secret_start(call);
	if (kf_ok(err))
		err = create(call, m);
	return op_then(call, err, OP_COMMIT);
}

void op_create_answer(struct op_call *call, struct ttlv_writer *w)
{
	create_put_response(w,
		&(struct create_response){
			.object_type = create_of(call)->q.object_type,
			.uid = kmip_uid_text(slice_of(create_of(call)->secret.make.id)),
		});
}
