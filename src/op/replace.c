/* SPDX-License-Identifier: Apache-2.0 */
#include "op/replace.h"
#include "kmip/rekey.h"
#include "kmip/token_admin.h"
#include "op/token_step.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_narrowed(const struct op_call *call, const struct object *o)
{
	struct who owner = { 0 };
	memcpy(owner.name, o->owner, sizeof(owner.name));
	return policy_decide(catalog_rights(call->server->catalog), &owner, PERM_SIGN, o)
		       .constraints != 0;
}

/* The old key loses its names.  Its owner, whom a grant with constraints narrows that goes by one of them, would
 * be rid of them: a key that is replaced still signs, and can be got. */
static kf_err check_constraints(const struct op_call *call, const struct object *old)
{
	autobuf attrs = buf_new(call->server->message_max);
	struct object *nameless = NULL;
	if (old->type != OBJECT_PRIVATE_KEY || !is_narrowed(call, old))
		return KF_OK;
	buf_add_slice(&attrs, old->attrs);
	attrs_remove_all(&attrs, TAG_NAME);
	KF_TRY(buf_err(&attrs));
	const struct object_parts parts = { .id = slice_of(old->id),
		.owner = slice_of(old->owner),
		.attrs = buf_slice(&attrs),
		.type = old->type,
		.version = old->version };
	KF_TRY(object_new(&parts, &nameless));
	const bool stays = is_narrowed(call, nameless);
	object_unref(nameless);
	return stays ? KF_OK
		     : kf_fail(DENIED, "a grant with constraints goes by its name");
}

kf_err replace_check(const struct op_call *call, const struct object *old)
{
	bool has_value = true;
	KF_TRY(op_check_material(old, call->now_s));
	KF_TRY(check_constraints(call, old));
	(void)attrs_get_bool(old->attrs, TAG_KEY_VALUE_PRESENT, &has_value);
	return has_value ? KF_OK : kf_fail(NO_VALUE, "its value is not on this server");
}

/* --- what is taken over --- */

/* True of the old object only, or of its value. */
static bool is_its_own(uint32_t tag)
{
	switch (tag) {
	case TAG_LINK:
	case TAG_FRESH:
	case TAG_KEY_FORMAT_TYPE:
	case TAG_KEY_VALUE_LOCATION:
	case TAG_ORIGINAL_CREATION_DATE:
	case TAG_RANDOM_NUMBER_GENERATOR: return true;
	default: return false;
	}
}

static bool is_said(struct slice wish, const struct ttlv_item *it)
{
	struct attr_ref ref;
	struct ttlv_item other;
	return it->tag != TAG_NAME && attr_ref_of(it, &ref) &&
	       attrs_find_ref(wish, &ref, 0, &other);
}

/* The name that it has on its tokens is made anew; the new key has no copy in software, nor a use
 * counter, and nobody is rotating it. */
static bool is_of_its_token(const struct ttlv_item *it)
{
	struct attr_ref ref;
	return it->tag == TAG_ATTRIBUTE && attr_ref_of(it, &ref) &&
	       slice_is(ref.vendor, TOKEN_ATTRIBUTE_VENDOR) &&
	       (slice_is(ref.name, TOKEN_ATTRIBUTE_LABEL) ||
		       slice_is(ref.name, TOKEN_ATTRIBUTE_OVERFLOW) ||
		       slice_is(ref.name, TOKEN_ATTRIBUTE_COUNTER) ||
		       slice_is(ref.name, TOKEN_ATTRIBUTE_LEASE));
}

static bool is_taken_over(struct slice wish, const struct ttlv_item *it)
{
	const struct attr_info *info = attr_info(it->tag);
	return info && info->is_settable && !is_its_own(it->tag) && !is_said(wish, it) &&
	       !is_of_its_token(it);
}

/* One name cannot be there twice. */
static void add_wish(struct buf *set, struct slice wish)
{
	struct ttlv_reader r = ttlv_read(wish);
	struct ttlv_item it, value;
	const struct slice taken = buf_slice(set);
	autobuf add = buf_new(wish.n + 1);
	while (ttlv_next(&r, &it)) {
		struct ttlv_reader name = ttlv_read(it.value);
		bool is_name = it.tag == TAG_NAME && ttlv_next(&name, &value);
		if (!is_name || !attrs_has_name(taken, value.value))
			buf_add_slice(&add, it.whole);
	}
	buf_add_slice(set, buf_slice(&add));
}

/* --- dates --- */

static const uint32_t dates[] = { TAG_ACTIVATION_DATE, TAG_PROCESS_START_DATE,
	TAG_PROTECT_STOP_DATE, TAG_DEACTIVATION_DATE };
enum { DATES = sizeof(dates) / sizeof(*dates) };

static bool has_dates(struct slice set, size_t from)
{
	for (size_t i = from; i < DATES; i++)
		if (attrs_count(set, dates[i]))
			return true;
	return false;
}

static kf_err move_date(struct buf *set, uint32_t tag, int64_t by)
{
	int64_t at;
	if (!attrs_get_date(buf_slice(set), tag, &at))
		return KF_OK;
	if (__builtin_add_overflow(at, by, &at) || at == DATE_UNSET)
		return kf_fail(INVALID_FIELD, "the Offset leads out of time");
	attrs_set_date(set, tag, at);
	return KF_OK;
}

/* KMIP 2.1, Re-key, "Computing New Dates from Offset". */
static kf_err move_dates(struct buf *set, int64_t starts)
{
	int64_t was, by;
	bool had_start = attrs_get_date(buf_slice(set), TAG_ACTIVATION_DATE, &was);
	if (!had_start && has_dates(buf_slice(set), 1))
		return kf_fail(NO_ACTIVATION, "an Offset, and no Activation Date");
	attrs_set_date(set, TAG_ACTIVATION_DATE, starts);
	if (!had_start)
		return KF_OK;
	if (__builtin_sub_overflow(starts, was, &by))
		return kf_fail(INVALID_FIELD, "the Offset leads out of time");
	for (size_t i = 1; i < DATES; i++)
		KF_TRY(move_date(set, dates[i], by));
	return KF_OK;
}

