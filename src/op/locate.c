/* SPDX-License-Identifier: Apache-2.0
 *
 * Locate.  Newest first; nothing that the client may not see, not even in the count.
 */
#include "kmip/locate.h"
#include "op/match.h"
#include "op/served.h"
#include "op/step.h"
#include <string.h>

struct locate_call {
	struct locate_request q;
	int32_t found; /* all that match */
	int32_t given; /* what is in the answer */
	char first[OBJECT_ID_SIZE];
};

kf_err op_locate_decode(struct op_call *call)
{
	struct ttlv_reader r = op_payload(call);
	return locate_get_request(
		&r, &OP_REQUEST(call, struct locate_call)->q, &call->attrs);
}

/* Everybody may ask; each object is decided upon by itself. */
struct decision op_locate_decide(struct op_call *call)
{
	return (struct decision){
		.is_allowed = true,
		.rule = call->who->is_admin ? "admin" : "everybody",
	};
}

static bool asks_for_state(const struct locate_request *q)
{
	return attrs_count(q->attributes, TAG_STATE) > 0;
}

/* Which storages are meant.  Without a mask the one of objects that are there; destroyed ones are
 * found by whoever asks for that State, or, since 2.0, for that storage. */
static bool is_stored_there(
	const struct object *o, int64_t now_s, const struct locate_request *q)
{
	const enum object_state state = object_state(o, now_s);
	const bool is_gone =
		state == STATE_DESTROYED || state == STATE_DESTROYED_COMPROMISED;

	if (q->has_storage_status_mask && is_gone)
		return q->storage_status_mask &
		       KMIP_STORAGE_STATUS_MASK_DESTROYED_STORAGE;
	if (is_gone)
		return asks_for_state(q);
	if (!q->has_storage_status_mask)
		return !o->is_archived;
	return q->storage_status_mask &
	       (o->is_archived ? KMIP_STORAGE_STATUS_MASK_ARCHIVAL_STORAGE
			       : KMIP_STORAGE_STATUS_MASK_ON_LINE_STORAGE);
}

static bool is_member(const struct object *o, uint32_t member)
{
	return member != KMIP_OBJECT_GROUP_MEMBER_GROUP_MEMBER_FRESH ||
	       object_is_fresh(o);
}

static bool is_wanted(const struct op_call *call, const struct locate_request *q,
	const struct object *o)
{
	return is_stored_there(o, call->now_s, q) &&
	       is_member(o, q->object_group_member) &&
	       match_object(o, call->now_s, q->attributes) &&
	       policy_decide_linked(call->server->catalog, call->who, PERM_LOCATE, o)
		       .is_allowed;
}

static bool visit(void *arg, const struct object *o)
{
	struct op_call *call = arg;
	struct locate_call *l = OP_REQUEST(call, struct locate_call);
	const struct locate_request *q = &l->q;

	if (!is_wanted(call, q, o))
		return true;
	l->found++;
	if (q->offset_items > 0 && l->found <= q->offset_items)
		return true;
	if (q->maximum_items >= 0 && l->given >= q->maximum_items)
		return call->version >=
		       KMIP_1_3; /* that wants to know how many there are */
	if (!l->given++)
		memcpy(l->first, o->id, sizeof(l->first));
	locate_add_uid(&call->scratch, slice_of(o->id));
	return true;
}

/* KMIP 2.1, ID Placeholder: one answer, or the newest if only one was asked for. */
static void set_placeholder(struct op_call *call, const struct locate_call *l)
{
	const bool is_one = l->given == 1 && (l->found == 1 || l->q.maximum_items == 1);

	memset(call->placeholder, 0, sizeof(call->placeholder));
	if (is_one)
		memcpy(call->placeholder, l->first, sizeof(call->placeholder));
}

static bool visit_id(struct op_call *call, const struct locate_request *q)
{
	struct slice id;

	if (!attrs_get_text(q->attributes, TAG_UNIQUE_IDENTIFIER, &id))
		return false;
	const struct object *o = catalog_find(call->server->catalog, id);
	if (o)
		visit(call, o);
	return true;
}

/* By its name an object is found at once, as long as it is there: what is destroyed has no name in the
 * index. */
static bool visit_named(struct op_call *call, const struct locate_request *q)
{
	struct slice name;

	return !asks_for_state(q) && !q->has_storage_status_mask &&
	       attrs_get_name(q->attributes, 0, &name) &&
	       catalog_each_named(call->server->catalog, name, visit, call);
}

enum op_next op_locate_start(struct op_call *call)
{
	struct locate_call *l = OP_REQUEST(call, struct locate_call);

	l->found = l->given = 0;
	if (!visit_id(call, &l->q) && !visit_named(call, &l->q))
		catalog_each(call->server->catalog, visit, call);
	set_placeholder(call, l);
	return op_then(call, buf_err(&call->scratch), OP_ANSWER);
}

/* Who asks for a part wants to know of how many; all of them are as many as there are. */
static bool is_a_part(const struct op_call *call, const struct locate_request *q)
{
	return call->version >= KMIP_1_3 &&
	       (q->maximum_items >= 0 || q->offset_items >= 0);
}

void op_locate_answer(struct op_call *call, struct ttlv_writer *w)
{
	const struct locate_call *l = OP_REQUEST(call, struct locate_call);
	locate_put_response(
		w, &(struct locate_response){
			   .located_items = is_a_part(call, &l->q) ? l->found : -1,
			   .uids = buf_slice(&call->scratch),
		   });
}
