/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/point.h"
#include "kmip/import.h"
#include "world.h"

enum {
	UNCOMPRESSED = KMIP_KEY_COMPRESSION_TYPE_EC_PUBLIC_KEY_TYPE_UNCOMPRESSED,
	COMPRESSED = KMIP_KEY_COMPRESSION_TYPE_EC_PUBLIC_KEY_TYPE_X9_62_COMPRESSED_PRIME,
	CHAR2 = KMIP_KEY_COMPRESSION_TYPE_EC_PUBLIC_KEY_TYPE_X9_62_COMPRESSED_CHAR2,
	HYBRID = KMIP_KEY_COMPRESSION_TYPE_EC_PUBLIC_KEY_TYPE_X9_62_HYBRID,
	RAW = KMIP_KEY_FORMAT_TYPE_RAW,
	X509_KEY = KMIP_KEY_FORMAT_TYPE_X_509,
	TRANSPARENT = KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PUBLIC_KEY,
	P_384 = 10,
};

static kf_err get_compressed(struct world *w, const struct id *id, uint32_t format,
	uint32_t compression, struct get_response *ret)
{
	struct ttlv_writer q = question(w);
	get_put_request(&q, &(struct get_request){ .uid = uid(id),
				    .key_format_type = format,
				    .key_compression_type = compression });
	KF_TRY(ask(w, KMIP_OPERATION_GET));
	struct ttlv_reader r = answer(w);
	return get_get_response(&r, ret);
}

static kf_err put(struct world *w, const struct kmip_object *o, struct id *ret)
{
	autobuf attrs = buf_new(4096);
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, 2);
	attrs_add_enum(&attrs, TAG_CRYPTOGRAPHIC_ALGORITHM, 6);
	add_curve(&attrs, P_384);
	return register_object(w, buf_slice(&attrs), o, ret);
}

static bool is_spki_of(struct world *w, const struct id *id, const struct buf *spki)
{
	struct get_response a;
	return kf_ok(get_compressed(w, id, X509_KEY, UNCOMPRESSED, &a)) &&
	       slice_eq(a.object.block.material, buf_slice(spki));
}

static kf_err spki_of(struct world *w, const struct id *id, struct buf *ret)
{
	struct get_response a;
	KF_TRY(get_as(w, id, X509_KEY, &a));
	buf_add_slice(ret, a.object.block.material);
	return buf_err(ret);
}

static kf_err pair_p384(struct world *w, struct pair *ret)
{
	KF_TRY(let_alice_create(w));
	return create_pair(w, &(struct pair_wish){ .algorithm = 6, .curve = P_384 }, ret);
}

TEST(a_key_leaves_compressed_and_comes_back_as_the_same_key)
{
	static const uint32_t formats[] = { 0, RAW, X509_KEY, TRANSPARENT };
	static const uint32_t types[] = { UNCOMPRESSED, COMPRESSED, HYBRID };
	WORLD(w);
	struct pair p;
	autobuf spki = buf_new(1024);
	OK(kf_ok(pair_p384(&w, &p)));
	OK(kf_ok(spki_of(&w, &p.public_key, &spki)));

	for (size_t f = 0; f < 4; f++)
		for (size_t t = 0; t < 3; t++) {
			struct get_response a;
			struct id id;
			autobuf kept = buf_new(4096);
			OK(kf_ok(get_compressed(
				&w, &p.public_key, formats[f], types[t], &a)));
			EQ(a.object.block.compression, types[t]);
			OK(!formats[f] || a.object.block.format == formats[f]);
			buf_add_slice(&kept, buf_slice(&w.answer));
			struct ttlv_reader r =
				ttlv_read_as(buf_slice(&kept), w.version, false);
			OK(kf_ok(get_get_response(&r, &a)));
			OK(kf_ok(put(&w, &a.object, &id)));
			OK(is_spki_of(&w, &id, &spki));
			/* As it was registered, unless another form is asked for. */
			OK(kf_ok(get(&w, &id, &a)));
			EQ(a.object.block.compression, types[t]);
			OK(kf_ok(get_compressed(&w, &id, RAW, COMPRESSED, &a)));
			OK(point_is(a.object.block.material, POINT_COMPRESSED));
		}
}