kf_err replace_attributes(const struct object *old, const struct replace_wish *w,
	int64_t now_s, struct buf *ret)
{
	struct ttlv_reader r = ttlv_read(old->attrs);
	struct ttlv_item it;
	if (w->has_offset && has_dates(w->attributes, 0))
		return kf_fail(MALFORMED, "an Offset and dates");
	while (ttlv_next(&r, &it))
		if (is_taken_over(w->attributes, &it))
			buf_add_slice(ret, it.whole);
	if (w->has_offset)
		KF_TRY(move_dates(ret, now_s + w->offset_s));
	add_wish(ret, w->attributes);
	return buf_err(ret);
}

/* --- what the server says --- */

static int32_t generation_of(const struct object *old)
{
	int32_t n = 0;
	(void)attrs_get_int(old->attrs, TAG_ROTATE_GENERATION, &n);
	return n < INT32_MAX ? n : n - 1;
}

void replace_describe(const struct op_call *call, struct make *m)
{
	struct buf *a = &m->attrs;
	attrs_add_link(a, KMIP_LINK_TYPE_REPLACED_OBJECT_LINK, slice_of(m->replaces->id));
	attrs_add_int(a, TAG_ROTATE_GENERATION, generation_of(m->replaces) + 1);
	attrs_set_date(a, TAG_ROTATE_DATE, call->now_s);
	attrs_set_bool(a, TAG_ROTATE_LATEST, true);
}

static const struct attr_ref lease = { .tag = TAG_ATTRIBUTE,
	.vendor = { (const uint8_t *)TOKEN_ATTRIBUTE_VENDOR,
		sizeof(TOKEN_ATTRIBUTE_VENDOR) - 1 },
	.name = { (const uint8_t *)TOKEN_ATTRIBUTE_LEASE,
		sizeof(TOKEN_ATTRIBUTE_LEASE) - 1 } };

static void drop_link(struct buf *set, uint32_t link_type)
{
	struct ttlv_item it;
	uint32_t type = 0;
	for (size_t i = 0; attrs_find(buf_slice(set), TAG_LINK, i, &it);)
		if (attrs_get_enum(it.value, TAG_LINK_TYPE, &type) && type == link_type)
			attrs_remove(set, TAG_LINK, i);
		else
			i++;
}

void replace_link(struct buf *set, uint32_t link_type, const char *id)
{
	drop_link(set, link_type);
	attrs_add_link(set, link_type, slice_of(id));
}

kf_err replace_old(
	struct op_call *call, const struct object *old, const char new_id[OBJECT_ID_SIZE])
{
	autobuf attrs = buf_new(call->server->message_max);
	buf_add_slice(&attrs, old->attrs);
	attrs_remove_all(&attrs, TAG_NAME);
	replace_end_lease(&attrs);
	replace_link(&attrs, KMIP_LINK_TYPE_REPLACEMENT_OBJECT_LINK, new_id);
	attrs_set_bool(&attrs, TAG_ROTATE_LATEST, false);
	attrs_set_date(&attrs, TAG_LAST_CHANGE_DATE, call->now_s);
	return op_replace_other(call, old, &attrs, true);
}

/* --- automatic rotation --- */

void replace_put_lease(struct buf *attrs, int64_t until_s)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRId64, until_s);
	replace_end_lease(attrs);
	attrs_add_vendor_text(attrs, lease.vendor, lease.name, slice_of(text));
}

bool replace_is_leased(const struct object *o, int64_t now_s)
{
	char text[24], *end;
	const struct slice value = token_attribute(o->attrs, TOKEN_ATTRIBUTE_LEASE);
	if (!value.n || !kf_ok(slice_to_text(value, text, sizeof(text))))
		return false;
	const long long until = strtoll(text, &end, 10);
	return !*end && until > now_s && until <= now_s + ROTATION_LEASE_MOST_S;
}

void replace_end_lease(struct buf *attrs) { attrs_take_out_all(attrs, &lease); }

int64_t replace_lease_s(const struct object *o)
{
	enum { LEASE_S = 3600 };
	return o->rotate_interval < LEASE_S ? o->rotate_interval : LEASE_S;
}

static bool rotate_offset(const struct object *o, uint32_t *ret)
{
	struct ttlv_item it;
	bool has = attrs_find(o->attrs, TAG_ROTATE_OFFSET, 0, &it);
	*ret = has ? (uint32_t)ttlv_item_int(&it) : 0;
	return has;
}

bool replace_rotation(const struct object *o, uint32_t *ret_operation, struct buf *ret)
{
	struct ttlv_writer w = ttlv_write(ret, KMIP_2_1);
	struct rekey_request key = { .uid = kmip_uid_text(slice_of(o->id)) };
	struct rekey_pair_request pair = { .uid = key.uid };
	key.has_offset = pair.has_offset = rotate_offset(o, &key.offset_s);
	pair.offset_s = key.offset_s;
	switch ((int)o->type) {
	case OBJECT_SYMMETRIC_KEY:
		*ret_operation = KMIP_OPERATION_RE_KEY;
		rekey_put_request(&w, &key);
		break;
	case OBJECT_PRIVATE_KEY:
		*ret_operation = KMIP_OPERATION_RE_KEY_KEY_PAIR;
		rekey_pair_put_request(&w, &pair);
		break;
	default: return false;
	}
	return kf_ok(ttlv_written(&w));
}
