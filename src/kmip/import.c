/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/import.h"
#include "kmip/wire.h"

void export_put_response(struct ttlv_writer *w, const struct export_response *a)
{
	ttlv_put_enum(w, TAG_OBJECT_TYPE, a->object_type);
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
	attrs_put_list(w, a->attributes);
	kmip_object_put(w, &a->object);
}

kf_err export_get_response(
	struct ttlv_reader *r, struct export_response *ret, struct buf *attrs)
{
	*ret = (struct export_response){ 0 };
	const size_t at = attrs->n;
	ttlv_get_enum(r, TAG_OBJECT_TYPE, &ret->object_type);
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	attrs_get_list(r, attrs);
	kmip_object_get(r, ret->object_type, &ret->object);
	KF_TRY(ttlv_done(r));
	ret->attributes = wire_since(attrs, at);
	return KF_OK;
}

void import_put_request(struct ttlv_writer *w, const struct import_request *q)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &q->uid);
	if (kmip_is_2(w->version))
		ttlv_put_enum(w, TAG_OBJECT_TYPE, q->object.type);
	if (q->replaces_existing)
		ttlv_put_bool(w, TAG_REPLACE_EXISTING, true);
	wire_put_enum(w, TAG_KEY_WRAP_TYPE, q->key_wrap_type);
	attrs_put_list(w, q->attributes);
	kmip_object_put(w, &q->object);
}

/* 1.4 has no Object Type here: the object says it itself. */
kf_err import_get_request(
	struct ttlv_reader *r, struct import_request *ret, struct buf *attrs)
{
	*ret = (struct import_request){ 0 };
	const size_t at = attrs->n;
	uint32_t type = 0;
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	(void)ttlv_opt_enum(r, TAG_OBJECT_TYPE, &type);
	ttlv_opt_bool(r, TAG_REPLACE_EXISTING, &ret->replaces_existing);
	ttlv_opt_enum(r, TAG_KEY_WRAP_TYPE, &ret->key_wrap_type);
	attrs_get_list(r, attrs);
	kmip_object_get(r, type ? type : kmip_object_next(r), &ret->object);
	KF_TRY(ttlv_done(r));
	ret->attributes = wire_since(attrs, at);
	return KF_OK;
}

void import_put_response(struct ttlv_writer *w, const struct import_response *a)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
}

kf_err import_get_response(struct ttlv_reader *r, struct import_response *ret)
{
	return wire_get_only_uid(r, &ret->uid);
}
