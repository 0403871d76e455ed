/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/keygen.h"
#include "keys.h"
#include "test.h"

static int say_sesame(void *arg, char *into, int size)
{
	(void)size;
	strcpy(into, arg);
	return (int)strlen(arg);
}

static char sesame[] = "sesame", close_to_it[] = "sesam";

TEST(locked_memory_for_numbers_can_be_had)
{
	OK(kf_ok(crypt_init(1 << 16)));
	OK(kf_ok(crypt_init(1 << 16)));
}

TEST(a_generated_pair_belongs_together)
{
	const enum alg_id ids[] = { ALG_P256, ALG_P384, ALG_P521, ALG_ED25519,
		ALG_BRAINPOOL_P256R1, ALG_BRAINPOOL_P384R1, ALG_BRAINPOOL_P512R1,
		ALG_SECP256K1 };

	for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
		CLEANUP(keypair_free) struct keypair k = { 0 }, again = { 0 };
		OK(kf_ok(keypair_generate(alg_get(ids[i]), &k)));
		EQ(k.alg->id, ids[i]);
		OK(kf_ok(keypair_from_format(
			KEY_PKCS8, buf_slice(&k.pkcs8), k.alg, &again)));
		OK(slice_eq(buf_slice(&k.pkcs8), buf_slice(&again.pkcs8)));
		OK(slice_eq(buf_slice(&k.spki), buf_slice(&again.spki)));
	}
}

static kf_err import_same(const char *a, const char *b, bool *is_same)
{
	CLEANUP(keypair_free) struct keypair x = { 0 }, y = { 0 };
	KF_TRY(keypair_import(slice_of(a), NULL, NULL, &x));
	KF_TRY(keypair_import(slice_of(b), say_sesame, sesame, &y));
	*is_same = slice_eq(buf_slice(&x.pkcs8), buf_slice(&y.pkcs8)) &&
		   slice_eq(buf_slice(&x.spki), buf_slice(&y.spki));
	return KF_OK;
}

TEST(a_key_has_one_canonical_form_whatever_file_it_came_in)
{
	bool is_same = false;

	OK(kf_ok(import_same(rsa_pem, rsa_pkcs1_pem, &is_same)) && is_same);
	is_same = false;
	OK(kf_ok(import_same(ec_pem, ec_compressed_pem, &is_same)) && is_same);
	is_same = false;
	OK(kf_ok(import_same(ec_pem, ec_encrypted_pem, &is_same)) && is_same);
}

TEST(der_files_import_too)
{
	CLEANUP(keypair_free) struct keypair k = { 0 }, again = { 0 }, third = { 0 };
	autobuf sec1 = buf_new(1024);

	OK(kf_ok(keypair_import(slice_of(ec384_pem), NULL, NULL, &k)));
	OK(kf_ok(keypair_import(buf_slice(&k.pkcs8), NULL, NULL, &again)));
	OK(slice_eq(buf_slice(&k.spki), buf_slice(&again.spki)));
	OK(kf_ok(private_to_format(buf_slice(&k.pkcs8), KEY_EC_PRIVATE, &sec1)));
	OK(kf_ok(keypair_import(buf_slice(&sec1), NULL, NULL, &third)));
	OK(slice_eq(buf_slice(&k.pkcs8), buf_slice(&third.pkcs8)));
}

TEST(an_encrypted_key_needs_the_right_pass_phrase)
{
	CLEANUP(keypair_free) struct keypair k = { 0 };
	struct slice file = slice_of(ec_encrypted_pem);

	OK(kf_is(keypair_import(file, NULL, NULL, &k), KF_E_AUTH));
	OK(kf_is(keypair_import(file, say_sesame, close_to_it, &k), KF_E_AUTH));
	OK(kf_ok(keypair_import(file, say_sesame, sesame, &k)));
}

