/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/x509.h"
#include "kmip/attrs.h"
#include "kmip/decrypt.h"
#include "kmip/hash.h"
#include "kmip/mac.h"
#include "kmip/signature_verify.h"
#include "op/parts.h"
#include "world.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

enum {
	AES = 3,
	HMAC_SHA256 = 9,
	POLY1305 = 0x1d,
	CMAC = 7,
	CBC_MAC = 10,
	MAC_BOTH = 0x180
};

static const uint8_t zeros[64];

static kf_err open_parts(struct world *w)
{
	return op_parts_new(&(struct op_parts_conf){ .most = 8,
				    .client_most = 4,
				    .memory = 4096,
				    .idle_ns = 1000000000 },
		&w->server.parts);
}

static void close_parts(struct world **w) { op_parts_free((*w)->server.parts); }

#define PARTS_WORLD(w)                                                                   \
	WORLD(w);                                                                        \
	OK(kf_ok(open_parts(&(w))));                                                     \
	CLEANUP(close_parts) __attribute__((unused)) struct world *closes = &(w);        \
	OK(kf_ok(let_alice_create(&(w))))

static kf_err add_secret(struct world *w, uint32_t type, uint32_t algorithm,
	struct slice bytes, struct id *ret)
{
	autobuf attrs = buf_new(4096);
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, MAC_BOTH);
	attrs_add_date(&attrs, TAG_ACTIVATION_DATE, w->now_s);
	return register_object(w, buf_slice(&attrs),
		&(struct kmip_object){ .type = type,
			.secret_data_type = type == OBJECT_SECRET_DATA
						    ? KMIP_SECRET_DATA_TYPE_PASSWORD
						    : 0,
			.block = { .format = KMIP_KEY_FORMAT_TYPE_RAW,
				.algorithm = algorithm,
				.length = algorithm ? (int32_t)bytes.n * 8 : 0,
				.has_value = true,
				.material = bytes } },
		ret);
}

static kf_err mac(struct world *w, struct mac_request *q, const struct id *id,
	struct mac_response *ret)
{
	struct ttlv_writer out = question(w);
	q->uid = uid(id);
	mac_put_request(&out, q);
	KF_TRY(ttlv_written(&out));
	KF_TRY(ask(w, KMIP_OPERATION_MAC));
	struct ttlv_reader r = answer(w);
	return mac_get_response(&r, ret);
}

static kf_err mac_verify(struct world *w, struct mac_request *q, const struct id *id,
	struct mac_verify_response *ret)
{
	struct ttlv_writer out = question(w);
	q->uid = uid(id);
	mac_verify_put_request(&out, q);
	KF_TRY(ttlv_written(&out));
	KF_TRY(ask(w, KMIP_OPERATION_MAC_VERIFY));
	struct ttlv_reader r = answer(w);
	return mac_verify_get_response(&r, ret);
}

static struct mac_request with(uint32_t algorithm, uint32_t mode, struct slice data)
{
	return (struct mac_request){ .has_parameters = algorithm || mode,
		.parameters = { .cryptographic_algorithm = algorithm,
			.block_cipher_mode = mode },
		.has_data = true,
		.data = data };
}

TEST(a_mac_that_was_made_is_valid_and_no_other)
{
	WORLD(w);
	struct id id;
	struct mac_response made;
	struct mac_verify_response said;
	uint8_t code[64];
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(add_secret(
		&w, OBJECT_SYMMETRIC_KEY, AES, (struct slice){ zeros, 16 }, &id)));
	const uint32_t how[][2] = { { HMAC_SHA256, 0 }, { 0, CMAC }, { AES, CMAC } };

	for (size_t i = 0; i < 3; i++) {
		struct mac_request q = with(how[i][0], how[i][1], slice_of("text"));
		OK(kf_ok(mac(&w, &q, &id, &made)));
		EQ(made.mac.n, i ? 16 : 32);
		memcpy(code, made.mac.p, made.mac.n);
		q.mac = (struct slice){ code, made.mac.n };
		OK(kf_ok(mac_verify(&w, &q, &id, &said)));
		EQ(said.validity, KMIP_VALIDITY_INDICATOR_VALID);
		q.mac.n--;
		OK(kf_ok(mac_verify(&w, &q, &id, &said)));
		EQ(said.validity, KMIP_VALIDITY_INDICATOR_INVALID);
		q.mac.n++;
		code[3] ^= 4;
		OK(kf_ok(mac_verify(&w, &q, &id, &said)));
		EQ(said.validity, KMIP_VALIDITY_INDICATOR_INVALID);
		q.mac.n = 0;
		OK(kf_is(mac_verify(&w, &q, &id, &said), KF_E_MISSING));
	}
}

