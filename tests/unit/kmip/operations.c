/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/activate.h"
#include "kmip/admin.h"
#include "kmip/asynchronous.h"
#include "kmip/certify.h"
#include "kmip/create.h"
#include "kmip/create_key_pair.h"
#include "kmip/decrypt.h"
#include "kmip/destroy.h"
#include "kmip/discover_versions.h"
#include "kmip/get.h"
#include "kmip/get_attribute_list.h"
#include "kmip/get_attributes.h"
#include "kmip/hash.h"
#include "kmip/locate.h"
#include "kmip/mac.h"
#include "kmip/pkcs11.h"
#include "kmip/query.h"
#include "kmip/register.h"
#include "kmip/rekey.h"
#include "kmip/revoke.h"
#include "kmip/sign.h"
#include "kmip/signature_verify.h"
#include "kmip/token_admin.h"
#include "test.h"

static const uint16_t versions[] = { KMIP_1_0, KMIP_1_1, KMIP_1_2, KMIP_1_3, KMIP_1_4,
	KMIP_2_0, KMIP_2_1 };

#define EACH_VERSION_FROM(v, first)                                                      \
	for (const uint16_t *at_ = versions; at_ < versions + 7; at_++)                  \
		for (uint16_t v = *at_, once_ = 1; v >= (first) && once_; once_ = 0)

/* What `put` writes is read by `get` from memory of exactly its size, and from every cut of it
 * without harm.  `r` is the reader that get uses. */
#define ROUND(put, get)                                                                  \
	do {                                                                             \
		autobuf b_ = buf_new(8192);                                              \
		struct ttlv_writer w = ttlv_write(&b_, version);                         \
		put;                                                                     \
		OK(kf_ok(ttlv_written(&w)));                                             \
		for (size_t cut_ = 0; cut_ < b_.n; cut_++) {                             \
			struct ttlv_reader r = ttlv_read_as(                             \
				(struct slice){ b_.p, cut_ }, version, false);           \
			kf_err e_ = get;                                                 \
			OK(cut_ % 8 == 0 || !kf_ok(e_));                                 \
		}                                                                        \
		buf_clear(&kept);                                                        \
		buf_add(&kept, b_.p, b_.n);                                              \
		struct ttlv_reader r = ttlv_read_as(buf_slice(&kept), version, false);   \
		OK(kf_ok(get));                                                          \
	} while (0)

static struct kmip_uid uid_of(const char *s) { return kmip_uid_text(slice_of(s)); }

static bool uid_is(const struct kmip_uid *uid, const char *s)
{
	return uid->kind == KMIP_UID_TEXT && slice_is(uid->text, s);
}

static const struct cryptographic_parameters pss = {
	.padding_method = KMIP_PADDING_METHOD_PSS,
	.hashing_algorithm = KMIP_HASHING_ALGORITHM_SHA_256,
	.mask_generator = KMIP_MASK_GENERATOR_MGF1,
	.mask_generator_hashing_algorithm = KMIP_HASHING_ALGORITHM_SHA_256,
	.has_salt_length = true,
	.salt_length = 32,
};

TEST(sign_goes_round)
{
	EACH_VERSION_FROM(version, KMIP_1_2)
	{
		autobuf kept = buf_new(8192);
		bool digested = version >= KMIP_1_4;
		struct sign_request got, q = { .uid = uid_of("key"),
			.has_parameters = true,
			.parameters = pss,
			.has_data = !digested,
			.data = slice_of("data"),
			.has_digested_data = digested,
			.digested_data = slice_of("digest"),
			.correlation_value = slice_of("stream") };
		/* Streams came with 1.3. */
		if (version < KMIP_1_3)
			q.correlation_value.n = 0;
		struct sign_response sent = { .uid = uid_of("key"),
			.signature = slice_of("signature") },
				     back;

		ROUND(sign_put_request(&w, &q), sign_get_request(&r, &got));
		OK(uid_is(&got.uid, "key"));
		EQ(got.parameters.padding_method, KMIP_PADDING_METHOD_PSS);
		EQ(got.parameters.has_salt_length, version >= KMIP_1_4);
		EQ(got.has_digested_data, digested);
		OK(slice_is(digested ? got.digested_data : got.data,
			digested ? "digest" : "data"));
		EQ(got.correlation_value.n, q.correlation_value.n);

		ROUND(sign_put_response(&w, &sent), sign_get_response(&r, &back));
		OK(slice_is(back.signature, "signature"));
	}
}

TEST(digested_data_does_not_leave_to_1_3)
{
	autobuf b = buf_new(1024);
	struct ttlv_writer w = ttlv_write(&b, KMIP_1_3);
	struct sign_request q = { .has_digested_data = true,
		.digested_data = slice_of("d") };
	sign_put_request(&w, &q);
	OK(kf_is(ttlv_written(&w), KF_E_INTERNAL));
}

TEST(sign_needs_something_to_sign)
{
	struct ttlv_reader r = ttlv_read_as((struct slice){ 0 }, KMIP_2_1, false);
	struct sign_request q;
	OK(kf_is(sign_get_request(&r, &q), KF_E_MISSING));
}

TEST(data_by_reference_is_not_supported)
{
	autobuf b = buf_new(1024);
	struct sign_request q;
	OK(kf_ok(ttlv_parse(slice_of("Data = Enumeration Hash"), &b)));
	struct ttlv_reader r = ttlv_read_as(buf_slice(&b), KMIP_2_1, false);
	OK(kf_is(sign_get_request(&r, &q), KF_E_FEATURE));
}

TEST(signature_verify_goes_round)
{
	EACH_VERSION_FROM(version, KMIP_1_2)
	{
		autobuf kept = buf_new(8192);
		struct signature_verify_request got, q = { .uid = uid_of("key"),
			.has_data = true,
			.data = slice_of("data"),
			.signature = slice_of("sig") };
		struct signature_verify_response back, sent = { .uid = uid_of("key"),
			.validity = KMIP_VALIDITY_INDICATOR_INVALID };

		ROUND(signature_verify_put_request(&w, &q),
			signature_verify_get_request(&r, &got));
		OK(slice_is(got.data, "data") && slice_is(got.signature, "sig"));

		ROUND(signature_verify_put_response(&w, &sent),
			signature_verify_get_response(&r, &back));
		EQ(back.validity, KMIP_VALIDITY_INDICATOR_INVALID);
	}
}

