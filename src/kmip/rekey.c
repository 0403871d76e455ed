/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/rekey.h"
#include "kmip/wire.h"

void rekey_put_offset(struct ttlv_writer *w, bool has_offset, uint32_t offset_s)
{
	if (has_offset)
		ttlv_put_interval(w, TAG_OFFSET, offset_s);
}

bool rekey_get_offset(struct ttlv_reader *r, uint32_t *ret_s)
{
	if (!ttlv_at(r, TAG_OFFSET))
		return false;
	ttlv_get_interval(r, TAG_OFFSET, ret_s);
	return true;
}

void rekey_put_request(struct ttlv_writer *w, const struct rekey_request *q)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &q->uid);
	rekey_put_offset(w, q->has_offset, q->offset_s);
	if (q->attributes.n)
		attrs_put_template(w, ATTRS_PLAIN, q->attributes);
}

kf_err rekey_get_request(
	struct ttlv_reader *r, struct rekey_request *ret, struct buf *attrs)
{
	*ret = (struct rekey_request){ 0 };
	size_t at = attrs->n;
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	ret->has_offset = rekey_get_offset(r, &ret->offset_s);
	attrs_get_template(r, ATTRS_PLAIN, attrs);
	wire_skip_masks(r, TAG_PROTECTION_STORAGE_MASKS);
	KF_TRY(ttlv_done(r));
	ret->attributes = wire_since(attrs, at);
	return KF_OK;
}

void rekey_put_response(struct ttlv_writer *w, const struct rekey_response *a)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
}

kf_err rekey_get_response(struct ttlv_reader *r, struct rekey_response *ret)
{
	*ret = (struct rekey_response){ 0 };
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	wire_skip_template(r, TAG_TEMPLATE_ATTRIBUTE);
	return ttlv_done(r);
}

void rekey_pair_put_request(struct ttlv_writer *w, const struct rekey_pair_request *q)
{
	kmip_put_uid(w, TAG_PRIVATE_KEY_UNIQUE_IDENTIFIER, &q->uid);
	rekey_put_offset(w, q->has_offset, q->offset_s);
	create_key_pair_put_request(w, &q->sets);
}

kf_err rekey_pair_get_request(
	struct ttlv_reader *r, struct rekey_pair_request *ret, struct buf *attrs)
{
	*ret = (struct rekey_pair_request){ 0 };
	kmip_get_uid(r, TAG_PRIVATE_KEY_UNIQUE_IDENTIFIER, &ret->uid);
	ret->has_offset = rekey_get_offset(r, &ret->offset_s);
	return create_key_pair_get_request(r, &ret->sets, attrs);
}
