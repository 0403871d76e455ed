/* SPDX-License-Identifier: Apache-2.0 */
#include "op/template.h"
#include "op/step.h"
#include <string.h>

/* --- registering one --- */

static void add_names(struct slice set, struct buf *attrs)
{
	struct ttlv_reader r = ttlv_read(set);
	struct ttlv_item it;
	while (ttlv_next(&r, &it))
		if (it.tag == TAG_NAME)
			attrs_add_item(attrs, it.whole);
}

kf_err template_check(
	const struct op_call *call, const struct kmip_object *o, struct buf *attrs)
{
	autobuf set = buf_new(call->server->message_max);
	struct ttlv_item it;
	struct ttlv_reader r = ttlv_read(o->item);

	if (!ttlv_next(&r, &it))
		return kf_fail(INVALID_FIELD, "not a Template");
	struct ttlv_reader content =
		ttlv_read_as(it.value, call->version, call->is_lenient);
	attrs_get_list(&content, &set);
	KF_TRY(ttlv_done(&content));
	KF_TRY(buf_err(&set));
	add_names(buf_slice(&set), attrs);
	return attrs_check_new(buf_slice(&set));
}

/* --- using them --- */

static bool is_template_attribute(uint32_t tag)
{
	return tag == TAG_TEMPLATE_ATTRIBUTE || tag == TAG_COMMON_TEMPLATE_ATTRIBUTE ||
	       tag == TAG_PRIVATE_KEY_TEMPLATE_ATTRIBUTE ||
	       tag == TAG_PUBLIC_KEY_TEMPLATE_ATTRIBUTE;
}

static bool names_templates(struct slice content)
{
	struct ttlv_reader r = ttlv_read(content);
	struct ttlv_item it;
	while (ttlv_next(&r, &it))
		if (it.tag == TAG_NAME)
			return true;
	return false;
}

static bool is_concerned(const struct op_call *call)
{
	struct ttlv_reader r = ttlv_read(call->payload);
	struct ttlv_item it;
	while (ttlv_next(&r, &it))
		if (is_template_attribute(it.tag) && it.type == TTLV_STRUCT &&
			names_templates(it.value))
			return true;
	return false;
}

struct seeking {
	const struct op_call *call;
	const struct object *own, *admins, *other;
	size_t others;
};

static bool may_read(const struct op_call *call, const struct object *o)
{
	return policy_decide(
		catalog_rights(call->server->catalog), call->who, PERM_GET, o)
		.is_allowed;
}

static bool sort_in(void *arg, const struct object *o)
{
	struct seeking *s = arg;
	if (o->type != OBJECT_TEMPLATE || !may_read(s->call, o))
		return true;
	if (!strcmp(o->owner, s->call->who->name))
		s->own = o;
	else if (!strcmp(o->owner, ADMIN_NAME))
		s->admins = o;
	else
		s->other = s->others++ ? NULL : o;
	return true;
}

/* The client's own; else the administrator's, or the only one that it may read.  A grant of a name is for whatever has
 * it: another client could make one with the same name, and so say what others' keys are like. */
static kf_err find(struct op_call *call, struct slice name, const struct object **ret)
{
	struct seeking s = { .call = call };
	catalog_each_named(call->server->catalog, name, sort_in, &s);
	const struct object *o = s.own ? s.own : s.admins ? s.admins : s.other;

	if (!o)
		return kf_fail(NOT_FOUND, "no such template, or not one alone");
	*ret = o;
	return op_check_present(o);
}

static kf_err add_content(struct op_call *call, struct slice name, struct buf *into)
{
	autobuf scratch = buf_new(call->server->message_max);
	const struct object *o = NULL;
	struct slice material = { 0 };
	struct ttlv_item it = { 0 };

	KF_TRY(find(call, name, &o));
	KF_TRY(store_material(call->server->store, o, &scratch, &material));
	struct ttlv_reader r = ttlv_read(material);
	if (!ttlv_next(&r, &it) || it.tag != TAG_TEMPLATE)
		return kf_fail(INTERNAL, "a template without its content");
	buf_add_slice(into, it.value);
	return buf_err(into);
}

/* What the named templates hold, in their order: Attributes as 1.x has them. */
static kf_err gather(struct op_call *call, struct slice content, struct buf *into)
{
	struct ttlv_reader r = ttlv_read_as(content, call->version, true);
	struct slice name = { 0 };

	while (ttlv_at(&r, TAG_NAME)) {
		ttlv_open(&r, TAG_NAME);
		ttlv_get_text(&r, TAG_NAME_VALUE, &name);
		ttlv_close(&r);
		KF_TRY(r.err);
		KF_TRY(add_content(call, name, into));
	}
	return r.err;
}

static struct slice name_of(const struct ttlv_item *attribute)
{
	struct ttlv_reader r = ttlv_read(attribute->value);
	struct slice name = { 0 };
	if (attribute->tag == TAG_ATTRIBUTE)
		ttlv_get_text(&r, TAG_ATTRIBUTE_NAME, &name);
	return name;
}

static bool has(struct slice attributes, struct slice name)
{
	struct ttlv_reader r = ttlv_read(attributes);
	struct ttlv_item it;
	while (ttlv_next(&r, &it))
		if (it.tag == TAG_ATTRIBUTE && slice_eq(name_of(&it), name))
			return true;
	return false;
}

/* The template's own name, or said again, by a later template or by the request itself. */
static bool is_left_out(const struct ttlv_item *it, struct slice later, struct slice own)
{
	const struct slice name = name_of(it);
	const struct attr_info *info = attr_info_by_name(name);
	return info && (info->tag == TAG_NAME ||
			       (!info->is_multi && (has(later, name) || has(own, name))));
}

static struct slice behind(struct slice all, const struct ttlv_item *it)
{
	const uint8_t *end = it->whole.p + it->whole.n;
	return (struct slice){ end, (size_t)(all.p + all.n - end) };
}

static void put_merged(struct ttlv_writer *w, struct slice from, struct slice own)
{
	struct ttlv_reader r = ttlv_read(from);
	struct ttlv_item it;

	while (ttlv_next(&r, &it))
		if (!is_left_out(&it, behind(from, &it), own))
			ttlv_put_items(w, it.whole);
	r = ttlv_read(own);
	while (ttlv_next(&r, &it))
		if (it.tag != TAG_NAME)
			ttlv_put_items(w, it.whole);
}

static kf_err put_expanded(
	struct op_call *call, struct ttlv_writer *w, const struct ttlv_item *it)
{
	autobuf from = buf_new(call->server->message_max);

	if (!is_template_attribute(it->tag) || it->type != TTLV_STRUCT) {
		ttlv_put_items(w, it->whole);
		return KF_OK;
	}
	KF_TRY(gather(call, it->value, &from));
	ttlv_begin(w, (enum ttlv_tag)it->tag);
	put_merged(w, buf_slice(&from), it->value);
	ttlv_end(w);
	return KF_OK;
}

kf_err template_expand(struct op_call *call)
{
	autobuf whole = buf_new(call->server->message_max);
	struct ttlv_writer w = ttlv_write(&whole, 0);
	struct ttlv_reader r = ttlv_read(call->payload);
	struct ttlv_item it;

	if (!is_concerned(call))
		return KF_OK;
	KF_TRY(ttlv_check(call->payload));
	while (ttlv_next(&r, &it))
		KF_TRY(put_expanded(call, &w, &it));
	KF_TRY(buf_err(&whole));
	buf_free(&call->expanded);
	call->expanded = whole;
	whole = buf_new(0);
	call->payload = buf_slice(&call->expanded);
	return KF_OK;
}
