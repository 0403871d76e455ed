/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/keygen.h"
#include "world.h"

enum {
	SYMMETRIC = KMIP_KEY_FORMAT_TYPE_TRANSPARENT_SYMMETRIC_KEY,
	RSA_PRIVATE = KMIP_KEY_FORMAT_TYPE_TRANSPARENT_RSA_PRIVATE_KEY,
	RSA_PUBLIC = KMIP_KEY_FORMAT_TYPE_TRANSPARENT_RSA_PUBLIC_KEY,
	EC_PRIVATE = KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PRIVATE_KEY,
	EC_PUBLIC = KMIP_KEY_FORMAT_TYPE_TRANSPARENT_EC_PUBLIC_KEY,
	PKCS8 = 4,
	X509_KEY = 5,
};

static kf_err put(
	struct world *w, const struct kmip_object *o, int32_t usage, struct id *ret)
{
	autobuf attrs = buf_new(4096);
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, usage);
	attrs_add_date(&attrs, TAG_ACTIVATION_DATE, w->now_s);
	return register_object(w, buf_slice(&attrs), o, ret);
}

static kf_err put_bytes(struct world *w, uint32_t type, uint32_t format,
	struct slice bytes, struct id *ret)
{
	const struct kmip_object o = { .type = type,
		.block = { .format = format, .has_value = true, .material = bytes } };
	return put(w, &o, type == OBJECT_PRIVATE_KEY ? 1 : 2, ret);
}

/* Gets it in a format, and registers what came as another object. */
static kf_err again_as(struct world *w, const struct id *id, uint32_t format,
	int32_t usage, struct id *ret)
{
	autobuf kept = buf_new(8192);
	struct get_response a;
	KF_TRY(get_as(w, id, format, &a));
	if (a.object.block.format != format || !a.object.block.is_transparent)
		return kf_fail(INTERNAL, "not as asked for");
	buf_add_slice(&kept, buf_slice(&w->answer));
	struct ttlv_reader r = ttlv_read_as(buf_slice(&kept), w->version, false);
	KF_TRY(get_get_response(&r, &a));
	return put(w, &a.object, usage, ret);
}

static bool is(
	struct world *w, const struct id *id, uint32_t format, const struct buf *want)
{
	struct get_response a;
	return kf_ok(get_as(w, id, format, &a)) &&
	       slice_eq(a.object.block.material, buf_slice(want));
}

TEST(transparent_keys_are_the_same_keys)
{
	static const struct {
		enum alg_id alg;
		uint32_t private_format, public_format;
	} rows[] = { { ALG_RSA_2048, RSA_PRIVATE, RSA_PUBLIC },
		{ ALG_P256, EC_PRIVATE, EC_PUBLIC }, { ALG_P521, EC_PRIVATE, EC_PUBLIC },
		{ ALG_P384, KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECDSA_PRIVATE_KEY,
			KMIP_KEY_FORMAT_TYPE_TRANSPARENT_ECDSA_PUBLIC_KEY } };
	for (size_t i = 0; i < 4; i++) {
		WORLD(w);
		struct keypair k = { 0 };
		struct id one, two;
		struct sign_wish wish = { .data = slice_of("text"),
			.parameters = { .digital_signature_algorithm = i ? 0x0e : 5 } };
		OK(kf_ok(let_alice_create(&w)));
		OK(kf_ok(keypair_generate(alg_get(rows[i].alg), &k)));
		w.version = i == 3 ? KMIP_1_4 : KMIP_2_1;

		OK(kf_ok(put_bytes(
			&w, OBJECT_PRIVATE_KEY, PKCS8, buf_slice(&k.pkcs8), &one)));
		OK(kf_ok(again_as(&w, &one, rows[i].private_format, 1, &two)));
		OK(!memcmp(catalog_find(w.server.catalog, slice_of(one.text))->key_id,
			catalog_find(w.server.catalog, slice_of(two.text))->key_id, 32));
		OK(i == 0 || is(&w, &two, PKCS8, &k.pkcs8));
		OK(kf_ok(sign(&w, &two, &wish, NULL)));

		OK(kf_ok(put_bytes(
			&w, OBJECT_PUBLIC_KEY, X509_KEY, buf_slice(&k.spki), &one)));
		OK(kf_ok(again_as(&w, &one, rows[i].public_format, 2, &two)));
		OK(is(&w, &two, X509_KEY, &k.spki));
		struct get_response a;
		OK(kf_is(get_as(&w, &one, rows[i].private_format, &a), KF_E_KEY_FORMAT));
		keypair_free(&k);
	}
}

