/* SPDX-License-Identifier: Apache-2.0
 *
 * Add, Modify, Delete, Set and Adjust Attribute: one new version of the object, or nothing.
 */
#include "kmip/change_attribute.h"
#include "op/attr_rule.h"
#include "op/dates.h"
#include "op/step.h"

struct change_call {
	struct change_attribute_request q;
	int32_t index; /* of the instance in the answer; its item is in call->scratch */
};

static struct change_call *change_of(struct op_call *call)
{
	return OP_REQUEST(call, struct change_call);
}

static kf_err decode(struct op_call *call, enum attribute_change kind)
{
	struct ttlv_reader r = op_payload(call);
	struct change_attribute_request *q = &change_of(call)->q;

	KF_TRY(change_attribute_get_request(&r, kind, &call->attrs, q));
	return op_name_object(call, &q->uid);
}

/* --- which attribute, which instance --- */

static bool item_of(struct slice set, struct ttlv_item *ret)
{
	struct ttlv_reader r = ttlv_read(set);
	return ttlv_next(&r, ret);
}

static kf_err find_ref(const struct change_attribute_request *q, struct attr_ref *ret)
{
	struct attr_ref of_new, of_current;
	struct ttlv_item it;
	const bool has_new = item_of(q->new_attribute, &it) && attr_ref_of(&it, &of_new);
	const bool has_current =
		item_of(q->current_attribute, &it) && attr_ref_of(&it, &of_current);

	if ((has_new && has_current && !attr_ref_eq(&of_new, &of_current)) ||
		(q->has_ref && has_current && !attr_ref_eq(&q->ref, &of_current)))
		return kf_fail(INVALID_FIELD, "two different attributes");
	if (!has_new && !has_current && !q->has_ref)
		return kf_fail(INVALID_FIELD, "no attribute that is known");
	*ret = has_new ? of_new : has_current ? of_current : q->ref;
	return KF_OK;
}

static bool find_value(struct slice set, const struct attr_ref *ref, struct slice value,
	struct ttlv_item *ret)
{
	for (size_t i = 0; attrs_find_ref(set, ref, i, ret); i++)
		if (slice_eq(ret->whole, value))
			return true;
	return false;
}

/* The instance that is meant: 1.x by its index, 2.x by its value, or because it is the only one. */
static kf_err find_instance(const struct op_call *call,
	const struct change_attribute_request *q, const struct attr_ref *ref,
	struct ttlv_item *ret)
{
	const struct slice set = call->object->attrs;
	const size_t n = attrs_count_ref(set, ref);
	bool found;

	if (!n)
		return kf_fail(NO_ATTRIBUTE, "the object has no such attribute");
	if (!kmip_is_2(call->version))
		found = attrs_find_index(set, ref, q->index.value, ret);
	else if (q->current_attribute.n)
		found = find_value(set, ref, q->current_attribute, ret);
	else
		found = n == 1 && attrs_find_ref(set, ref, 0, ret);
	return found ? KF_OK : kf_fail(NO_INSTANCE, "no such instance");
}

/* --- the five changes: from call->object->attrs to `attrs` --- */

static void answer_with(struct op_call *call, struct slice set, struct ttlv_item it)
{
	change_of(call)->index = attrs_index_of(set, &it);
	buf_clear(&call->scratch);
	buf_add_slice(&call->scratch, it.whole);
}

static kf_err add(struct op_call *call, const struct attr_ref *ref, struct buf *attrs)
{
	const struct change_attribute_request *q = &change_of(call)->q;
	const struct slice set = call->object->attrs;

	if (q->index.is_given)
		return kf_fail(INVALID_FIELD, "a new attribute has no index yet");
	if (!attr_info(ref->tag)->is_multi && attrs_count_ref(set, ref))
		return kf_fail(SINGLE_VALUED, "the object has this attribute already");
	buf_add_slice(attrs, set);
	attrs_add_item(attrs, q->new_attribute);
	return KF_OK;
}

/* In the place of the n-th of the items, which are the same in both. */
static kf_err replace(struct op_call *call, const struct ttlv_item *old,
	struct slice whole_item, struct buf *attrs)
{
	struct ttlv_item it = *old;

	buf_add_slice(attrs, call->object->attrs);
	KF_TRY(buf_err(attrs));
	it.whole.p = attrs->p + (old->whole.p - call->object->attrs.p);
	attrs_replace(attrs, &it, whole_item);
	return buf_err(attrs);
}

static kf_err modify(struct op_call *call, const struct attr_ref *ref, struct buf *attrs)
{
	const struct change_attribute_request *q = &change_of(call)->q;
	struct ttlv_item old;

	KF_TRY(find_instance(call, q, ref, &old));
	return replace(call, &old, q->new_attribute, attrs);
}