TEST(a_key_authenticates_as_what_it_is)
{
	WORLD(w);
	struct id hmac, password, aes, poly;
	struct mac_response made;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(add_secret(&w, OBJECT_SYMMETRIC_KEY, HMAC_SHA256,
		(struct slice){ zeros, 32 }, &hmac)));
	OK(kf_ok(add_secret(
		&w, OBJECT_SECRET_DATA, 0, slice_of("correct horse"), &password)));
	OK(kf_ok(add_secret(
		&w, OBJECT_SYMMETRIC_KEY, AES, (struct slice){ zeros, 32 }, &aes)));
	OK(kf_ok(add_secret(
		&w, OBJECT_SYMMETRIC_KEY, POLY1305, (struct slice){ zeros, 32 }, &poly)));

	struct mac_request q = with(0, 0, slice_of("text"));
	OK(kf_ok(mac(&w, &q, &hmac, &made)));
	EQ(made.mac.n, 32);
	OK(kf_ok(mac(&w, &q, &poly, &made)));
	EQ(made.mac.n, 16);
	OK(kf_is(mac(&w, &q, &password, &made), KF_E_BAD_PARAMETERS));
	OK(kf_is(mac(&w, &q, &aes, &made), KF_E_BAD_PARAMETERS));
	q = with(HMAC_SHA256, 0, slice_of("text"));
	OK(kf_ok(mac(&w, &q, &password, &made)));
	q = with(POLY1305, 0, slice_of("text"));
	OK(kf_is(mac(&w, &q, &aes, &made), KF_E_BAD_PARAMETERS));
	q = with(AES, CMAC, slice_of("text"));
	OK(kf_is(mac(&w, &q, &hmac, &made), KF_E_BAD_PARAMETERS));
}

static kf_err add_cbc_mac_key(
	struct world *w, uint32_t padding, int32_t mask, struct id *ret)
{
	autobuf attrs = buf_new(4096);
	struct ttlv_writer p = ttlv_write(&attrs, 0);
	cryptographic_parameters_put(
		&p, &(struct cryptographic_parameters){
			    .block_cipher_mode = CBC_MAC, .padding_method = padding });
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, mask);
	attrs_add_date(&attrs, TAG_ACTIVATION_DATE, w->now_s);
	return register_object(w, buf_slice(&attrs),
		&(struct kmip_object){ .type = OBJECT_SYMMETRIC_KEY,
			.block = { .format = KMIP_KEY_FORMAT_TYPE_RAW,
				.algorithm = AES,
				.length = 128,
				.has_value = true,
				.material = { zeros, 16 } } },
		ret);
}

