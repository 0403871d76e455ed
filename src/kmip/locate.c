/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/locate.h"
#include "kmip/wire.h"

static void put_count(struct ttlv_writer *w, enum ttlv_tag tag, int32_t n)
{
	if (n >= 0 && wire_knows(w, tag))
		ttlv_put_int(w, tag, n);
}

void locate_put_request(struct ttlv_writer *w, const struct locate_request *q)
{
	put_count(w, TAG_MAXIMUM_ITEMS, q->maximum_items);
	put_count(w, TAG_OFFSET_ITEMS, q->offset_items);
	if (q->has_storage_status_mask)
		ttlv_put_int(w, TAG_STORAGE_STATUS_MASK, q->storage_status_mask);
	wire_put_enum(w, TAG_OBJECT_GROUP_MEMBER, q->object_group_member);
	attrs_put_list(w, q->attributes);
}

kf_err locate_get_request(
	struct ttlv_reader *r, struct locate_request *ret, struct buf *attrs)
{
	*ret = (struct locate_request){ .maximum_items = -1, .offset_items = -1 };
	size_t at = attrs->n;
	ttlv_opt_int(r, TAG_MAXIMUM_ITEMS, &ret->maximum_items);
	ttlv_opt_int(r, TAG_OFFSET_ITEMS, &ret->offset_items);
	ret->has_storage_status_mask =
		ttlv_opt_int(r, TAG_STORAGE_STATUS_MASK, &ret->storage_status_mask);
	ttlv_opt_enum(r, TAG_OBJECT_GROUP_MEMBER, &ret->object_group_member);
	attrs_get_list(r, attrs);
	if (ret->maximum_items < -1 || ret->offset_items < -1)
		ttlv_refuse(r, kf_fail(INVALID_FIELD, "number of items is negative"));
	KF_TRY(ttlv_done(r));
	ret->attributes = wire_since(attrs, at);
	return KF_OK;
}

void locate_put_response(struct ttlv_writer *w, const struct locate_response *a)
{
	put_count(w, TAG_LOCATED_ITEMS, a->located_items);
	ttlv_put_items(w, a->uids);
}

kf_err locate_get_response(struct ttlv_reader *r, struct locate_response *ret)
{
	*ret = (struct locate_response){ .located_items = -1 };
	struct slice uid;
	ttlv_opt_int(r, TAG_LOCATED_ITEMS, &ret->located_items);
	ret->uids = wire_rest(r);
	while (locate_next_uid(r, &uid))
		;
	return ttlv_done(r);
}

void locate_add_uid(struct buf *uids, struct slice uid)
{
	struct ttlv_writer w = ttlv_write(uids, 0);
	ttlv_put_text(&w, TAG_UNIQUE_IDENTIFIER, uid);
}

bool locate_next_uid(struct ttlv_reader *r, struct slice *ret)
{
	return ttlv_opt_text(r, TAG_UNIQUE_IDENTIFIER, ret);
}