TEST(export_compresses_as_get_does)
{
	WORLD(w);
	struct pair p;
	struct export_response a;
	OK(kf_ok(pair_p384(&w, &p)));
	struct ttlv_writer q = question(&w);
	get_put_request(&q, &(struct get_request){ .uid = uid(&p.public_key),
				    .key_format_type = RAW,
				    .key_compression_type = COMPRESSED });
	OK(kf_ok(ask(&w, KMIP_OPERATION_EXPORT)));
	struct ttlv_reader r = answer(&w);
	buf_clear(&w.attrs);
	OK(kf_ok(export_get_response(&r, &a, &w.attrs)));
	OK(point_is(a.object.block.material, POINT_COMPRESSED));
	EQ(a.object.block.material.n, 49);
}

TEST(only_public_keys_of_prime_curves_are_compressed)
{
	WORLD(w);
	struct pair p, ed, rsa;
	struct id aes;
	struct get_response a;
	OK(kf_ok(pair_p384(&w, &p)));
	OK(kf_ok(create_pair(&w, &(struct pair_wish){ .algorithm = 0x37 }, &ed)));
	OK(kf_ok(create_pair(
		&w, &(struct pair_wish){ .algorithm = 4, .bits = 2048 }, &rsa)));
	OK(kf_ok(create_aes(&w, "aes", &aes)));

	const struct id *none[] = { &ed.public_key, &rsa.public_key, &aes };
	for (uint16_t version = 0; version < 2; version++) {
		w.version = version ? KMIP_2_1 : KMIP_1_0;
		OK(kf_is(get_compressed(&w, &p.public_key, 0, CHAR2, &a),
			KF_E_KEY_COMPRESSION));
		OK(kf_is(get_compressed(&w, &p.public_key, 0, 99, &a),
			KF_E_KEY_COMPRESSION));
		for (size_t i = 0; i < 3; i++)
			OK(kf_is(get_compressed(&w, none[i], 0, COMPRESSED, &a),
				KF_E_KEY_COMPRESSION));
	}
}

TEST(a_private_key_has_no_point_of_its_own_to_compress)
{
	WORLD(w);
	struct keypair k = { 0 };
	struct id id;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(keypair_generate(alg_get(ALG_P384), &k)));
	OK(kf_ok(put(&w,
		&(struct kmip_object){ .type = OBJECT_PRIVATE_KEY,
			.block = { .format = KEY_PKCS8,
				.has_value = true,
				.material = buf_slice(&k.pkcs8) } },
		&id)));
	keypair_free(&k);
	OK(kf_is(get_compressed(&w, &id, 0, COMPRESSED, &a), KF_E_KEY_COMPRESSION));
	OK(kf_ok(get(&w, &id, &a)));
}

TEST(a_point_is_compressed_as_the_block_says_or_not_taken)
{
	static const uint32_t formats[] = { RAW, X509_KEY, TRANSPARENT };
	WORLD(w);
	struct pair p;
	struct id id;
	OK(kf_ok(pair_p384(&w, &p)));

	for (size_t f = 0; f < 3; f++) {
		struct get_response a;
		autobuf kept = buf_new(4096);
		OK(kf_ok(get_compressed(&w, &p.public_key, formats[f], COMPRESSED, &a)));
		buf_add_slice(&kept, buf_slice(&w.answer));
		struct ttlv_reader r = ttlv_read_as(buf_slice(&kept), w.version, false);
		OK(kf_ok(get_get_response(&r, &a)));
		for (uint32_t said = 0; said <= HYBRID; said++) {
			a.object.block.compression = said;
			const kf_err err = put(&w, &a.object, &id);
			OK(said == 0 || said == COMPRESSED
					? kf_ok(err)
					: kf_is(err, KF_E_INVALID_FIELD));
		}
	}
}

TEST_MAIN
