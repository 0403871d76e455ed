/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/attrs.h"
#include "kmip/key_block.h"
#include "kmip/wire.h"

/* The tag of an object's structure; index is the object type. */
static const enum ttlv_tag object_tags[] = {
	[KMIP_OBJECT_TYPE_CERTIFICATE] = TAG_CERTIFICATE,
	[KMIP_OBJECT_TYPE_SYMMETRIC_KEY] = TAG_SYMMETRIC_KEY,
	[KMIP_OBJECT_TYPE_PUBLIC_KEY] = TAG_PUBLIC_KEY,
	[KMIP_OBJECT_TYPE_PRIVATE_KEY] = TAG_PRIVATE_KEY,
	[KMIP_OBJECT_TYPE_SPLIT_KEY] = TAG_SPLIT_KEY,
	[KMIP_OBJECT_TYPE_TEMPLATE] = TAG_TEMPLATE,
	[KMIP_OBJECT_TYPE_SECRET_DATA] = TAG_SECRET_DATA,
	[KMIP_OBJECT_TYPE_OPAQUE_OBJECT] = TAG_OPAQUE_OBJECT,
	[KMIP_OBJECT_TYPE_PGP_KEY] = TAG_PGP_KEY,
	[KMIP_OBJECT_TYPE_CERTIFICATE_REQUEST] = TAG_CERTIFICATE_REQUEST,
};
enum { OBJECT_TAGS = sizeof(object_tags) / sizeof(object_tags[0]) };

static uint32_t type_of(uint32_t tag)
{
	for (uint32_t i = 1; i < OBJECT_TAGS; i++) {
		if (object_tags[i] == (enum ttlv_tag)tag)
			return i;
	}
	return 0;
}

static void get_certificate(struct ttlv_reader *r, struct kmip_object *o)
{
	ttlv_get_enum(r, TAG_CERTIFICATE_TYPE, &o->certificate_type);
	ttlv_get_bytes(r, TAG_CERTIFICATE_VALUE, &o->value);
}

static void get_certificate_request(struct ttlv_reader *r, struct kmip_object *o)
{
	ttlv_get_enum(r, TAG_CERTIFICATE_REQUEST_TYPE, &o->certificate_type);
	ttlv_get_bytes(r, TAG_CERTIFICATE_REQUEST_VALUE, &o->value);
}

static void get_opaque(struct ttlv_reader *r, struct kmip_object *o)
{
	ttlv_get_enum(r, TAG_OPAQUE_DATA_TYPE, &o->opaque_data_type);
	ttlv_get_bytes(r, TAG_OPAQUE_DATA_VALUE, &o->value);
}

/* Split Key, PGP Key and Template keep their own fields unread: o->item has them. */
static void get_rest(struct ttlv_reader *r, struct kmip_object *o)
{
	struct ttlv_item it;
	while (ttlv_more(r) && !ttlv_at(r, TAG_KEY_BLOCK) && ttlv_next(r, &it))
		;
	if (ttlv_at(r, TAG_KEY_BLOCK))
		key_block_get(r, &o->block);
}

static void get_fields(struct ttlv_reader *r, struct kmip_object *o)
{
	switch (o->type) {
	case KMIP_OBJECT_TYPE_CERTIFICATE: get_certificate(r, o); break;
	case KMIP_OBJECT_TYPE_CERTIFICATE_REQUEST: get_certificate_request(r, o); break;
	case KMIP_OBJECT_TYPE_OPAQUE_OBJECT: get_opaque(r, o); break;
	case KMIP_OBJECT_TYPE_SYMMETRIC_KEY:
	case KMIP_OBJECT_TYPE_PUBLIC_KEY:
	case KMIP_OBJECT_TYPE_PRIVATE_KEY: key_block_get(r, &o->block); break;
	case KMIP_OBJECT_TYPE_SECRET_DATA:
		ttlv_get_enum(r, TAG_SECRET_DATA_TYPE, &o->secret_data_type);
		key_block_get(r, &o->block);
		break;
	default: get_rest(r, o); break;
	}
}

uint32_t kmip_object_next(struct ttlv_reader *r)
{
	for (uint32_t i = 1; i < OBJECT_TAGS; i++)
		if (ttlv_at(r, object_tags[i]))
			return i;
	return 0;
}

