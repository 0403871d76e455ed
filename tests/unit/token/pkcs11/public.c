/* SPDX-License-Identifier: Apache-2.0 */
#include "token/pkcs11/public.h"
#include "../../crypt/keys.h"
#include "../../crypt/pem.h"
#include "crypt/ossl.h"
#include "test.h"
#include <openssl/core_names.h>

static const uint8_t p256[] = { 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7 };
static const struct slice curve = { p256, sizeof(p256) };

static EVP_PKEY *load(const char *pem)
{
	autobuf der = buf_new(4096);
	EVP_PKEY *pkey = NULL;
	pem_to_der(pem, &der);
	return kf_ok(ossl_parse_private(buf_slice(&der), &pkey)) ? pkey : NULL;
}

static bool is_key(const struct pubkey *made, EVP_PKEY *pkey)
{
	CLEANUP(pubkey_freep) struct pubkey *want = NULL;
	return made && kf_ok(pubkey_of_pkey(pkey, &want)) &&
	       slice_eq(pubkey_spki(made), pubkey_spki(want));
}

static size_t number(EVP_PKEY *pkey, const char *name, uint8_t *ret)
{
	CLEANUP(ossl_bn_freep) BIGNUM *n = NULL;
	return EVP_PKEY_get_bn_param(pkey, name, &n) ? (size_t)BN_bn2bin(n, ret) : 0;
}

TEST(an_rsa_key_comes_out_of_modulus_and_exponent)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = load(rsa_pem);
	CLEANUP(pubkey_freep) struct pubkey *a = NULL, *b = NULL, *c = NULL;
	uint8_t n[300] = { 0 }, e[16];
	size_t n_n = number(pkey, OSSL_PKEY_PARAM_RSA_N, n + 1);
	size_t e_n = number(pkey, OSSL_PKEY_PARAM_RSA_E, e);

	OK(kf_ok(p11_public_of_rsa(
		(struct slice){ n + 1, n_n }, (struct slice){ e, e_n }, &a)));
	OK(is_key(a, pkey));
	OK(kf_ok(p11_public_of_rsa(/* a zero too many in front */
		(struct slice){ n, n_n + 1 }, (struct slice){ e, e_n }, &b)));
	OK(is_key(b, pkey));
	OK(!kf_ok(
		p11_public_of_rsa((struct slice){ n, 0 }, (struct slice){ e, e_n }, &c)));
}

static size_t point_of(EVP_PKEY *pkey, uint8_t ret[128])
{
	size_t n = 0;
	EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, ret, 128, &n);
	return n;
}

TEST(a_point_may_be_a_string_or_bare)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = load(ec_pem);
	CLEANUP(pubkey_freep) struct pubkey *a = NULL, *b = NULL, *c = NULL;
	uint8_t string[131] = { 4, 65 }, longer[132] = { 4, 0x81, 65 };
	EQ(point_of(pkey, string + 2), 65);
	memcpy(longer + 3, string + 2, 65);

	OK(kf_ok(p11_public_of_ec(curve, (struct slice){ string, 67 }, &a)));
	OK(kf_ok(p11_public_of_ec(curve, (struct slice){ string + 2, 65 }, &b)));
	OK(kf_ok(p11_public_of_ec(curve, (struct slice){ longer, 68 }, &c)));
	OK(is_key(a, pkey) && is_key(b, pkey) && is_key(c, pkey));
}

TEST(points_cut_anywhere_or_of_a_lying_length_are_refused)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = load(ec_pem);
	uint8_t string[131] = { 4, 65 };
	point_of(pkey, string + 2);

	for (size_t n = 0; n < 67; n++) {
		CLEANUP(pubkey_freep) struct pubkey *k = NULL;
		OK(!kf_ok(p11_public_of_ec(curve, (struct slice){ string, n }, &k)));
	}
	for (int lie = 0; lie < 256; lie++) {
		CLEANUP(pubkey_freep) struct pubkey *k = NULL;
		string[1] = (uint8_t)lie;
		bool is_good =
			kf_ok(p11_public_of_ec(curve, (struct slice){ string, 67 }, &k));
		EQ(is_good, lie == 65);
	}
	for (size_t n = 0; n < sizeof(p256); n++) {
		CLEANUP(pubkey_freep) struct pubkey *k = NULL;
		OK(!kf_ok(p11_public_of_ec((struct slice){ p256, n },
			(struct slice){ string + 2, 65 }, &k)));
	}
}

TEST(an_ed25519_key_may_be_a_string_of_either_kind_or_bare)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = load(ed25519_pem);
	uint8_t octets[130] = { 4, 32 }, bits[131] = { 3, 33, 0 };
	EQ(point_of(pkey, octets + 2), 32);
	memcpy(bits + 3, octets + 2, 32);
	CLEANUP(pubkey_freep) struct pubkey *a = NULL, *b = NULL, *c = NULL, *d = NULL;

	OK(kf_ok(p11_public_of_ed25519((struct slice){ octets, 34 }, &a)));
	OK(kf_ok(p11_public_of_ed25519((struct slice){ octets + 2, 32 }, &b)));
	OK(kf_ok(p11_public_of_ed25519((struct slice){ bits, 35 }, &c)));
	OK(is_key(a, pkey) && is_key(b, pkey) && is_key(c, pkey));
	OK(!kf_ok(p11_public_of_ed25519((struct slice){ bits, 34 }, &d)));
}

TEST(what_is_no_certificate_is_refused)
{
	CLEANUP(pubkey_freep) struct pubkey *k = NULL;
	OK(!kf_ok(p11_public_of_certificate((struct slice){ p256, sizeof(p256) }, &k)));
	OK(!kf_ok(p11_public_of_certificate((struct slice){ NULL, 0 }, &k)));
}

TEST_MAIN
