/* SPDX-License-Identifier: Apache-2.0 */
#include "op/attr_rule.h"
#include "base/map.h"
#include "kmip/certify.h"
#include "op/dates.h"
#include "op/step.h"
#include "op/token_step.h"
#include "op/usage.h"
#include <string.h>

/* --- who, when --- */

static kf_err read_only(enum attribute_change kind)
{
	if (kind == ATTRIBUTE_MODIFY || kind == ATTRIBUTE_DELETE)
		return kf_fail(READ_ONLY, "the attribute is not the client's to change");
	return kf_fail(ADD_READ_ONLY, "the attribute is not the client's to set");
}

/* "y" is the vendor of attributes that servers of 1.x make, and ours say where a key is. */
static bool is_servers(const struct attr_ref *ref)
{
	return ref->tag == TAG_ATTRIBUTE &&
	       (slice_is(ref->vendor, "y") ||
		       slice_is(ref->vendor, TOKEN_ATTRIBUTE_VENDOR));
}

/* By this a key is known to be destroyed, and is deleted from whatever token it is found on
 * (op/token_buried.c). */
kf_err attr_rule_check_claims(struct slice attrs)
{
	const struct attr_ref ref = { .tag = TAG_ATTRIBUTE,
		.vendor = slice_of(TOKEN_ATTRIBUTE_VENDOR),
		.name = slice_of(TOKEN_ATTRIBUTE_KEY_ID) };
	struct ttlv_item it;

	return attrs_find_ref(attrs, &ref, 0, &it)
		       ? kf_fail(READ_ONLY, "attribute is set by the server")
		       : KF_OK;
}

const char *const attr_no_wishes[] = { NULL };
const char *const attr_key_wishes[] = { TOKEN_ATTRIBUTE_POOL, TOKEN_ATTRIBUTE_COPIES,
	TOKEN_ATTRIBUTE_LABEL, NULL };
const char *const attr_certificate_wishes[] = { CERTIFY_ATTRIBUTE_CA,
	CERTIFY_ATTRIBUTE_PROFILE, NULL };

static bool is_one_of(struct slice name, const char *const *wishes)
{
	for (; *wishes; wishes++)
		if (slice_is(name, *wishes))
			return true;
	return false;
}

kf_err attr_rule_check_wishes(struct slice attrs, const char *const *wishes)
{
	struct ttlv_reader r = ttlv_read(attrs);
	struct ttlv_item it;
	struct attr_ref ref;

	while (ttlv_next(&r, &it))
		if (it.tag == TAG_ATTRIBUTE && attr_ref_of(&it, &ref) &&
			slice_is(ref.vendor, TOKEN_ATTRIBUTE_VENDOR) &&
			!is_one_of(ref.name, wishes))
			return kf_fail(READ_ONLY, "attribute is set by the server");
	return KF_OK;
}

/* A date that has come cannot be moved any more. */
static bool has_come(const struct op_call *call, uint32_t tag)
{
	int64_t date;
	if (tag != TAG_PROCESS_START_DATE && tag != TAG_PROTECT_STOP_DATE)
		return false;
	return attrs_get_date(call->object->attrs, tag, &date) && date <= call->now_s;
}

/* Once something was counted, the limits stand. */
static bool is_counting(const struct op_call *call, uint32_t tag)
{
	struct usage u;
	return tag == TAG_USAGE_LIMITS && usage_get(call->object->attrs, &u) &&
	       u.count != u.total;
}

/* A grant with constraints may be given for a name or a group, and narrows the key's owner too: who
 * renamed the key would be rid of them. */
static bool would_slip_away(const struct op_call *call, uint32_t tag)
{
	if (call->object->type != OBJECT_PRIVATE_KEY || call->who->is_admin ||
		(tag != TAG_NAME && tag != TAG_OBJECT_GROUP))
		return false;
	const struct decision d = policy_decide(catalog_rights(call->server->catalog),
		call->who, PERM_SIGN, call->object);
	return d.constraints != 0;
}