TEST(cbc_mac_is_for_keys_that_are_meant_for_it)
{
	PARTS_WORLD(w);
	struct id plain, meant;
	struct mac_response made;
	struct mac_verify_response said;
	uint8_t code[16], next[16];
	OK(kf_ok(add_secret(
		&w, OBJECT_SYMMETRIC_KEY, AES, (struct slice){ zeros, 16 }, &plain)));
	OK(kf_ok(add_cbc_mac_key(&w, 5, MAC_BOTH, &meant)));

	struct mac_request q = with(0, CBC_MAC, (struct slice){ zeros, 32 });
	OK(kf_is(mac(&w, &q, &plain, &made), KF_E_BAD_PARAMETERS));
	OK(kf_ok(mac(&w, &q, &meant, &made)));
	EQ(made.mac.n, 16);
	q.data.n = 20; /* the request's parameters say nothing of padding */
	OK(kf_is(mac(&w, &q, &meant, &made), KF_E_DATA));

	q = with(0, 0, (struct slice){ zeros, 20 }); /* the key's do */
	OK(kf_ok(mac(&w, &q, &meant, &made)));
	memcpy(code, made.mac.p, 16);
	q.data.n = 7;
	q.init_indicator = true;
	OK(kf_ok(mac_verify(&w, &q, &meant, &said)));
	memcpy(next, said.correlation_value.p, 16);
	struct mac_request more = { .has_data = true,
		.data = { zeros, 13 },
		.correlation_value = { next, 16 },
		.final_indicator = true,
		.mac = { code, 16 } };
	OK(kf_ok(mac_verify(&w, &more, &meant, &said)));
	EQ(said.validity, KMIP_VALIDITY_INDICATOR_VALID);
}

/* Whoever may set attributes says what a key is for, but not what its mask is. */
TEST(a_key_that_does_anything_else_makes_no_cbc_mac)
{
	static const int32_t others[] = { KMIP_CRYPTOGRAPHIC_USAGE_MASK_ENCRYPT,
		KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT,
		KMIP_CRYPTOGRAPHIC_USAGE_MASK_WRAP_KEY,
		KMIP_CRYPTOGRAPHIC_USAGE_MASK_UNWRAP_KEY,
		KMIP_CRYPTOGRAPHIC_USAGE_MASK_DERIVE_KEY };
	PARTS_WORLD(w);
	struct mac_response made;
	struct id id;
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		OK(kf_ok(add_cbc_mac_key(&w, 5, MAC_BOTH | others[i], &id)));
		struct mac_request q = with(0, CBC_MAC, (struct slice){ zeros, 32 });
		OK(kf_is(mac(&w, &q, &id, &made), KF_E_BAD_PARAMETERS));
		q = with(0, 0, (struct slice){ zeros, 32 });
		OK(kf_is(mac(&w, &q, &id, &made), KF_E_BAD_PARAMETERS));
	}
}

TEST(an_hmac_with_sha_3_is_made_by_name_or_by_the_keys_algorithm)
{
	WORLD(w);
	struct id id;
	struct mac_response made;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(add_secret(&w, OBJECT_SYMMETRIC_KEY,
		KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA3_384, (struct slice){ zeros, 48 },
		&id)));
	struct mac_request q = with(0, 0, slice_of("text"));
	OK(kf_ok(mac(&w, &q, &id, &made)));
	EQ(made.mac.n, 48);
	q = with(KMIP_CRYPTOGRAPHIC_ALGORITHM_HMAC_SHA3_512, 0, slice_of("text"));
	OK(kf_ok(mac(&w, &q, &id, &made)));
	EQ(made.mac.n, 64);
}

TEST(a_mac_in_parts_is_that_of_the_whole)
{
	PARTS_WORLD(w);
	struct id id;
	struct mac_response made;
	struct mac_verify_response said;
	uint8_t code[64], next[16];
	OK(kf_ok(add_secret(&w, OBJECT_SYMMETRIC_KEY, HMAC_SHA256,
		(struct slice){ zeros, 32 }, &id)));
	struct mac_request q = with(0, 0, slice_of("one two three"));
	OK(kf_ok(mac(&w, &q, &id, &made)));
	memcpy(code, made.mac.p, 32);

	q = with(0, 0, slice_of("one "));
	q.init_indicator = true;
	OK(kf_ok(mac(&w, &q, &id, &made)));
	EQ(made.mac.n, 0);
	EQ(made.correlation_value.n, 16);
	memcpy(next, made.correlation_value.p, 16);
	struct mac_request more = { .has_data = true,
		.data = slice_of("two three"),
		.correlation_value = { next, 16 },
		.final_indicator = true };
	OK(kf_ok(mac(&w, &more, NULL, &made)));
	OK(slice_eq(made.mac, (struct slice){ code, 32 }));

	OK(kf_ok(mac_verify(&w, &q, &id, &said)));
	EQ(said.validity, KMIP_VALIDITY_INDICATOR_UNKNOWN);
	memcpy(next, said.correlation_value.p, 16);
	OK(kf_is(mac(&w, &more, &id, &made), KF_E_CORRELATION));
	more.mac = (struct slice){ code, 32 };
	OK(kf_ok(mac_verify(&w, &more, &id, &said)));
	EQ(said.validity, KMIP_VALIDITY_INDICATOR_VALID);
	EQ(op_parts_count(w.server.parts), 0);
}

