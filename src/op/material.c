/* SPDX-License-Identifier: Apache-2.0 */
#include "op/material.h"
#include "crypt/point.h"
#include "kmip/attrs.h"
#include "op/secret.h"
#include "op/token_key.h"
#include "op/transparent.h"
#include "token/soft/engine.h"

static uint32_t curve_of(const struct object *o)
{
	struct ttlv_item it;
	uint32_t curve = 0;

	if (attrs_find(o->attrs, TAG_CRYPTOGRAPHIC_DOMAIN_PARAMETERS, 0, &it))
		(void)attrs_get_enum(it.value, TAG_RECOMMENDED_CURVE, &curve);
	return curve;
}

const struct alg *material_alg(const struct object *o)
{
	return alg_by_kmip(o->algorithm, curve_of(o), o->length);
}

/* Whatever has a DER form of its own needs no conversion: the engine reads all three. */
static bool is_der(uint32_t format)
{
	return format == KMIP_KEY_FORMAT_TYPE_PKCS_1 ||
	       format == KMIP_KEY_FORMAT_TYPE_PKCS_8 ||
	       format == KMIP_KEY_FORMAT_TYPE_ECPRIVATEKEY;
}

static kf_err load_transparent(const struct key_block *b, struct token_key **ret)
{
	autobuf pkcs8 = buf_new(PKCS8_MAX);
	KF_TRY(transparent_to_pkcs8(b, &pkcs8));
	return soft_key_new(buf_slice(&pkcs8), ret);
}

static kf_err load_raw(struct slice raw, const struct alg *alg, struct token_key **ret)
{
	struct keypair pair = { 0 };

	KF_TRY(keypair_from_format(KEY_RAW, raw, alg, &pair));
	const kf_err err = soft_key_new(buf_slice(&pair.pkcs8), ret);
	keypair_free(&pair);
	return err;
}

kf_err material_load_key(
	const struct object *o, struct slice material, struct token_key **ret)
{
	struct kmip_object k = { 0 };
	kf_err err = KF_OK;

	*ret = NULL;
	if (!object_has_handle(o))
		return KF_OK;
	KF_TRY(kmip_object_parse(material, &k));
	if (!k.block.has_value || k.block.is_wrapped)
		return KF_OK;
	if (o->type == OBJECT_SYMMETRIC_KEY &&
		k.block.format != KMIP_KEY_FORMAT_TYPE_TOKEN)
		return KF_OK;
	if (k.block.is_transparent)
		err = load_transparent(&k.block, ret);
	else if (k.block.format == KMIP_KEY_FORMAT_TYPE_TOKEN)
		err = token_material_load(k.block.material, ret);
	else if (is_der(k.block.format))
		err = soft_key_new(k.block.material, ret);
	else if (k.block.format == KMIP_KEY_FORMAT_TYPE_RAW && material_alg(o))
		err = load_raw(k.block.material, material_alg(o), ret);
	/* What is said of a key on tokens is the key server's own: it can be read, or somebody has to know. */
	const bool is_foreign = k.block.format != KMIP_KEY_FORMAT_TYPE_TOKEN;
	return is_foreign && kf_is(err, KF_E_KEY_FORMAT) ? KF_OK : err;
}

static kf_err spki_of(
	const struct kmip_object *k, const struct alg *alg, struct buf *ret_spki)
{
	if (!k->block.has_value || k->block.is_wrapped)
		return kf_fail(KEY_FORMAT, "the key has no value in this format");
	if (k->block.is_transparent)
		return transparent_to_spki(&k->block, ret_spki);
	return public_from_format(
		(enum key_format)k->block.format, k->block.material, alg, ret_spki);
}

kf_err material_public(struct slice material, const struct object *o, struct pubkey **ret)
{
	struct kmip_object k = { 0 };
	autobuf spki = buf_new(SPKI_MAX);

	KF_TRY(kmip_object_parse(material, &k));
	KF_TRY(spki_of(&k, material_alg(o), &spki));
	return pubkey_parse(buf_slice(&spki), ret);
}

