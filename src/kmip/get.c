/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/get.h"
#include "kmip/wire.h"

void get_put_request(struct ttlv_writer *w, const struct get_request *q)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &q->uid);
	wire_put_enum(w, TAG_KEY_FORMAT_TYPE, q->key_format_type);
	wire_put_enum(w, TAG_KEY_WRAP_TYPE, q->key_wrap_type);
	wire_put_enum(w, TAG_KEY_COMPRESSION_TYPE, q->key_compression_type);
	ttlv_put_items(w, q->key_wrapping_specification);
}

kf_err get_get_request(struct ttlv_reader *r, struct get_request *ret)
{
	*ret = (struct get_request){ 0 };
	struct ttlv_item it;
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	ttlv_opt_enum(r, TAG_KEY_FORMAT_TYPE, &ret->key_format_type);
	ttlv_opt_enum(r, TAG_KEY_WRAP_TYPE, &ret->key_wrap_type);
	ttlv_opt_enum(r, TAG_KEY_COMPRESSION_TYPE, &ret->key_compression_type);
	if (ttlv_at(r, TAG_KEY_WRAPPING_SPECIFICATION)) {
		ttlv_get_item(r, TAG_KEY_WRAPPING_SPECIFICATION, &it);
		if (ttlv_ok(r))
			ret->key_wrapping_specification = it.whole;
	}
	return ttlv_done(r);
}

void get_put_response(struct ttlv_writer *w, const struct get_response *a)
{
	ttlv_put_enum(w, TAG_OBJECT_TYPE, a->object_type);
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
	kmip_object_put(w, &a->object);
}

kf_err get_get_response(struct ttlv_reader *r, struct get_response *ret)
{
	*ret = (struct get_response){ 0 };
	ttlv_get_enum(r, TAG_OBJECT_TYPE, &ret->object_type);
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	kmip_object_get(r, ret->object_type, &ret->object);
	return ttlv_done(r);
}