TEST(to_make_and_to_verify_are_two_permissions)
{
	WORLD(w);
	struct id id;
	struct mac_response made;
	struct mac_verify_response said;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(add_secret(
		&w, OBJECT_SYMMETRIC_KEY, AES, (struct slice){ zeros, 16 }, &id)));
	OK(kf_ok(add_grant(&w, "bob", id.text, PERM_MAC_VERIFY, 0)));
	struct mac_request q = with(HMAC_SHA256, 0, slice_of("text"));

	be(&w, "bob", false);
	OK(kf_is(mac(&w, &q, &id, &made), KF_E_NOT_FOUND));
	q.mac = (struct slice){ zeros, 32 };
	OK(kf_ok(mac_verify(&w, &q, &id, &said)));
}

/* --- Hash and random numbers --- */

static kf_err hash(
	struct world *w, const struct hash_request *q, struct hash_response *ret)
{
	struct ttlv_writer out = question(w);
	hash_put_request(&out, q);
	KF_TRY(ttlv_written(&out));
	KF_TRY(ask(w, KMIP_OPERATION_HASH));
	struct ttlv_reader r = answer(w);
	return hash_get_response(&r, ret);
}

TEST(a_hash_needs_no_object_but_leave)
{
	PARTS_WORLD(w);
	struct hash_response a;
	uint8_t whole[32], next[16];
	struct hash_request q = { .has_parameters = true,
		.parameters = { .hashing_algorithm = 6 },
		.has_data = true,
		.data = slice_of("abc") };

	OK(kf_is(hash(&w, &q, &a), KF_E_DENIED));
	OK(kf_ok(add_grant(&w, "alice", "*", PERM_HASH, 0)));
	OK(kf_ok(hash(&w, &q, &a)));
	EQ(a.data.n, 32);
	EQ(a.data.p[0], 0xba);
	memcpy(whole, a.data.p, 32);
	q.data.n = 1;
	q.init_indicator = true;
	OK(kf_ok(hash(&w, &q, &a)));
	EQ(a.data.n, 0);
	memcpy(next, a.correlation_value.p, 16);
	struct hash_request more = { .has_data = true,
		.data = slice_of("bc"),
		.correlation_value = { next, 16 },
		.final_indicator = true };
	OK(kf_ok(hash(&w, &more, &a)));
	OK(slice_eq(a.data, (struct slice){ whole, 32 }));
	q = (struct hash_request){ .has_parameters = true,
		.parameters = { .hashing_algorithm = 1 },
		.has_data = true };
	OK(kf_is(hash(&w, &q, &a), KF_E_DATA));
	q.has_parameters = false;
	OK(kf_is(hash(&w, &q, &a), KF_E_MISSING));
}

static kf_err retrieve(struct world *w, int32_t n, struct slice *ret)
{
	struct rng_retrieve_response a;
	struct ttlv_writer out = question(w);
	rng_retrieve_put_request(&out, &(struct rng_retrieve_request){ n });
	KF_TRY(ask(w, KMIP_OPERATION_RNG_RETRIEVE));
	struct ttlv_reader r = answer(w);
	KF_TRY(rng_retrieve_get_response(&r, &a));
	*ret = a.data;
	return KF_OK;
}