static kf_err pkcs8_of(
	const struct kmip_object *k, const struct alg *alg, struct buf *ret_pkcs8)
{
	struct keypair pair = { 0 };

	if (k->block.is_transparent)
		return transparent_to_pkcs8(&k->block, ret_pkcs8);
	if (is_der(k->block.format)) {
		buf_add_slice(ret_pkcs8, k->block.material);
		return buf_err(ret_pkcs8);
	}
	KF_TRY(keypair_from_format(
		(enum key_format)k->block.format, k->block.material, alg, &pair));
	buf_add_slice(ret_pkcs8, buf_slice(&pair.pkcs8));
	keypair_free(&pair);
	return buf_err(ret_pkcs8);
}

static kf_err convert_private(const struct kmip_object *k, uint32_t format,
	const struct alg *alg, struct buf *ret)
{
	autobuf pkcs8 = buf_new(PKCS8_MAX);

	KF_TRY(pkcs8_of(k, alg, &pkcs8));
	if (transparent_is(format))
		return transparent_of_pkcs8(buf_slice(&pkcs8), format, ret);
	return private_to_format(buf_slice(&pkcs8), (enum key_format)format, ret);
}

static kf_err convert_public(const struct kmip_object *k, uint32_t format,
	const struct alg *alg, struct buf *ret)
{
	autobuf spki = buf_new(SPKI_MAX);

	KF_TRY(spki_of(k, alg, &spki));
	if (transparent_is(format))
		return transparent_of_spki(buf_slice(&spki), format, ret);
	return public_to_format(buf_slice(&spki), (enum key_format)format, ret);
}

static kf_err convert_secret(
	const struct kmip_object *k, uint32_t format, struct buf *ret)
{
	struct slice bytes;

	KF_TRY(secret_of(k, &bytes));
	if (format == KMIP_KEY_FORMAT_TYPE_TRANSPARENT_SYMMETRIC_KEY)
		return transparent_of_secret(bytes, ret);
	if (format != KMIP_KEY_FORMAT_TYPE_RAW)
		return kf_fail(KEY_FORMAT, "the key is not available in this format");
	buf_add_slice(ret, bytes);
	return buf_err(ret);
}

static bool is_known_format(uint32_t format)
{
	return format == KEY_RAW || format == KEY_PKCS1 || format == KEY_PKCS8 ||
	       format == KEY_X509 || format == KEY_EC_PRIVATE || transparent_is(format);
}

static kf_err convert(const struct kmip_object *k, uint32_t format, const struct alg *alg,
	struct buf *ret)
{
	if (!k->block.has_value || k->block.is_wrapped || !is_known_format(format) ||
		!is_known_format(k->block.format))
		return kf_fail(KEY_FORMAT, "the key is not available in this format");
	if (k->type == OBJECT_PRIVATE_KEY)
		return convert_private(k, format, alg, ret);
	if (k->type == OBJECT_PUBLIC_KEY)
		return convert_public(k, format, alg, ret);
	if (k->type == OBJECT_SYMMETRIC_KEY)
		return convert_secret(k, format, ret);
	return kf_fail(KEY_FORMAT, "the object is not available in this format");
}

kf_err material_convert(
	struct kmip_object *k, uint32_t format, const struct alg *alg, struct buf *ret)
{
	KF_TRY(convert(k, format, alg, ret));
	KF_TRY(buf_err(ret));
	k->block.format = format;
	k->block.compression =
		0; /* the point is uncompressed now, which is what absence means */
	k->block.is_transparent = transparent_is(format);
	k->block.material = buf_slice(ret);
	return KF_OK;
}

/* --- compression --- */

static kf_err form_of(uint32_t type, enum point_form *ret)
{
	switch (type) {
	case KMIP_KEY_COMPRESSION_TYPE_EC_PUBLIC_KEY_TYPE_UNCOMPRESSED:
		*ret = POINT_UNCOMPRESSED;
		return KF_OK;
	case KMIP_KEY_COMPRESSION_TYPE_EC_PUBLIC_KEY_TYPE_X9_62_COMPRESSED_PRIME:
		*ret = POINT_COMPRESSED;
		return KF_OK;
	case KMIP_KEY_COMPRESSION_TYPE_EC_PUBLIC_KEY_TYPE_X9_62_HYBRID:
		*ret = POINT_HYBRID;
		return KF_OK;
	default: return kf_fail(KEY_COMPRESSION, "no curve here has such points");
	}
}

