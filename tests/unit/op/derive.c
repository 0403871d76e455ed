/* SPDX-License-Identifier: Apache-2.0 */
#include "../hex.h"
#include "crypt/kdf.h"
#include "crypt/keygen.h"
#include "kmip/derive_key.h"
#include "world.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/x509.h>
#include <string.h>

enum { USAGE_DERIVE = 0x200, USAGE_AGREE = 0x800, AES = 3, HMAC_SHA256 = 9 };

struct base {
	uint32_t type, algorithm, format;
	int32_t usage;
	struct slice bytes;
	bool is_inactive, is_sensitive;
};

static kf_err put(struct world *w, const struct base *b, struct id *ret)
{
	autobuf attrs = buf_new(4096);
	const bool is_secret = b->type == OBJECT_SECRET_DATA;

	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, b->usage);
	if (b->is_sensitive)
		attrs_add_bool(&attrs, TAG_SENSITIVE, true);
	if (!b->is_inactive)
		attrs_add_date(&attrs, TAG_ACTIVATION_DATE, w->now_s);
	return register_object(w, buf_slice(&attrs),
		&(struct kmip_object){ .type = b->type,
			.secret_data_type =
				is_secret ? KMIP_SECRET_DATA_TYPE_PASSWORD : 0,
			.block = { .format = b->format ? b->format : 1,
				.algorithm = b->algorithm,
				.has_value = true,
				.material = b->bytes } },
		ret);
}

static kf_err put_password(struct world *w, const char *text, struct id *ret)
{
	return put(w,
		&(struct base){ .type = OBJECT_SECRET_DATA,
			.usage = USAGE_DERIVE,
			.bytes = slice_of(text) },
		ret);
}

static const uint8_t key_bytes[32] = { 1, 2, 3 };

static kf_err put_key(struct world *w, struct id *ret)
{
	return put(w,
		&(struct base){ .type = OBJECT_SYMMETRIC_KEY,
			.algorithm = AES,
			.usage = USAGE_DERIVE,
			.bytes = { key_bytes, 32 } },
		ret);
}

struct wish {
	uint32_t method, type;
	const struct id *base, *other;
	struct derivation_parameters how;
	uint32_t algorithm;
	int32_t bits;
};

static kf_err derive(struct world *w, const struct wish *wish, struct id *ret)
{
	autobuf attrs = buf_new(4096);

	if (wish->algorithm)
		attrs_add_enum(&attrs, TAG_CRYPTOGRAPHIC_ALGORITHM, wish->algorithm);
	if (wish->bits)
		attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_LENGTH, wish->bits);
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, 12);
	struct derive_key_request d = { .object_type = wish->type ? wish->type
								  : OBJECT_SYMMETRIC_KEY,
		.base = { uid(wish->base), uid(wish->other) },
		.bases = wish->other ? 2 : 1,
		.method = wish->method,
		.how = wish->how,
		.attributes = buf_slice(&attrs) };
	struct ttlv_writer q = question(w);
	derive_key_put_request(&q, &d);
	KF_TRY(ttlv_written(&q));
	KF_TRY(ask(w, KMIP_OPERATION_DERIVE_KEY));
	struct derive_key_response a;
	struct ttlv_reader r = answer(w);
	KF_TRY(derive_key_get_response(&r, &a));
	keep_id(&a.uid, ret);
	return KF_OK;
}

/* Derives, and reads what came of it. */
static bool derives(struct world *w, const struct wish *wish, const char *want)
{
	struct get_response a;
	struct id id;
	return kf_ok(derive(w, wish, &id)) && kf_ok(get(w, &id, &a)) &&
	       hex_is(a.object.block.material, want);
}

static struct derivation_parameters with_hash(uint32_t hash)
{
	return (struct derivation_parameters){ .has_parameters = true,
		.parameters = { .hashing_algorithm = hash } };
}

static void add_data(struct derivation_parameters *p, const char *text)
{
	p->data[p->data_n++] = slice_of(text);
}

