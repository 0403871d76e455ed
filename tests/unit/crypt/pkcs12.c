/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/pkcs12.h"
#include "chain.h"
#include "test.h"
#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <string.h>

static const struct slice password = { (const uint8_t *)"correct horse", 13 };
static const struct slice no_name;

static bool is_same(const struct pkcs12 *a, const struct pkcs12 *b)
{
	if (!slice_eq(buf_slice(&a->pkcs8), buf_slice(&b->pkcs8)) ||
		!slice_eq(buf_slice(&a->name), buf_slice(&b->name)) || a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!slice_eq(buf_slice(&a->chain[i]), buf_slice(&b->chain[i])))
			return false;
	return true;
}

TEST(a_key_and_its_chain_come_back_as_they_went_in)
{
	CLEANUP(pkcs12_clear) struct pkcs12 c = { 0 }, got = { 0 };
	autobuf file = buf_new(PKCS12_SIZE_MAX);
	OK(kf_ok(content_make("www key", &c)));
	OK(kf_ok(pkcs12_seal(&c, password, &file)));
	OK(kf_ok(pkcs12_open(buf_slice(&file), password, no_name, &got)));
	OK(is_same(&c, &got));
	EQ(got.n, 2);
}

TEST(a_key_alone_is_a_file_too)
{
	CLEANUP(pkcs12_clear) struct pkcs12 c = { 0 }, got = { 0 };
	autobuf file = buf_new(PKCS12_SIZE_MAX);
	OK(kf_ok(content_make("alone", &c)));
	for (; c.n; c.n--)
		buf_free(&c.chain[c.n - 1]);
	OK(kf_ok(pkcs12_seal(&c, password, &file)));
	OK(kf_ok(pkcs12_open(buf_slice(&file), password, no_name, &got)));
	OK(is_same(&c, &got));
}

TEST(a_key_is_found_by_its_name_whatever_the_case)
{
	CLEANUP(pkcs12_clear) struct pkcs12 c = { 0 }, got = { 0 };
	autobuf file = buf_new(PKCS12_SIZE_MAX);
	OK(kf_ok(content_make("Web", &c)));
	OK(kf_ok(pkcs12_seal(&c, password, &file)));
	OK(kf_ok(pkcs12_open(buf_slice(&file), password, slice_of("wEB"), &got)));
	OK(is_same(&c, &got));
	const char *others[] = { "we", "webs", "mail" };
	for (size_t i = 0; i < 3; i++)
		OK(kf_is(pkcs12_open(
				 buf_slice(&file), password, slice_of(others[i]), &got),
			KF_E_INVALID_FIELD));
}

TEST(another_password_opens_nothing)
{
	CLEANUP(pkcs12_clear) struct pkcs12 c = { 0 }, got = { 0 };
	autobuf file = buf_new(PKCS12_SIZE_MAX);
	static const uint8_t zero[] = "correct horse\0x";
	const struct slice wrong[] = { slice_of("correct hors"),
		slice_of("Correct horse"), { zero, 15 }, { zero, 0 } };
	OK(kf_ok(content_make("www", &c)));
	OK(kf_ok(pkcs12_seal(&c, password, &file)));
	for (size_t i = 0; i < 4; i++)
		OK(kf_is(pkcs12_open(buf_slice(&file), wrong[i], no_name, &got),
			KF_E_BAD_PASSWORD));
	OK(kf_is(pkcs12_seal(&c, wrong[2], &file), KF_E_BAD_PASSWORD));
	OK(kf_is(pkcs12_seal(&c, wrong[3], &file), KF_E_BAD_PASSWORD));
	OK(!got.pkcs8.p && !got.n);
	EQ(ERR_peek_error(), 0);
}

TEST(a_file_that_is_cut_or_longer_is_refused)
{
	CLEANUP(pkcs12_clear) struct pkcs12 c = { 0 }, got = { 0 };
	autobuf file = buf_new(PKCS12_SIZE_MAX);
	OK(kf_ok(content_make("www", &c)));
	OK(kf_ok(pkcs12_seal(&c, password, &file)));
	for (size_t n = 0; n < file.n; n++)
		OK(!kf_ok(pkcs12_open(
			(struct slice){ file.p, n }, password, no_name, &got)));
	buf_add_u8(&file, 0);
	OK(kf_is(pkcs12_open(buf_slice(&file), password, no_name, &got),
		KF_E_INVALID_FIELD));
	OK(!got.n);
}

/* The file anew, with a MAC of one round, after somebody has changed what it covers. */
static bool mac_anew(struct buf *file)
{
	const unsigned char *p = file->p;
	PKCS12 *f = d2i_PKCS12(NULL, &p, (long)file->n);
	unsigned char *der = NULL;
	int n = 0;
	if (f && PKCS12_set_mac(f, "correct horse", -1, NULL, 0, 1, EVP_sha256()))
		n = i2d_PKCS12(f, &der);
	PKCS12_free(f);
	buf_clear(file);
	if (n > 0)
		buf_add(file, der, (size_t)n);
	OPENSSL_free(der);
	return n > 0;
}