static kf_err ec_key_of(
	const struct kmip_object *k, const struct alg *alg, struct pubkey **ret)
{
	CLEANUP(pubkey_freep) struct pubkey *key = NULL;
	autobuf spki = buf_new(SPKI_MAX);

	if (k->type != OBJECT_PUBLIC_KEY || !is_known_format(k->block.format) ||
		!kf_ok(spki_of(k, alg, &spki)) ||
		!kf_ok(pubkey_parse(buf_slice(&spki), &key)) ||
		pubkey_alg(key)->family != FAMILY_EC)
		return kf_fail(KEY_COMPRESSION,
			"only public keys of elliptic curves are compressed");
	*ret = key;
	key = NULL;
	return KF_OK;
}

static kf_err put_point(
	uint32_t format, const struct alg *alg, struct slice point, struct buf *ret)
{
	if (transparent_is(format))
		return transparent_of_point(alg, point, ret);
	if (format == KEY_X509)
		return point_to_spki(alg, point, ret);
	buf_add_slice(ret, point);
	return buf_err(ret);
}

kf_err material_compress(
	struct kmip_object *k, uint32_t type, const struct alg *alg, struct buf *ret)
{
	autobuf point = buf_new(POINT_SIZE_MAX), other = buf_new(POINT_SIZE_MAX);
	CLEANUP(pubkey_freep) struct pubkey *key = NULL;
	enum point_form form;

	KF_TRY(form_of(type, &form));
	KF_TRY(ec_key_of(k, alg, &key));
	KF_TRY(point_of_spki(pubkey_spki(key), &point));
	KF_TRY(point_convert(pubkey_alg(key), buf_slice(&point), form, &other));
	KF_TRY(put_point(k->block.format, pubkey_alg(key), buf_slice(&other), ret));
	k->block.compression = type;
	k->block.material = buf_slice(ret);
	return KF_OK;
}

static kf_err point_in(const struct key_block *b, struct buf *ret)
{
	struct ttlv_reader r = ttlv_read(b->material);
	struct slice q = b->material;
	uint32_t curve = 0;

	if (b->format == KEY_X509)
		return point_of_spki(b->material, ret);
	if (b->is_transparent) {
		ttlv_open(&r, TAG_KEY_MATERIAL);
		ttlv_get_enum(&r, TAG_RECOMMENDED_CURVE, &curve);
		ttlv_get_bytes(&r, TAG_Q_STRING, &q);
		KF_TRY(r.err);
	}
	buf_add_slice(ret, q);
	return buf_err(ret);
}

kf_err material_check_compression(const struct key_block *b, const struct alg *alg)
{
	autobuf point = buf_new(SPKI_MAX);
	enum point_form form;

	if (!b->compression)
		return KF_OK;
	if (alg->family != FAMILY_EC || !kf_ok(form_of(b->compression, &form)) ||
		!kf_ok(point_in(b, &point)) || !point_is(buf_slice(&point), form))
		return kf_fail(INVALID_FIELD, "the key is not compressed as it says");
	return KF_OK;
}

/* --- handles --- */

struct slice material_key_spki(const struct token_key *key)
{
	return pool_key_is(key) ? pool_key_spki(key) : soft_key_spki(key);
}

kf_err material_make(const struct material_key *k, struct buf *ret)
{
	const bool is_key = k->object_type != OBJECT_SECRET_DATA;
	const struct kmip_object o = {
		.type = k->object_type,
		.secret_data_type = k->secret_data_type,
		.block = {
			.format = k->format,
			.algorithm = is_key ? k->algorithm : 0,
			.length = is_key ? k->length : 0,
			.has_value = true,
			.material = k->bytes,
		},
	};
	struct ttlv_writer w = ttlv_write(ret, KMIP_2_1);
	kmip_object_put(&w, &o);
	return ttlv_written(&w);
}