TEST(pbkdf2_makes_a_key_of_a_pass_phrase_in_every_version)
{
	const uint16_t versions[] = { KMIP_1_0, KMIP_1_1, KMIP_1_2, KMIP_1_3, KMIP_1_4,
		KMIP_2_0, KMIP_2_1 };
	for (size_t i = 0; i < sizeof(versions) / sizeof(*versions); i++) {
		WORLD(w);
		struct id base;
		OK(kf_ok(let_alice_create(&w)));
		OK(kf_ok(put_password(&w, "password", &base)));
		w.version = versions[i];
		struct wish wish = { .method = KMIP_DERIVATION_METHOD_PBKDF2,
			.base = &base,
			.how = { .salt = slice_of("salt"),
				.has_salt = true,
				.has_iterations = true,
				.iterations = 4096 },
			.algorithm = AES,
			.bits = 128 };
		OK(derives(&w, &wish, "4b007901b765489abead49d926f721d0"));
		struct id none;
		wish.how.iterations = 2000001;
		OK(kf_is(derive(&w, &wish, &none), KF_E_INVALID_FIELD));
		wish.how.iterations = 1000000;
		wish.bits = 512; /* four blocks */
		wish.algorithm = HMAC_SHA256;
		OK(kf_is(derive(&w, &wish, &none), KF_E_INVALID_FIELD));
		w.server.iterations_max = 4 * 4096;
		wish.how.iterations = 4096;
		OK(kf_ok(derive(&w, &wish, &none)));
		wish.how.iterations++;
		OK(kf_is(derive(&w, &wish, &none), KF_E_INVALID_FIELD));
		wish.how.has_iterations = false;
		OK(kf_is(derive(&w, &wish, &none), KF_E_INVALID_FIELD));
	}
}

TEST(what_nothing_can_be_derived_from_is_an_invalid_field_in_1_x)
{
	WORLD(w);
	struct id key, none;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_aes(&w, NULL, &key))); /* for encryption, and not active */
	struct wish wish = { .method = KMIP_DERIVATION_METHOD_HMAC,
		.base = &key,
		.how = with_hash(KMIP_HASHING_ALGORITHM_SHA_256),
		.algorithm = AES,
		.bits = 128 };
	add_data(&wish.how, "info");
	w.version = KMIP_1_4;
	OK(kf_is(derive(&w, &wish, &none), KF_E_INVALID_FIELD));
	OK(kf_ok(activate(&w, &key)));
	OK(kf_is(derive(&w, &wish, &none), KF_E_INVALID_FIELD));
	w.version = KMIP_2_0;
	OK(kf_is(derive(&w, &wish, &none), KF_E_USAGE));
}

TEST(the_derived_key_and_its_base_know_each_other)
{
	WORLD(w);
	struct id base, made;
	struct slice link;
	uint32_t type = 0;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_key(&w, &base)));
	struct wish wish = { .method = KMIP_DERIVATION_METHOD_HMAC,
		.base = &base,
		.how = with_hash(KMIP_HASHING_ALGORITHM_SHA_256),
		.algorithm = AES,
		.bits = 256 };
	add_data(&wish.how, "info");

	OK(kf_ok(derive(&w, &wish, &made)));

	OK(kf_ok(attributes(&w, &made)));
	OK(attrs_get_link(
		buf_slice(&w.attrs), KMIP_LINK_TYPE_DERIVATION_BASE_OBJECT_LINK, &link));
	OK(slice_is(link, base.text));
	OK(attrs_get_enum(buf_slice(&w.attrs), TAG_OBJECT_TYPE, &type));
	EQ(type, OBJECT_SYMMETRIC_KEY);
	EQ(attrs_count(buf_slice(&w.attrs), TAG_DIGEST), 1);
	OK(kf_ok(attributes(&w, &base)));
	OK(attrs_get_link(buf_slice(&w.attrs), KMIP_LINK_TYPE_DERIVED_KEY_LINK, &link));
	OK(slice_is(link, made.text));
}

static const struct id *changing;
static void revoke_it(struct world *w) { OK(kf_ok(revoke(w, changing, 1))); }
static void change_base(struct world *w) { meanwhile(w, revoke_it); }

