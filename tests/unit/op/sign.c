/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/pubkey.h"
#include "kmip/signature_verify.h"
#include "world.h"
#include <openssl/sha.h>

enum {
	ECDSA_SHA1 = 0x0c,
	ECDSA_SHA256 = 0x0e,
	ECDSA_SHA384 = 0x0f,
	SHA_256 = 6,
	SHA3_256 = 15,
	SHA3_384 = 16,
	PKCS1 = 8,
	PSS = 10
};

static const struct slice text = { (const uint8_t *)"hello", 5 };

/* The public key as SubjectPublicKeyInfo, whatever form it is kept in. */
static kf_err public_of(struct world *w, const struct id *id, struct pubkey **ret)
{
	struct get_response a;
	KF_TRY(get_as(w, id, KMIP_KEY_FORMAT_TYPE_X_509, &a));
	return pubkey_parse(a.object.block.material, ret);
}

static kf_err verifies(struct world *w, const struct id *public_key,
	const struct mech *mech, struct slice data, struct slice sig)
{
	CLEANUP(pubkey_freep) struct pubkey *key = NULL;
	autobuf copy = buf_new(1024);
	buf_add_slice(&copy, sig);
	KF_TRY(public_of(w, public_key, &key));
	const struct signature s = { .mech = mech,
		.salt = SALT_AS_DIGEST,
		.data = data,
		.sig = buf_slice(&copy) };
	return pubkey_verify(key, &s);
}

TEST(every_kind_of_key_signs_and_openssl_verifies)
{
	WORLD(w);
	const struct {
		struct pair_wish wish;
		struct cryptographic_parameters parameters;
		enum mech_id mech;
	} kinds[] = {
		{ { .algorithm = 4, .bits = 2048 },
			{ .padding_method = PKCS1, .hashing_algorithm = SHA_256 },
			MECH_RSA_PKCS1_SHA256 },
		{ { .algorithm = 4, .bits = 2048 },
			{ .padding_method = PSS, .hashing_algorithm = SHA_256 },
			MECH_RSA_PSS_SHA256 },
		{ { .algorithm = 6, .curve = 7 },
			{ .digital_signature_algorithm = ECDSA_SHA256 },
			MECH_ECDSA_SHA256 },
		{ { .algorithm = 6, .curve = 0x3d },
			{ .digital_signature_algorithm = ECDSA_SHA256 },
			MECH_ECDSA_SHA256 },
		{ { .algorithm = 6, .curve = 0x43 }, { .hashing_algorithm = 8 },
			MECH_ECDSA_SHA512 },
		{ { .algorithm = 6, .curve = 0x19 }, { .cryptographic_algorithm = 6 },
			MECH_ECDSA_SHA256 },
		{ { .algorithm = 6, .bits = 384 }, { .cryptographic_algorithm = 0x1a },
			MECH_ECDSA_SHA384 },
		{ { .algorithm = 6, .curve = 0x43 }, { .cryptographic_algorithm = 6 },
			MECH_ECDSA_SHA512 },
		{ { .algorithm = 6, .bits = 384 },
			{ .digital_signature_algorithm = ECDSA_SHA384 },
			MECH_ECDSA_SHA384 },
		{ { .algorithm = 6, .curve = 13 }, { .hashing_algorithm = 8 },
			MECH_ECDSA_SHA512 },
		{ { .algorithm = 4, .bits = 2048 },
			{ .digital_signature_algorithm = 0x11 },
			MECH_RSA_PKCS1_SHA3_256 },
		{ { .algorithm = 4, .bits = 2048 },
			{ .padding_method = PSS,
				.hashing_algorithm = SHA3_384,
				.mask_generator_hashing_algorithm = SHA3_384 },
			MECH_RSA_PSS_SHA3_384 },
		{ { .algorithm = 6, .curve = 7 }, { .hashing_algorithm = SHA3_256 },
			MECH_ECDSA_SHA3_256 },
		{ { .algorithm = 0x37 }, { .cryptographic_algorithm = 0x37 },
			MECH_ED25519 },
	};
	OK(kf_ok(let_alice_create(&w)));

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct pair_wish wish = kinds[i].wish;
		struct pair p;
		struct slice sig = { 0 };
		wish.is_active = true;
		OK(kf_ok(create_pair(&w, &wish, &p)));
		OK(kf_ok(sign(&w, &p.private_key,
			&(struct sign_wish){
				.data = text, .parameters = kinds[i].parameters },
			&sig)));
		autobuf copy = buf_new(1024);
		buf_add_slice(&copy, sig);
		OK(kf_ok(verifies(&w, &p.public_key, mech_get(kinds[i].mech), text,
			buf_slice(&copy))));
		OK(!kf_ok(verifies(&w, &p.public_key, mech_get(kinds[i].mech),
			SLICE_LIT("hellp"), buf_slice(&copy))));
	}
}

