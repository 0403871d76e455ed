/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/create_key_pair.h"
#include "kmip/wire.h"

static void put_set(struct ttlv_writer *w, enum attrs_role role, struct slice set)
{
	if (set.n)
		attrs_put_template(w, role, set);
}

void create_key_pair_put_request(
	struct ttlv_writer *w, const struct create_key_pair_request *q)
{
	put_set(w, ATTRS_COMMON, q->common);
	put_set(w, ATTRS_PRIVATE_KEY, q->private_key);
	put_set(w, ATTRS_PUBLIC_KEY, q->public_key);
}

/* The buffer may move while it grows: slices are made at the end. */
kf_err create_key_pair_get_request(
	struct ttlv_reader *r, struct create_key_pair_request *ret, struct buf *attrs)
{
	*ret = (struct create_key_pair_request){ 0 };
	size_t common = attrs->n;
	attrs_get_template(r, ATTRS_COMMON, attrs);
	size_t private_key = attrs->n;
	attrs_get_template(r, ATTRS_PRIVATE_KEY, attrs);
	size_t public_key = attrs->n;
	attrs_get_template(r, ATTRS_PUBLIC_KEY, attrs);
	wire_skip_masks(r, TAG_COMMON_PROTECTION_STORAGE_MASKS);
	wire_skip_masks(r, TAG_PRIVATE_PROTECTION_STORAGE_MASKS);
	wire_skip_masks(r, TAG_PUBLIC_PROTECTION_STORAGE_MASKS);
	KF_TRY(ttlv_done(r));
	ret->common = wire_since(attrs, common);
	ret->common.n = private_key - common;
	ret->private_key = wire_since(attrs, private_key);
	ret->private_key.n = public_key - private_key;
	ret->public_key = wire_since(attrs, public_key);
	return KF_OK;
}

void create_key_pair_put_response(
	struct ttlv_writer *w, const struct create_key_pair_response *a)
{
	kmip_put_uid(w, TAG_PRIVATE_KEY_UNIQUE_IDENTIFIER, &a->private_key);
	kmip_put_uid(w, TAG_PUBLIC_KEY_UNIQUE_IDENTIFIER, &a->public_key);
}

kf_err create_key_pair_get_response(
	struct ttlv_reader *r, struct create_key_pair_response *ret)
{
	*ret = (struct create_key_pair_response){ 0 };
	kmip_get_uid(r, TAG_PRIVATE_KEY_UNIQUE_IDENTIFIER, &ret->private_key);
	kmip_get_uid(r, TAG_PUBLIC_KEY_UNIQUE_IDENTIFIER, &ret->public_key);
	wire_skip_template(r, TAG_PRIVATE_KEY_TEMPLATE_ATTRIBUTE);
	wire_skip_template(r, TAG_PUBLIC_KEY_TEMPLATE_ATTRIBUTE);
	return ttlv_done(r);
}