TEST(a_base_that_changes_meanwhile_is_looked_at_again)
{
	WORLD(w);
	struct id base, made;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_key(&w, &base)));
	struct wish wish = { .method = KMIP_DERIVATION_METHOD_HMAC,
		.base = &base,
		.how = with_hash(KMIP_HASHING_ALGORITHM_SHA_256),
		.algorithm = AES,
		.bits = 256 };
	add_data(&wish.how, "info");

	changing = &base;
	w.before_commit = change_base;

	OK(kf_is(derive(&w, &wish, &made), KF_E_STATE));
}

TEST(each_method_gives_the_bytes_of_its_standard)
{
	WORLD(w);
	struct id key, password, info, hmac_key, aws;
	uint8_t mac[32];
	char want[65];
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_key(&w, &key)));
	OK(kf_ok(put_password(&w, "abc", &password)));
	OK(kf_ok(put_password(&w, "info", &info)));
	OK(kf_ok(put_password(&w, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", &aws)));
	HMAC(EVP_sha256(), key_bytes, 32, (const uint8_t *)"info", 4, mac, NULL);
	for (int i = 0; i < 32; i++)
		snprintf(want + 2 * i, 3, "%02x", mac[i]);

	struct wish wish = { .method = KMIP_DERIVATION_METHOD_HASH,
		.type = OBJECT_SECRET_DATA,
		.base = &password,
		.how = with_hash(KMIP_HASHING_ALGORITHM_SHA_256) };
	OK(derives(&w, &wish,
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
	wish.bits = 128;
	OK(derives(&w, &wish, "ba7816bf8f01cfea414140de5dae2223"));

	wish.method = KMIP_DERIVATION_METHOD_HMAC;
	wish.base = &key;
	wish.bits = 0;
	wish.other = &info;
	OK(derives(&w, &wish, want)); /* the data as an object */
	wish.other = NULL;
	add_data(&wish.how, "info");
	OK(derives(&w, &wish, want));
	wish.other = &info;
	OK(kf_is(derive(&w, &wish, &hmac_key), KF_E_MALFORMED));

	wish = (struct wish){ .method = KMIP_DERIVATION_METHOD_AWS_SIGNATURE_VERSION_4,
		.type = OBJECT_SECRET_DATA,
		.base = &aws };
	add_data(&wish.how, "20150830");
	add_data(&wish.how, "us-east-1");
	add_data(&wish.how, "iam");
	add_data(&wish.how, "aws4_request");
	OK(derives(&w, &wish,
		"c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"));
	wish.how.data_n = 0;
	add_data(&wish.how, "20150830/us-east-1/iam/aws4_request");
	OK(derives(&w, &wish,
		"c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"));
}

TEST(hkdf_and_sp_800_108_are_those_of_the_standards)
{
	WORLD(w);
	const struct hex ki =
		hex("dd1d91b7d90b2bd3138533ce92b272fbf8a369316aefe242e659cc0ae238afe0");
	const struct hex fixed = hex("01322b96b30acd197979444e468e1c5c6859bf1b1cf951b7e72"
				     "5303e237e46b864a145fab25e"
				     "517b08f8683d0315bb2911d80a0e8aba17f3b413faac");
	const struct hex ikm = hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b");
	const struct hex salt = hex("000102030405060708090a0b0c");
	const struct hex info = hex("f0f1f2f3f4f5f6f7f8f9");
	struct id key;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put(&w,
		&(struct base){ .type = OBJECT_SYMMETRIC_KEY,
			.algorithm = HMAC_SHA256,
			.usage = USAGE_DERIVE,
			.bytes = hex_slice(&ki) },
		&key)));
	struct wish wish = { .method = KMIP_DERIVATION_METHOD_NIST800_108_C,
		.base = &key,
		.how = { .data = { hex_slice(&fixed) }, .data_n = 1 },
		.algorithm = AES,
		.bits = 128 };
	OK(derives(&w, &wish, "10621342bfb0fd40046c0e29f2cfdbf0"));

	OK(kf_ok(put(&w,
		&(struct base){ .type = OBJECT_SECRET_DATA,
			.usage = USAGE_DERIVE,
			.bytes = hex_slice(&ikm) },
		&key)));
	wish.method = KMIP_DERIVATION_METHOD_HKDF;
	wish.type = OBJECT_SECRET_DATA;
	wish.how = with_hash(KMIP_HASHING_ALGORITHM_SHA_256);
	wish.how.data[0] = hex_slice(&info);
	wish.how.data_n = 1;
	wish.how.salt = hex_slice(&salt);
	wish.how.has_salt = true;
	wish.bits = 42 * 8;
	wish.algorithm = 0;
	OK(derives(&w, &wish,
		"3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db0"
		"2d56ecc4c5bf34007208d5b887185865"));
	w.version = KMIP_1_4; /* which does not know it */
	struct id none;
	OK(!kf_ok(derive(&w, &wish, &none)));
}

static kf_err put_pair(struct world *w, EVP_PKEY *k, uint32_t algorithm,
	struct id *private_key, struct id *public_key)
{
	uint8_t *der = NULL, *spki = NULL;
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(k);
	const int n = i2d_PKCS8_PRIV_KEY_INFO(info, &der), m = i2d_PUBKEY(k, &spki);
	kf_err err = put(w,
		&(struct base){ .type = OBJECT_PRIVATE_KEY,
			.algorithm = algorithm,
			.format = 4,
			.usage = USAGE_AGREE,
			.bytes = { der, (size_t)n } },
		private_key);
	if (kf_ok(err))
		err = put(w,
			&(struct base){ .type = OBJECT_PUBLIC_KEY,
				.algorithm = algorithm,
				.format = 5,
				.usage = USAGE_DERIVE,
				.bytes = { spki, (size_t)m } },
			public_key);
	PKCS8_PRIV_KEY_INFO_free(info);
	OPENSSL_free(der);
	OPENSSL_free(spki);
	return err;
}

TEST(encrypt_gives_the_ciphertext_of_the_data)
{
	WORLD(w);
	const struct hex key = hex("2b7e151628aed2a6abf7158809cf4f3c");
	const struct hex iv = hex("000102030405060708090a0b0c0d0e0f");
	const struct hex data = hex("6bc1bee22e409f96e93d7e117393172a");
	struct id base, none;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put(&w,
		&(struct base){ .type = OBJECT_SYMMETRIC_KEY,
			.algorithm = AES,
			.usage = USAGE_DERIVE,
			.bytes = hex_slice(&key) },
		&base)));
	struct wish wish = { .method = KMIP_DERIVATION_METHOD_ENCRYPT,
		.base = &base,
		.how = { .has_parameters = true,
			.parameters = { .block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_CBC },
			.iv = hex_slice(&iv),
			.data = { hex_slice(&data) },
			.data_n = 1 },
		.algorithm = AES,
		.bits = 128 };
	OK(derives(&w, &wish, "7649abac8119b246cee98e9b12e9197d")); /* SP 800-38A */
	wish.bits = 256;
	OK(kf_is(derive(&w, &wish, &none), KF_E_DATA));
	wish.how.parameters.padding_method = KMIP_PADDING_METHOD_PKCS5;
	OK(derives(&w, &wish,
		"7649abac8119b246cee98e9b12e9197d8964e0b149c10b7b682e6e39aaeb731c"));
	wish.bits = 128;
	OK(derives(&w, &wish, "7649abac8119b246cee98e9b12e9197d"));
	wish.how.parameters.padding_method = 0;
	wish.how.iv.n = 0;
	OK(kf_is(derive(&w, &wish, &none), KF_E_MISSING_IV));
	wish.how.parameters.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_ECB;
	OK(derives(&w, &wish, "3ad77bb40d7a3660a89ecaf32466ef97"));
	wish.how.parameters.block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_GCM;
	OK(kf_is(derive(&w, &wish, &none), KF_E_BAD_PARAMETERS));
}

