/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/kdf.h"
#include "../hex.h"
#include "test.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/x509.h>
#include <string.h>

TEST(pbkdf2_is_that_of_rfc_6070)
{
	autobuf out = buf_new(64);
	struct kdf k = { .hash = hash_get(HASH_SHA1),
		.key = SLICE_LIT("password"),
		.salt = SLICE_LIT("salt"),
		.iterations = 1,
		.iterations_max = 4096,
		.n = 20 };
	OK(kf_ok(kdf_pbkdf2(&k, &out)));
	OK(hex_is(buf_slice(&out), "0c60c80f961f0e71f3a9b524af6012062fe037a6"));
	buf_clear(&out);
	k.iterations = 4096;
	OK(kf_ok(kdf_pbkdf2(&k, &out)));
	OK(hex_is(buf_slice(&out), "4b007901b765489abead49d926f721d065a429c1"));
	k.iterations = 0;
	OK(kf_is(kdf_pbkdf2(&k, &out), KF_E_INVALID_FIELD));
	k.iterations = 4097;
	OK(kf_is(kdf_pbkdf2(&k, &out), KF_E_INVALID_FIELD));
}

TEST(hkdf_is_that_of_rfc_5869)
{
	autobuf out = buf_new(8192);
	const struct hex ikm = hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b");
	const struct hex salt = hex("000102030405060708090a0b0c");
	const struct hex info = hex("f0f1f2f3f4f5f6f7f8f9");
	struct kdf k = { .hash = hash_get(HASH_SHA256),
		.key = hex_slice(&ikm),
		.salt = hex_slice(&salt),
		.data = hex_slice(&info),
		.n = 42 };
	OK(kf_ok(kdf_hkdf(&k, &out)));
	OK(hex_is(buf_slice(&out), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db0"
				   "2d56ecc4c5bf34007208d5b887185865"));
	buf_clear(&out);
	k.salt = k.data = (struct slice){ 0 };
	OK(kf_ok(kdf_hkdf(&k, &out)));
	OK(hex_is(buf_slice(&out), "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec345"
				   "4e5f3c738d2d9d201395faa4b61a96c8"));
	k.n = 255 * 32 + 1;
	OK(kf_is(kdf_hkdf(&k, &out), KF_E_DATA));
}

/* OpenSSL's, which has no double pipeline. */
static bool kbkdf(const char *mode, const struct kdf *k, uint8_t *ret)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "KBKDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	int no = 0;
	char mac[] = "HMAC", digest[] = "SHA256", cmac[] = "CMAC", cipher[] = "AES128";
	OSSL_PARAM list[] = {
		OSSL_PARAM_construct_utf8_string("mode", (char *)(uintptr_t)mode, 0),
		OSSL_PARAM_construct_utf8_string("mac", k->hash ? mac : cmac, 0),
		OSSL_PARAM_construct_utf8_string(
			k->hash ? "digest" : "cipher", k->hash ? digest : cipher, 0),
		OSSL_PARAM_construct_octet_string(
			"key", (void *)(uintptr_t)k->key.p, k->key.n),
		OSSL_PARAM_construct_octet_string(
			"salt", (void *)(uintptr_t)k->data.p, k->data.n),
		OSSL_PARAM_construct_octet_string(
			"seed", (void *)(uintptr_t)k->salt.p, k->salt.n),
		OSSL_PARAM_construct_int("use-l", &no),
		OSSL_PARAM_construct_int("use-separator", &no),
		OSSL_PARAM_construct_end(),
	};
	if (!k->salt.n)
		list[5] = list[6], list[6] = list[7], list[7] = list[8];
	const bool is_done = EVP_KDF_derive(ctx, ret, k->n, list) > 0;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return is_done;
}

static bool agrees(enum kdf_mode mode, const char *name, const struct kdf *k)
{
	uint8_t want[256];
	autobuf out = buf_new(256);
	return kbkdf(name, k, want) && kf_ok(kdf_sp800_108(mode, k, &out)) &&
	       slice_eq(buf_slice(&out), (struct slice){ want, k->n });
}

static const uint8_t counted[32] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
	16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31 };

static bool hkdf(const struct kdf *k, uint8_t *ret)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	OSSL_PARAM list[] = {
		OSSL_PARAM_construct_utf8_string(
			"digest", (char *)(uintptr_t)k->hash->openssl_name, 0),
		OSSL_PARAM_construct_octet_string(
			"key", (void *)(uintptr_t)k->key.p, k->key.n),
		OSSL_PARAM_construct_octet_string(
			"salt", (void *)(uintptr_t)k->salt.p, k->salt.n),
		OSSL_PARAM_construct_octet_string(
			"info", (void *)(uintptr_t)k->data.p, k->data.n),
		OSSL_PARAM_construct_end(),
	};
	const bool is_done = EVP_KDF_derive(ctx, ret, k->n, list) > 0;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return is_done;
}