TEST(mac_and_mac_verify_go_round)
{
	EACH_VERSION_FROM(version, KMIP_1_2)
	{
		autobuf kept = buf_new(8192);
		const bool streams = version >= KMIP_1_3;
		struct mac_request got, q = { .uid = uid_of("key"),
			.has_parameters = true,
			.parameters = { .cryptographic_algorithm = 9 },
			.has_data = true,
			.data = slice_of("data"),
			.mac = slice_of("mac"),
			.correlation_value = slice_of(streams ? "c" : ""),
			.final_indicator = streams };
		struct mac_response made, sent = { .uid = uid_of("key"),
			.mac = slice_of("mac"),
			.correlation_value = slice_of(streams ? "c" : "") };
		struct mac_verify_response said, says = { .uid = uid_of("key"),
			.validity = KMIP_VALIDITY_INDICATOR_UNKNOWN,
			.correlation_value = slice_of(streams ? "c" : "") };

		ROUND(mac_put_request(&w, &q), mac_get_request(&r, &got));
		OK(slice_is(got.data, "data") && !got.mac.n);
		EQ(got.parameters.cryptographic_algorithm, 9);
		EQ(got.final_indicator, streams);
		ROUND(mac_verify_put_request(&w, &q), mac_verify_get_request(&r, &got));
		OK(slice_is(got.data, "data") && slice_is(got.mac, "mac"));
		EQ(got.correlation_value.n, q.correlation_value.n);

		ROUND(mac_put_response(&w, &sent), mac_get_response(&r, &made));
		OK(uid_is(&made.uid, "key") && slice_is(made.mac, "mac"));
		ROUND(mac_verify_put_response(&w, &says),
			mac_verify_get_response(&r, &said));
		EQ(said.validity, KMIP_VALIDITY_INDICATOR_UNKNOWN);
		EQ(said.correlation_value.n, says.correlation_value.n);
	}
}

TEST(hash_and_random_numbers_go_round)
{
	EACH_VERSION_FROM(version, KMIP_1_2)
	{
		autobuf kept = buf_new(8192);
		struct hash_request got, q = { .has_parameters = true,
			.parameters = { .hashing_algorithm = 6 },
			.has_data = true,
			.data = slice_of("data"),
			.init_indicator = version >= KMIP_1_3 };
		struct hash_response back, sent = { .data = slice_of("digest") };
		struct rng_retrieve_request n, want = { 32 };
		struct rng_retrieve_response random, some = { slice_of("random") };
		struct rng_seed_request fed, seed = { slice_of("seed") };
		struct rng_seed_response used, eaten = { 4 };

		ROUND(hash_put_request(&w, &q), hash_get_request(&r, &got));
		OK(slice_is(got.data, "data"));
		EQ(got.parameters.hashing_algorithm, 6);
		EQ(got.init_indicator, q.init_indicator);
		ROUND(hash_put_response(&w, &sent), hash_get_response(&r, &back));
		OK(slice_is(back.data, "digest"));

		ROUND(rng_retrieve_put_request(&w, &want),
			rng_retrieve_get_request(&r, &n));
		EQ(n.data_length, 32);
		ROUND(rng_retrieve_put_response(&w, &some),
			rng_retrieve_get_response(&r, &random));
		OK(slice_is(random.data, "random"));
		ROUND(rng_seed_put_request(&w, &seed), rng_seed_get_request(&r, &fed));
		OK(slice_is(fed.data, "seed"));
		ROUND(rng_seed_put_response(&w, &eaten),
			rng_seed_get_response(&r, &used));
		EQ(used.data_length, 4);
	}
}

TEST(decrypt_and_encrypt_go_round)
{
	EACH_VERSION_FROM(version, KMIP_1_2)
	{
		autobuf kept = buf_new(8192);
		struct decrypt_request got, q = { .uid = uid_of("key"),
			.has_parameters = true,
			.parameters = { .padding_method = KMIP_PADDING_METHOD_OAEP },
			.has_data = true,
			.data = slice_of("cipher"),
			.iv = slice_of("iv") };
		if (version >= KMIP_1_4) {
			q.additional_data = slice_of("aad");
			q.tag = slice_of("tag");
		}
		struct decrypt_response back, sent = {
			.uid = uid_of("key"), .has_data = true, .data = slice_of("plain")
		};

		ROUND(decrypt_put_request(&w, &q), decrypt_get_request(&r, &got));
		OK(slice_is(got.data, "cipher") && slice_is(got.iv, "iv"));
		OK(slice_eq(got.tag, q.tag));
		EQ(got.parameters.padding_method, KMIP_PADDING_METHOD_OAEP);

		ROUND(decrypt_put_response(&w, &sent), decrypt_get_response(&r, &back));
		OK(back.has_data && slice_is(back.data, "plain"));

		ROUND(encrypt_put_request(&w, &q), encrypt_get_request(&r, &got));
		OK(slice_eq(got.additional_data, q.additional_data));
		sent.iv = slice_of("iv2");
		ROUND(encrypt_put_response(&w, &sent), encrypt_get_response(&r, &back));
		OK(slice_is(back.iv, "iv2"));
	}
}

static const struct key_block raw_key = {
	.format = KMIP_KEY_FORMAT_TYPE_RAW,
	.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_AES,
	.length = 128,
	.has_value = true,
	.material = { (const uint8_t *)"0123456789abcdef", 16 },
};

