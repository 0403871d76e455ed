/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/key_wrapping.h"
#include "kmip/attrs.h"
#include "kmip/wire.h"

static void put_information(
	struct ttlv_writer *w, enum ttlv_tag tag, const struct key_information *i)
{
	if (!i->is_there)
		return;
	ttlv_begin(w, tag);
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &i->uid);
	if (i->has_parameters)
		cryptographic_parameters_put(w, &i->parameters);
	ttlv_end(w);
}

static void get_information(
	struct ttlv_reader *r, enum ttlv_tag tag, struct key_information *ret)
{
	if (!ttlv_open_opt(r, tag))
		return;
	kmip_get_uid(r, TAG_UNIQUE_IDENTIFIER, &ret->uid);
	ret->has_parameters = cryptographic_parameters_opt(r, &ret->parameters);
	ttlv_close(r);
	ret->is_there = true;
}

static void put_encoding(struct ttlv_writer *w, uint32_t encoding)
{
	if (encoding && wire_knows(w, TAG_ENCODING_OPTION))
		ttlv_put_enum(w, TAG_ENCODING_OPTION, encoding);
}

static void begin(struct ttlv_reader *r, struct key_wrapping *k)
{
	ttlv_get_enum(r, TAG_WRAPPING_METHOD, &k->method);
	get_information(r, TAG_ENCRYPTION_KEY_INFORMATION, &k->encryption);
	get_information(r, TAG_MAC_SIGNATURE_KEY_INFORMATION, &k->mac);
}

static void finish(struct ttlv_reader *r, struct key_wrapping *k)
{
	ttlv_opt_enum(r, TAG_ENCODING_OPTION, &k->encoding);
	ttlv_close(r);
	if (ttlv_ok(r) && !k->encryption.is_there && !k->mac.is_there)
		ttlv_refuse(r, kf_fail(MISSING, "wrapped with which key"));
}

/* --- Specification --- */

void key_wrapping_specification_put(struct ttlv_writer *w, const struct key_wrapping *k)
{
	ttlv_begin(w, TAG_KEY_WRAPPING_SPECIFICATION);
	ttlv_put_enum(w, TAG_WRAPPING_METHOD, k->method);
	put_information(w, TAG_ENCRYPTION_KEY_INFORMATION, &k->encryption);
	put_information(w, TAG_MAC_SIGNATURE_KEY_INFORMATION, &k->mac);
	ttlv_put_items(w, k->attributes);
	put_encoding(w, k->encoding);
	ttlv_end(w);
}

/* Attribute Name in all versions; Attribute Reference, which 2.x has elsewhere, is understood too. */
static void get_names(struct ttlv_reader *r, struct key_wrapping *k)
{
	struct ttlv_item it;
	while (ttlv_at(r, TAG_ATTRIBUTE_NAME) || ttlv_at(r, TAG_ATTRIBUTE_REFERENCE)) {
		if (!ttlv_next(r, &it))
			return;
		if (++k->attributes_n > KEY_WRAPPING_ATTRIBUTES_MAX)
			ttlv_refuse(r, kf_fail(LIMIT, "too many attributes to wrap"));
		if (!k->attributes.p)
			k->attributes.p = it.whole.p;
		k->attributes.n = (size_t)(it.whole.p + it.whole.n - k->attributes.p);
	}
}

void key_wrapping_specification_get(struct ttlv_reader *r, struct key_wrapping *ret)
{
	struct key_wrapping k = { 0 };
	ttlv_open(r, TAG_KEY_WRAPPING_SPECIFICATION);
	begin(r, &k);
	get_names(r, &k);
	finish(r, &k);
	*ret = k;
}

kf_err key_wrapping_specification_parse(
	struct slice item, uint16_t version, struct key_wrapping *ret)
{
	struct ttlv_reader r = ttlv_read_as(item, version, false);
	key_wrapping_specification_get(&r, ret);
	return ttlv_done(&r);
}

/* --- Data --- */

void key_wrapping_data_put(struct ttlv_writer *w, const struct key_wrapping *k)
{
	ttlv_begin(w, TAG_KEY_WRAPPING_DATA);
	ttlv_put_enum(w, TAG_WRAPPING_METHOD, k->method);
	put_information(w, TAG_ENCRYPTION_KEY_INFORMATION, &k->encryption);
	put_information(w, TAG_MAC_SIGNATURE_KEY_INFORMATION, &k->mac);
	wire_put_bytes(w, TAG_MAC_SIGNATURE, k->mac_signature);
	wire_put_bytes(w, TAG_IV_COUNTER_NONCE, k->iv);
	put_encoding(w, k->encoding);
	ttlv_end(w);
}

void key_wrapping_data_get(struct ttlv_reader *r, struct key_wrapping *ret)
{
	struct key_wrapping k = { 0 };
	ttlv_open(r, TAG_KEY_WRAPPING_DATA);
	begin(r, &k);
	ttlv_opt_bytes(r, TAG_MAC_SIGNATURE, &k.mac_signature);
	ttlv_opt_bytes(r, TAG_IV_COUNTER_NONCE, &k.iv);
	finish(r, &k);
	*ret = k;
}

kf_err key_wrapping_data_parse(
	struct slice item, uint16_t version, struct key_wrapping *ret)
{
	struct ttlv_reader r = ttlv_read_as(item, version, false);
	key_wrapping_data_get(&r, ret);
	return ttlv_done(&r);
}
