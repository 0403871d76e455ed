/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/key_block.h"
#include "kmip/key_wrapping.h"
#include "kmip/wire.h"

static void get_material(struct ttlv_reader *r, struct key_block *kb)
{
	struct ttlv_item it;
	ttlv_get_item(r, TAG_KEY_MATERIAL, &it);
	if (!ttlv_ok(r))
		return;
	kb->is_transparent = it.type == TTLV_STRUCT;
	kb->material = kb->is_transparent ? it.whole : it.value;
	while (ttlv_at(r, TAG_ATTRIBUTE) || ttlv_at(r, TAG_ATTRIBUTES)) {
		ttlv_get_item(r,
			ttlv_at(r, TAG_ATTRIBUTE) ? TAG_ATTRIBUTE : TAG_ATTRIBUTES, &it);
		if (ttlv_ok(r) && !kb->attributes.p)
			kb->attributes.p = it.whole.p;
		if (ttlv_ok(r))
			kb->attributes.n =
				(size_t)(it.whole.p + it.whole.n - kb->attributes.p);
	}
}

kf_err key_value_parse(struct slice item, uint16_t version, struct key_block *kb)
{
	struct ttlv_reader r = ttlv_read_as(item, version, false);
	struct key_block got = *kb;
	KF_TRY(ttlv_check(item));
	got.attributes = (struct slice){ 0 };
	ttlv_open(&r, TAG_KEY_VALUE);
	get_material(&r, &got);
	ttlv_close(&r);
	KF_TRY(ttlv_done(&r));
	got.has_value = true;
	got.is_encoded = false;
	got.value = item;
	*kb = got;
	return KF_OK;
}

/* A structure, or the bytes of a wrapped one. */
static void get_value(struct ttlv_reader *r, struct key_block *kb)
{
	struct ttlv_item it;
	ttlv_get_item(r, TAG_KEY_VALUE, &it);
	if (!ttlv_ok(r))
		return;
	kb->has_value = true;
	kb->value = it.whole;
	kb->is_encoded = it.type == TTLV_BYTES;
	if (kb->is_encoded) {
		kb->material = it.value;
		return;
	}
	struct ttlv_reader inner = ttlv_read_like(r, it.value);
	get_material(&inner, kb);
	kf_err e = ttlv_done(&inner);
	if (!kf_ok(e))
		ttlv_refuse(r, e);
}

static void get_wrapping_data(struct ttlv_reader *r, struct key_block *kb)
{
	struct ttlv_item it;
	if (!ttlv_at(r, TAG_KEY_WRAPPING_DATA))
		return;
	ttlv_get_item(r, TAG_KEY_WRAPPING_DATA, &it);
	if (ttlv_ok(r))
		kb->wrapping_data = it.whole;
	kb->is_wrapped = true;
}

void key_block_get(struct ttlv_reader *r, struct key_block *ret)
{
	struct key_block kb = { 0 };
	ttlv_open(r, TAG_KEY_BLOCK);
	ttlv_get_enum(r, TAG_KEY_FORMAT_TYPE, &kb.format);
	ttlv_opt_enum(r, TAG_KEY_COMPRESSION_TYPE, &kb.compression);
	if (ttlv_at(r, TAG_KEY_VALUE))
		get_value(r, &kb);
	ttlv_opt_enum(r, TAG_CRYPTOGRAPHIC_ALGORITHM, &kb.algorithm);
	ttlv_opt_int(r, TAG_CRYPTOGRAPHIC_LENGTH, &kb.length);
	get_wrapping_data(r, &kb);
	ttlv_close(r);
	if (kb.has_value && kb.is_encoded && !kb.is_wrapped)
		ttlv_refuse(r, kf_fail(INVALID_FIELD, "bytes without Key Wrapping Data"));
	if (ttlv_ok(r))
		*ret = kb;
}

void key_value_put(struct ttlv_writer *w, const struct key_block *kb)
{
	ttlv_begin(w, TAG_KEY_VALUE);
	if (kb->is_transparent)
		ttlv_put_items(w, kb->material);
	else
		ttlv_put_bytes(w, TAG_KEY_MATERIAL, kb->material);
	if (kb->writes_attributes)
		ttlv_put_items(w, kb->attributes);
	ttlv_end(w);
}

static void put_value(struct ttlv_writer *w, const struct key_block *kb)
{
	if (kb->is_encoded)
		ttlv_put_bytes(w, TAG_KEY_VALUE, kb->material);
	else
		key_value_put(w, kb);
}

/* What was registered in a newer version may have fields that this one does not know. */
static void put_wrapping_data(struct ttlv_writer *w, struct slice item)
{
	struct key_wrapping k;
	if (w->version == 0 || ttlv_fits(item, w->version))
		ttlv_put_items(w, item);
	else if (kf_ok(key_wrapping_data_parse(item, 0, &k)))
		key_wrapping_data_put(w, &k);
}

void key_block_put(struct ttlv_writer *w, const struct key_block *kb)
{
	ttlv_begin(w, TAG_KEY_BLOCK);
	ttlv_put_enum(w, TAG_KEY_FORMAT_TYPE, kb->format);
	wire_put_enum(w, TAG_KEY_COMPRESSION_TYPE, kb->compression);
	if (kb->has_value)
		put_value(w, kb);
	/* What the version cannot name is left out: the format says the same. */
	if (kb->algorithm &&
		wire_knows_value(w, TAG_CRYPTOGRAPHIC_ALGORITHM, kb->algorithm))
		ttlv_put_enum(w, TAG_CRYPTOGRAPHIC_ALGORITHM, kb->algorithm);
	if (kb->length)
		ttlv_put_int(w, TAG_CRYPTOGRAPHIC_LENGTH, kb->length);
	put_wrapping_data(w, kb->wrapping_data);
	ttlv_end(w);
}
