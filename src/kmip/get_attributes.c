/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/get_attributes.h"
#include "kmip/wire.h"

void get_attributes_put_request(
	struct ttlv_writer *w, const struct get_attributes_request *q)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &q->uid);
	ttlv_put_items(w, q->names);
}

kf_err get_attributes_get_request(
	struct ttlv_reader *r, struct get_attributes_request *ret)
{
	*ret = (struct get_attributes_request){ 0 };
	struct attr_ref ref;
	size_t n = 0;
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	ret->names = wire_rest(r);
	while (attr_ref_get(r, &ref))
		n++;
	if (n > ATTRS_COUNT_MAX)
		ttlv_refuse(r, kf_fail(LIMIT, "too many names of attributes"));
	return ttlv_done(r);
}

void get_attributes_put_response(
	struct ttlv_writer *w, const struct get_attributes_response *a)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
	attrs_put_list(w, a->attributes);
}

kf_err get_attributes_get_response(
	struct ttlv_reader *r, struct get_attributes_response *ret, struct buf *attrs)
{
	*ret = (struct get_attributes_response){ 0 };
	size_t at = attrs->n;
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	attrs_get_list(r, attrs);
	KF_TRY(ttlv_done(r));
	ret->attributes = wire_since(attrs, at);
	return KF_OK;
}