kf_err attr_rule_check_rights(
	const struct op_call *call, const struct object *was, struct slice attrs)
{
	struct object is = { .type = was->type, .attrs = attrs };

	if (call->who->is_admin || !strcmp(was->owner, call->who->name))
		return KF_OK;
	memcpy(is.id, was->id, sizeof(is.id));
	memcpy(is.owner, was->owner, sizeof(is.owner));
	return policy_widens(catalog_rights(call->server->catalog), was, &is)
		       ? kf_fail(DENIED, "a grant goes by this name or group")
		       : KF_OK;
}

kf_err attr_rule_check_successor(
	const struct op_call *call, const struct object *was, struct slice attrs)
{
	bool is_sensitive = was->is_sensitive, is_extractable = was->is_extractable;

	if (call->who->is_admin || !strcmp(was->owner, call->who->name))
		return KF_OK;
	(void)attrs_get_bool(attrs, TAG_SENSITIVE, &is_sensitive);
	(void)attrs_get_bool(attrs, TAG_EXTRACTABLE, &is_extractable);
	return (was->is_sensitive && !is_sensitive) ||
			       (!was->is_extractable && is_extractable)
		       ? kf_fail(DENIED, "what follows a secret is no less secret")
		       : KF_OK;
}

/* Dates do what Activate and Revoke do, and rotation what Re-key does: they want the same permission. */
static enum permission also_wanted(uint32_t tag)
{
	switch (tag) {
	case TAG_ACTIVATION_DATE: return PERM_ACTIVATE;
	case TAG_DEACTIVATION_DATE: return PERM_REVOKE;
	case TAG_ROTATE_AUTOMATIC:
	case TAG_ROTATE_INTERVAL:
	case TAG_ROTATE_OFFSET: return PERM_REKEY;
	default: return PERM_SET_ATTRIBUTES;
	}
}

static bool may_bring_about(const struct op_call *call, uint32_t tag)
{
	return policy_decide(catalog_rights(call->server->catalog), call->who,
		also_wanted(tag), call->object)
		.is_allowed;
}

kf_err attr_rule_allows(const struct op_call *call, enum attribute_change kind,
	const struct attr_ref *ref)
{
	const struct object *o = call->object;
	const struct attr_info *info = attr_info(ref->tag);
	const enum object_state state = object_state(o, call->now_s);

	if (!info)
		return kf_fail(INVALID_FIELD, "not an attribute");
	if (is_servers(ref) || is_counting(call, ref->tag) ||
		!(kind == ATTRIBUTE_DELETE ? info->is_deletable : info->is_modifiable))
		return read_only(kind);
	if (!(info->types & 1u << o->type))
		return kf_fail(WRONG_ATTRIBUTE, "not an attribute of such objects");
	if (!(info->states & 1u << state) || has_come(call, ref->tag))
		return kf_fail(STATE, "too late to change this attribute");
	if (!may_bring_about(call, ref->tag))
		return kf_fail(DENIED, "no grant allows what this brings about");
	if (would_slip_away(call, ref->tag))
		return kf_fail(DENIED, "a grant with constraints may go by this");
	return KF_OK;
}

/* --- what follows --- */

static kf_err check_free(const struct op_call *call, struct slice name)
{
	const struct object *o = call->object;
	const struct object *owner =
		catalog_find_name(call->server->catalog, o->owner, name);
	return owner && strcmp(owner->id, o->id) != 0
		       ? kf_fail(NAME_TAKEN, "another object has this name")
		       : KF_OK;
}

static kf_err add_name(struct map *names, const struct ttlv_item *it, struct slice *ret)
{
	struct ttlv_reader r = ttlv_read(it->value);
	ttlv_get_text(&r, TAG_NAME_VALUE, ret);
	KF_TRY(r.err);
	const kf_err err = map_put(names, *ret, names);
	return kf_is(err, KF_E_EXISTS)
		       ? kf_fail(NAME_TAKEN, "the object has this name already")
		       : err;
}

static kf_err gather_names(struct slice attrs, struct map *names)
{
	struct ttlv_reader r = ttlv_read(attrs);
	struct ttlv_item it;
	struct slice name;

	while (ttlv_next(&r, &it))
		if (it.tag == TAG_NAME)
			KF_TRY(add_name(names, &it, &name));
	return KF_OK;
}

