/* SPDX-License-Identifier: Apache-2.0
 *
 * The operations on attributes, as short as tests want them.
 */
#pragma once
#include "kmip/archive.h"
#include "kmip/change_attribute.h"
#include "world.h"

static const uint32_t change_codes[] = {
	[ATTRIBUTE_ADD] = KMIP_OPERATION_ADD_ATTRIBUTE,
	[ATTRIBUTE_MODIFY] = KMIP_OPERATION_MODIFY_ATTRIBUTE,
	[ATTRIBUTE_DELETE] = KMIP_OPERATION_DELETE_ATTRIBUTE,
	[ATTRIBUTE_SET] = KMIP_OPERATION_SET_ATTRIBUTE,
	[ATTRIBUTE_ADJUST] = KMIP_OPERATION_ADJUST_ATTRIBUTE,
};

static kf_err change(struct world *w, enum attribute_change kind,
	const struct change_attribute_request *q)
{
	struct ttlv_writer out = question(w);
	change_attribute_put_request(&out, kind, q);
	KF_TRY(ttlv_written(&out));
	return ask(w, change_codes[kind]);
}

/* A set of one attribute as what is new. */
static kf_err change_to(struct world *w, enum attribute_change kind, const struct id *id,
	const struct buf *set)
{
	return change(w, kind,
		&(struct change_attribute_request){
			.uid = uid(id), .new_attribute = buf_slice(set) });
}

static kf_err change_text(struct world *w, enum attribute_change kind,
	const struct id *id, uint32_t tag, const char *text)
{
	autobuf set = buf_new(4096);
	attrs_add_text(&set, tag, slice_of(text));
	return change_to(w, kind, id, &set);
}

static kf_err change_date(struct world *w, enum attribute_change kind,
	const struct id *id, uint32_t tag, int64_t date)
{
	autobuf set = buf_new(4096);
	attrs_add_date(&set, tag, date);
	return change_to(w, kind, id, &set);
}

static kf_err change_bool(struct world *w, enum attribute_change kind,
	const struct id *id, uint32_t tag, bool v)
{
	autobuf set = buf_new(4096);
	attrs_add_bool(&set, tag, v);
	return change_to(w, kind, id, &set);
}

static kf_err change_name(struct world *w, enum attribute_change kind,
	const struct id *id, const char *name)
{
	autobuf set = buf_new(4096);
	attrs_add_name(&set, slice_of(name));
	return change_to(w, kind, id, &set);
}

static kf_err delete_attribute(
	struct world *w, const struct id *id, uint32_t tag, int32_t index)
{
	return change(w, ATTRIBUTE_DELETE,
		&(struct change_attribute_request){ .uid = uid(id),
			.has_ref = true,
			.ref = { .tag = tag },
			.index = { index >= 0, index } });
}

static kf_err move(struct world *w, uint32_t code, const struct id *id)
{
	struct ttlv_writer q = question(w);
	archive_put_request(&q, &(struct archive_request){ uid(id) });
	return ask(w, code);
}

/* An attribute as text of the object as the catalog has it. */
static bool has_text(struct world *w, const struct id *id, uint32_t tag, const char *text)
{
	const struct object *o = catalog_find(w->server.catalog, slice_of(id->text));
	struct slice have = { 0 };
	return o && attrs_get_text(o->attrs, tag, &have) && slice_is(have, text);
}

__attribute__((unused)) static void attribute_helpers(void)
{
	(void)change_text;
	(void)change_date;
	(void)change_bool;
	(void)change_name;
	(void)delete_attribute;
	(void)move;
	(void)has_text;
}