static kf_err seed(struct world *w, struct slice data, int32_t *ret)
{
	struct rng_seed_response a;
	struct ttlv_writer out = question(w);
	rng_seed_put_request(&out, &(struct rng_seed_request){ data });
	KF_TRY(ask(w, KMIP_OPERATION_RNG_SEED));
	struct ttlv_reader r = answer(w);
	KF_TRY(rng_seed_get_response(&r, &a));
	*ret = a.data_length;
	return KF_OK;
}

TEST(random_numbers_are_as_many_as_asked_for_and_never_the_same)
{
	WORLD(w);
	struct slice got;
	uint8_t first[32];
	const int32_t wrong[] = { INT32_MIN, -1, 0, (1 << 19) + 1, INT32_MAX };
	OK(kf_is(retrieve(&w, 32, &got), KF_E_DENIED));
	OK(kf_ok(add_grant(&w, "alice", "*", PERM_RANDOM, 0)));

	OK(kf_ok(retrieve(&w, 32, &got)));
	EQ(got.n, 32);
	memcpy(first, got.p, 32);
	OK(kf_ok(retrieve(&w, 32, &got)));
	OK(memcmp(first, got.p, 32) != 0);
	OK(kf_ok(retrieve(&w, 1 << 19, &got)));
	EQ(got.n, 1 << 19);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		OK(kf_is(retrieve(&w, wrong[i], &got), KF_E_INVALID_FIELD));
}

TEST(a_seed_is_used_up_and_makes_nothing_predictable)
{
	WORLD(w);
	struct slice got;
	uint8_t first[32];
	int32_t used = -1;
	autobuf big = buf_new(1 << 20);
	OK(kf_ok(add_grant(&w, "alice", "*", PERM_RANDOM, 0)));
	memset(buf_reserve(&big, 100000), 1, 100000);
	buf_commit(&big, 100000);

	OK(kf_ok(seed(&w, slice_of("seed"), &used)));
	EQ(used, 4);
	OK(kf_ok(retrieve(&w, 32, &got)));
	memcpy(first, got.p, 32);
	OK(kf_ok(seed(&w, slice_of("seed"), &used)));
	OK(kf_ok(retrieve(&w, 32, &got)));
	OK(memcmp(first, got.p, 32) != 0);
	OK(kf_ok(seed(&w, buf_slice(&big), &used)));
	EQ(used, 100000);
	OK(kf_ok(seed(&w, (struct slice){ zeros, 0 }, &used)));
	EQ(used, 0);
}

/* --- signatures in parts --- */

static kf_err sign_part(struct world *w, struct sign_request *q, const struct id *id,
	struct sign_response *ret)
{
	struct ttlv_writer out = question(w);
	q->uid = uid(id);
	sign_put_request(&out, q);
	KF_TRY(ttlv_written(&out));
	KF_TRY(ask(w, KMIP_OPERATION_SIGN));
	struct ttlv_reader r = answer(w);
	return sign_get_response(&r, ret);
}

static kf_err verify_part(struct world *w, struct signature_verify_request *q,
	const struct id *id, struct signature_verify_response *ret)
{
	struct ttlv_writer out = question(w);
	q->uid = uid(id);
	signature_verify_put_request(&out, q);
	KF_TRY(ttlv_written(&out));
	KF_TRY(ask(w, KMIP_OPERATION_SIGNATURE_VERIFY));
	struct ttlv_reader r = answer(w);
	return signature_verify_get_response(&r, ret);
}

static kf_err sign_in_parts(struct world *w, const struct id *id,
	const struct cryptographic_parameters *p, uint8_t ret[64 + 64], size_t *ret_n)
{
	struct sign_response a;
	uint8_t next[16];
	struct sign_request q = { .has_parameters = true,
		.parameters = *p,
		.has_data = true,
		.data = slice_of("one "),
		.init_indicator = true };
	KF_TRY(sign_part(w, &q, id, &a));
	if (a.signature.n || a.correlation_value.n != 16)
		return kf_fail(INTERNAL, "a first part's answer");
	memcpy(next, a.correlation_value.p, 16);
	q = (struct sign_request){ .has_data = true,
		.data = slice_of("two "),
		.correlation_value = { next, 16 } };
	KF_TRY(sign_part(w, &q, NULL, &a));
	q.data = slice_of("three");
	q.final_indicator = true;
	KF_TRY(sign_part(w, &q, id, &a));
	memcpy(ret, a.signature.p, a.signature.n);
	*ret_n = a.signature.n;
	return a.correlation_value.n ? kf_fail(INTERNAL, "it is over") : KF_OK;
}

