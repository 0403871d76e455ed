/* SPDX-License-Identifier: Apache-2.0
 *
 * Register.  What is done with the object: op/take.c.
 */
#include "kmip/register.h"
#include "op/key_file.h"
#include <string.h>

struct register_call {
	struct taking taking;
	struct register_request q;
};

static struct register_call *register_of(struct op_call *call)
{
	return OP_REQUEST(call, struct register_call);
}

kf_err op_register_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return register_get_request(&r, &register_of(call)->q, &call->attrs);
}

static enum op_next finish(struct op_call *call)
{
	struct taking *t = &register_of(call)->taking;
	struct make *m = &t->make;
	kf_err err = key_file_make_chain(call, t);

	if (kf_ok(err))
		err = make_object(call, m);

	memcpy(call->placeholder, m->id, OBJECT_ID_SIZE);
	return op_then(call, err, OP_COMMIT);
}

static void release(struct op_call *call) { taking_free(&register_of(call)->taking); }

enum op_next op_register_start(struct op_call *call)
{
	struct register_call *g = register_of(call);

	g->taking = (struct taking){
		.object = g->q.object,
		.attributes = g->q.attributes,
		.make = make_new(call, (enum object_type)g->q.object.type),
		.finish = finish,
	};
	call->release = release;
	return take_start(call);
}

void op_register_answer(struct op_call *call, struct ttlv_writer *w)
{
	register_put_response(w, &(struct register_response){ .uid = op_uid(call) });
}