TEST(hkdf_with_every_hash_is_openssls)
{
	for (int i = HASH_NONE + 1; i < HASH_COUNT; i++) {
		uint8_t want[256];
		autobuf out = buf_new(256);
		const struct kdf k = { .hash = hash_get((enum hash_id)i),
			.key = { counted, 32 },
			.salt = { counted, 9 },
			.data = SLICE_LIT("info"),
			.n = 150 };
		OK(hkdf(&k, want));
		OK(kf_ok(kdf_hkdf(&k, &out)));
		OK(slice_eq(buf_slice(&out), (struct slice){ want, k.n }));
	}
}

TEST(sp_800_108_is_as_openssl_and_nist_have_it)
{
	const struct hex ki =
		hex("dd1d91b7d90b2bd3138533ce92b272fbf8a369316aefe242e659cc0ae238afe0");
	const struct hex fixed = hex("01322b96b30acd197979444e468e1c5c6859bf1b1cf951b7e72"
				     "5303e237e46b864a145fab25e"
				     "517b08f8683d0315bb2911d80a0e8aba17f3b413faac");
	autobuf out = buf_new(256);
	struct kdf k = { .hash = hash_get(HASH_SHA256),
		.key = hex_slice(&ki),
		.data = hex_slice(&fixed),
		.n = 16 };
	OK(kf_ok(kdf_sp800_108(KDF_COUNTER, &k, &out)));
	OK(hex_is(buf_slice(&out), "10621342bfb0fd40046c0e29f2cfdbf0"));

	k = (struct kdf){ .hash = hash_get(HASH_SHA256),
		.key = { counted, 32 },
		.data = { (const uint8_t *)"label\0context", 13 } };
	for (size_t n = 1; n < 100; n += 7) {
		k.n = n;
		k.salt = (struct slice){ 0 };
		OK(agrees(KDF_COUNTER, "counter", &k));
		k.salt = (struct slice){ counted, 32 };
		OK(agrees(KDF_FEEDBACK, "feedback", &k));
	}
	k.hash = NULL;
	k.key.n = 16;
	k.salt = (struct slice){ 0 };
	OK(agrees(KDF_COUNTER, "counter", &k));
}

TEST(the_double_pipeline_is_that_of_sp_800_108)
{
	autobuf out = buf_new(256);
	const struct kdf k = { .hash = hash_get(HASH_SHA256),
		.key = { counted, 32 },
		.data = { (const uint8_t *)"label\0context", 13 },
		.n = 80 };
	OK(kf_ok(kdf_sp800_108(KDF_DOUBLE_PIPELINE, &k, &out)));
	OK(hex_is(buf_slice(&out),
		"80d3e0462dfaf65bdca1b3602dd52bd373e6c927a1a184164c6b71fe08fc"
		"665b5bb5a1a7788f40db135c5f3095d0974e45dbd350e0feaa4fdd9108b2"
		"03068c0a44c36ad8f83b2302c803f433b8731238"));
}

TEST(an_aws_signing_key_is_that_of_the_documentation)
{
	const struct slice part[] = { SLICE_LIT("20150830"), SLICE_LIT("us-east-1"),
		SLICE_LIT("iam"), SLICE_LIT("aws4_request") };
	autobuf out = buf_new(64);
	OK(kf_ok(kdf_aws4(SLICE_LIT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), part, 4,
		32, &out)));
	OK(hex_is(buf_slice(&out),
		"c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"));
}

TEST(hash_and_hmac_give_as_much_as_they_have)
{
	autobuf out = buf_new(64);
	struct kdf k = {
		.hash = hash_get(HASH_SHA256), .key = SLICE_LIT("abc"), .n = 16
	};
	OK(kf_ok(kdf_hash(&k, &out)));
	OK(hex_is(buf_slice(&out), "ba7816bf8f01cfea414140de5dae2223"));
	k.n = 33;
	OK(kf_is(kdf_hash(&k, &out), KF_E_DATA));
	OK(kf_is(kdf_hmac(&k, &out), KF_E_DATA));
	EQ(out.n, 16);
}

TEST(x25519_agrees_as_in_rfc_7748)
{
	const struct hex bob =
		hex("302e020100300506032b656e04220420"
		    "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
	const struct hex alice =
		hex("302a300506032b656e032100"
		    "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
	const struct hex p256 =
		hex("3059301306072a8648ce3d020106082a8648ce3d030107034200");
	autobuf out = buf_new(64);
	OK(kf_ok(kdf_agree(hex_slice(&bob), hex_slice(&alice), 0, &out)));
	OK(hex_is(buf_slice(&out),
		"4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"));
	OK(kf_is(kdf_agree(hex_slice(&bob), hex_slice(&alice), 33, &out), KF_E_DATA));
	OK(kf_is(kdf_agree(hex_slice(&bob), hex_slice(&p256), 0, &out),
		KF_E_BAD_PARAMETERS));
	OK(kf_is(kdf_agree(hex_slice(&alice), hex_slice(&bob), 0, &out),
		KF_E_BAD_PARAMETERS));
	EQ(out.n, 32);
}

TEST_MAIN