static struct wish by_ctr(const struct id *key, const struct id *data)
{
	static const uint8_t iv[16];
	return (struct wish){ .method = KMIP_DERIVATION_METHOD_ENCRYPT,
		.base = key,
		.other = data,
		.how = { .has_parameters = true,
			.parameters = { .block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_CTR },
			.iv = { iv, sizeof(iv) } },
		.algorithm = HMAC_SHA256,
		.bits = 64 };
}

/* A key that protects data is no oracle for who may only derive. */
static kf_err put_mixed(struct world *w, int32_t usage, int64_t total, struct id *ret)
{
	autobuf attrs = buf_new(4096);
	struct register_response a;
	struct ttlv_writer l = ttlv_write(&attrs, 0);
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, usage);
	attrs_add_date(&attrs, TAG_ACTIVATION_DATE, w->now_s);
	ttlv_begin(&l, TAG_USAGE_LIMITS);
	ttlv_put_long(&l, TAG_USAGE_LIMITS_TOTAL, total);
	ttlv_put_enum(&l, TAG_USAGE_LIMITS_UNIT, KMIP_USAGE_LIMITS_UNIT_BYTE);
	ttlv_end(&l);
	struct ttlv_writer q = question(w);
	register_put_request(
		&q, &(struct register_request){ .attributes = buf_slice(&attrs),
			    .object = { .type = OBJECT_SYMMETRIC_KEY,
				    .block = { .format = 1,
					    .algorithm = AES,
					    .has_value = true,
					    .material = { key_bytes, 32 } } } });
	KF_TRY(ask(w, KMIP_OPERATION_REGISTER));
	struct ttlv_reader r = answer(w);
	KF_TRY(register_get_response(&r, &a));
	keep_id(&a.uid, ret);
	return KF_OK;
}

