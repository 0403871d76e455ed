/* SPDX-License-Identifier: Apache-2.0
 *
 * Locate.  Newest first; nothing that the client may not see, not even in the count.
 */
#include "kmip/locate.h"
#include "base/clock.h"
#include "op/find.h"
#include "op/match.h"
#include "op/served.h"
#include "op/step.h"
#include <string.h>

/* Costs: bytes of an object times bytes of the question, for each field of the one may be compared with each of the
 * other.  What may be looked at on a loop takes some milliseconds at worst. */
enum {
	AT_ONCE_MAX = 128,
	AT_ONCE_COST = 1 << 28,
	CLOCK_EVERY = 1024,
	CLOCK_COST = 1 << 30,
	AHEAD = 4
};

struct locate_call {
	struct locate_request q;
	int32_t found; /* all that match */
	int32_t given; /* what is in the answer */
	bool is_fresh; /* Group Member Default: the one that was found last */
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

static bool asks_for_default(const struct locate_request *q)
{
	return q->object_group_member == KMIP_OBJECT_GROUP_MEMBER_GROUP_MEMBER_DEFAULT;
}

/* A group's default object is, as this server has it, the oldest that nobody has taken yet; when all were, the
 * oldest. */
static void keep_default(struct locate_call *l, const struct object *o)
{
	const bool is_fresh = object_is_fresh(o);
	if (l->is_fresh && !is_fresh)
		return;
	l->is_fresh = is_fresh;
	l->found = 1;
	memcpy(l->first, o->id, sizeof(l->first));
}

/* False: nobody asks for more. */
static bool visit(struct op_call *call, const struct object *o)
{
	struct locate_call *l = OP_REQUEST(call, struct locate_call);
	const struct locate_request *q = &l->q;

	if (!o || !is_wanted(call, q, o))
		return true;
	if (asks_for_default(q)) {
		keep_default(l, o);
		return true;
	}
	l->found++;
	if (q->offset_items > 0 && l->found <= q->offset_items)
		return true;
	if (q->maximum_items >= 0 && l->given >= q->maximum_items)
		return q->offset_items >= 0; /* how many there are is wanted, too */
	if (!l->given++)
		memcpy(l->first, o->id, sizeof(l->first));
	locate_add_uid(&call->scratch, slice_of(o->id));
	return kf_ok(buf_err(&call->scratch));
}

/* KMIP 2.1, ID Placeholder: one answer, or the newest if only one was asked for. */
static void set_placeholder(struct op_call *call, const struct locate_call *l)
{
	const bool is_one = l->given == 1 && (l->found == 1 || l->q.maximum_items == 1);

	memset(call->placeholder, 0, sizeof(call->placeholder));
	if (is_one)
		memcpy(call->placeholder, l->first, sizeof(call->placeholder));
}

static uint64_t cost_of(struct op_call *call, const struct object *o)
{
	const struct locate_request *q = &OP_REQUEST(call, struct locate_call)->q;
	return o ? (uint64_t)o->attrs.n * q->attributes.n : 0;
}

/* False: the question names none.  NULL: it is not there. */
static bool find_by_id(struct op_call *call, const struct object **ret)
{
	struct slice id;

	if (!attrs_get_text(OP_REQUEST(call, struct locate_call)->q.attributes,
		    TAG_UNIQUE_IDENTIFIER, &id))
		return false;
	*ret = catalog_find(call->server->catalog, id);
	return true;
}

/* --- where to look --- */

static unsigned spaces_of(const struct locate_request *q)
{
	uint32_t state = 0;

	if (attrs_get_enum(q->attributes, TAG_STATE, &state))
		return state == STATE_DESTROYED || state == STATE_DESTROYED_COMPROMISED
			       ? FIND_GONE
			       : FIND_LIVE;
	return q->has_storage_status_mask ? FIND_LIVE | FIND_GONE : FIND_LIVE;
}

static struct find_question question_of(struct op_call *call)
{
	const struct locate_request *q = &OP_REQUEST(call, struct locate_call)->q;
	return (struct find_question){ .catalog = call->server->catalog,
		.wanted = q->attributes,
		.spaces = spaces_of(q) };
}

struct clock {
	uint64_t end_ns; /* 0: never */
	uint64_t cost;   /* since it was last looked at */
};

static bool is_over(struct clock *c, uint64_t cost)
{
	c->cost += cost + CLOCK_COST / CLOCK_EVERY;
	if (!c->end_ns || c->cost < CLOCK_COST)
		return false;
	c->cost = 0;
	return clock_monotonic_ns() > c->end_ns;
}

/* Other work waits for whoever looks at many: it has its time. */
static kf_err look(struct op_call *call, const struct find_places *places)
{
	const struct op_search *s = call->server->search;
	struct clock clock = {
		s ? clock_monotonic_ns() + s->time_ms * UINT64_C(1000000) : 0, 0
	};

	for (size_t i = 0; i < AHEAD && i < places->n; i++)
		catalog_expect(call->server->catalog, places->at[i]);
	for (size_t i = 0; i < places->n; i++) {
		if (i + AHEAD < places->n)
			catalog_expect(call->server->catalog, places->at[i + AHEAD]);
		const struct object *o = catalog_at(call->server->catalog, places->at[i]);
		if (!visit(call, o))
			break;
		if (is_over(&clock, cost_of(call, o)))
			return kf_fail(LIMIT, "too many objects would have to be looked "
					      "at: ask for a name or a group, too");
	}
	return buf_err(&call->scratch);
}

static void add_default(struct op_call *call, struct locate_call *l)
{
	if (!asks_for_default(&l->q) || !l->found || l->q.offset_items > 0 ||
		!l->q.maximum_items)
		return;
	l->given = 1;
	locate_add_uid(&call->scratch, slice_of(l->first));
}

static enum op_next done(struct op_call *call, kf_err err)
{
	struct locate_call *l = OP_REQUEST(call, struct locate_call);
	add_default(call, l);
	if (kf_ok(err))
		err = buf_err(&call->scratch);
	set_placeholder(call, l);
	return op_then(call, err, OP_ANSWER);
}

/* On a worker, which reads the catalog of its own time: what was planned on the loop may be gone. */
static enum op_next search(struct op_call *call)
{
	CLEANUP(find_plan_free) struct find_plan plan;
	CLEANUP(find_places_free) struct find_places places = { 0 };
	const struct find_question q = question_of(call);
	const struct object *o = NULL;