static kf_err delete (struct op_call *call, const struct attr_ref *ref, struct buf *attrs)
{
	const struct change_attribute_request *q = &change_of(call)->q;
	const struct slice set = call->object->attrs;
	struct ttlv_item old;

	if (!attrs_count_ref(set, ref))
		return kf_fail(NOTHING_TO_DELETE, "the object has no such attribute");
	buf_add_slice(attrs, set);
	KF_TRY(buf_err(attrs));
	if (kmip_is_2(call->version) && !q->current_attribute.n) {
		attrs_take_out_all(attrs, ref);
		return KF_OK;
	}
	KF_TRY(find_instance(call, q, ref, &old));
	answer_with(call, set, old);
	old.whole.p = attrs->p + (old.whole.p - set.p);
	attrs_take_out(attrs, &old);
	return KF_OK;
}

/* Of vendors' attributes nobody knows whether they have several values, until they have. */
static kf_err check_single(const struct op_call *call, const struct attr_ref *ref)
{
	const size_t n = attrs_count_ref(call->object->attrs, ref);
	if ((attr_info(ref->tag)->is_multi && ref->tag != TAG_ATTRIBUTE) || n > 1)
		return kf_fail(MULTI_VALUED, "the attribute may have several values");
	return KF_OK;
}

static kf_err set(struct op_call *call, const struct attr_ref *ref, struct buf *attrs)
{
	const struct change_attribute_request *q = &change_of(call)->q;
	struct ttlv_item old;

	KF_TRY(check_single(call, ref));
	if (attrs_find_ref(call->object->attrs, ref, 0, &old))
		return replace(call, &old, q->new_attribute, attrs);
	buf_add_slice(attrs, call->object->attrs);
	attrs_add_item(attrs, q->new_attribute);
	return KF_OK;
}

/* --- adjusting --- */

static bool fits(enum ttlv_type type, int64_t v)
{
	switch ((int)type) {
	case TTLV_INT: return v >= INT32_MIN && v <= INT32_MAX;
	case TTLV_INTERVAL: return v >= 0 && v <= UINT32_MAX;
	default: return true;
	}
}

static int64_t number_of(const struct ttlv_item *it)
{
	if (it->type == TTLV_INTERVAL)
		return (uint32_t)ttlv_item_int(it);
	return it->type == TTLV_INT ? ttlv_item_int(it) : ttlv_item_long(it);
}

static bool is_number(enum ttlv_type type)
{
	return type == TTLV_INT || type == TTLV_LONG || type == TTLV_INTERVAL ||
	       type == TTLV_DATE || type == TTLV_DATE_EXTENDED;
}

/* Without a value: by one. */
static kf_err new_number(const struct change_attribute_request *q,
	const struct ttlv_item *old, int64_t *ret)
{
	const bool has_value = q->adjustment_value.whole.n != 0;
	const int64_t was = number_of(old);
	const int64_t by = has_value ? number_of(&q->adjustment_value) : 1;
	bool overflows;

	switch (q->adjustment_type) {
	case KMIP_ADJUSTMENT_TYPE_INCREMENT:
		overflows = __builtin_add_overflow(was, by, ret);
		break;
	case KMIP_ADJUSTMENT_TYPE_DECREMENT:
		overflows = __builtin_sub_overflow(was, by, ret);
		break;
	case KMIP_ADJUSTMENT_TYPE_NEGATE:
		overflows = __builtin_sub_overflow((int64_t)0, was, ret);
		break;
	default: return kf_fail(INVALID_FIELD, "unknown Adjustment Type");
	}
	return overflows || !fits(old->type, *ret)
		       ? kf_fail(NUMERIC_RANGE, "the result is out of range")
		       : KF_OK;
}

static void put_number(
	struct ttlv_writer *w, enum ttlv_tag tag, enum ttlv_type type, int64_t v)
{
	switch ((int)type) {
	case TTLV_INT: ttlv_put_int(w, tag, (int32_t)v); break;
	case TTLV_INTERVAL: ttlv_put_interval(w, tag, (uint32_t)v); break;
	case TTLV_DATE: ttlv_put_date(w, tag, v); break;
	case TTLV_BOOL: ttlv_put_bool(w, tag, v != 0); break;
	default: ttlv_put_long(w, tag, v); break;
	}
}

/* The value of a vendor attribute is its last field. */
static kf_err value_of(const struct ttlv_item *it, struct ttlv_item *ret)
{
	struct ttlv_reader r = ttlv_read(it->value);
	*ret = *it;
	while (it->tag == TAG_ATTRIBUTE && ttlv_next(&r, ret))
		;
	if (!is_number(ret->type) && ret->type != TTLV_BOOL)
		return kf_fail(DATA_TYPE, "only numbers, dates and truth values");
	return ret->type == TTLV_DATE_EXTENDED
		       ? kf_fail(UNSUPPORTED_ATTRIBUTE, "dates in microseconds")
		       : KF_OK;
}

