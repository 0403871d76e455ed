/* SPDX-License-Identifier: Apache-2.0 */
#include "op/secret.h"
#include "kmip/key_block.h"
#include "op/step.h"

static kf_err transparent(struct slice material, struct slice *ret)
{
	struct ttlv_reader r = ttlv_read(material);
	struct slice key = { 0 };

	ttlv_open(&r, TAG_KEY_MATERIAL);
	ttlv_get_bytes(&r, TAG_KEY, &key);
	ttlv_close(&r);
	KF_TRY(ttlv_done(&r));
	*ret = key;
	return KF_OK;
}

static bool is_plain(const struct kmip_object *k)
{
	return k->block.format == KMIP_KEY_FORMAT_TYPE_RAW ||
	       (k->type == KMIP_OBJECT_TYPE_SECRET_DATA &&
		       k->block.format == KMIP_KEY_FORMAT_TYPE_OPAQUE);
}

kf_err secret_of(const struct kmip_object *k, struct slice *ret)
{
	const struct key_block *b = &k->block;

	if (k->type != KMIP_OBJECT_TYPE_SYMMETRIC_KEY &&
		k->type != KMIP_OBJECT_TYPE_SECRET_DATA)
		return kf_fail(OBJECT_TYPE, "neither a symmetric key nor secret data");
	if (!b->has_value)
		return kf_fail(NO_VALUE, "the object has no Key Value here");
	if (b->is_wrapped || b->is_encoded)
		return kf_fail(KEY_FORMAT, "the object's value is wrapped");
	if (b->is_transparent &&
		b->format == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_SYMMETRIC_KEY)
		return transparent(b->material, ret);
	if (b->is_transparent || b->compression || !is_plain(k))
		return kf_fail(KEY_FORMAT, "the object's format has no plain bytes");
	*ret = b->material;
	return KF_OK;
}

kf_err op_secret_open(struct op_call *call, const struct object *o, struct buf *scratch,
	struct slice *ret)
{
	struct kmip_object k = { 0 };
	struct slice material;

	if (o->type != OBJECT_SYMMETRIC_KEY && o->type != OBJECT_SECRET_DATA)
		return kf_fail(OBJECT_TYPE, "neither a symmetric key nor secret data");
	KF_TRY(op_check_material(o, call->now_s));
	if (o->key && pool_key_is(o->key))
		return kf_fail(
			FEATURE, "tokens hold the key, and do not do this with it");
	KF_TRY(store_material(call->server->store, o, scratch, &material));
	KF_TRY(kmip_object_parse(material, &k));
	return secret_of(&k, ret);
}