TEST(deriving_by_encrypting_is_encrypting_where_the_key_is_for_more)
{
	enum { ENCRYPT = 4, DECRYPT = 8 };
	WORLD(w);
	struct id both, reads, none;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_mixed(&w, USAGE_DERIVE | ENCRYPT | DECRYPT, 20, &both)));
	OK(kf_ok(put_mixed(&w, USAGE_DERIVE | DECRYPT, 20, &reads)));
	struct wish wish = by_ctr(&both, NULL);
	add_data(&wish.how, "12345678");
	OK(kf_ok(add_grant(&w, "bob", "*", PERM_DERIVE, 0)));
	be(&w, "bob", false);
	OK(kf_is(derive(&w, &wish, &none), KF_E_DENIED));
	OK(kf_ok(add_grant(&w, "bob", "*", PERM_ENCRYPT, 0)));
	OK(kf_ok(derive(&w, &wish, &none)));
	OK(kf_ok(derive(&w, &wish, &none)));
	OK(kf_is(derive(&w, &wish, &none), KF_E_DENIED)); /* 16 of 20 bytes are used */

	wish.base = &reads;
	OK(kf_is(derive(&w, &wish, &none), KF_E_USAGE));
}

TEST(deriving_by_a_code_is_making_codes_where_the_key_is_for_them)
{
	enum { GENERATE = 0x80, VERIFY = 0x100 };
	WORLD(w);
	struct id both, checks, none;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_mixed(&w, USAGE_DERIVE | GENERATE, 10, &both)));
	OK(kf_ok(put_mixed(&w, USAGE_DERIVE | VERIFY, 10, &checks)));
	struct wish wish = { .method = KMIP_DERIVATION_METHOD_HMAC,
		.base = &both,
		.how = with_hash(KMIP_HASHING_ALGORITHM_SHA_256),
		.algorithm = AES,
		.bits = 256 };
	add_data(&wish.how, "12345678");
	OK(kf_ok(add_grant(&w, "bob", "*", PERM_DERIVE, 0)));
	be(&w, "bob", false);
	OK(kf_is(derive(&w, &wish, &none), KF_E_DENIED));
	be(&w, "alice", false);
	OK(kf_ok(derive(&w, &wish, &none)));
	OK(kf_is(derive(&w, &wish, &none), KF_E_DENIED));
	wish.base = &checks;
	OK(kf_is(derive(&w, &wish, &none), KF_E_USAGE));
}

