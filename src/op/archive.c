/* SPDX-License-Identifier: Apache-2.0
 *
 * Archive and Recover.  What is archived is kept like anything else, and serves nobody until it is
 * recovered.
 */
#include "kmip/archive.h"
#include "op/step.h"

static kf_err decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	struct archive_request *q = OP_REQUEST(call, struct archive_request);

	KF_TRY(archive_get_request(&r, q));
	return op_name_object(call, &q->uid);
}

static kf_err move(struct op_call *call, bool to_archive)
{
	const struct object *o = call->object;
	autobuf attrs = buf_new(call->server->message_max);

	if (to_archive && o->is_archived)
		return kf_fail(ARCHIVED, "the object is archived already");
	buf_add_slice(&attrs, o->attrs);
	if (to_archive)
		attrs_set_date(&attrs, TAG_ARCHIVE_DATE, call->now_s);
	else
		attrs_remove_all(&attrs, TAG_ARCHIVE_DATE);
	attrs_set_date(&attrs, TAG_LAST_CHANGE_DATE, call->now_s);
	return op_replace_object(call, &attrs, !object_is_destroyed(o));
}

static void answer(struct op_call *call, struct ttlv_writer *w)
{
	archive_put_response(w, &(struct archive_response){ .uid = op_uid(call) });
}

kf_err op_archive_decode(struct op_call *call) { return decode(call); }

enum op_next op_archive_start(struct op_call *call)
{
	return op_then(call, move(call, true), OP_COMMIT);
}

void op_archive_answer(struct op_call *call, struct ttlv_writer *w) { answer(call, w); }

kf_err op_recover_decode(struct op_call *call) { return decode(call); }

enum op_next op_recover_start(struct op_call *call)
{
	return op_then(call, move(call, false), OP_COMMIT);
}

void op_recover_answer(struct op_call *call, struct ttlv_writer *w) { answer(call, w); }