TEST(get_goes_round)
{
	EACH_VERSION_FROM(version, KMIP_1_0)
	{
		autobuf kept = buf_new(8192);
		struct get_request got, q = { .uid = uid_of("key"),
			.key_format_type = KMIP_KEY_FORMAT_TYPE_RAW };
		struct get_response back, sent = { .uid = uid_of("key"),
			.object_type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
			.object = { .type = KMIP_OBJECT_TYPE_SYMMETRIC_KEY,
				.block = raw_key } };

		ROUND(get_put_request(&w, &q), get_get_request(&r, &got));
		EQ(got.key_format_type, KMIP_KEY_FORMAT_TYPE_RAW);
		EQ(got.key_wrapping_specification.n, 0);

		ROUND(get_put_response(&w, &sent), get_get_response(&r, &back));
		EQ(back.object_type, KMIP_OBJECT_TYPE_SYMMETRIC_KEY);
		OK(slice_is(back.object.block.material, "0123456789abcdef"));
		EQ(back.object.block.length, 128);
		OK(!back.object.block.is_wrapped && !back.object.block.is_transparent);
	}
}

TEST(certificate_goes_round)
{
	EACH_VERSION_FROM(version, KMIP_1_0)
	{
		autobuf kept = buf_new(8192);
		struct get_response back, sent = { .uid = uid_of("crt"),
			.object_type = KMIP_OBJECT_TYPE_CERTIFICATE,
			.object = { .type = KMIP_OBJECT_TYPE_CERTIFICATE,
				.certificate_type = KMIP_CERTIFICATE_TYPE_X_509,
				.value = slice_of("DER") } };
		ROUND(get_put_response(&w, &sent), get_get_response(&r, &back));
		OK(slice_is(back.object.value, "DER"));
	}
}

TEST(object_of_another_type_than_said_is_refused)
{
	autobuf b = buf_new(1024);
	struct get_response back;
	OK(kf_ok(ttlv_parse(
		slice_of("Object Type = Enumeration Public Key\n"
			 "Unique Identifier = Text \"a\"\n"
			 "Certificate\n\tCertificate Type = Enumeration X.509\n"
			 "\tCertificate Value = Bytes 00\n"),
		&b)));
	struct ttlv_reader r = ttlv_read_as(buf_slice(&b), KMIP_2_1, false);
	OK(kf_is(get_get_response(&r, &back), KF_E_INVALID_FIELD));
}

static const char wrapped[] = "Private Key\n"
			      "\tKey Block\n"
			      "\t\tKey Format Type = Enumeration PKCS#8\n"
			      "\t\tKey Value = Bytes 00010203\n"
			      "\t\tKey Wrapping Data\n"
			      "\t\t\tWrapping Method = Enumeration Encrypt\n";
static const char transparent[] =
	"Private Key\n"
	"\tKey Block\n"
	"\t\tKey Format Type = Enumeration Transparent RSA Private Key\n"
	"\t\tKey Value\n"
	"\t\t\tKey Material\n"
	"\t\t\t\tModulus = BigInteger 00000000000000ff\n"
	"\t\t\t\tPrivate Exponent = BigInteger 0000000000000003\n"
	"\t\t\tAttributes\n"
	"\t\t\t\tComment = Text \"inside\"\n"
	"\t\tCryptographic Algorithm = Enumeration RSA\n"
	"\t\tCryptographic Length = Integer 8\n";

TEST(stored_objects_are_understood)
{
	autobuf b = buf_new(1024);
	struct kmip_object o;

	OK(kf_ok(ttlv_parse(slice_of(wrapped), &b)));
	OK(kf_ok(kmip_object_parse(buf_slice(&b), &o)));
	OK(o.block.is_wrapped && o.block.is_encoded && o.block.wrapping_data.n == 24);
	EQ(o.block.material.n, 4);
	EQ(o.item.n, b.n);

	buf_clear(&b);
	OK(kf_ok(ttlv_parse(slice_of(transparent), &b)));
	OK(kf_ok(kmip_object_parse(buf_slice(&b), &o)));
	OK(o.block.is_transparent && o.block.attributes.n > 0);
	EQ(o.block.length, 8);
}

static bool contains(const struct buf *b, const char *text)
{
	return memmem(b->p, b->n, text, strlen(text)) != NULL;
}

TEST(nothing_unasked_for_leaves_inside_key_value)
{
	autobuf b = buf_new(1024), out = buf_new(1024), text = buf_new(4096);
	struct kmip_object o;
	OK(kf_ok(ttlv_parse(slice_of(transparent), &b)));
	OK(kf_ok(kmip_object_parse(buf_slice(&b), &o)));
	struct ttlv_writer w = ttlv_write(&out, KMIP_1_0);

	kmip_object_put(&w, &o);

	OK(kf_ok(ttlv_written(&w)));
	OK(kf_ok(ttlv_print(buf_slice(&out), false, &text)));
	OK(contains(&text, "Private Exponent = BigInteger 0000000000000003"));
	OK(!contains(&text, "inside"));
}

TEST(bytes_without_wrapping_data_are_refused)
{
	autobuf b = buf_new(1024);
	struct kmip_object o;
	OK(kf_ok(ttlv_parse(slice_of("Symmetric Key\n\tKey Block\n"
				     "\t\tKey Format Type = Enumeration Raw\n"
				     "\t\tKey Value = Bytes 0001\n"),
		&b)));
	OK(kf_is(kmip_object_parse(buf_slice(&b), &o), KF_E_INVALID_FIELD));
}

TEST(create_goes_round)
{
	EACH_VERSION_FROM(version, KMIP_1_0)
	{
		autobuf kept = buf_new(8192), set = buf_new(4096),
			got_set = buf_new(65536);
		attrs_add_enum(&set, TAG_CRYPTOGRAPHIC_ALGORITHM,
			KMIP_CRYPTOGRAPHIC_ALGORITHM_AES);
		attrs_add_int(&set, TAG_CRYPTOGRAPHIC_LENGTH, 256);
		attrs_add_name(&set, slice_of("n1"));
		attrs_add_name(&set, slice_of("n2"));
		attrs_add_vendor_text(&set, slice_of("x"), slice_of("ID"), slice_of("v"));
		struct create_request got,
			q = { KMIP_OBJECT_TYPE_SYMMETRIC_KEY, buf_slice(&set) };
		struct create_response back,
			sent = { KMIP_OBJECT_TYPE_SYMMETRIC_KEY, uid_of("new") };

		ROUND(create_put_request(&w, &q),
			(buf_clear(&got_set), create_get_request(&r, &got, &got_set)));
		EQ(got.object_type, KMIP_OBJECT_TYPE_SYMMETRIC_KEY);
		OK(slice_eq(got.attributes, q.attributes));

		ROUND(create_put_response(&w, &sent), create_get_response(&r, &back));
		OK(uid_is(&back.uid, "new"));
	}
}

