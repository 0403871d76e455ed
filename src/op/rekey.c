/* SPDX-License-Identifier: Apache-2.0
 *
 * Re-key: a symmetric key in the place of another one.
 */
#include "kmip/rekey.h"
#include "op/attr_rule.h"
#include "op/replace.h"
#include "op/symmetric.h"
#include "op/token_secret.h"
#include <string.h>

struct rekey_call {
	struct token_secret secret; /* first: token_secret_start() */
	struct rekey_request q;
};

static struct rekey_call *rekey_of(struct op_call *call)
{
	return OP_REQUEST(call, struct rekey_call);
}

kf_err op_rekey_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct rekey_request *q = &rekey_of(call)->q;
	KF_TRY(rekey_get_request(&r, q, &call->attrs));
	return op_name_object(call, &q->uid);
}

static kf_err describe(struct op_call *call, struct make *m)
{
	const struct rekey_request *q = &rekey_of(call)->q;
	const struct replace_wish wish = { q->has_offset, q->offset_s, q->attributes };
	if (call->object->type != OBJECT_SYMMETRIC_KEY)
		return kf_fail(OBJECT_TYPE, "only symmetric keys are re-keyed so");
	KF_TRY(replace_check(call, call->object));
	KF_TRY(attr_rule_check_wishes(q->attributes, attr_key_wishes));
	KF_TRY(replace_attributes(call->object, &wish, call->now_s, &m->attrs));
	m->replaces = call->object;
	KF_TRY(make_check(call, m));
	KF_TRY(symmetric_describe(m));
	replace_describe(call, m);
	return KF_OK;
}

static kf_err rekey(struct op_call *call, struct make *m)
{
	KF_TRY(symmetric_generate(m));
	KF_TRY(replace_old(call, call->object, m->id));
	KF_TRY(make_object(call, m));
	memcpy(call->placeholder, m->id, OBJECT_ID_SIZE);
	return KF_OK;
}

/* A key on tokens is followed by one on the tokens of the same pool. */
enum op_next op_rekey_start(struct op_call *call)
{
	struct token_secret *s = &rekey_of(call)->secret;
	s->make = make_new(call, OBJECT_SYMMETRIC_KEY);
	call->release = token_secret_free;
	kf_err err = describe(call, &s->make);
	if (kf_ok(err) && token_secret_is_meant(buf_slice(&s->make.attrs))) {
		s->replaces = call->object;
		return token_secret_start(call);
	}
	if (kf_ok(err))
		err = rekey(call, &s->make);
	return op_then(call, err, OP_COMMIT);
}

void op_rekey_answer(struct op_call *call, struct ttlv_writer *w)
{
	rekey_put_response(w, &(struct rekey_response){ kmip_uid_text(
				      slice_of(rekey_of(call)->secret.make.id)) });
}