static kf_err adjusted(const struct change_attribute_request *q,
	const struct ttlv_item *value, int64_t *ret)
{
	if (value->type == TTLV_BOOL) {
		*ret = ttlv_item_long(value) == 0;
		return q->adjustment_type == KMIP_ADJUSTMENT_TYPE_NEGATE
			       ? KF_OK
			       : kf_fail(DATA_TYPE, "a truth value can only be negated");
	}
	return new_number(q, value, ret);
}

/* The item before the value, the value, and nothing behind it. */
static void put_adjusted(struct ttlv_writer *w, const struct ttlv_item *old,
	const struct ttlv_item *value, int64_t v)
{
	if (old->tag != TAG_ATTRIBUTE) {
		put_number(w, (enum ttlv_tag)old->tag, value->type, v);
		return;
	}
	const size_t n = (size_t)(value->whole.p - old->value.p);
	ttlv_begin(w, TAG_ATTRIBUTE);
	ttlv_put_items(w, (struct slice){ old->value.p, n });
	put_number(w, TAG_ATTRIBUTE_VALUE, value->type, v);
	ttlv_end(w);
}

static kf_err adjust(struct op_call *call, const struct attr_ref *ref, struct buf *attrs)
{
	const struct change_attribute_request *q = &change_of(call)->q;
	autobuf item = buf_new(call->server->message_max);
	struct ttlv_writer w = ttlv_write(&item, 0);
	struct ttlv_item old, value;
	int64_t v = 0;

	KF_TRY(check_single(call, ref));
	if (!attrs_find_ref(call->object->attrs, ref, 0, &old))
		return kf_fail(UNSUPPORTED_ATTRIBUTE, "the object has no such attribute");
	KF_TRY(value_of(&old, &value));
	KF_TRY(adjusted(q, &value, &v));
	put_adjusted(&w, &old, &value, v);
	KF_TRY(buf_err(&item));
	return replace(call, &old, buf_slice(&item), attrs);
}

/* --- all of them --- */

typedef kf_err change_fn(
	struct op_call *call, const struct attr_ref *ref, struct buf *attrs);
static change_fn *const changes[] = {
	[ATTRIBUTE_ADD] = add,
	[ATTRIBUTE_MODIFY] = modify,
	[ATTRIBUTE_DELETE] = delete,
	[ATTRIBUTE_SET] = set,
	[ATTRIBUTE_ADJUST] = adjust,
};

/* What an answer of 1.x shows: the last instance, which is new, or the one that was named. */
static void answer_with_new(struct op_call *call, enum attribute_change kind,
	const struct attr_ref *ref, struct slice set)
{
	const struct change_attribute_request *q = &change_of(call)->q;
	const size_t n = attrs_count_ref(set, ref);
	struct ttlv_item it;

	if (kind == ATTRIBUTE_ADD && n && attrs_find_ref(set, ref, n - 1, &it))
		answer_with(call, set, it);
	if (kind == ATTRIBUTE_MODIFY && attrs_find_index(set, ref, q->index.value, &it))
		answer_with(call, set, it);
}

static kf_err change(struct op_call *call, enum attribute_change kind)
{
	const struct object *o = call->object;
	autobuf attrs = buf_new(call->server->message_max);
	struct attr_ref ref;

	KF_TRY(op_check_present(o));
	KF_TRY(find_ref(&change_of(call)->q, &ref));
	KF_TRY(attr_rule_allows(call, kind, &ref));
	KF_TRY(changes[kind](call, &ref, &attrs));
	KF_TRY(attr_rule_follow(call, ref.tag, &attrs));
	answer_with_new(call, kind, &ref, buf_slice(&attrs));
	attrs_set_enum(&attrs, TAG_STATE,
		dates_state(buf_slice(&attrs), o->stored_state, call->now_s));
	attrs_set_date(&attrs, TAG_LAST_CHANGE_DATE, call->now_s);
	return op_replace_object(call, &attrs, !object_is_destroyed(o));
}

static void answer(struct op_call *call, struct ttlv_writer *w)
{
	change_attribute_put_response(w, &(struct change_attribute_response){
						 .uid = op_uid(call),
						 .attribute = buf_slice(&call->scratch),
						 .index = change_of(call)->index,
					 });
}

#define OPERATION(name, kind)                                                            \
	kf_err op_##name##_attribute_decode(struct op_call *call)                        \
	{                                                                                \
		return decode(call, kind);                                               \
	}                                                                                \
	enum op_next op_##name##_attribute_start(struct op_call *call)                   \
	{                                                                                \
		return op_then(call, change(call, kind), OP_COMMIT);                     \
	}                                                                                \
	void op_##name##_attribute_answer(struct op_call *call, struct ttlv_writer *w)   \
	{                                                                                \
		answer(call, w);                                                         \
	}

OPERATION(add, ATTRIBUTE_ADD)
OPERATION(modify, ATTRIBUTE_MODIFY)
OPERATION(delete, ATTRIBUTE_DELETE)
OPERATION(set, ATTRIBUTE_SET)
OPERATION(adjust, ATTRIBUTE_ADJUST)