/* INTEGER 50000, which is how far our files' passwords are stretched, becomes one of 7,000,000. */
static size_t stretch(struct buf *file, size_t which)
{
	static const uint8_t mine[] = { 2, 3, 0, 0xc3, 0x50 };
	size_t found = 0;
	for (size_t i = 0; i + sizeof(mine) <= file->n; i++)
		if (!memcmp(file->p + i, mine, sizeof(mine)) && found++ == which)
			file->p[i + 2] = 0x6a;
	return found;
}

TEST(passwords_that_are_stretched_too_far_are_not_followed)
{
	CLEANUP(pkcs12_clear) struct pkcs12 c = { 0 }, got = { 0 };
	autobuf file = buf_new(PKCS12_SIZE_MAX), changed = buf_new(PKCS12_SIZE_MAX);
	OK(kf_ok(content_make("www", &c)));
	OK(kf_ok(pkcs12_seal(&c, password, &file)));

	for (size_t i = 0; i < 3; i++) {
		buf_clear(&changed);
		buf_add_slice(&changed, buf_slice(&file));
		EQ(stretch(&changed, i), 3); /* certificates, key, MAC */
		OK(i == 2 || mac_anew(&changed));
		OK(kf_is(pkcs12_open(buf_slice(&changed), password, no_name, &got),
			KF_E_LIMIT));
	}
	OK(mac_anew(&file));
	OK(kf_ok(pkcs12_open(buf_slice(&file), password, no_name, &got)));
	OK(is_same(&c, &got));
}

/* It says that it has issued itself, and that all others of this kind have. */
static X509 *make_liar(EVP_PKEY *key, EVP_PKEY *signs, int number)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), number);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 1000);
	X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC,
		(const unsigned char *)"liar", -1, -1, 0);
	X509_set_issuer_name(x, name);
	X509_set_pubkey(x, key);
	X509_sign(x, signs, EVP_sha256());
	return x;
}

/* As many as there are, and each has issued the one before: else the first step would be the last. */
static kf_err open_liars(int n)
{
	EVP_PKEY *keys[60];
	CLEANUP(pkcs12_clear) struct pkcs12 got = { 0 };
	autobuf file = buf_new(PKCS12_SIZE_MAX);
	STACK_OF(X509) *others = sk_X509_new_null();
	unsigned char *der = NULL;
	for (int i = 0; i <= n; i++)
		keys[i] = EVP_EC_gen("P-256");
	X509 *first = make_liar(keys[0], keys[1], 0);
	for (int i = n - 1; i > 0; i--)
		sk_X509_push(others, make_liar(keys[i], keys[i + 1], i));
	PKCS12 *f = PKCS12_create("correct horse", "www", keys[0], first, others,
		NID_aes_256_cbc, NID_aes_256_cbc, 1, 1, 0);
	const int size = i2d_PKCS12(f, &der);
	buf_add(&file, der, (size_t)size);
	OPENSSL_free(der);
	PKCS12_free(f);
	X509_free(first);
	sk_X509_pop_free(others, X509_free);
	for (int i = 0; i <= n; i++)
		EVP_PKEY_free(keys[i]);
	return pkcs12_open(buf_slice(&file), password, no_name, &got);
}

TEST(not_every_signature_of_a_file_is_looked_at)
{
	OK(kf_ok(open_liars(6)));
	OK(kf_is(open_liars(12), KF_E_LIMIT));
	OK(kf_is(open_liars(50), KF_E_LIMIT));
}

TEST(a_file_without_a_mac_is_not_taken)
{
	CLEANUP(pkcs12_clear) struct pkcs12 c = { 0 }, got = { 0 };
	EVP_PKEY *key = NULL;
	autobuf file = buf_new(PKCS12_SIZE_MAX);
	OK(kf_ok(content_make("www", &c)));
	const unsigned char *p = c.pkcs8.p;
	key = d2i_AutoPrivateKey(NULL, &p, (long)c.pkcs8.n);
	PKCS12 *f = PKCS12_create("correct horse", "www", key, NULL, NULL,
		NID_aes_256_cbc, NID_aes_256_cbc, 1, -1, 0);
	unsigned char *der = NULL;
	const int n = i2d_PKCS12(f, &der);
	buf_add(&file, der, (size_t)n);
	OPENSSL_free(der);
	PKCS12_free(f);
	EVP_PKEY_free(key);
	OK(kf_is(
		pkcs12_open(buf_slice(&file), password, no_name, &got), KF_E_KEY_FORMAT));
}

TEST_MAIN
