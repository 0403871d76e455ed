/* SPDX-License-Identifier: Apache-2.0
 *
 * Backup: hands out a copy of the store.  For the administrator.
 */
#include "kmip/admin.h"
#include "op/backup.h"
#include "op/step.h"

struct backup_call {
	struct backup_request q;
	int64_t size;
};

kf_err op_backup_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return backup_get_request(&r, &OP_REQUEST(call, struct backup_call)->q);
}

static enum op_next work(struct op_call *call)
{
	struct backup_call *b = OP_REQUEST(call, struct backup_call);
	const size_t room = call->server->message_max / 2;
	const bool fits = b->q.maximum > 0 && (size_t)b->q.maximum < room;

	return op_then(call,
		op_backup_read(call->server->backup, b->q.offset,
			fits ? (size_t)b->q.maximum : room, &call->scratch, &b->size),
		OP_ANSWER);
}

enum op_next op_backup_start(struct op_call *call)
{
	if (!call->server->backup)
		return op_then(call, kf_fail(UNSUPPORTED, "no backups here"), OP_FAIL);
	call->work = work;
	return OP_WORK;
}

void op_backup_answer(struct op_call *call, struct ttlv_writer *w)
{
	const struct backup_call *b = OP_REQUEST(call, struct backup_call);
	backup_put_response(w, &(struct backup_response){
				       .offset = b->q.offset,
				       .size = b->size,
				       .chunk = buf_slice(&call->scratch),
			       });
}