	if (find_by_id(call, &o)) {
		visit(call, o);
		return done(call, buf_err(&call->scratch));
	}
	kf_err err = find_plan(&q, &plan);
	if (kf_ok(err) && !find_visible(&q, call->who, &plan, &places))
		err = find_gather(&plan, &places);
	return done(call, kf_ok(err) ? look(call, &places) : err);
}

static void end_search(struct op_call *call)
{
	atomic_fetch_sub(&call->server->search->under_way, 1);
}

/* One after the other, so that what looks through everything takes no more than one processor. */
static enum op_next begin_search(struct op_call *call)
{
	struct op_search *s = call->server->search;

	call->work = search;
	call->is_search = true;
	if (s && atomic_fetch_add(&s->under_way, 1) >= s->most) {
		atomic_fetch_sub(&s->under_way, 1);
		return op_then(call,
			kf_fail(BUSY, "as many searches as may wait do so: ask for a "
				      "name or a group, too"),
			OP_FAIL);
	}
	if (s)
		call->release = end_search;
	return OP_WORK;
}

/* Each of them may be compared with each attribute of each object that is looked at. */
static bool has_at_most(struct slice items, unsigned *left)
{
	struct ttlv_reader r = ttlv_read(items);
	struct ttlv_item it;

	while (ttlv_next(&r, &it))
		if (!(*left)-- ||
			(it.type == TTLV_STRUCT && !has_at_most(it.value, left)))
			return false;
	return true;
}

static kf_err check_length(struct op_call *call)
{
	const struct op_search *s = call->server->search;
	unsigned left = s ? s->items_max : 0;

	if (!left ||
		has_at_most(OP_REQUEST(call, struct locate_call)->q.attributes, &left))
		return KF_OK;
	return kf_fail(TOO_BIG,
		"Locate asks for too many attributes at once: the server's "
		"search_items says how many");
}

static bool is_dear(struct op_call *call, const struct find_places *places)
{
	uint64_t cost = 0;

	for (size_t i = 0; i < places->n; i++)
		cost += cost_of(call, catalog_at(call->server->catalog, places->at[i]));
	return cost > AT_ONCE_COST;
}

static enum op_next visit_one(struct op_call *call, const struct object *o)
{
	if (cost_of(call, o) > AT_ONCE_COST)
		return begin_search(call);
	visit(call, o);
	return done(call, buf_err(&call->scratch));
}

static enum op_next visit_few(struct op_call *call, const struct find_plan *plan)
{
	CLEANUP(find_places_free) struct find_places places = { 0 };
	const kf_err err = find_gather(plan, &places);

	if (kf_ok(err) && is_dear(call, &places))
		return begin_search(call);
	return done(call, kf_ok(err) ? look(call, &places) : err);
}

/* Few are looked at on the loop, at once. */
enum op_next op_locate_start(struct op_call *call)
{
	CLEANUP(find_plan_free) struct find_plan plan = { 0 };
	struct locate_call *l = OP_REQUEST(call, struct locate_call);
	const struct find_question q = question_of(call);
	const struct object *o = NULL;

	l->found = l->given = 0;
	kf_err err = check_length(call);
	if (kf_ok(err) && find_by_id(call, &o))
		return visit_one(call, o);
	if (kf_ok(err))
		err = find_plan(&q, &plan);
	if (!kf_ok(err))
		return done(call, err);
	return plan.most > AT_ONCE_MAX ? begin_search(call) : visit_few(call, &plan);
}

void op_locate_answer(struct op_call *call, struct ttlv_writer *w)
{
	const struct locate_call *l = OP_REQUEST(call, struct locate_call);
	/* Who goes on from a place wants to know of how many. */
	locate_put_response(
		w, &(struct locate_response){
			   .located_items = l->q.offset_items >= 0 ? l->found : -1,
			   .uids = buf_slice(&call->scratch),
		   });
}