TEST(create_key_pair_goes_round)
{
	EACH_VERSION_FROM(version, KMIP_1_0)
	{
		autobuf kept = buf_new(8192), common = buf_new(4096), own = buf_new(4096),
			got_set = buf_new(65536);
		attrs_add_enum(&common, TAG_CRYPTOGRAPHIC_ALGORITHM,
			KMIP_CRYPTOGRAPHIC_ALGORITHM_RSA);
		attrs_add_name(&own, slice_of("private"));
		struct create_key_pair_request got, q = { .common = buf_slice(&common),
			.private_key = buf_slice(&own) };
		struct create_key_pair_response back,
			sent = { uid_of("prv"), uid_of("pub") };

		ROUND(create_key_pair_put_request(&w, &q),
			(buf_clear(&got_set),
				create_key_pair_get_request(&r, &got, &got_set)));
		OK(slice_eq(got.common, q.common));
		OK(slice_eq(got.private_key, q.private_key));
		EQ(got.public_key.n, 0);

		ROUND(create_key_pair_put_response(&w, &sent),
			create_key_pair_get_response(&r, &back));
		OK(uid_is(&back.private_key, "prv") && uid_is(&back.public_key, "pub"));
	}
}

TEST(rekey_goes_round)
{
	EACH_VERSION_FROM(version, KMIP_1_0)
	{
		autobuf kept = buf_new(8192), set = buf_new(4096),
			got_set = buf_new(65536);
		attrs_add_date(&set, TAG_ACTIVATION_DATE, 5);
		struct rekey_request got, q = { .uid = uid_of("old"),
			.has_offset = true,
			.offset_s = UINT32_MAX,
			.attributes = buf_slice(&set) };
		struct rekey_response back, sent = { uid_of("new") };

		ROUND(rekey_put_request(&w, &q),
			(buf_clear(&got_set), rekey_get_request(&r, &got, &got_set)));
		OK(uid_is(&got.uid, "old") && got.has_offset);
		EQ(got.offset_s, UINT32_MAX);
		OK(slice_eq(got.attributes, q.attributes));

		ROUND(rekey_put_response(&w, &sent), rekey_get_response(&r, &back));
		OK(uid_is(&back.uid, "new"));
	}
}

/* What comes is what was sent, as far as the version knows it. */
static bool same_certify(const struct certify_request *a, const struct certify_request *b)
{
	return a->request_type == b->request_type && slice_eq(a->request, b->request) &&
	       a->has_offset == b->has_offset && a->offset_s == b->offset_s &&
	       slice_eq(a->attributes, b->attributes);
}

TEST(certify_goes_round)
{
	EACH_VERSION_FROM(version, KMIP_1_0)
	{
		autobuf kept = buf_new(8192), set = buf_new(4096),
			got_set = buf_new(65536);
		attrs_add_name(&set, slice_of("www"));
		struct certify_request got, q = { .uid = uid_of("key"),
			.request_type = KMIP_CERTIFICATE_REQUEST_TYPE_PKCS_10,
			.request = slice_of("request"),
			.attributes = buf_slice(&set) };
		struct certify_response back, sent = { uid_of("new") };

		ROUND(certify_put_request(&w, &q),
			(buf_clear(&got_set), certify_get_request(&r, &got, &got_set)));
		OK(uid_is(&got.uid, "key") && same_certify(&got, &q));

		ROUND(certify_put_response(&w, &sent), certify_get_response(&r, &back));
		OK(uid_is(&back.uid, "new"));
	}
}

TEST(recertify_goes_round)
{
	EACH_VERSION_FROM(version, KMIP_1_0)
	{
		autobuf kept = buf_new(8192), set = buf_new(4096),
			got_set = buf_new(65536);
		attrs_add_text(&set, TAG_OBJECT_GROUP, slice_of("web"));
		struct certify_request got, q = { .uid = uid_of("old"),
			.request_uid = uid_of("request"),
			.request_type = KMIP_CERTIFICATE_REQUEST_TYPE_PEM,
			.request = slice_of("-----BEGIN"),
			.has_offset = true,
			.offset_s = 7,
			.attributes = buf_slice(&set) };

		ROUND(recertify_put_request(&w, &q),
			(buf_clear(&got_set), recertify_get_request(&r, &got, &got_set)));
		OK(uid_is(&got.uid, "old") && same_certify(&got, &q));
		OK(version < KMIP_2_0 ? got.request_uid.kind == KMIP_UID_ABSENT
				      : uid_is(&got.request_uid, "request"));
	}
}

TEST(a_certificate_request_may_be_absent_since_1_2_and_has_its_type)
{
	EACH_VERSION_FROM(version, KMIP_1_0)
	{
		autobuf b = buf_new(4096), set = buf_new(4096);
		struct certify_request got;
		struct ttlv_writer w = ttlv_write(&b, version);
		certify_put_request(
			&w, &(struct certify_request){ .uid = uid_of("key") });
		struct ttlv_reader r = ttlv_read_as(buf_slice(&b), version, false);
		EQ(kf_ok(certify_get_request(&r, &got, &set)), version >= KMIP_1_2);

		ttlv_put_enum(&w, TAG_CERTIFICATE_REQUEST_TYPE,
			KMIP_CERTIFICATE_REQUEST_TYPE_PKCS_10);
		r = ttlv_read_as(buf_slice(&b), version, false);
		OK(!kf_ok(certify_get_request(&r, &got, &set)));
	}
}