TEST(what_is_no_key_of_ours_is_refused)
{
	CLEANUP(keypair_free) struct keypair k = { 0 };
	const char *bad[] = { secp224r1_pem, explicit_pem, "", "hello", "0\x82" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		OK(kf_is(keypair_import(slice_of(bad[i]), NULL, NULL, &k),
			KF_E_KEY_FORMAT));
}

TEST(a_key_of_a_legacy_algorithm_is_read_and_says_so)
{
	CLEANUP(keypair_free) struct keypair k = { 0 };

	OK(kf_ok(keypair_import(slice_of(rsa1024_pem), NULL, NULL, &k)));
	EQ(k.alg->id, ALG_RSA_1024);
	OK(k.alg->is_legacy);
}

TEST(halves_that_do_not_belong_together_are_refused)
{
	CLEANUP(keypair_free) struct keypair a = { 0 }, b = { 0 }, bad = { 0 };
	OK(kf_ok(keypair_generate(alg_get(ALG_P256), &a)));
	OK(kf_ok(keypair_generate(alg_get(ALG_P256), &b)));
	EQ(a.pkcs8.n, 138);

	memcpy(a.pkcs8.p + 138 - 64, b.pkcs8.p + 138 - 64, 64);

	OK(kf_is(keypair_import(buf_slice(&a.pkcs8), NULL, NULL, &bad),
		KF_E_INVALID_FIELD));
}

TEST(a_damaged_rsa_key_is_refused)
{
	CLEANUP(keypair_free) struct keypair k = { 0 }, bad = { 0 };
	OK(kf_ok(keypair_import(slice_of(rsa_pem), NULL, NULL, &k)));

	k.pkcs8.p[k.pkcs8.n - 100] ^= 1; /* in the coefficient */

	OK(!kf_ok(keypair_import(buf_slice(&k.pkcs8), NULL, NULL, &bad)));
}

struct form {
	const char *pem;
	enum key_format format;
	bool works;
};

static kf_err there_and_back(const struct form *f, bool *is_same)
{
	CLEANUP(keypair_free) struct keypair k = { 0 }, again = { 0 };
	autobuf form = buf_new(4096);
	KF_TRY(keypair_import(slice_of(f->pem), NULL, NULL, &k));
	KF_TRY(private_to_format(buf_slice(&k.pkcs8), f->format, &form));
	KF_TRY(keypair_from_format(f->format, buf_slice(&form), k.alg, &again));
	*is_same = slice_eq(buf_slice(&k.pkcs8), buf_slice(&again.pkcs8)) &&
		   slice_eq(buf_slice(&k.spki), buf_slice(&again.spki));
	return KF_OK;
}

TEST(private_keys_go_through_every_kmip_format_and_back)
{
	const struct form forms[] = {
		{ rsa_pem, KEY_PKCS1, true },
		{ rsa_pem, KEY_PKCS8, true },
		{ rsa_pem, KEY_RAW, false },
		{ rsa_pem, KEY_EC_PRIVATE, false },
		{ rsa_pem, KEY_X509, false },
		{ ec_pem, KEY_EC_PRIVATE, true },
		{ ec_pem, KEY_PKCS8, true },
		{ ec_pem, KEY_RAW, true },
		{ ec384_pem, KEY_RAW, true },
		{ ec_pem, KEY_PKCS1, false },
		{ ed25519_pem, KEY_RAW, true },
		{ ed25519_pem, KEY_PKCS8, true },
		{ ed25519_pem, KEY_PKCS1, false },
		{ ed25519_pem, KEY_EC_PRIVATE, false },
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		bool is_same = false;
		kf_err err = there_and_back(&forms[i], &is_same);
		OK(forms[i].works ? kf_ok(err) && is_same : kf_is(err, KF_E_KEY_FORMAT));
	}
}

static kf_err public_there_and_back(const struct form *f, bool *is_same)
{
	CLEANUP(keypair_free) struct keypair k = { 0 };
	autobuf form = buf_new(4096), spki = buf_new(SPKI_MAX);
	KF_TRY(keypair_import(slice_of(f->pem), NULL, NULL, &k));
	KF_TRY(public_to_format(buf_slice(&k.spki), f->format, &form));
	KF_TRY(public_from_format(f->format, buf_slice(&form), k.alg, &spki));
	*is_same = slice_eq(buf_slice(&k.spki), buf_slice(&spki));
	return KF_OK;
}

TEST(public_keys_go_through_every_kmip_format_and_back)
{
	const struct form forms[] = {
		{ rsa_pem, KEY_PKCS1, true },
		{ rsa_pem, KEY_X509, true },
		{ rsa_pem, KEY_RAW, false },
		{ ec_pem, KEY_X509, true },
		{ ec_pem, KEY_RAW, true },
		{ ec_pem, KEY_PKCS1, false },
		{ ed25519_pem, KEY_RAW, true },
		{ ed25519_pem, KEY_X509, true },
		{ ec_pem, KEY_PKCS8, false },
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		bool is_same = false;
		kf_err err = public_there_and_back(&forms[i], &is_same);
		OK(forms[i].works ? kf_ok(err) && is_same : kf_is(err, KF_E_KEY_FORMAT));
	}
}

TEST(a_raw_scalar_outside_the_curve_is_refused)
{
	uint8_t raw[32] = { 0 };
	CLEANUP(keypair_free) struct keypair k = { 0 };
	const struct alg *p256 = alg_get(ALG_P256);

	OK(kf_is(keypair_from_format(KEY_RAW, (struct slice){ raw, 32 }, p256, &k),
		KF_E_KEY_FORMAT));
	memset(raw, 0xff, sizeof(raw));
	OK(kf_is(keypair_from_format(KEY_RAW, (struct slice){ raw, 32 }, p256, &k),
		KF_E_KEY_FORMAT));
	OK(kf_is(keypair_from_format(KEY_RAW, (struct slice){ raw, 31 }, p256, &k),
		KF_E_KEY_FORMAT));
	OK(kf_is(keypair_from_format(KEY_RAW, (struct slice){ raw, 32 }, NULL, &k),
		KF_E_MISSING));
}

TEST(a_key_of_another_algorithm_than_claimed_is_refused)
{
	CLEANUP(keypair_free) struct keypair k = { 0 }, bad = { 0 };
	OK(kf_ok(keypair_import(slice_of(ec_pem), NULL, NULL, &k)));

	OK(kf_is(keypair_from_format(
			 KEY_PKCS8, buf_slice(&k.pkcs8), alg_get(ALG_P384), &bad),
		KF_E_INVALID_FIELD));
	OK(kf_is(keypair_from_format(KEY_PKCS1, buf_slice(&k.pkcs8), NULL, &bad),
		KF_E_KEY_FORMAT));
}

TEST(private_key_pem_is_read_again)
{
	CLEANUP(keypair_free) struct keypair k = { 0 }, again = { 0 };
	autobuf pem = buf_new(8192);
	OK(kf_ok(keypair_import(slice_of(ed25519_pem), NULL, NULL, &k)));

	OK(kf_ok(private_to_pem(buf_slice(&k.pkcs8), &pem)));
	OK(kf_ok(keypair_import(buf_slice(&pem), NULL, NULL, &again)));

	OK(slice_eq(buf_slice(&k.pkcs8), buf_slice(&again.pkcs8)));
}

TEST_MAIN