TEST(a_digest_is_signed_like_its_data)
{
	WORLD(w);
	struct pair p;
	uint8_t digest[32];
	struct slice sig = { 0 };
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_p256(&w, NULL, &p)));
	SHA256(text.p, text.n, digest);

	OK(kf_ok(sign(&w, &p.private_key,
		&(struct sign_wish){ .digest = { digest, 32 },
			.parameters = { .hashing_algorithm = SHA_256 } },
		&sig)));

	OK(kf_ok(verifies(&w, &p.public_key, mech_get(MECH_ECDSA_SHA256), text, sig)));
	OK(kf_is(sign(&w, &p.private_key,
			 &(struct sign_wish){ .digest = { digest, 31 },
				 .parameters = { .hashing_algorithm = SHA_256 } },
			 NULL),
		KF_E_BAD_PARAMETERS));
}

TEST(long_data_are_hashed_here_or_signed_whole)
{
	WORLD(w);
	struct pair ec, ed;
	struct slice sig = { 0 };
	autobuf data = buf_new(1 << 20);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_p256(&w, NULL, &ec)));
	OK(kf_ok(create_pair(
		&w, &(struct pair_wish){ .algorithm = 0x37, .is_active = true }, &ed)));
	for (int i = 0; i < 5000; i++)
		buf_add_u8(&data, (uint8_t)i);

	OK(kf_ok(sign(&w, &ec.private_key,
		&(struct sign_wish){ .data = buf_slice(&data),
			.parameters = { .digital_signature_algorithm = ECDSA_SHA256 } },
		&sig)));
	OK(kf_ok(verifies(
		&w, &ec.public_key, mech_get(MECH_ECDSA_SHA256), buf_slice(&data), sig)));
	OK(kf_ok(sign(&w, &ed.private_key,
		&(struct sign_wish){
			.data = buf_slice(&data), .without_parameters = true },
		&sig)));
	OK(kf_ok(verifies(
		&w, &ed.public_key, mech_get(MECH_ED25519), buf_slice(&data), sig)));
}

static kf_err create_signing_pair(struct world *w, struct pair *ret)
{
	autobuf extra = buf_new(1024);
	struct ttlv_writer p = ttlv_write(&extra, 0);
	cryptographic_parameters_put(
		&p, &(struct cryptographic_parameters){
			    .digital_signature_algorithm = ECDSA_SHA256 });
	return create_pair(w,
		&(struct pair_wish){ .algorithm = 6,
			.curve = 7,
			.is_active = true,
			.private_extra = buf_slice(&extra) },
		ret);
}

TEST(parameters_default_to_those_of_the_key)
{
	WORLD(w);
	struct pair with, without;
	struct slice sig = { 0 };
	const struct sign_wish wish = { .data = text, .without_parameters = true };
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_signing_pair(&w, &with)));
	OK(kf_ok(create_p256(&w, NULL, &without)));

	OK(kf_ok(sign(&w, &with.private_key, &wish, &sig)));
	OK(kf_ok(verifies(&w, &with.public_key, mech_get(MECH_ECDSA_SHA256), text, sig)));
	OK(kf_is(sign(&w, &without.private_key, &wish, NULL), KF_E_BAD_PARAMETERS));
}

