/* SPDX-License-Identifier: Apache-2.0 */
#include "op/served.h"
#include "op/step.h"
#include <stdlib.h>

enum served { NOT_SERVED, SERVED, SERVED_AND_NOTED };

bool object_is_fresh(const struct object *o)
{
	return o->is_fresh &&
	       atomic_load_explicit(&o->served, memory_order_relaxed) == NOT_SERVED;
}

/* Notes on their way to the store: more than a few would keep changes that somebody waits for out of its
 * queue.  Process-wide, as the store is. */
enum { UNDER_WAY_MAX = 64 };
static _Atomic unsigned under_way;

static void done(struct change *c)
{
	atomic_fetch_sub(&under_way, 1);
	free(c);
}

static kf_err served_version(const struct op_call *call, struct object **ret)
{
	const struct object *was = call->object;
	autobuf attrs = buf_new(call->server->message_max);

	buf_add_slice(&attrs, was->attrs);
	attrs_set_bool(&attrs, TAG_FRESH, false);
	attrs_set_date(&attrs, TAG_LAST_CHANGE_DATE, call->now_s);
	KF_TRY(buf_err(&attrs));
	return object_new(&(struct object_parts){ .id = slice_of(was->id),
				  .owner = slice_of(was->owner),
				  .attrs = buf_slice(&attrs),
				  .type = was->type,
				  .version = was->version + 1 },
		ret);
}

static kf_err submit(struct op_call *call)
{
	struct object *o = NULL;
	KF_TRY(served_version(call, &o));
	struct change *c = calloc(1, sizeof(*c));
	if (!c) {
		object_unref(o);
		return kf_fail(NOMEM, "noting that an object was served");
	}
	c->n = 1;
	c->done = done;
	c->m[0] = (struct mutation){ .kind = PUT_OBJECT,
		.expected_version = call->object->version };
	c->m[0].object.object = o;
	c->m[0].object.was = object_ref(call->object);
	atomic_fetch_add(&under_way, 1);
	const kf_err err = store_submit(call->server->store, c);
	if (!kf_ok(err)) {
		atomic_fetch_sub(&under_way, 1);
		object_unref(o);
		object_unref((struct object *)(uintptr_t)c->m[0].object.was);
		free(c);
	}
	return err;
}

/* The object is shared and does not change, but for this note, as for the count of its references.  In a
 * batch that may be undone the store is left alone: it would look as if somebody else had changed the
 * object.  Whoever serves it next sees to that. */
void op_note_served(struct op_call *call)
{
	struct object *o = call->object;
	const uint8_t is = call->is_undoable ? SERVED : SERVED_AND_NOTED;

	if (!o->is_fresh || atomic_load_explicit(&o->served, memory_order_relaxed) >= is)
		return;
	if (atomic_exchange(&o->served, is) >= is || is == SERVED)
		return;
	if (atomic_load(&under_way) >= UNDER_WAY_MAX || !kf_ok(submit(call)))
		atomic_store(&o->served, SERVED); /* whoever serves it next tries again */
}