/* Each by the grant for what is done with it. */
TEST(all_bases_count_against_their_grants)
{
	enum { GENERATE = 0x80, ENCRYPT = 4 };
	WORLD(w);
	struct id key, data, made;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_mixed(&w, USAGE_DERIVE | GENERATE | ENCRYPT, 1000, &key)));
	OK(kf_ok(put_password(&w, "password", &data)));
	OK(kf_ok(add_grant(&w, "bob", key.text, PERM_DERIVE, 0)));
	OK(kf_ok(add_limited(&w, "bob", key.text, PERM_ENCRYPT)));
	OK(kf_ok(add_limited(&w, "bob", key.text, PERM_MAC)));
	OK(kf_ok(add_limited(&w, "bob", data.text, PERM_DERIVE)));
	OK(kf_ok(add_limited(&w, "bob", data.text, PERM_GET)));
	be(&w, "bob", false);
	struct wish code = { .method = KMIP_DERIVATION_METHOD_HMAC,
		.base = &key,
		.other = &data,
		.how = with_hash(KMIP_HASHING_ALGORITHM_SHA_256),
		.algorithm = AES,
		.bits = 256 };

	count_charges(&w, 0);
	OK(kf_ok(derive(&w, &code, &made)));
	OK(were_charged(PERM_DERIVE | PERM_MAC));
	const struct wish cipher = by_ctr(&key, &data);
	count_charges(&w, 0);
	OK(kf_ok(derive(&w, &cipher, &made)));
	OK(were_charged(PERM_DERIVE | PERM_ENCRYPT | PERM_GET));

	const uint32_t each[] = { PERM_DERIVE, PERM_ENCRYPT, PERM_GET };
	for (size_t i = 0; i < 3; i++) {
		count_charges(&w, each[i]);
		OK(kf_is(derive(&w, &cipher, &made), KF_E_GRANT_RATE));
	}
}

/* Who has the key would decrypt them. */
TEST(secret_data_do_not_leave_as_the_ciphertext_of_a_known_key)
{
	WORLD(w);
	struct id key, open, secret, none;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_key(&w, &key)));
	OK(kf_ok(put_password(&w, "password", &open)));
	OK(kf_ok(put(&w,
		&(struct base){ .type = OBJECT_SECRET_DATA,
			.usage = USAGE_DERIVE,
			.is_sensitive = true,
			.bytes = slice_of("password") },
		&secret)));
	struct wish wish = by_ctr(&key, &secret);
	OK(kf_is(derive(&w, &wish, &none), KF_E_SENSITIVE));
	wish = by_ctr(&key, &open);
	OK(kf_ok(derive(&w, &wish, &none)));

	OK(kf_ok(add_grant(&w, "bob", key.text, PERM_DERIVE, 0)));
	OK(kf_ok(add_grant(&w, "bob", open.text, PERM_DERIVE, 0)));
	be(&w, "bob", false);
	OK(kf_is(derive(&w, &wish, &none), KF_E_DENIED));
	OK(kf_ok(add_grant(&w, "bob", open.text, PERM_GET, 0)));
	OK(kf_ok(derive(&w, &wish, &none)));
}

TEST(a_key_encrypts_by_its_own_algorithm_alone)
{
	WORLD(w);
	struct id mac, password, none;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put(&w,
		&(struct base){ .type = OBJECT_SYMMETRIC_KEY,
			.algorithm = HMAC_SHA256,
			.usage = USAGE_DERIVE,
			.bytes = { key_bytes, 32 } },
		&mac)));
	OK(kf_ok(put_password(&w, "0123456789abcdef", &password)));
	struct wish wish = by_ctr(&mac, NULL);
	wish.how.parameters.cryptographic_algorithm = AES;
	add_data(&wish.how, "12345678");
	OK(kf_is(derive(&w, &wish, &none), KF_E_BAD_PARAMETERS));
	wish.base = &password;
	OK(kf_is(derive(&w, &wish, &none), KF_E_BAD_PARAMETERS));
}