TEST(only_active_private_keys_for_signing_sign)
{
	WORLD(w);
	struct pair p, no_sign;
	struct id aes;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_pair(&w, &(struct pair_wish){ .algorithm = 6, .curve = 7 }, &p)));
	OK(kf_ok(create_pair(&w,
		&(struct pair_wish){ .algorithm = 6,
			.curve = 7,
			.is_active = true,
			.private_usage = KMIP_CRYPTOGRAPHIC_USAGE_MASK_DECRYPT },
		&no_sign)));
	OK(kf_ok(create_aes(&w, NULL, &aes)));

	OK(kf_is(sign_text(&w, &p.private_key, "x"), KF_E_STATE));
	OK(kf_is(sign_text(&w, &no_sign.private_key, "x"), KF_E_USAGE));
	OK(kf_is(sign_text(&w, &aes, "x"), KF_E_USAGE));
	OK(kf_is(sign_text(&w, &p.public_key, "x"), KF_E_USAGE));
	OK(kf_ok(activate(&w, &p.private_key)));
	OK(kf_ok(sign_text(&w, &p.private_key, "x")));
	OK(kf_ok(revoke(&w, &p.private_key, 1)));
	OK(kf_is(sign_text(&w, &p.private_key, "x"), KF_E_STATE));
	OK(kf_ok(destroy(&w, &p.private_key)));
	OK(kf_is(sign_text(&w, &p.private_key, "x"), KF_E_DESTROYED));
}

TEST(dates_bound_the_use)
{
	WORLD(w);
	struct pair p;
	autobuf dates = buf_new(1024);
	attrs_add_date(&dates, TAG_ACTIVATION_DATE, NOW + 100);
	attrs_add_date(&dates, TAG_PROTECT_STOP_DATE, NOW + 200);
	attrs_add_date(&dates, TAG_DEACTIVATION_DATE, NOW + 300);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_pair(&w,
		&(struct pair_wish){
			.algorithm = 6, .curve = 7, .private_extra = buf_slice(&dates) },
		&p)));

	OK(kf_is(sign_text(&w, &p.private_key, "x"), KF_E_STATE));
	EQ(state_of(&w, &p.private_key), STATE_PRE_ACTIVE);
	w.now_s = NOW + 100;
	EQ(state_of(&w, &p.private_key), STATE_ACTIVE);
	OK(kf_ok(sign_text(&w, &p.private_key, "x")));
	w.now_s = NOW + 200;
	EQ(state_of(&w, &p.private_key), STATE_ACTIVE);
	OK(kf_is(sign_text(&w, &p.private_key, "x"), KF_E_STATE));
	w.now_s = NOW + 300;
	EQ(state_of(&w, &p.private_key), STATE_DEACTIVATED);
}

TEST(parts_and_contradictions_are_refused)
{
	WORLD(w);
	struct pair p;
	uint8_t digest[32] = { 0 };
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_p256(&w, NULL, &p)));

	OK(kf_is(sign(&w, &p.private_key,
			 &(struct sign_wish){ .data = text,
				 .digest = { digest, 32 },
				 .parameters = { .hashing_algorithm = SHA_256 } },
			 NULL),
		KF_E_INVALID_FIELD));
	OK(kf_is(sign(&w, &p.private_key,
			 &(struct sign_wish){ .data = text,
				 .parameters = { .digital_signature_algorithm = 5 } },
			 NULL),
		KF_E_BAD_PARAMETERS));
	struct ttlv_writer q = question(&w);
	sign_put_request(&q, &(struct sign_request){ .uid = uid(&p.private_key),
				     .has_data = true,
				     .data = text,
				     .init_indicator = true });
	OK(kf_is(ask(&w, KMIP_OPERATION_SIGN), KF_E_FEATURE));
}

/* --- TLS only --- */

static struct slice certificate_verify(struct buf *into)
{
	for (int i = 0; i < 64; i++)
		buf_add_u8(into, ' ');
	buf_add_text(into, "TLS 1.3, server CertificateVerify");
	buf_add_u8(into, 0);
	for (int i = 0; i < 32; i++)
		buf_add_u8(into, (uint8_t)i);
	return buf_slice(into);
}

struct tls_only {
	struct pair pair;
	struct buf good;
};

static void tls_only_free(struct tls_only *t) { buf_free(&t->good); }

static kf_err tls_only(struct world *w, uint32_t permissions, struct tls_only *t)
{
	t->good = buf_new(1024);
	(void)certificate_verify(&t->good);
	KF_TRY(let_alice_create(w));
	KF_TRY(create_p256(w, "www-key", &t->pair));
	KF_TRY(add_grant(w, "www", "name:www-key", permissions, CONSTRAINT_TLS_ONLY));
	be(w, "www", false);
	return KF_OK;
}

static const struct cryptographic_parameters p256_sha256 = {
	.digital_signature_algorithm = ECDSA_SHA256
};

