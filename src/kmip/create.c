/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/create.h"
#include "kmip/wire.h"

void create_put_request(struct ttlv_writer *w, const struct create_request *q)
{
	ttlv_put_enum(w, TAG_OBJECT_TYPE, q->object_type);
	attrs_put_template(w, ATTRS_PLAIN, q->attributes);
}

kf_err create_get_request(
	struct ttlv_reader *r, struct create_request *ret, struct buf *attrs)
{
	*ret = (struct create_request){ 0 };
	size_t at = attrs->n;
	ttlv_get_enum(r, TAG_OBJECT_TYPE, &ret->object_type);
	attrs_get_template(r, ATTRS_PLAIN, attrs);
	wire_skip_masks(r, TAG_PROTECTION_STORAGE_MASKS);
	KF_TRY(ttlv_done(r));
	ret->attributes = wire_since(attrs, at);
	return KF_OK;
}

void create_put_response(struct ttlv_writer *w, const struct create_response *a)
{
	ttlv_put_enum(w, TAG_OBJECT_TYPE, a->object_type);
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
}

kf_err create_get_response(struct ttlv_reader *r, struct create_response *ret)
{
	*ret = (struct create_response){ 0 };
	ttlv_get_enum(r, TAG_OBJECT_TYPE, &ret->object_type);
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	wire_skip_template(r, TAG_TEMPLATE_ATTRIBUTE);
	return ttlv_done(r);
}