/* Each name once, and what the object had before is its own: it may have hundreds. */
static kf_err follow_names(const struct op_call *call, struct slice attrs)
{
	CLEANUP(map_free) struct map had = map_new();
	CLEANUP(map_free) struct map has = map_new();
	struct ttlv_reader r = ttlv_read(attrs);
	struct ttlv_item it;
	struct slice name;

	KF_TRY(gather_names(call->object->attrs, &had));
	while (ttlv_next(&r, &it)) {
		if (it.tag != TAG_NAME)
			continue;
		KF_TRY(add_name(&has, &it, &name));
		if (!name.n)
			return kf_fail(INVALID_FIELD, "an empty name");
		if (!map_get(&had, name))
			KF_TRY(check_free(call, name));
	}
	return KF_OK;
}

static kf_err follow_dates(const struct op_call *call, uint32_t tag, struct slice attrs)
{
	KF_TRY(dates_check(attrs));
	return tag == TAG_ACTIVATION_DATE ? op_check_copies(call) : KF_OK;
}

/* What was secret once cannot be made less so. */
static kf_err follow_secrecy(const struct op_call *call, uint32_t tag, struct buf *attrs)
{
	const bool secret_when = tag == TAG_SENSITIVE;
	const uint32_t history =
		secret_when ? TAG_ALWAYS_SENSITIVE : TAG_NEVER_EXTRACTABLE;
	bool was = !secret_when, is = !secret_when;

	(void)attrs_get_bool(call->object->attrs, tag, &was);
	(void)attrs_get_bool(buf_slice(attrs), tag, &is);
	if (was == secret_when && is != secret_when)
		return kf_fail(DENIED, "what is secret stays secret");
	if (!attrs_count(buf_slice(attrs), history))
		attrs_set_bool(attrs, history, false);
	return KF_OK;
}

kf_err attr_rule_follow(const struct op_call *call, uint32_t tag, struct buf *attrs)
{
	switch (tag) {
	case TAG_NAME:
		KF_TRY(attr_rule_check_rights(call, call->object, buf_slice(attrs)));
		return follow_names(call, buf_slice(attrs));
	case TAG_OBJECT_GROUP:
		return attr_rule_check_rights(call, call->object, buf_slice(attrs));
	case TAG_ACTIVATION_DATE:
	case TAG_PROCESS_START_DATE:
	case TAG_PROTECT_STOP_DATE:
	case TAG_DEACTIVATION_DATE: return follow_dates(call, tag, buf_slice(attrs));
	case TAG_SENSITIVE:
	case TAG_EXTRACTABLE: return follow_secrecy(call, tag, attrs);
	case TAG_USAGE_LIMITS: return usage_begin(attrs);
	case TAG_APPLICATION_SPECIFIC_INFORMATION: attr_rule_fill(attrs); return KF_OK;
	default: return KF_OK;
	}
}

/* --- application data --- */

static bool lacks_data(const struct ttlv_item *it)
{
	struct ttlv_reader r = ttlv_read(it->value);
	struct slice namespace;
	ttlv_get_text(&r, TAG_APPLICATION_NAMESPACE, &namespace);
	return !ttlv_at(&r, TAG_APPLICATION_DATA);
}

static void fill_one(struct buf *attrs, const struct ttlv_item *it)
{
	autobuf item = buf_new(attrs->limit);
	struct ttlv_writer w = ttlv_write(&item, 0);
	char data[OBJECT_ID_SIZE];

	op_new_id(data);
	ttlv_begin(&w, TAG_APPLICATION_SPECIFIC_INFORMATION);
	ttlv_put_items(&w, it->value);
	ttlv_put_text(&w, TAG_APPLICATION_DATA, slice_of(data));
	ttlv_end(&w);
	attrs_replace(attrs, it, buf_slice(&item));
}

void attr_rule_fill(struct buf *attrs)
{
	struct ttlv_item it;
	for (size_t i = 0; attrs_find(
		     buf_slice(attrs), TAG_APPLICATION_SPECIFIC_INFORMATION, i, &it);
		i++)
		if (lacks_data(&it))
			fill_one(attrs, &it);
}