TEST(a_key_for_tls_signs_what_tls_wants_signed_and_nothing_else)
{
	WORLD(w);
	CLEANUP(tls_only_free) struct tls_only t = { 0 };
	uint8_t digest[32] = { 0 };
	OK(kf_ok(tls_only(&w, PERM_SIGN, &t)));
	const struct id *key = &t.pair.private_key;
	struct slice cut = { t.good.p, t.good.n - 1 };

	OK(kf_ok(sign(&w, key,
		&(struct sign_wish){
			.data = buf_slice(&t.good), .parameters = p256_sha256 },
		NULL)));
	OK(kf_is(sign(&w, key,
			 &(struct sign_wish){ .data = buf_slice(&t.good),
				 .parameters = { .digital_signature_algorithm =
							 ECDSA_SHA1 } },
			 NULL),
		KF_E_DENIED));
	OK(kf_is(sign(&w, key,
			 &(struct sign_wish){ .data = cut, .parameters = p256_sha256 },
			 NULL),
		KF_E_DENIED));
	OK(kf_is(sign(&w, key,
			 &(struct sign_wish){ .data = text, .parameters = p256_sha256 },
			 NULL),
		KF_E_DENIED));
	OK(kf_is(sign(&w, key,
			 &(struct sign_wish){ .digest = { digest, 32 },
				 .parameters = { .hashing_algorithm = SHA_256 } },
			 NULL),
		KF_E_DENIED));
}

TEST(who_may_sign_for_tls_reads_the_public_key_and_not_the_private_one)
{
	WORLD(w);
	CLEANUP(tls_only_free) struct tls_only t = { 0 };
	struct get_response a;
	struct id found;
	OK(kf_ok(tls_only(&w, PERM_SIGN, &t)));

	OK(kf_ok(get_as(&w, &t.pair.public_key, KMIP_KEY_FORMAT_TYPE_X_509, &a)));
	OK(kf_ok(attributes(&w, &t.pair.private_key)));
	OK(kf_ok(attributes(&w, &t.pair.public_key)));
	EQ(located_by_name(&w, "www-key", &found), 1);
	OK(!strcmp(found.text, t.pair.private_key.text));
	OK(kf_is(get(&w, &t.pair.private_key, &a), KF_E_NOT_FOUND));
	OK(kf_is(destroy(&w, &t.pair.private_key), KF_E_NOT_FOUND));
}

/* SEQUENCE { INTEGER 0, SEQUENCE {} , spki, [0] {} } */
static void csr_info(struct slice spki, struct buf *into)
{
	const uint8_t head[] = { 0x02, 1, 0, 0x30, 0 };
	size_t n = sizeof(head) + spki.n + 2;
	buf_add_u8(into, 0x30);
	if (n > 127) { /* RSA */
		buf_add_u8(into, 0x82);
		buf_add_u8(into, (uint8_t)(n >> 8));
	}
	buf_add_u8(into, (uint8_t)n);
	buf_add(into, head, sizeof(head));
	buf_add_slice(into, spki);
	buf_add_u8(into, 0xa0);
	buf_add_u8(into, 0);
}

static kf_err csr_of(struct world *w, const struct id *public_key, struct buf *into)
{
	struct get_response a;
	KF_TRY(get_as(w, public_key, KMIP_KEY_FORMAT_TYPE_X_509, &a));
	csr_info(a.object.block.material, into);
	return buf_err(into);
}

TEST(a_csr_grant_allows_a_request_for_this_very_key)
{
	WORLD(w);
	CLEANUP(tls_only_free) struct tls_only t = { 0 };
	struct pair other;
	autobuf mine = buf_new(1024), foreign = buf_new(1024);
	OK(kf_ok(tls_only(&w, PERM_SIGN, &t)));
	be(&w, "alice", false);
	OK(kf_ok(create_p256(&w, NULL, &other)));
	OK(kf_ok(csr_of(&w, &other.public_key, &foreign)));
	OK(kf_ok(csr_of(&w, &t.pair.public_key, &mine)));
	be(&w, "www", false);
	const struct sign_wish good = { .data = buf_slice(&mine),
		.parameters = p256_sha256 };
	const struct sign_wish bad = { .data = buf_slice(&foreign),
		.parameters = p256_sha256 };
	const struct sign_wish tls = { .data = buf_slice(&t.good),
		.parameters = p256_sha256 };

	OK(kf_is(sign(&w, &t.pair.private_key, &good, NULL), KF_E_DENIED));
	OK(kf_ok(add_grant(&w, "www", t.pair.private_key.text, PERM_CSR, 0)));
	OK(kf_ok(sign(&w, &t.pair.private_key, &good, NULL)));
	OK(kf_is(sign(&w, &t.pair.private_key, &bad, NULL), KF_E_DENIED));

	/* CSR alone: no TLS either. */
	OK(kf_ok(add_grant(&w, "ra", t.pair.private_key.text, PERM_CSR, 0)));
	be(&w, "ra", false);
	OK(kf_ok(sign(&w, &t.pair.private_key, &good, NULL)));
	OK(kf_is(sign(&w, &t.pair.private_key, &tls, NULL), KF_E_DENIED));
	OK(kf_is(sign(&w, &t.pair.private_key, &bad, NULL), KF_E_DENIED));
}

