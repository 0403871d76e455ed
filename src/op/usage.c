/* SPDX-License-Identifier: Apache-2.0 */
#include "op/usage.h"
#include "op/step.h"
#include <string.h>

/* --- the attribute --- */

bool usage_get(struct slice attrs, struct usage *ret)
{
	struct usage u = { 0 };
	struct ttlv_item it;

	if (!attrs_find(attrs, TAG_USAGE_LIMITS, 0, &it) || it.type != TTLV_STRUCT)
		return false;
	struct ttlv_reader r = ttlv_read(it.value);
	ttlv_get_long(&r, TAG_USAGE_LIMITS_TOTAL, &u.total);
	u.count = u.total;
	if (ttlv_at(&r, TAG_USAGE_LIMITS_COUNT))
		ttlv_get_long(&r, TAG_USAGE_LIMITS_COUNT, &u.count);
	ttlv_get_enum(&r, TAG_USAGE_LIMITS_UNIT, &u.unit);
	*ret = u; /* what cannot be read counts as used up: 0 */
	return true;
}

void usage_set(struct buf *attrs, const struct usage *u)
{
	autobuf item = buf_new(256);
	struct ttlv_writer w = ttlv_write(&item, 0);

	ttlv_begin(&w, TAG_USAGE_LIMITS);
	ttlv_put_long(&w, TAG_USAGE_LIMITS_TOTAL, u->total);
	ttlv_put_long(&w, TAG_USAGE_LIMITS_COUNT, u->count);
	ttlv_put_enum(&w, TAG_USAGE_LIMITS_UNIT, u->unit);
	ttlv_end(&w);
	attrs_set_item(attrs, buf_slice(&item));
}

kf_err usage_begin(struct buf *attrs)
{
	struct usage u;

	if (!usage_get(buf_slice(attrs), &u))
		return KF_OK;
	if (u.total < 0)
		return kf_fail(INVALID_FIELD, "Usage Limits Total is negative");
	if (u.unit != KMIP_USAGE_LIMITS_UNIT_BYTE &&
		u.unit != KMIP_USAGE_LIMITS_UNIT_OBJECT)
		return kf_fail(INVALID_FIELD, "unknown Usage Limits Unit");
	u.count = u.total;
	usage_set(attrs, &u);
	return KF_OK;
}

kf_err usage_take(struct buf *attrs, uint64_t n)
{
	struct usage u;

	if (!usage_get(buf_slice(attrs), &u))
		return KF_OK;
	if (u.count < 0 || n > (uint64_t)u.count)
		return kf_fail(DENIED, "the usage limit is used up");
	u.count -= (int64_t)n;
	usage_set(attrs, &u);
	return KF_OK;
}

/* --- spending --- */

static uint64_t amount_of(const struct object *o, uint64_t bytes, uint64_t objects)
{
	struct usage u;

	if (!usage_get(o->attrs, &u))
		return 0;
	return u.unit == KMIP_USAGE_LIMITS_UNIT_BYTE ? bytes : objects;
}

kf_err usage_take_use(struct buf *attrs, const struct object *o, uint64_t bytes)
{
	return usage_take(attrs, amount_of(o, bytes, 1));
}

static kf_err count(
	struct op_call *call, const struct object *o, uint64_t bytes, uint64_t objects)
{
	autobuf attrs = buf_new(call->server->message_max);

	buf_add_slice(&attrs, o->attrs);
	KF_TRY(usage_take(&attrs, amount_of(o, bytes, objects)));
	attrs_set_date(&attrs, TAG_LAST_CHANGE_DATE, call->now_s);
	return op_replace_other(call, o, &attrs, true);
}

static enum op_next spend(
	struct op_call *call, uint64_t bytes, uint64_t objects, enum op_next next)
{
	call->spends = true;
	call->after_spending = next;
	return op_then(call, count(call, call->object, bytes, objects), OP_COMMIT);
}

enum op_next op_spend_usage(struct op_call *call, uint64_t bytes, enum op_next next)
{
	return call->object->is_limited && next != OP_FAIL ? spend(call, bytes, 1, next)
							   : next;
}

enum op_next op_spend_usage_more(struct op_call *call, uint64_t bytes, enum op_next next)
{
	return call->object->is_limited && next != OP_FAIL ? spend(call, bytes, 0, next)
							   : next;
}

static bool is_counted(struct op_call *call, const struct object *o)
{
	for (size_t i = 0; i < call->change.n; i++) {
		const struct mutation *m = change_mutation(&call->change, i);
		if (m->kind == PUT_OBJECT && !strcmp(m->object.object->id, o->id))
			return true;
	}
	return false;
}

kf_err op_count_usage(struct op_call *call, const struct object *o, uint64_t bytes)
{
	if (!o->is_limited || is_counted(call, o))
		return KF_OK;
	call->spends = true;
	return count(call, o, bytes, 1);
}

enum op_next op_commit_usage(struct op_call *call, enum op_next next)
{
	if (!call->change.n)
		return next;
	call->after_spending = next;
	return OP_COMMIT;
}