/* The record is written between the two. */
static kf_err create_3des(struct world *w, int32_t bits, struct id *ret)
{
	autobuf attrs = buf_new(1024);
	add_symmetric(&attrs, KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES, bits);
	return create_object(w, OBJECT_SYMMETRIC_KEY, buf_slice(&attrs), ret);
}

TEST(a_3des_key_has_its_parity_bits_whoever_makes_it)
{
	static const struct {
		int32_t bits;
		size_t bytes;
	} rows[] = { { 112, 16 }, { 128, 16 }, { 168, 24 }, { 192, 24 } };
	WORLD(w);
	struct id base, made;
	struct get_response a;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_password(&w, "password", &base)));
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct wish wish = { .method = KMIP_DERIVATION_METHOD_HASH,
			.base = &base,
			.how = with_hash(KMIP_HASHING_ALGORITHM_SHA_256),
			.algorithm = KMIP_CRYPTOGRAPHIC_ALGORITHM_3DES,
			.bits = rows[i].bits };
		OK(kf_ok(derive(&w, &wish, &made)) && kf_ok(get(&w, &made, &a)));
		EQ(a.object.block.material.n, rows[i].bytes);
		OK(kf_ok(create_3des(&w, rows[i].bits, &made)) &&
			kf_ok(get(&w, &made, &a)));
		EQ(a.object.block.material.n, rows[i].bytes);
	}
}

TEST(the_derived_key_is_named_before_the_work_begins)
{
	WORLD(w);
	autobuf attrs = buf_new(4096);
	struct id base;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_password(&w, "password", &base)));
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, 12);
	const struct derive_key_request d = { .object_type = OBJECT_SECRET_DATA,
		.base = { uid(&base) },
		.bases = 1,
		.method = KMIP_DERIVATION_METHOD_PBKDF2,
		.how = { .salt = slice_of("salt"),
			.has_salt = true,
			.has_iterations = true,
			.iterations = 1 },
		.attributes = buf_slice(&attrs) };
	struct ttlv_writer q = question(&w);
	derive_key_put_request(&q, &d);
	OK(kf_ok(ttlv_written(&q)));
	struct op_call *call = w.call;
	call->op = op_find(KMIP_OPERATION_DERIVE_KEY);
	call->server = &w.server;
	call->version = w.version;
	call->payload = buf_slice(&w.question);
	call->who = &w.who;
	call->now_s = w.now_s;
	OK(kf_ok(op_decode(call)));
	OK(kf_ok(op_authorise(call)));

	EQ(op_start(call), OP_WORK);
	OK(call->with[0] && strcmp(call->with, base.text));
	EQ(op_worked(call), OP_COMMIT);
	OK(!strcmp(call->with, call->placeholder));
}

/* HKDF goes over its data for each block that it makes: 256 times. */
TEST(who_derives_from_much_keeps_no_loop_and_no_worker_busy)
{
	static uint8_t much[KDF_DATA_MAX + 1];
	WORLD(w);
	struct id base, none;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(put_key(&w, &base)));
	struct wish wish = { .method = KMIP_DERIVATION_METHOD_HKDF,
		.base = &base,
		.how = with_hash(KMIP_HASHING_ALGORITHM_SHA_256),
		.algorithm = HMAC_SHA256,
		.bits = 256 };
	wish.how.data[wish.how.data_n++] = (struct slice){ much, 100 };
	OK(kf_ok(derive(&w, &wish, &none)));
	OK(!w.worked);

	wish.how.data[0].n = KDF_DATA_MAX;
	OK(kf_ok(derive(&w, &wish, &none)));
	OK(w.worked);
	w.worked = false;
	wish.how.data[0].n = 100;
	wish.bits = 8192;
	OK(kf_ok(derive(&w, &wish, &none)));
	OK(w.worked);
	wish.how.data[0].n = KDF_DATA_MAX + 1;
	OK(kf_is(derive(&w, &wish, &none), KF_E_INVALID_FIELD));
}