void kmip_object_get(struct ttlv_reader *r, uint32_t type, struct kmip_object *ret)
{
	struct kmip_object o = { .type = type };
	struct ttlv_item it;
	if (type == 0 || type >= OBJECT_TAGS || !ttlv_at(r, object_tags[type])) {
		ttlv_refuse(
			r, kf_fail(INVALID_FIELD, "object is not of its Object Type"));
		return;
	}
	ttlv_get_item(r, object_tags[type], &it);
	if (!ttlv_ok(r))
		return;
	struct ttlv_reader inner = ttlv_read_like(r, it.value);
	kf_err e = ttlv_check(it.whole);
	if (it.type != TTLV_STRUCT)
		e = kf_fail(MALFORMED, "object is not a structure");
	if (kf_ok(e)) {
		get_fields(&inner, &o);
		e = ttlv_done(&inner);
	}
	if (!kf_ok(e)) {
		ttlv_refuse(r, e);
		return;
	}
	o.item = it.whole;
	*ret = o;
}

kf_err kmip_object_parse(struct slice item, struct kmip_object *ret)
{
	struct ttlv_reader r = ttlv_read(item);
	struct ttlv_item it = { 0 };
	struct ttlv_reader ahead = r;
	if (!ttlv_next(&ahead, &it))
		return kf_fail(MALFORMED, "an object is missing");
	kmip_object_get(&r, type_of(it.tag), ret);
	if (ttlv_ok(&r) && ttlv_at(&r, (enum ttlv_tag)it.tag)) {
		ttlv_get_item(&r, (enum ttlv_tag)it.tag, &it);
		if (ttlv_ok(&r))
			ret->registered = it.whole;
	}
	return ttlv_done(&r);
}

/* Objects whose fields we do not read leave as they came, if the version knows all of them. */
static void put_as_stored(struct ttlv_writer *w, const struct kmip_object *o)
{
	if (w->version && !ttlv_fits(o->item, w->version))
		buf_fail(w->out,
			kf_fail(INVALID_FIELD, "object is too new for the version"));
	ttlv_put_items(w, o->item);
}

/* Attributes of which the version knows nothing are left out, as everywhere. */
static void put_template(struct ttlv_writer *w, const struct kmip_object *o)
{
	autobuf set = buf_new(2 * o->item.n);
	struct slice content = { 0 };
	struct ttlv_reader r = ttlv_read(o->item);
	ttlv_get_content(&r, TAG_TEMPLATE, &content);
	struct ttlv_reader inner = ttlv_read_as(content, KMIP_1_4, true);
	attrs_get_list(&inner, &set);
	if (!ttlv_ok(&r) || !ttlv_ok(&inner))
		buf_fail(w->out, kf_fail(INTERNAL, "a template without its content"));
	ttlv_begin(w, TAG_TEMPLATE);
	attrs_put_list(w, buf_slice(&set));
	ttlv_end(w);
}

static void put_fields(struct ttlv_writer *w, const struct kmip_object *o)
{
	switch (o->type) {
	case KMIP_OBJECT_TYPE_CERTIFICATE:
		ttlv_put_enum(w, TAG_CERTIFICATE_TYPE, o->certificate_type);
		ttlv_put_bytes(w, TAG_CERTIFICATE_VALUE, o->value);
		break;
	case KMIP_OBJECT_TYPE_CERTIFICATE_REQUEST:
		ttlv_put_enum(w, TAG_CERTIFICATE_REQUEST_TYPE, o->certificate_type);
		ttlv_put_bytes(w, TAG_CERTIFICATE_REQUEST_VALUE, o->value);
		break;
	case KMIP_OBJECT_TYPE_OPAQUE_OBJECT:
		ttlv_put_enum(w, TAG_OPAQUE_DATA_TYPE, o->opaque_data_type);
		ttlv_put_bytes(w, TAG_OPAQUE_DATA_VALUE, o->value);
		break;
	default:
		wire_put_enum(w, TAG_SECRET_DATA_TYPE, o->secret_data_type);
		key_block_put(w, &o->block);
		break;
	}
}

bool kmip_object_is_kept_whole(uint32_t type)
{
	return type == KMIP_OBJECT_TYPE_SPLIT_KEY || type == KMIP_OBJECT_TYPE_TEMPLATE ||
	       type == KMIP_OBJECT_TYPE_PGP_KEY;
}

void kmip_object_put(struct ttlv_writer *w, const struct kmip_object *o)
{
	if (o->type == KMIP_OBJECT_TYPE_TEMPLATE && w->version && w->version < KMIP_1_4) {
		put_template(w, o);
		return;
	}
	if (kmip_object_is_kept_whole(o->type) || o->type == 0 ||
		o->type >= OBJECT_TAGS) {
		put_as_stored(w, o);
		return;
	}
	ttlv_begin(w, object_tags[o->type]);
	put_fields(w, o);
	ttlv_end(w);
}
