/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/get_attribute_list.h"
#include "kmip/wire.h"

void get_attribute_list_put_request(
	struct ttlv_writer *w, const struct get_attribute_list_request *q)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &q->uid);
}

kf_err get_attribute_list_get_request(
	struct ttlv_reader *r, struct get_attribute_list_request *ret)
{
	return wire_get_only_uid(r, &ret->uid);
}

void get_attribute_list_put_response(
	struct ttlv_writer *w, const struct get_attribute_list_response *a)
{
	struct ttlv_reader r = ttlv_read(a->attributes);
	struct ttlv_item it, first;
	struct attr_ref ref;
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
	while (ttlv_next(&r, &it)) {
		if (attr_ref_of(&it, &ref) &&
			attrs_find_ref(a->attributes, &ref, 0, &first) &&
			first.whole.p == it.whole.p)
			attr_ref_put(w, &ref);
	}
}

kf_err get_attribute_list_get_response(
	struct ttlv_reader *r, struct get_attribute_list_response *ret)
{
	*ret = (struct get_attribute_list_response){ 0 };
	struct attr_ref ref;
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	ret->attributes = wire_rest(r);
	while (attr_ref_get(r, &ref))
		;
	return ttlv_done(r);
}