/* --- other constraints --- */

static kf_err create_rsa(struct world *w, const char *name, struct pair *ret)
{
	return create_pair(w,
		&(struct pair_wish){ .algorithm = 4,
			.bits = 2048,
			.private_name = name,
			.is_active = true },
		ret);
}

enum { SHA_1 = 4 };

static kf_err sign_rsa(struct world *w, const struct id *key, uint32_t padding,
	uint32_t hash, struct slice data)
{
	return sign(w, key,
		&(struct sign_wish){ .data = data,
			.parameters = { .padding_method = padding,
				.hashing_algorithm = hash } },
		NULL);
}

TEST(pss_only_refuses_other_paddings_and_goes_with_tls_only)
{
	WORLD(w);
	struct pair rsa, ec;
	autobuf good = buf_new(1024);
	const struct slice tls = certificate_verify(&good);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_rsa(&w, "rsa-key", &rsa)));
	OK(kf_ok(create_p256(&w, "ec-key", &ec)));
	OK(kf_ok(add_grant(&w, "www", "*", PERM_SIGN, CONSTRAINT_PSS_ONLY)));
	OK(kf_ok(add_grant(
		&w, "both", "*", PERM_SIGN, CONSTRAINT_PSS_ONLY | CONSTRAINT_TLS_ONLY)));
	const struct id *key = &rsa.private_key;

	be(&w, "www", false);
	OK(kf_ok(sign_rsa(&w, key, PSS, SHA_256, text)));
	OK(kf_is(sign_rsa(&w, key, PKCS1, SHA_256, text), KF_E_DENIED));
	OK(kf_is(sign_rsa(&w, key, PKCS1, SHA_256, tls), KF_E_DENIED));
	OK(kf_ok(sign(&w, &ec.private_key,
		&(struct sign_wish){ .data = text, .parameters = p256_sha256 }, NULL)));

	be(&w, "both", false);
	OK(kf_ok(sign_rsa(&w, key, PSS, SHA_256, tls)));
	OK(kf_is(sign_rsa(&w, key, PSS, SHA_256, text), KF_E_DENIED));
	OK(kf_is(sign_rsa(&w, key, PKCS1, SHA_256, tls), KF_E_DENIED));
}

TEST(no_sha1_refuses_sha1_and_nothing_else)
{
	WORLD(w);
	struct pair rsa;
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_rsa(&w, "rsa-key", &rsa)));
	OK(kf_ok(add_grant(&w, "www", "*", PERM_SIGN, CONSTRAINT_NO_SHA1)));
	be(&w, "www", false);

	OK(kf_ok(sign_rsa(&w, &rsa.private_key, PKCS1, SHA_256, text)));
	OK(kf_is(sign_rsa(&w, &rsa.private_key, PKCS1, SHA_1, text), KF_E_DENIED));
	OK(kf_is(sign_rsa(&w, &rsa.private_key, PSS, SHA_1, text), KF_E_DENIED));
}

TEST(a_csr_under_pss_only_is_signed_with_pss)
{
	WORLD(w);
	struct pair rsa;
	autobuf csr = buf_new(2048);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_rsa(&w, "rsa-key", &rsa)));
	OK(kf_ok(csr_of(&w, &rsa.public_key, &csr)));
	OK(kf_ok(add_grant(&w, "ra", "*", PERM_CSR, CONSTRAINT_PSS_ONLY)));
	be(&w, "ra", false);
	const struct id *key = &rsa.private_key;

	OK(kf_ok(sign_rsa(&w, key, PSS, SHA_256, buf_slice(&csr))));
	OK(kf_is(sign_rsa(&w, key, PKCS1, SHA_256, buf_slice(&csr)), KF_E_DENIED));
	OK(kf_is(sign_rsa(&w, key, PSS, SHA_256, text), KF_E_DENIED));
}