TEST(formats_that_the_version_does_not_know_do_not_leave)
{
	WORLD(w);
	struct pair p;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_p256(&w, NULL, &p)));
	struct ttlv_writer q = question(&w);
	get_put_request(&q, &(struct get_request){ .uid = uid(&p.public_key),
				    .key_format_type = EC_PUBLIC });
	w.version = KMIP_1_2;
	OK(kf_is(ask(&w, KMIP_OPERATION_GET), KF_E_KEY_FORMAT));
	w.version = KMIP_1_3;
	OK(kf_ok(get_as(&w, &p.public_key, EC_PUBLIC, &a)));
	OK(kf_is(get_as(&w, &p.public_key, RSA_PUBLIC, &a), KF_E_KEY_FORMAT));
}

TEST(a_symmetric_key_is_raw_or_transparent)
{
	WORLD(w);
	autobuf raw = buf_new(64);
	struct id one, two;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, NULL, &one)));
	OK(kf_ok(get(&w, &one, &a)));
	buf_add_slice(&raw, a.object.block.material);

	OK(kf_ok(again_as(&w, &one, SYMMETRIC, 12, &two)));

	OK(is(&w, &two, KMIP_KEY_FORMAT_TYPE_RAW, &raw));
	OK(kf_is(get_as(&w, &one, PKCS8, &a), KF_E_KEY_FORMAT));
}

/* As TC-DIGESTS-1 of 2.1 has it, and TC-181 of 1.2. */
TEST(a_transparent_key_has_a_digest_of_its_bytes_too_in_2_0)
{
	WORLD(w);
	static const char key[] =
		"Key Material\n\tKey = Bytes 00001111222233334444555566667777"
		"88889999aaaabbbbccccddddeeeeffff\n";
	struct kmip_object o = { .type = OBJECT_SYMMETRIC_KEY,
		.block = { .format = SYMMETRIC,
			.algorithm = 3,
			.length = 256,
			.has_value = true,
			.is_transparent = true } };
	autobuf item = buf_new(1024);
	struct ttlv_item first, raw, value;
	uint32_t format = 0;
	struct id id;
	OK(kf_ok(ttlv_parse(slice_of(key), &item)));
	o.block.material = buf_slice(&item);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put(&w, &o, 12, &id)));
	OK(kf_ok(attributes(&w, &id)));
	EQ(attrs_count(buf_slice(&w.attrs), TAG_DIGEST), 2);
	OK(attrs_find(buf_slice(&w.attrs), TAG_DIGEST, 0, &first));
	OK(attrs_get_enum(first.value, TAG_KEY_FORMAT_TYPE, &format));
	EQ(format, SYMMETRIC);
	OK(attrs_find(first.value, TAG_DIGEST_VALUE, 0, &value));
	EQ(value.value.p[0], 0x49);
	OK(attrs_find(buf_slice(&w.attrs), TAG_DIGEST, 1, &raw));
	OK(attrs_get_enum(raw.value, TAG_KEY_FORMAT_TYPE, &format));
	EQ(format, KMIP_KEY_FORMAT_TYPE_RAW);
	OK(attrs_find(raw.value, TAG_DIGEST_VALUE, 0, &value));
	EQ(value.value.p[0], 0x6c);

	w.version = KMIP_1_2;
	OK(kf_ok(put(&w, &o, 12, &id)));
	w.version = KMIP_2_1;
	OK(kf_ok(attributes(&w, &id)));
	EQ(attrs_count(buf_slice(&w.attrs), TAG_DIGEST), 1);
}

static const char broken[] = "Key Material\n"
			     "\tModulus = BigInteger 00000000000000ff\n"
			     "\tPrivate Exponent = BigInteger 0000000000000003\n"
			     "\tPublic Exponent = BigInteger 0000000000000003\n";
static const char dsa[] = "Key Material\n"
			  "\tP = BigInteger 00000000000000ff\n"
			  "\tQ = BigInteger 0000000000000003\n"
			  "\tG = BigInteger 0000000000000003\n"
			  "\tX = BigInteger 0000000000000005\n";

TEST(numbers_that_are_no_key_are_refused_and_unknown_kinds_kept)
{
	WORLD(w);
	autobuf item = buf_new(1024);
	struct id id;
	struct get_response a;
	struct kmip_object o = { .type = OBJECT_PRIVATE_KEY,
		.block = { .format = RSA_PRIVATE,
			.algorithm = 4,
			.has_value = true,
			.is_transparent = true } };
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(ttlv_parse(slice_of(broken), &item)));
	o.block.material = buf_slice(&item);
	OK(kf_is(put(&w, &o, 1, &id), KF_E_INVALID_FIELD));

	buf_clear(&item);
	OK(kf_ok(ttlv_parse(slice_of(dsa), &item)));
	o.block.material = buf_slice(&item);
	o.block.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_DSA;
	o.block.format = KMIP_KEY_FORMAT_TYPE_TRANSPARENT_DSA_PRIVATE_KEY;
	OK(kf_ok(put(&w, &o, 1, &id)));
	OK(kf_ok(get(&w, &id, &a)));
	OK(slice_eq(a.object.block.material, buf_slice(&item)));
	OK(kf_is(get_as(&w, &id, PKCS8, &a), KF_E_KEY_FORMAT));
}

TEST_MAIN
