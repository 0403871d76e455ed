/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/get_attribute_list.h"
#include "kmip/attrs_wire.h"
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

/* Has an instance of the same attribute been listed before this one? */
static bool is_listed(const struct ttlv_writer *w, struct slice set,
	const struct attr_ref *ref, const struct ttlv_item *before)
{
	struct ttlv_reader r = ttlv_read(set);
	struct ttlv_item it;
	struct attr_ref other;
	while (ttlv_next(&r, &it) && it.whole.p < before->whole.p)
		if (it.tag == before->tag && attr_ref_of(&it, &other) &&
			attr_ref_eq(&other, ref) && attrs_leaves(w, &it))
			return true;
	return false;
}

/* What the version does not know is left out before anything is searched: there may be thousands of it. */
void get_attribute_list_put_response(
	struct ttlv_writer *w, const struct get_attribute_list_response *a)
{
	struct ttlv_reader r = ttlv_read(a->attributes);
	struct ttlv_item it;
	struct attr_ref ref;
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
	while (ttlv_next(&r, &it)) {
		if (attrs_leaves(w, &it) && attr_ref_of(&it, &ref) &&
			!is_listed(w, a->attributes, &ref, &it))
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