/* --- Signature Verify --- */

static kf_err verify_with(struct world *w, const struct id *id,
	const struct cryptographic_parameters *parameters, struct slice data,
	struct slice sig, uint32_t *ret)
{
	struct signature_verify_response a;
	autobuf copy = buf_new(1024);
	buf_add_slice(&copy, sig);
	struct ttlv_writer q = question(w);
	signature_verify_put_request(
		&q, &(struct signature_verify_request){ .uid = uid(id),
			    .has_parameters = true,
			    .parameters = *parameters,
			    .has_data = true,
			    .data = data,
			    .signature = buf_slice(&copy) });
	KF_TRY(ask(w, KMIP_OPERATION_SIGNATURE_VERIFY));
	struct ttlv_reader r = answer(w);
	KF_TRY(signature_verify_get_response(&r, &a));
	*ret = a.validity;
	return KF_OK;
}

static kf_err verify(struct world *w, const struct id *id, struct slice data,
	struct slice sig, uint32_t *ret)
{
	return verify_with(w, id, &p256_sha256, data, sig, ret);
}

TEST(signature_verify_tells_right_from_wrong)
{
	WORLD(w);
	struct pair p;
	struct slice sig = { 0 };
	uint32_t validity = 0;
	autobuf copy = buf_new(1024);
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_p256(&w, NULL, &p)));
	OK(kf_ok(sign(&w, &p.private_key,
		&(struct sign_wish){ .data = text, .parameters = p256_sha256 }, &sig)));
	buf_add_slice(&copy, sig);

	OK(kf_ok(verify(&w, &p.public_key, text, buf_slice(&copy), &validity)));
	EQ(validity, KMIP_VALIDITY_INDICATOR_VALID);
	OK(kf_ok(verify(
		&w, &p.public_key, SLICE_LIT("other"), buf_slice(&copy), &validity)));
	EQ(validity, KMIP_VALIDITY_INDICATOR_INVALID);
	copy.p[0] ^= 1;
	OK(kf_ok(verify(&w, &p.public_key, text, buf_slice(&copy), &validity)));
	EQ(validity, KMIP_VALIDITY_INDICATOR_INVALID);
	OK(kf_is(verify(&w, &p.private_key, text, buf_slice(&copy), &validity),
		KF_E_USAGE));
}

/* As CS-AC-M-3-ECC of the profiles 1.3 asks: ECDSA has none, so it says nothing. */
TEST(a_padding_says_nothing_where_ecdsa_is_verified)
{
	WORLD(w);
	struct pair p;
	struct slice sig = { 0 };
	uint32_t validity = 0;
	autobuf copy = buf_new(1024);
	struct cryptographic_parameters pss = { .cryptographic_algorithm = 4,
		.padding_method = PSS,
		.hashing_algorithm = SHA_256 };
	OK(kf_ok(let_alice_create(&w)));
	OK(kf_ok(create_pair(&w,
		&(struct pair_wish){ .algorithm = 6, .curve = 0x19, .is_active = true },
		&p)));
	OK(kf_ok(sign(&w, &p.private_key,
		&(struct sign_wish){
			.data = text, .parameters = { .cryptographic_algorithm = 6 } },
		&sig)));
	buf_add_slice(&copy, sig);
	sig = buf_slice(&copy);
	OK(kf_ok(verify_with(&w, &p.public_key, &pss, text, sig, &validity)));
	EQ(validity, KMIP_VALIDITY_INDICATOR_VALID);
	pss.hashing_algorithm = KMIP_HASHING_ALGORITHM_SHA_1;
	OK(kf_ok(verify_with(&w, &p.public_key, &pss, text, sig, &validity)));
	EQ(validity, KMIP_VALIDITY_INDICATOR_INVALID);
	OK(kf_is(sign(&w, &p.private_key,
			 &(struct sign_wish){ .data = text, .parameters = pss }, NULL),
		KF_E_BAD_PARAMETERS));
}

TEST_MAIN