static uint32_t verify_text(struct world *w, const struct id *id,
	const struct cryptographic_parameters *p, struct slice sig, const char *text)
{
	struct signature_verify_response a;
	struct signature_verify_request q = { .has_parameters = true,
		.parameters = *p,
		.has_data = true,
		.data = slice_of(text),
		.signature = sig };
	return kf_ok(verify_part(w, &q, id, &a)) ? a.validity : 99;
}

TEST(what_is_signed_in_parts_is_the_whole)
{
	PARTS_WORLD(w);
	const struct {
		struct pair_wish wish;
		struct cryptographic_parameters p;
	} with_key[] = {
		{ { .algorithm = 6, .curve = 7, .is_active = true },
			{ .digital_signature_algorithm = 0x0e } },
		{ { .algorithm = 0x37, .curve = 0x45, .is_active = true }, { 0 } },
	};

	for (size_t i = 0; i < 2; i++) {
		struct pair pair;
		uint8_t sig[128], next[16];
		struct slice s = { sig, 0 };
		struct signature_verify_response a;
		OK(kf_ok(create_pair(&w, &with_key[i].wish, &pair)));

		OK(kf_ok(
			sign_in_parts(&w, &pair.private_key, &with_key[i].p, sig, &s.n)));
		EQ(verify_text(&w, &pair.public_key, &with_key[i].p, s, "one two three"),
			KMIP_VALIDITY_INDICATOR_VALID);
		EQ(verify_text(&w, &pair.public_key, &with_key[i].p, s, "one two"),
			KMIP_VALIDITY_INDICATOR_INVALID);

		struct signature_verify_request q = { .has_parameters = true,
			.parameters = with_key[i].p,
			.has_data = true,
			.data = slice_of("one two"),
			.init_indicator = true };
		OK(kf_ok(verify_part(&w, &q, &pair.public_key, &a)));
		EQ(a.validity, KMIP_VALIDITY_INDICATOR_UNKNOWN);
		memcpy(next, a.correlation_value.p, 16);
		struct signature_verify_request last = { .has_data = true,
			.data = slice_of(" three"),
			.signature = s,
			.correlation_value = { next, 16 },
			.final_indicator = true };
		OK(kf_ok(verify_part(&w, &last, NULL, &a)));
		EQ(a.validity, KMIP_VALIDITY_INDICATOR_VALID);
		EQ(op_parts_count(w.server.parts), 0);
	}
}

static kf_err add_certificate(
	struct world *w, struct slice pem, int32_t usage, struct id *ret)
{
	autobuf attrs = buf_new(4096), der = buf_new(65536);
	KF_TRY(cert_to_der(pem, &der));
	attrs_add_int(&attrs, TAG_CRYPTOGRAPHIC_USAGE_MASK, usage);
	attrs_add_date(&attrs, TAG_ACTIVATION_DATE, w->now_s);
	return register_object(w, buf_slice(&attrs),
		&(struct kmip_object){ .type = OBJECT_CERTIFICATE,
			.certificate_type = KMIP_CERTIFICATE_TYPE_X_509,
			.value = buf_slice(&der) },
		ret);
}

static size_t sign_with(const struct buf *key_pem, const char *text, uint8_t sig[128])
{
	size_t n = 128;
	BIO *bio = BIO_new_mem_buf(key_pem->p, (int)key_pem->n);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	if (EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) != 1 ||
		EVP_DigestSign(md, sig, &n, (const uint8_t *)text, strlen(text)) != 1)
		n = 0;
	EVP_MD_CTX_free(md);
	EVP_PKEY_free(key);
	BIO_free(bio);
	return n;
}

