/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/alg.h"
#include "test.h"

static enum alg_id named(const char *text)
{
	const struct alg *a = alg_by_name(slice_of(text));
	return a ? a->id : ALG_COUNT;
}

TEST(all_spellings_of_a_curve_name_the_same_row)
{
	const char *p256[] = { "EC:prime256v1", "ec:P-256", "secp256r1", "P-256",
		"NIST P-256", "nistp256", "EC:secp256r1", "prime256v1", NULL };

	for (const char **s = p256; *s; s++)
		EQ(named(*s), ALG_P256);
	EQ(named("ec:P-384"), ALG_P384);
	EQ(named("EC:secp521r1"), ALG_P521);
	EQ(named("ec:brainpoolP256r1"), ALG_BRAINPOOL_P256R1);
	EQ(named("brainpoolP512r1"), ALG_BRAINPOOL_P512R1);
	EQ(named("secp256k1"), ALG_SECP256K1);
	EQ(named("rsa:2048"), ALG_RSA_2048);
	EQ(named("RSA-4096"), ALG_RSA_4096);
	EQ(named("Ed25519"), ALG_ED25519);
}

TEST(the_printed_name_of_a_row_finds_it)
{
	for (size_t i = 0; i < ALG_COUNT; i++)
		EQ(named(alg_get((enum alg_id)i)->name), (long long)i);
}

TEST(unknown_names_find_nothing)
{
	const char *bad[] = { "", "ec", "rsa", "rsa:1023", "P-25", "p2566", "ec:", "ed",
		"256", "ecrsa2048", "ec:ed25519", "prime256v1 p384", NULL };

	for (const char **s = bad; *s; s++)
		EQ(named(*s), ALG_COUNT);
}

TEST(kmip_curve_or_length_decides)
{
	OK(alg_by_kmip(4, 0, 2048) == alg_get(ALG_RSA_2048));
	OK(alg_by_kmip(6, 7, 0) == alg_get(ALG_P256));
	OK(alg_by_kmip(0x1a, 0, 384) == alg_get(ALG_P384));
	OK(alg_by_kmip(0x1a, 0xd, 521) == alg_get(ALG_P521));
	OK(alg_by_kmip(0x37, 0, 0) == alg_get(ALG_ED25519));
	OK(!alg_by_kmip(6, 7, 384));
	OK(!alg_by_kmip(6, 0, 0));
	OK(!alg_by_kmip(4, 0, 0));
	OK(!alg_by_kmip(4, 0, 1023));
	OK(alg_by_kmip(6, 0x41, 384) == alg_get(ALG_BRAINPOOL_P384R1));
	OK(alg_by_kmip(6, 0, 256) == alg_get(ALG_P256));
	OK(alg_by_kmip(6, 0, 512) == alg_get(ALG_BRAINPOOL_P512R1));
	OK(!alg_by_kmip(3, 0, 256));
}

TEST(only_rsa_1024_is_legacy)
{
	for (size_t i = 0; i < ALG_COUNT; i++)
		EQ(alg_get((enum alg_id)i)->is_legacy, i == ALG_RSA_1024);
}

TEST(hashes_go_by_every_usual_name)
{
	OK(hash_by_name("SHA256") == hash_get(HASH_SHA256));
	OK(hash_by_name("sha2-256") == hash_get(HASH_SHA256));
	OK(hash_by_name("SHA-1") == hash_get(HASH_SHA1));
	OK(hash_by_name("SHA3-256") == hash_get(HASH_SHA3_256));
	OK(hash_by_kmip(17) == hash_get(HASH_SHA3_512));
	OK(!hash_by_name("SHA3"));
	OK(!hash_by_name("MD5"));
	OK(!hash_by_name("sha2"));
	OK(!hash_by_name(""));
}

TEST(a_mechanism_is_found_by_signature_algorithm_or_by_padding)
{
	const struct mech *m = NULL;
	int salt = 7;

	OK(kf_ok(mech_by_kmip(
		&(struct mech_kmip){ .signature = 5 }, FAMILY_RSA, &m, &salt)));
	EQ(m->id, MECH_RSA_PKCS1_SHA256);
	OK(kf_ok(mech_by_kmip(
		&(struct mech_kmip){ .padding = 8, .hash = 7 }, FAMILY_RSA, &m, &salt)));
	EQ(m->id, MECH_RSA_PKCS1_SHA384);
	EQ(salt, 7);
	OK(kf_ok(mech_by_kmip(
		&(struct mech_kmip){
			.signature = 8, .hash = 6, .has_salt = true, .salt = 20 },
		FAMILY_RSA, &m, &salt)));
	EQ(m->id, MECH_RSA_PSS_SHA256);
	EQ(salt, 20);
	OK(kf_ok(mech_by_kmip(
		&(struct mech_kmip){ .padding = 10, .hash = 8 }, FAMILY_RSA, &m, &salt)));
	EQ(m->id, MECH_RSA_PSS_SHA512);
	EQ(salt, SALT_AS_DIGEST);
	OK(kf_ok(mech_by_kmip(&(struct mech_kmip){ .hash = 6 }, FAMILY_EC, &m, &salt)));
	EQ(m->id, MECH_ECDSA_SHA256);
	OK(kf_ok(mech_by_kmip(
		&(struct mech_kmip){ .signature = 0x12 }, FAMILY_RSA, &m, &salt)));
	EQ(m->id, MECH_RSA_PKCS1_SHA3_384);
	OK(kf_ok(mech_by_kmip(&(struct mech_kmip){ .padding = 8, .hash = 0xe },
		FAMILY_RSA, &m, &salt)));
	EQ(m->id, MECH_RSA_PKCS1_SHA3_224);
	OK(kf_ok(mech_by_kmip(
		&(struct mech_kmip){ .signature = 8, .hash = 0xf, .mask_hash = 0xf },
		FAMILY_RSA, &m, &salt)));
	EQ(m->id, MECH_RSA_PSS_SHA3_256);
	OK(kf_ok(
		mech_by_kmip(&(struct mech_kmip){ .hash = 0x11 }, FAMILY_EC, &m, &salt)));
	EQ(m->id, MECH_ECDSA_SHA3_512);
	OK(kf_ok(mech_by_kmip(&(struct mech_kmip){ 0 }, FAMILY_ED25519, &m, &salt)));
	EQ(m->id, MECH_ED25519);
}

TEST(parameters_that_contradict_are_refused)
{
	const struct mech_kmip bad[] = {
		{ .signature = 5, .hash = 7 },     /* SHA-256 and SHA-384 */
		{ .signature = 5, .padding = 10 }, /* PKCS#1 and PSS */
		{ .signature = 8 },                /* PSS without a hash */
		{ .signature = 14 },               /* ECDSA with an RSA key */
		{ .padding = 8 },                  /* no hash */
		{ .padding = 2, .hash = 6 },       /* OAEP */
		{ .hash = 3 },                     /* MD5 */
		{ .signature = 0x11, .hash = 6 },  /* SHA3-256 and SHA-256 */
		{ .signature = 8,
			.hash = 6,
			.mask_hash = 4 }, /* another hash in the mask */
		{ .padding = 10, .hash = 6, .has_salt = true, .salt = -3 },
	};
	const struct mech *m = NULL;
	int salt = 0;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		OK(kf_is(mech_by_kmip(&bad[i], FAMILY_RSA, &m, &salt),
			KF_E_BAD_PARAMETERS));
	OK(!m);
}

TEST_MAIN
