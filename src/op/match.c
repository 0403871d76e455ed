/* SPDX-License-Identifier: Apache-2.0 */
#include "op/match.h"
#include "op/served.h"
#include "op/step.h"
#include <string.h>

static bool fields_match(struct slice have, struct slice want);

/* An item of a structure: equal, or a structure all of whose given fields are there. */
static bool item_matches(const struct ttlv_item *have, const struct ttlv_item *want)
{
	if (have->tag != want->tag || have->type != want->type)
		return false;
	if (want->type == TTLV_STRUCT)
		return fields_match(have->value, want->value);
	return slice_eq(have->value, want->value);
}

static bool has_field(struct slice have, const struct ttlv_item *want)
{
	struct ttlv_reader r = ttlv_read(have);
	struct ttlv_item it;

	while (ttlv_next(&r, &it))
		if (item_matches(&it, want))
			return true;
	return false;
}

static bool fields_match(struct slice have, struct slice want)
{
	struct ttlv_reader r = ttlv_read(want);
	struct ttlv_item it;

	while (ttlv_next(&r, &it))
		if (!has_field(have, &it))
			return false;
	return ttlv_ok(&r);
}

/* --- dates --- */

/* The n-th date of this tag among what is wanted. */
static bool wanted_date(struct slice wanted, uint32_t tag, size_t n, int64_t *ret)
{
	struct ttlv_item it;
	if (!attrs_find(wanted, tag, n, &it))
		return false;
	*ret = ttlv_item_long(&it);
	return true;
}

static bool date_matches(const struct object *o, struct slice wanted, uint32_t tag)
{
	int64_t have = 0, from = 0, to = 0;

	if (!attrs_get_date(o->attrs, tag, &have) || !wanted_date(wanted, tag, 0, &from))
		return false;
	if (!wanted_date(wanted, tag, 1, &to))
		return have == from;
	return from <= to ? from <= have && have <= to : to <= have && have <= from;
}

/* --- one attribute --- */

static bool mask_matches(struct slice attrs, const struct ttlv_item *want)
{
	int32_t have = 0;
	const int32_t mask = ttlv_item_int(want);
	(void)attrs_get_int(attrs, want->tag, &have);
	return (have & mask) == mask;
}

static bool any_matches(struct slice attrs, const struct ttlv_item *want)
{
	struct ttlv_reader r = ttlv_read(attrs);
	struct attr_ref ref, found;
	struct ttlv_item have;

	if (!attr_ref_of(want, &ref))
		return false;
	while (ttlv_next(&r, &have))
		if (item_matches(&have, want) && attr_ref_of(&have, &found) &&
			attr_ref_eq(&found, &ref))
			return true;
	return false;
}

static bool short_id_matches(const struct object *o, struct slice want)
{
	uint8_t id[SHORT_ID_SIZE];
	return op_short_id(o->id, id) && slice_eq(want, (struct slice){ id, sizeof(id) });
}

static bool attribute_matches(const struct object *o, int64_t now_s, struct slice wanted,
	const struct ttlv_item *want)
{
	switch (want->tag) {
	case TAG_UNIQUE_IDENTIFIER: return slice_is(want->value, o->id);
	case TAG_OBJECT_TYPE: return ttlv_item_int(want) == (int32_t)o->type;
	case TAG_STATE: return ttlv_item_int(want) == (int32_t)object_state(o, now_s);
	case TAG_FRESH:
		return attrs_count(o->attrs, TAG_FRESH) &&
		       (ttlv_item_long(want) != 0) == object_is_fresh(o);
	case TAG_SHORT_UNIQUE_IDENTIFIER: return short_id_matches(o, want->value);
	case TAG_CRYPTOGRAPHIC_USAGE_MASK: return mask_matches(o->attrs, want);
	default: break;
	}
	if (want->type == TTLV_DATE)
		return date_matches(o, wanted, want->tag);
	return any_matches(o->attrs, want);
}

bool match_object(const struct object *o, int64_t now_s, struct slice wanted)
{
	struct ttlv_reader r = ttlv_read(wanted);
	struct ttlv_item it;

	while (ttlv_next(&r, &it))
		if (!attribute_matches(o, now_s, wanted, &it))
			return false;
	return ttlv_ok(&r);
}
