/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/pubkey.h"
#include "crypt/keygen.h"
#include "keys.h"
#include "test.h"
#include <openssl/evp.h>
#include <openssl/x509.h>

static struct keypair import(const char *pem)
{
	struct keypair k = { 0 };
	if (!kf_ok(keypair_import(slice_of(pem), NULL, NULL, &k)))
		puts("# a test key cannot be imported");
	return k;
}

TEST(every_algorithm_is_recognised_from_its_spki)
{
	const struct {
		const char *pem;
		enum alg_id id;
	} keys[] = { { rsa_pem, ALG_RSA_2048 }, { ec_pem, ALG_P256 },
		{ ec384_pem, ALG_P384 }, { ed25519_pem, ALG_ED25519 } };

	for (size_t i = 0; i < 4; i++) {
		CLEANUP(keypair_free) struct keypair k = import(keys[i].pem);
		CLEANUP(pubkey_freep) struct pubkey *pub = NULL;
		OK(kf_ok(pubkey_parse(buf_slice(&k.spki), &pub)));
		EQ(pubkey_alg(pub)->id, keys[i].id);
		OK(slice_eq(pubkey_spki(pub), buf_slice(&k.spki)));
	}
}

TEST(a_cut_or_longer_spki_is_refused)
{
	CLEANUP(keypair_free) struct keypair k = import(ec_pem);
	CLEANUP(pubkey_freep) struct pubkey *pub = NULL;

	for (size_t n = 0; n < k.spki.n; n++)
		OK(kf_is(pubkey_parse((struct slice){ k.spki.p, n }, &pub),
			KF_E_KEY_FORMAT));
	buf_add_u8(&k.spki, 0);
	OK(kf_is(pubkey_parse(buf_slice(&k.spki), &pub), KF_E_KEY_FORMAT));
}

TEST(a_flipped_byte_never_gives_a_key_with_other_bytes)
{
	const char *pems[] = { ec_pem, rsa_pem, ed25519_pem };

	for (size_t i = 0; i < 3; i++) {
		CLEANUP(keypair_free) struct keypair k = import(pems[i]);
		for (size_t at = 0; at < k.spki.n; at++) {
			CLEANUP(pubkey_freep) struct pubkey *pub = NULL;
			k.spki.p[at] ^= 0x41;
			if (kf_ok(pubkey_parse(buf_slice(&k.spki), &pub)))
				OK(slice_eq(pubkey_spki(pub), buf_slice(&k.spki)));
			k.spki.p[at] ^= 0x41;
		}
	}
}

TEST(a_compressed_point_is_not_canonical)
{
	CLEANUP(keypair_free) struct keypair k = import(ec_pem);
	CLEANUP(pubkey_freep) struct pubkey *pub = NULL;
	OK(kf_ok(pubkey_parse(buf_slice(&k.spki), &pub)));
	EVP_PKEY_set_utf8_string_param(pubkey_pkey(pub), "point-format", "compressed");
	unsigned char *der = NULL;

	int n = i2d_PUBKEY(pubkey_pkey(pub), &der);
	struct pubkey *again = NULL;
	kf_err err = pubkey_parse((struct slice){ der, (size_t)n }, &again);
	OPENSSL_free(der);

	OK(n > 0 && n < 70);
	OK(kf_is(err, KF_E_KEY_FORMAT));
}

TEST(an_even_rsa_exponent_and_a_point_off_the_curve_are_refused)
{
	CLEANUP(keypair_free) struct keypair rsa = import(rsa_pem), ec = import(ec_pem);
	CLEANUP(pubkey_freep) struct pubkey *pub = NULL;
	MEMEQ(rsa.spki.p + rsa.spki.n - 5, 5, "\x02\x03\x01\x00\x01");

	rsa.spki.p[rsa.spki.n - 1] = 0;
	OK(kf_is(pubkey_parse(buf_slice(&rsa.spki), &pub), KF_E_KEY_FORMAT));
	ec.spki.p[ec.spki.n - 1] ^= 1;
	OK(kf_is(pubkey_parse(buf_slice(&ec.spki), &pub), KF_E_KEY_FORMAT));
}

TEST(pem_holds_a_public_key_and_the_id_is_the_hash_of_its_der)
{
	CLEANUP(keypair_free) struct keypair k = import(ec_pem);
	CLEANUP(pubkey_freep) struct pubkey *pub = NULL, *again = NULL;
	autobuf pem = buf_new(4096);
	uint8_t a[KEY_ID_SIZE], b[KEY_ID_SIZE];

	OK(kf_ok(pubkey_parse(buf_slice(&k.spki), &pub)));
	pubkey_to_pem(pub, &pem);
	OK(kf_ok(pubkey_from_pem(buf_slice(&pem), &again)));
	pubkey_id(again, a);
	spki_id(buf_slice(&k.spki), b);

	OK(!memcmp(a, b, sizeof(a)));
	pubkey_freep(&again);
	OK(kf_is(pubkey_from_pem(slice_of("hello"), &again), KF_E_KEY_FORMAT));
}

TEST(a_signature_of_openssl_verifies_and_a_changed_one_does_not)
{
	CLEANUP(keypair_free) struct keypair k = import(ec_pem);
	CLEANUP(pubkey_freep) struct pubkey *pub = NULL;
	OK(kf_ok(pubkey_parse(buf_slice(&k.spki), &pub)));
	const unsigned char *p = k.pkcs8.p;
	EVP_PKEY *pkey = d2i_AutoPrivateKey(NULL, &p, (long)k.pkcs8.n);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sig[128];
	size_t n = sizeof(sig);
	EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pkey);
	EVP_DigestSign(ctx, sig, &n, (const uint8_t *)"text", 4);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);

	struct signature s = { mech_get(MECH_ECDSA_SHA256), 0, false, SLICE_LIT("text"),
		{ sig, n } };
	OK(kf_ok(pubkey_verify(pub, &s)));
	s.data = SLICE_LIT("texT");
	OK(kf_is(pubkey_verify(pub, &s), KF_E_CRYPTO));
	s.is_digest = true;
	OK(kf_is(pubkey_verify(pub, &s), KF_E_BAD_PARAMETERS));
	s.mech = mech_get(MECH_RSA_PSS_SHA256);
	OK(kf_is(pubkey_verify(pub, &s), KF_E_BAD_PARAMETERS));
}

TEST_MAIN