TEST(a_certificate_request_of_type_0_is_none)
{
	EACH_VERSION_FROM(version, KMIP_1_0)
	{
		autobuf b = buf_new(4096), set = buf_new(4096);
		struct certify_request got;
		struct ttlv_writer w = ttlv_write(&b, version);
		ttlv_put_text(&w, TAG_UNIQUE_IDENTIFIER, slice_of("key"));
		ttlv_put_enum(&w, TAG_CERTIFICATE_REQUEST_TYPE, 0);
		ttlv_put_bytes(&w,
			kmip_is_2(version) ? TAG_CERTIFICATE_REQUEST_VALUE
					   : TAG_CERTIFICATE_REQUEST,
			slice_of("request"));
		struct ttlv_reader r = ttlv_read_as(buf_slice(&b), version, false);
		OK(kf_is(certify_get_request(&r, &got, &set), KF_E_INVALID_FIELD));
		r = ttlv_read_as(buf_slice(&b), version, false);
		OK(kf_is(recertify_get_request(&r, &got, &set), KF_E_INVALID_FIELD));
	}
}

TEST(rekey_key_pair_goes_round)
{
	EACH_VERSION_FROM(version, KMIP_1_1)
	{
		autobuf kept = buf_new(8192), set = buf_new(4096),
			got_set = buf_new(65536);
		attrs_add_name(&set, slice_of("private"));
		struct rekey_pair_request got, q = { .uid = uid_of("old"),
			.has_offset = true,
			.sets.private_key = buf_slice(&set) };

		ROUND(rekey_pair_put_request(&w, &q),
			(buf_clear(&got_set),
				rekey_pair_get_request(&r, &got, &got_set)));
		OK(uid_is(&got.uid, "old") && got.has_offset);
		EQ(got.offset_s, 0);
		OK(slice_eq(got.sets.private_key, q.sets.private_key));
		EQ(got.sets.public_key.n + got.sets.common.n, 0);
	}
}

TEST(register_goes_round)
{
	EACH_VERSION_FROM(version, KMIP_1_0)
	{
		autobuf kept = buf_new(8192), set = buf_new(4096),
			got_set = buf_new(65536);
		attrs_add_date(&set, TAG_ACTIVATION_DATE, 7);
		struct register_request got, q = { .attributes = buf_slice(&set),
			.object = { .type = KMIP_OBJECT_TYPE_SECRET_DATA,
				.secret_data_type = KMIP_SECRET_DATA_TYPE_PASSWORD,
				.block = { .format = KMIP_KEY_FORMAT_TYPE_OPAQUE,
					.has_value = true,
					.material = { (const uint8_t *)"pw", 2 } } } };
		struct register_response back, sent = { uid_of("new") };

		ROUND(register_put_request(&w, &q),
			(buf_clear(&got_set), register_get_request(&r, &got, &got_set)));
		OK(slice_eq(got.attributes, q.attributes));
		EQ(got.object.secret_data_type, KMIP_SECRET_DATA_TYPE_PASSWORD);
		OK(slice_is(got.object.block.material, "pw"));

		ROUND(register_put_response(&w, &sent), register_get_response(&r, &back));
		OK(uid_is(&back.uid, "new"));
	}
}

TEST(get_attributes_goes_round)
{
	EACH_VERSION_FROM(version, KMIP_1_0)
	{
		autobuf kept = buf_new(8192), names = buf_new(1024), set = buf_new(4096),
			got_set = buf_new(65536);
		struct ttlv_writer nw = ttlv_write(&names, version);
		struct attr_ref ref,
			state = { .tag = TAG_STATE },
			custom = { TAG_ATTRIBUTE, slice_of("x"), slice_of("ID") };
		attr_ref_put(&nw, &state);
		attr_ref_put(&nw, &custom);
		attrs_add_enum(&set, TAG_STATE, KMIP_STATE_ACTIVE);
		attrs_add_link(&set, KMIP_LINK_TYPE_PUBLIC_KEY_LINK, slice_of("pub"));
		struct get_attributes_request got,
			q = { uid_of("key"), buf_slice(&names) };
		struct get_attributes_response back,
			sent = { uid_of("key"), buf_slice(&set) };

		ROUND(get_attributes_put_request(&w, &q),
			get_attributes_get_request(&r, &got));
		struct ttlv_reader nr = ttlv_read_as(got.names, version, false);
		OK(attr_ref_get(&nr, &ref) && attr_ref_eq(&ref, &state));
		OK(attr_ref_get(&nr, &ref) && attr_ref_eq(&ref, &custom));
		OK(!attr_ref_get(&nr, &ref));

		ROUND(get_attributes_put_response(&w, &sent),
			(buf_clear(&got_set),
				get_attributes_get_response(&r, &back, &got_set)));
		OK(slice_eq(back.attributes, sent.attributes));
	}
}

TEST(get_attribute_list_names_each_attribute_once)
{
	EACH_VERSION_FROM(version, KMIP_1_0)
	{
		autobuf kept = buf_new(8192), set = buf_new(4096);
		attrs_add_name(&set, slice_of("a"));
		attrs_add_name(&set, slice_of("b"));
		attrs_add_bool(&set, TAG_SENSITIVE, true);
		attrs_add_vendor_text(&set, slice_of("y"), slice_of("k"), slice_of("v"));
		attrs_add_vendor_text(
			&set, slice_of("ACME"), slice_of("k"), slice_of("v"));
		struct get_attribute_list_response back,
			sent = { uid_of("key"), buf_slice(&set) };
		struct attr_ref ref;
		size_t n = 0;

		ROUND(get_attribute_list_put_response(&w, &sent),
			get_attribute_list_get_response(&r, &back));
		struct ttlv_reader nr = ttlv_read_as(back.attributes, version, false);
		while (attr_ref_get(&nr, &ref))
			n++;
		/* Name and y-k; Sensitive since 1.4; other vendors since 2.0 */
		EQ(n, 2 + (version >= KMIP_1_4) + (version >= KMIP_2_0));
	}
}

