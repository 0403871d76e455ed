/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/register.h"
#include "kmip/wire.h"

void register_put_request(struct ttlv_writer *w, const struct register_request *q)
{
	ttlv_put_enum(w, TAG_OBJECT_TYPE, q->object.type);
	attrs_put_template(w, ATTRS_PLAIN, q->attributes);
	kmip_object_put(w, &q->object);
}

kf_err register_get_request(
	struct ttlv_reader *r, struct register_request *ret, struct buf *attrs)
{
	*ret = (struct register_request){ 0 };
	size_t at = attrs->n;
	uint32_t type = 0;
	ttlv_get_enum(r, TAG_OBJECT_TYPE, &type);
	attrs_get_template(r, ATTRS_PLAIN, attrs);
	kmip_object_get(r, type, &ret->object);
	wire_skip_masks(r, TAG_PROTECTION_STORAGE_MASKS);
	KF_TRY(ttlv_done(r));
	ret->attributes = wire_since(attrs, at);
	return KF_OK;
}

void register_put_response(struct ttlv_writer *w, const struct register_response *a)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
}

kf_err register_get_response(struct ttlv_reader *r, struct register_response *ret)
{
	*ret = (struct register_response){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	wire_skip_template(r, TAG_TEMPLATE_ATTRIBUTE);
	return ttlv_done(r);
}