TEST(two_pairs_agree_on_one_secret)
{
	const char *const kinds[] = { "P-256", "X25519" };
	for (size_t i = 0; i < 2; i++) {
		WORLD(w);
		struct id a, a_public, b, b_public, one, two;
		struct get_response got;
		uint8_t kept[32];
		EVP_PKEY *first = i ? EVP_PKEY_Q_keygen(NULL, NULL, "X25519")
				    : EVP_EC_gen(kinds[i]);
		EVP_PKEY *second = i ? EVP_PKEY_Q_keygen(NULL, NULL, "X25519")
				     : EVP_EC_gen(kinds[i]);
		const uint32_t algorithm = i ? KMIP_CRYPTOGRAPHIC_ALGORITHM_ECDH
					     : KMIP_CRYPTOGRAPHIC_ALGORITHM_EC;
		OK(kf_ok(let_alice_create(&w)));
		OK(kf_ok(put_pair(&w, first, algorithm, &a, &a_public)));
		OK(kf_ok(put_pair(&w, second, algorithm, &b, &b_public)));
		EVP_PKEY_free(first);
		EVP_PKEY_free(second);
		struct wish wish = { .method = KMIP_DERIVATION_METHOD_ASYMMETRIC_KEY,
			.base = &a,
			.other = &b_public,
			.algorithm = AES,
			.bits = 256 };

		OK(kf_ok(derive(&w, &wish, &one)));
		wish.base = &a_public; /* in any order */
		wish.other = &b;
		OK(kf_ok(derive(&w, &wish, &two)));

		OK(kf_ok(get(&w, &one, &got)));
		memcpy(kept, got.object.block.material.p, 32);
		OK(kf_ok(get(&w, &two, &got)));
		EQ(got.object.block.material.n, 32);
		OK(!memcmp(kept, got.object.block.material.p, 32));
		wish.other = &a;
		wish.base = &b;
		OK(kf_is(derive(&w, &wish, &two), KF_E_INVALID_FIELD));
	}
}

TEST(only_active_objects_for_deriving_are_derived_from)
{
	WORLD(w);
	struct id base, none;
	OK(kf_ok(let_alice_create(&w)));
	struct base b = { .type = OBJECT_SYMMETRIC_KEY,
		.algorithm = AES,
		.usage = 12,
		.bytes = { key_bytes, 32 } };
	struct wish wish = { .method = KMIP_DERIVATION_METHOD_HMAC,
		.base = &base,
		.how = with_hash(KMIP_HASHING_ALGORITHM_SHA_256),
		.algorithm = AES,
		.bits = 256 };
	add_data(&wish.how, "info");

	OK(kf_ok(put(&w, &b, &base)));
	OK(kf_is(derive(&w, &wish, &none), KF_E_USAGE));
	b.usage = USAGE_DERIVE;
	b.is_inactive = true;
	OK(kf_ok(put(&w, &b, &base)));
	OK(kf_is(derive(&w, &wish, &none), KF_E_STATE));
	OK(kf_ok(activate(&w, &base)));
	OK(kf_ok(derive(&w, &wish, &none)));
	wish.bits = 264;
	OK(kf_is(derive(&w, &wish, &none), KF_E_INVALID_FIELD));
	wish.algorithm = HMAC_SHA256;
	OK(kf_is(derive(&w, &wish, &none), KF_E_DATA)); /* more than HMAC gives */
	be(&w, "bob", false);
	wish.bits = 256;
	OK(kf_is(derive(&w, &wish, &none), KF_E_NOT_FOUND));
	OK(kf_ok(add_grant(&w, "bob", base.text, PERM_DERIVE, 0)));
	OK(kf_ok(derive(&w, &wish, &none)));
	struct get_response a;
	OK(kf_ok(get(&w, &none, &a))); /* what was made is its maker's */
	OK(kf_is(get(&w, &base, &a), KF_E_NOT_FOUND));
}

TEST_MAIN