static void add_link(struct buf *set, uint32_t type, int i)
{
	char id[16];
	snprintf(id, sizeof(id), "object-%d", i);
	attrs_add_link(set, type, slice_of(id));
}

/* Also where thousands of instances are of values that the version does not know. */
TEST(get_attribute_list_names_what_the_version_knows_an_instance_of)
{
	enum { MANY = 3000 };
	autobuf set = buf_new(1 << 20), kept = buf_new(8192);
	for (int i = 0; i < MANY; i++)
		add_link(&set, KMIP_LINK_TYPE_NEXT_LINK, i);
	for (int known = 0; known < 2; known++) {
		struct get_attribute_list_response back,
			sent = { uid_of("key"), buf_slice(&set) };
		struct ttlv_writer w = ttlv_write(&kept, KMIP_1_0);
		struct attr_ref ref;
		buf_clear(&kept);
		get_attribute_list_put_response(&w, &sent);
		struct ttlv_reader r = ttlv_read_as(buf_slice(&kept), KMIP_1_0, false);
		OK(kf_ok(get_attribute_list_get_response(&r, &back)));
		struct ttlv_reader names = ttlv_read_as(back.attributes, KMIP_1_0, false);
		EQ(attr_ref_get(&names, &ref), known > 0);
		OK(!attr_ref_get(&names, &ref));
		for (int i = 0; i < MANY; i++)
			add_link(&set, KMIP_LINK_TYPE_PUBLIC_KEY_LINK, i);
	}
}

TEST(locate_goes_round)
{
	EACH_VERSION_FROM(version, KMIP_1_0)
	{
		autobuf kept = buf_new(8192), set = buf_new(4096),
			got_set = buf_new(65536), uids = buf_new(4096);
		attrs_add_name(&set, slice_of("a"));
		locate_add_uid(&uids, slice_of("k1"));
		locate_add_uid(&uids, slice_of("k2"));
		struct locate_request got, q = { .maximum_items = 10,
			.offset_items = 5,
			.attributes = buf_slice(&set) };
		struct locate_response back,
			sent = { .located_items = 2, .uids = buf_slice(&uids) };
		struct slice uid;

		ROUND(locate_put_request(&w, &q),
			(buf_clear(&got_set), locate_get_request(&r, &got, &got_set)));
		EQ(got.maximum_items, 10);
		EQ(got.offset_items, version >= KMIP_1_3 ? 5 : -1);
		OK(!got.has_storage_status_mask);
		OK(slice_eq(got.attributes, q.attributes));

		ROUND(locate_put_response(&w, &sent), locate_get_response(&r, &back));
		EQ(back.located_items, version >= KMIP_1_3 ? 2 : -1);
		struct ttlv_reader ids = ttlv_read(back.uids);
		OK(locate_next_uid(&ids, &uid) && slice_is(uid, "k1"));
		OK(locate_next_uid(&ids, &uid) && slice_is(uid, "k2"));
		OK(!locate_next_uid(&ids, &uid));
	}
}

TEST(life_cycle_goes_round)
{
	EACH_VERSION_FROM(version, KMIP_1_0)
	{
		autobuf kept = buf_new(8192);
		struct revoke_request got, q = { .uid = uid_of("key"),
			.reason = KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE,
			.message = slice_of("lost"),
			.has_compromise_date = true,
			.compromise_occurrence_date = 9 };
		struct destroy_request gone, d = { uid_of("key") };

		ROUND(revoke_put_request(&w, &q), revoke_get_request(&r, &got));
		EQ(got.reason, KMIP_REVOCATION_REASON_CODE_KEY_COMPROMISE);
		OK(slice_is(got.message, "lost") && got.has_compromise_date);
		EQ(got.compromise_occurrence_date, 9);

		ROUND(destroy_put_request(&w, &d), destroy_get_request(&r, &gone));
		OK(uid_is(&gone.uid, "key"));
	}
}

TEST(identifier_may_be_a_number_in_2_x_only)
{
	EACH_VERSION_FROM(version, KMIP_1_0)
	{
		autobuf b = buf_new(1024);
		struct destroy_request q;
		OK(kf_ok(ttlv_parse(
			slice_of("Unique Identifier = Enumeration ID Placeholder"), &b)));
		struct ttlv_reader r = ttlv_read_as(buf_slice(&b), version, false);
		OK(kf_ok(destroy_get_request(&r, &q)) == kmip_is_2(version));
		OK(!kmip_is_2(version) || q.uid.kind == KMIP_UID_ENUM);
	}
}

TEST(query_answers_only_what_the_version_knows)
{
	EACH_VERSION_FROM(version, KMIP_1_0)
	{
		autobuf kept = buf_new(8192);
		struct query_request got,
			q = { 2, { KMIP_QUERY_FUNCTION_QUERY_OPERATIONS,
					 KMIP_QUERY_FUNCTION_QUERY_OBJECTS } };
		struct query_response back, sent = {
			.operations = 3,
			.operation = { KMIP_OPERATION_GET, KMIP_OPERATION_SIGN,
				KMIP_OPERATION_PING },
			.object_types = 2,
			.object_type = { KMIP_OBJECT_TYPE_PRIVATE_KEY,
				KMIP_OBJECT_TYPE_CERTIFICATE_REQUEST },
			.vendor_identification = slice_of("keyfleet"),
			.has_server_information = true,
			.server_load = slice_of("12"),
		};

		ROUND(query_put_request(&w, &q), query_get_request(&r, &got));
		EQ(got.n, 2);
		ROUND(query_put_response(&w, &sent), query_get_response(&r, &back));
		EQ(back.operations, 1 + (version >= KMIP_1_2) + (version >= KMIP_2_1));
		EQ(back.object_types, 1 + (version >= KMIP_2_0));
		OK(slice_is(back.server_load, kmip_is_2(version) ? "12" : ""));
	}
}