TEST(a_certificate_verifies_and_encrypts_as_its_key_can)
{
	WORLD(w);
	CLEANUP(cert_free) struct cert ca = { 0 };
	struct id id;
	uint8_t sig[128];
	const struct cryptographic_parameters p = { .digital_signature_algorithm = 0x0e };
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(cert_make_ca(
		&(struct cert_wish){ .role = CERT_CA, .common_name = "Test CA" }, &ca)));
	OK(kf_ok(add_certificate(&w, buf_slice(&ca.pem), 2 | 4, &id)));
	const struct slice s = { sig, sign_with(&ca.key_pem, "text", sig) };
	OK(s.n > 0);

	EQ(verify_text(&w, &id, &p, s, "text"), KMIP_VALIDITY_INDICATOR_VALID);
	EQ(verify_text(&w, &id, &p, s, "test"), KMIP_VALIDITY_INDICATOR_INVALID);
	struct ttlv_writer out = question(&w);
	encrypt_put_request(&out, &(struct decrypt_request){ .uid = uid(&id),
					  .has_parameters = true,
					  .parameters = { .padding_method = 2 },
					  .has_data = true,
					  .data = slice_of("text") });
	OK(kf_is(ask(&w, KMIP_OPERATION_ENCRYPT), KF_E_BAD_PARAMETERS));
}

TEST(a_key_for_tls_only_signs_no_parts)
{
	PARTS_WORLD(w);
	struct pair pair;
	uint8_t sig[128];
	size_t n;
	const struct cryptographic_parameters p = { .digital_signature_algorithm = 0x0e };
	OK(kf_ok(create_p256(&w, "k", &pair)));
	OK(kf_ok(add_grant(&w, "bob", "name:k", PERM_SIGN, CONSTRAINT_TLS_ONLY)));
	OK(kf_ok(add_grant(&w, "carol", "name:k", PERM_CSR, 0)));

	be(&w, "bob", false);
	OK(kf_is(sign_in_parts(&w, &pair.private_key, &p, sig, &n), KF_E_DENIED));
	be(&w, "carol", false);
	OK(kf_is(sign_in_parts(&w, &pair.private_key, &p, sig, &n), KF_E_DENIED));
	EQ(op_parts_count(w.server.parts), 0);
}

TEST(a_later_part_cannot_choose_another_hash)
{
	PARTS_WORLD(w);
	struct pair pair;
	struct sign_response a;
	uint8_t next[16];
	OK(kf_ok(create_p256(&w, "k", &pair)));
	OK(kf_ok(add_grant(&w, "bob", "name:k", PERM_SIGN, CONSTRAINT_NO_SHA1)));
	be(&w, "bob", false);
	struct sign_request q = { .has_parameters = true,
		.parameters = { .digital_signature_algorithm = 0x0c },
		.has_data = true,
		.data = slice_of("one "),
		.init_indicator = true };
	OK(kf_is(sign_part(&w, &q, &pair.private_key, &a), KF_E_DENIED));

	q.parameters.digital_signature_algorithm = 0x0e;
	OK(kf_ok(sign_part(&w, &q, &pair.private_key, &a)));
	memcpy(next, a.correlation_value.p, 16);
	q.init_indicator = false;
	q.final_indicator = true;
	q.correlation_value = (struct slice){ next, 16 };
	q.parameters.digital_signature_algorithm = 0x0c;
	OK(kf_ok(sign_part(&w, &q, &pair.private_key, &a)));
	uint8_t sig[128];
	memcpy(sig, a.signature.p, a.signature.n);
	const struct slice s = { sig, a.signature.n };
	be(&w, "alice", false);
	const struct cryptographic_parameters p = { .digital_signature_algorithm = 0x0e };
	EQ(verify_text(&w, &pair.public_key, &p, s, "one one "),
		KMIP_VALIDITY_INDICATOR_VALID);
}

TEST_MAIN