TEST(versions_are_chosen_highest_first)
{
	struct discover_versions_request got, q = { 3, { 0x0300, KMIP_1_2, KMIP_2_0 } };
	struct discover_versions_response a;
	autobuf kept = buf_new(1024);
	uint16_t version = KMIP_1_1;

	ROUND(discover_versions_put_request(&w, &q),
		discover_versions_get_request(&r, &got));
	discover_versions_choose(&got, &a);
	EQ(a.n, 2);
	EQ(a.version[0], KMIP_2_0);
	EQ(a.version[1], KMIP_1_2);

	got.n = 0;
	discover_versions_choose(&got, &a);
	EQ(a.n, 7);
	EQ(a.version[0], KMIP_2_1);
}

TEST(asynchronous_requests_go_round)
{
	autobuf kept = buf_new(8192);
	EACH_VERSION_FROM(version, KMIP_1_0)
	{
		struct asynchronous_request q;
		ROUND(asynchronous_put_request(
			      &w, &(struct asynchronous_request){ SLICE_LIT("id") }),
			asynchronous_get_request(&r, &q));
		OK(slice_is(q.id, "id"));
		struct cancel_response a;
		ROUND(cancel_put_response(&w, &(struct cancel_response){ SLICE_LIT("id"),
						      KMIP_CANCELLATION_RESULT_FAILED }),
			cancel_get_response(&r, &a));
		OK(slice_is(a.id, "id") && a.result == KMIP_CANCELLATION_RESULT_FAILED);
	}
	EACH_VERSION_FROM(version, KMIP_2_1)
	{
		struct query_asynchronous_request q;
		const struct query_asynchronous_request full = { true, true, 2, 1,
			{ SLICE_LIT("a"), SLICE_LIT("b") }, { KMIP_OPERATION_GET } };
		ROUND(query_asynchronous_put_request(&w, &full),
			query_asynchronous_get_request(&r, &q));
		OK(q.has_ids && q.ids == 2 && slice_is(q.id[1], "b"));
		OK(q.has_operations && q.operations == 1);
		struct asynchronous_row row;
		ROUND(asynchronous_put_row(&w, &(struct asynchronous_row){ SLICE_LIT("a"),
						       KMIP_OPERATION_GET, 7,
						       KMIP_PROCESSING_STAGE_COMPLETED }),
			(asynchronous_next_row(&r, &row) ? ttlv_done(&r)
							 : kf_fail(SHORT, "test")));
		OK(row.submitted_s == 7 && row.stage == 3);
	}
}

TEST(pkcs11_goes_round)
{
	autobuf kept = buf_new(8192);
	EACH_VERSION_FROM(version, KMIP_2_0)
	{
		struct pkcs11_request q;
		ROUND(pkcs11_put_request(
			      &w, &(struct pkcs11_request){ SLICE_LIT("PKCS 11"), 3,
					  SLICE_LIT("id"), SLICE_LIT("in") }),
			pkcs11_get_request(&r, &q));
		OK(slice_is(q.interface, "PKCS 11") && q.function == 3);
		OK(slice_is(q.correlation, "id") && slice_is(q.input, "in"));
		struct pkcs11_response a;
		ROUND(pkcs11_put_response(
			      &w, &(struct pkcs11_response){ SLICE_LIT("PKCS 11"), 3,
					  SLICE_LIT("id"), SLICE_LIT("out"), 0x54 }),
			pkcs11_get_response(&r, &a));
		OK(slice_is(a.output, "out") && a.return_code == 0x54);
	}
}

TEST(administration_goes_round)
{
	static const uint8_t print[33] = "0123456789abcdef0123456789abcdef";
	EACH_VERSION_FROM(version, KMIP_1_0)
	{
		autobuf kept = buf_new(8192), items = buf_new(4096);
		struct client_add_request c,
			client = { slice_of("web1"), { print, 32 }, 99 };
		struct admin_grant g, grant = { .who = slice_of("web1"),
			.key = slice_of("group:tls"),
			.permissions = 0x80000021,
			.constraints = 1 };
		struct page p, page = { 20, 10 };
		struct list_response back, list = { .total = 2 };
		struct backup_response chunk,
			sent = { 1 << 20, 1LL << 40, slice_of("bytes") };

		ROUND(client_add_put_request(&w, &client),
			client_add_get_request(&r, &c));
		OK(slice_is(c.name, "web1") && c.fingerprint.n == 32 &&
			c.not_after == 99);
		ROUND(grant_add_put_request(&w, &grant), grant_add_get_request(&r, &g));
		OK(slice_is(g.key, "group:tls") && g.permissions == 0x80000021);
		EQ(g.rate_per_hour | g.burst | g.concurrency, 0);
		grant.rate_per_hour = 360000;
		grant.concurrency = 16;
		ROUND(grant_add_put_request(&w, &grant), grant_add_get_request(&r, &g));
		OK(g.rate_per_hour == 360000 && !g.burst && g.concurrency == 16);
		ROUND(page_put_request(&w, &page), page_get_request(&r, &p));
		OK(p.offset == 20 && p.maximum == 10);
		ROUND(backup_put_response(&w, &sent), backup_get_response(&r, &chunk));
		OK(chunk.size == 1LL << 40 && slice_is(chunk.chunk, "bytes"));

		grant.id = slice_of("g-1");
		admin_grant_add(&items, &grant);
		admin_grant_add(&items, &grant);
		list.items = buf_slice(&items);
		ROUND(list_put_response(&w, &list), list_get_response(&r, &back));
		struct ttlv_reader each = ttlv_read(back.items);
		OK(admin_grant_next(&each, &g) && slice_is(g.id, "g-1"));
		OK(admin_grant_next(&each, &g));
		OK(!admin_grant_next(&each, &g) && ttlv_ok(&each));
	}
}

TEST(operations_on_tokens_go_round)
{
	static const uint8_t share[32] = { 1 };
	EACH_VERSION_FROM(version, KMIP_1_0)
	{
		autobuf kept = buf_new(8192);
		struct token_action a, action = { .kind = TOKEN_ACTION_INIT,
			.serial = slice_of("DENK01"),
			.pin = slice_of("648219"),
			.so_pin = slice_of("3537363231383830"),
			.label = slice_of("first"),
			.shares = -1,
			.share = { share, 32 },
			.pin_tries = 5 };
		struct key_transfer t, transfer = { .kind = KEY_TRANSFER_CLONE,
			.uid = slice_of("some-id"),
			.n = 2,
			.serial = { slice_of("A"), slice_of("B") } };
		struct key_adopt k, adopt = { .pool = slice_of("main"),
			.key_id = { share, 32 },
			.name = slice_of("www"),
			.copies = 3,
			.usage = 1 };
		struct key_transfer_response x, out = { .blob = slice_of("file") };

		ROUND(token_action_put_request(&w, &action),
			token_action_get_request(&r, &a));
		OK(a.kind == TOKEN_ACTION_INIT && slice_is(a.serial, "DENK01"));
		OK(slice_is(a.pin, "648219") && slice_is(a.label, "first") &&
			!a.new_pin.n);
		OK(a.shares == -1 && a.share.n == 32 && a.pin_tries == 5);
		ROUND(key_transfer_put_request(&w, &transfer),
			key_transfer_get_request(&r, &t));
		OK(t.n == 2 && slice_is(t.serial[1], "B") && slice_is(t.uid, "some-id"));
		ROUND(key_adopt_put_request(&w, &adopt), key_adopt_get_request(&r, &k));
		OK(k.key_id.n == 32 && !k.blob.n && k.copies == 3 && k.usage == 1);
		struct key_overflow o, copy = { .uid = kmip_uid_text(slice_of("some-id")),
			.key = slice_of("a private key") };
		ROUND(key_overflow_put_request(&w, &copy),
			key_overflow_get_request(&r, &o));
		OK(slice_is(o.uid.text, "some-id") && slice_is(o.key, "a private key"));
		ROUND(key_overflow_put_response(&w, &copy),
			key_overflow_get_response(&r, &o));
		OK(slice_is(o.uid.text, "some-id") && !o.key.n);
		ROUND(key_transfer_put_response(&w, &out),
			key_transfer_get_response(&r, &x));
		OK(slice_is(x.blob, "file") && !x.facts.n);
	}
}

TEST(rows_of_tokens_and_of_their_keys_go_round)
{
	autobuf items = buf_new(4096), facts = buf_new(4096);
	static const uint8_t id[32] = { 7 };
	struct token_row t;
	struct token_key_row k;
	struct status_pair p;
	status_pair_add(
		&facts, &(struct status_pair){ slice_of("state"), slice_of("serving") });
	token_row_add(&items, &(struct token_row){ slice_of("main"), slice_of("S1"),
				      buf_slice(&facts) });
	token_key_row_add(&items, &(struct token_key_row){ slice_of("main"), { id, 32 },
					  buf_slice(&facts) });

	struct ttlv_reader r = ttlv_read(buf_slice(&items));
	OK(token_row_next(&r, &t) && slice_is(t.pool, "main") &&
		slice_is(t.serial, "S1"));
	struct ttlv_reader each = ttlv_read(t.facts);
	OK(status_pair_next(&each, &p) && slice_is(p.value, "serving"));
	OK(!status_pair_next(&each, &p) && ttlv_ok(&each));
	OK(token_key_row_next(&r, &k) && k.key_id.n == 32 && k.facts.n == facts.n);
	OK(!token_key_row_next(&r, &k) && ttlv_ok(&r));
}

TEST(what_makes_no_sense_to_a_token_is_refused)
{
	static const uint8_t id[32] = { 7 };
	const struct token_action actions[] = {
		{ .kind = 0, .serial = slice_of("A") },
		{ .kind = 7, .serial = slice_of("A") },
		{ .kind = 1, .serial = slice_of("A"), .shares = -2 },
		{ .kind = 6, .serial = slice_of("A"), .share = { id, 31 } },
	};
	const struct key_adopt adopts[] = {
		{ .pool = slice_of("p") },
		{ .pool = slice_of("p"), .key_id = { id, 31 } },
		{ .pool = slice_of("p"), .key_id = { id, 32 }, .blob = { id, 32 } },
		{ .pool = slice_of("p"), .key_id = { id, 32 }, .copies = 129 },
	};
	for (size_t i = 0; i < 4; i++) {
		autobuf b = buf_new(4096);
		struct token_action a;
		struct key_adopt k;
		struct ttlv_writer w = ttlv_write(&b, KMIP_2_1);
		token_action_put_request(&w, &actions[i]);
		struct ttlv_reader r = ttlv_read_as(buf_slice(&b), KMIP_2_1, false);
		OK(kf_is(token_action_get_request(&r, &a), KF_E_INVALID_FIELD));
		buf_clear(&b);
		key_adopt_put_request(&w, &adopts[i]);
		r = ttlv_read_as(buf_slice(&b), KMIP_2_1, false);
		OK(kf_is(key_adopt_get_request(&r, &k), KF_E_INVALID_FIELD));
	}
}

TEST(fingerprint_is_32_bytes)
{
	autobuf b = buf_new(1024);
	struct client_add_request c, client = { slice_of("web1"), slice_of("short"), 99 };
	struct ttlv_writer w = ttlv_write(&b, KMIP_2_1);
	client_add_put_request(&w, &client);
	struct ttlv_reader r = ttlv_read_as(buf_slice(&b), KMIP_2_1, false);
	OK(kf_is(client_add_get_request(&r, &c), KF_E_INVALID_FIELD));
}

TEST(status_pairs_go_round)
{
	autobuf items = buf_new(4096);
	struct status_pair p, pair = { slice_of("objects"), slice_of("12") };
	status_pair_add(&items, &pair);
	struct ttlv_reader r = ttlv_read(buf_slice(&items));
	OK(status_pair_next(&r, &p) && slice_is(p.name, "objects") &&
		slice_is(p.value, "12"));
	OK(!status_pair_next(&r, &p));
}

TEST_MAIN
