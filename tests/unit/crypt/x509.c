/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/x509.h"
#include "base/clock.h"
#include "keys.h"
#include "test.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static const struct cert_wish ca_wish = { .role = CERT_CA,
	.common_name = "keyfleet test CA" };

static X509 *read_cert(const struct cert *c)
{
	BIO *in = BIO_new_mem_buf(c->pem.p, (int)c->pem.n);
	X509 *x = PEM_read_bio_X509(in, NULL, NULL, NULL);
	BIO_free(in);
	return x;
}

static void free_x509(X509 **x) { X509_free(*x); }

static kf_err issue(const struct cert *ca, const struct cert_wish *wish, struct cert *ret)
{
	return cert_issue(buf_slice(&ca->pem), buf_slice(&ca->key_pem), wish, ret);
}

/* Does a verifier with this purpose take it? */
static bool is_trusted(const struct cert *ca, const struct cert *c, int purpose)
{
	X509 *root = read_cert(ca), *x = read_cert(c);
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_STORE_add_cert(store, root);
	X509_STORE_CTX_init(ctx, store, x, NULL);
	X509_STORE_CTX_set_purpose(ctx, purpose);
	X509_VERIFY_PARAM_set_flags(
		X509_STORE_CTX_get0_param(ctx), X509_V_FLAG_X509_STRICT);
	bool is_good = X509_verify_cert(ctx) == 1;
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	X509_free(root);
	X509_free(x);
	ERR_clear_error();
	return is_good;
}

TEST(an_authority_may_issue_and_nothing_else)
{
	CLEANUP(cert_free) struct cert ca = { 0 };
	OK(kf_ok(cert_make_ca(&ca_wish, &ca)));
	CLEANUP(free_x509) X509 *x = read_cert(&ca);
	int64_t end = 0;

	OK(x && X509_check_ca(x) == 1 && X509_self_signed(x, 1) == 1);
	EQ(X509_get_pathlen(x), 0);
	EQ(X509_get_key_usage(x), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
	OK(kf_ok(cert_not_after(buf_slice(&ca.pem), &end)));
	OK(end > clock_wall_s() + 3649LL * 86400 &&
		end <= clock_wall_s() + 3650LL * 86400);
}

TEST(a_server_certificate_serves_and_a_client_certificate_asks)
{
	CLEANUP(cert_free) struct cert ca = { 0 }, server = { 0 }, client = { 0 };
	const char *sans[] = { "dns:keys.example", "127.0.0.1", "ip:::1", "*.example",
		NULL };
	struct cert_wish s = { .role = CERT_SERVER, .common_name = "keys", .sans = sans };
	struct cert_wish c = { .role = CERT_CLIENT, .common_name = "web-1" };
	char name[65];
	OK(kf_ok(cert_make_ca(&ca_wish, &ca)));

	OK(kf_ok(issue(&ca, &s, &server)));
	OK(kf_ok(issue(&ca, &c, &client)));

	OK(is_trusted(&ca, &server, X509_PURPOSE_SSL_SERVER));
	OK(!is_trusted(&ca, &server, X509_PURPOSE_SSL_CLIENT));
	OK(is_trusted(&ca, &client, X509_PURPOSE_SSL_CLIENT));
	OK(!is_trusted(&ca, &client, X509_PURPOSE_SSL_SERVER));
	CLEANUP(free_x509) X509 *x = read_cert(&server);
	EQ(X509_get_extended_key_usage(x), XKU_SSL_SERVER);
	EQ(X509_check_host(x, "keys.example", 0, 0, NULL), 1);
	EQ(X509_check_ip_asc(x, "127.0.0.1", 0), 1);
	EQ(X509_check_ip_asc(x, "::1", 0), 1);
	EQ(X509_check_host(x, "other", 0, 0, NULL), 0);
	OK(kf_ok(cert_common_name(buf_slice(&client.pem), name, sizeof(name))));
	OK(!strcmp(name, "web-1"));
	OK(client.key_pem.n > 0);
}

TEST(serial_numbers_differ_and_dates_begin_in_the_past)
{
	CLEANUP(cert_free) struct cert ca = { 0 }, a = { 0 }, b = { 0 };
	struct cert_wish wish = {
		.role = CERT_CLIENT, .common_name = "web-1", .days = 30
	};
	OK(kf_ok(cert_make_ca(&ca_wish, &ca)));
	OK(kf_ok(issue(&ca, &wish, &a)) && kf_ok(issue(&ca, &wish, &b)));
	CLEANUP(free_x509) X509 *x = read_cert(&a);
	CLEANUP(free_x509) X509 *y = read_cert(&b);
	uint8_t fx[FINGERPRINT_SIZE], fy[FINGERPRINT_SIZE];

	OK(ASN1_INTEGER_cmp(X509_get0_serialNumber(x), X509_get0_serialNumber(y)));
	OK(ASN1_STRING_length(X509_get0_serialNumber(x)) >= 14);
	OK(ASN1_TIME_cmp_time_t(X509_get0_notBefore(x), clock_wall_s() - 290) < 0);
	OK(kf_ok(cert_fingerprint(buf_slice(&a.pem), fx)));
	OK(kf_ok(cert_fingerprint(buf_slice(&b.pem), fy)));
	OK(memcmp(fx, fy, sizeof(fx)));
}

TEST(no_certificate_outlives_its_authority)
{
	CLEANUP(cert_free) struct cert ca = { 0 }, c = { 0 };
	struct cert_wish short_ca = { .role = CERT_CA, .common_name = "CA", .days = 10 };
	struct cert_wish wish = {
		.role = CERT_CLIENT, .common_name = "web-1", .days = 365
	};
	int64_t of_ca = 0, of_c = 1;
	OK(kf_ok(cert_make_ca(&short_ca, &ca)));

	OK(kf_ok(issue(&ca, &wish, &c)));

	OK(kf_ok(cert_not_after(buf_slice(&ca.pem), &of_ca)));
	OK(kf_ok(cert_not_after(buf_slice(&c.pem), &of_c)));
	EQ(of_ca, of_c);
	clock_turn(0, 11LL * 86400);
	kf_err err = issue(&ca, &wish, &c);
	clock_turn(0, -11LL * 86400);
	OK(kf_is(err, KF_E_DENIED));
}

TEST(names_that_cannot_be_are_refused)
{
	CLEANUP(cert_free) struct cert ca = { 0 }, c = { 0 };
	const char *long_name =
		"12345678901234567890123456789012345678901234567890123456789012345";
	const char *names[] = { "", long_name, "a\nb", "a\x80", NULL };
	const char *sans[][2] = { { "dns:a,email:x" }, { "ip:nowhere" }, { "a b" },
		{ "" }, { "dns:" }, { "DNS:a/b" } };
	OK(kf_ok(cert_make_ca(&ca_wish, &ca)));

	for (size_t i = 0; i < 5; i++) {
		struct cert_wish wish = { .role = CERT_CLIENT, .common_name = names[i] };
		OK(kf_is(issue(&ca, &wish, &c), KF_E_INVALID_FIELD));
	}
	for (size_t i = 0; i < 6; i++) {
		struct cert_wish wish = {
			.role = CERT_SERVER, .common_name = "s", .sans = sans[i]
		};
		OK(kf_is(issue(&ca, &wish, &c), KF_E_INVALID_FIELD));
	}
	OK(!c.pem.p && !c.key_pem.p);
}

TEST(only_an_authority_with_its_own_key_issues)
{
	CLEANUP(cert_free) struct cert ca = { 0 }, other = { 0 }, leaf = { 0 }, c = { 0 };
	struct cert_wish wish = { .role = CERT_CLIENT, .common_name = "web-1" };
	struct cert_wish for_ca = { .role = CERT_CA, .common_name = "CA" };
	OK(kf_ok(cert_make_ca(&ca_wish, &ca)) && kf_ok(cert_make_ca(&ca_wish, &other)));
	OK(kf_ok(issue(&ca, &wish, &leaf)));

	OK(kf_is(cert_issue(buf_slice(&ca.pem), buf_slice(&other.key_pem), &wish, &c),
		KF_E_DENIED));
	OK(kf_is(issue(&leaf, &wish, &c), KF_E_DENIED));
	OK(kf_is(issue(&ca, &for_ca, &c), KF_E_INVALID_FIELD));
	OK(kf_is(cert_issue(SLICE_LIT("x"), SLICE_LIT("y"), &wish, &c), KF_E_MALFORMED));
}

/* ---- requests ---- */

struct signer {
	EVP_PKEY *key;
	bool lies;
};

static kf_err sign(void *arg, const struct mech *mech, struct slice info, struct buf *sig)
{
	struct signer *s = arg;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = 512;
	const struct hash *h = hash_get(mech->hash);
	uint8_t *p = buf_reserve(sig, n);
	EVP_DigestSignInit_ex(
		ctx, NULL, h ? h->openssl_name : NULL, NULL, NULL, s->key, NULL);
	int done = EVP_DigestSign(ctx, p, &n, info.p, s->lies ? info.n - 1 : info.n);
	EVP_MD_CTX_free(ctx);
	buf_commit(sig, n);
	return done > 0 ? KF_OK : kf_fail(CRYPTO, "test signer");
}

static kf_err make_csr(
	const char *key_pem, const struct csr_wish *like, bool lies, struct buf *ret)
{
	CLEANUP(keypair_free) struct keypair k = { 0 };
	KF_TRY(keypair_import(slice_of(key_pem), NULL, NULL, &k));
	const unsigned char *p = k.pkcs8.p;
	struct signer s = { d2i_AutoPrivateKey(NULL, &p, (long)k.pkcs8.n), lies };
	struct csr_wish wish = *like;
	wish.spki = buf_slice(&k.spki);
	wish.sign = sign;
	wish.arg = &s;
	kf_err err = csr_make(&wish, ret);
	EVP_PKEY_free(s.key);
	return err;
}

static const char *const www[] = { "www.example", "dns:example", NULL };
static const struct csr_wish csr_wish = {
	.subject = "C=DE, O=Example\\, Inc.,CN=www.example", .sans = www
};

TEST(a_request_for_a_key_elsewhere_is_one_that_openssl_takes)
{
	const char *pems[] = { rsa_pem, ec_pem, ec384_pem, ed25519_pem };

	for (size_t i = 0; i < 4; i++) {
		autobuf pem = buf_new(8192);
		char subject[256];
		OK(kf_ok(make_csr(pems[i], &csr_wish, false, &pem)));
		BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
		X509_REQ *req = PEM_read_bio_X509_REQ(in, NULL, NULL, NULL);
		STACK_OF(X509_EXTENSION) *list = X509_REQ_get_extensions(req);
		int n = sk_X509_EXTENSION_num(list);
		int is_good = X509_REQ_verify(req, X509_REQ_get0_pubkey(req));
		X509_NAME_oneline(
			X509_REQ_get_subject_name(req), subject, sizeof(subject));
		sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
		X509_REQ_free(req);
		BIO_free(in);
		EQ(is_good, 1);
		EQ(n, 1);
		OK(!strcmp(subject, "/C=DE/O=Example, Inc./CN=www.example"));
	}
}

TEST(a_signer_that_lies_is_found_out)
{
	autobuf pem = buf_new(8192);

	OK(kf_is(make_csr(ec_pem, &csr_wish, true, &pem), KF_E_CRYPTO));
	EQ(pem.n, 0);
}

TEST(bad_subjects_are_refused)
{
	const char *bad[] = { "", "www.example", "CN=", "CN=a,", "XX=a", "CN=a,,O=b",
		"=a", "C=Germany" };
	autobuf pem = buf_new(8192);

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct csr_wish wish = { .subject = bad[i] };
		OK(kf_is(make_csr(ec_pem, &wish, false, &pem), KF_E_INVALID_FIELD));
	}
}

TEST(of_a_request_only_the_public_key_counts)
{
	CLEANUP(cert_free) struct cert ca = { 0 }, c = { 0 };
	autobuf csr = buf_new(8192);
	char name[65];
	OK(kf_ok(cert_make_ca(&ca_wish, &ca)));
	OK(kf_ok(make_csr(ec384_pem, &csr_wish, false, &csr)));
	struct cert_wish wish = {
		.role = CERT_CLIENT, .common_name = "web-1", .csr = buf_slice(&csr)
	};

	OK(kf_ok(issue(&ca, &wish, &c)));

	EQ(c.key_pem.n, 0);
	OK(is_trusted(&ca, &c, X509_PURPOSE_SSL_CLIENT));
	OK(kf_ok(cert_common_name(buf_slice(&c.pem), name, sizeof(name))));
	OK(!strcmp(name, "web-1"));
	CLEANUP(free_x509) X509 *x = read_cert(&c);
	OK(!X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL));
	EQ(X509_NAME_entry_count(X509_get_subject_name(x)), 1);
}

TEST(a_request_with_a_wrong_signature_is_refused)
{
	CLEANUP(cert_free) struct cert ca = { 0 }, c = { 0 };
	autobuf csr = buf_new(8192);
	OK(kf_ok(cert_make_ca(&ca_wish, &ca)));
	OK(kf_ok(make_csr(ec_pem, &csr_wish, false, &csr)));
	BIO *in = BIO_new_mem_buf(csr.p, (int)csr.n);
	X509_REQ *req = PEM_read_bio_X509_REQ(in, NULL, NULL, NULL);
	unsigned char *der = NULL;
	int n = i2d_X509_REQ(req, &der);
	X509_REQ_free(req);
	BIO_free(in);
	der[60] ^= 1; /* in the subject */
	struct cert_wish wish = {
		.role = CERT_CLIENT, .common_name = "web-1", .csr = { der, (size_t)n }
	};

	kf_err err = issue(&ca, &wish, &c);
	wish.csr.n /= 2;
	kf_err cut = issue(&ca, &wish, &c);
	OPENSSL_free(der);

	OK(kf_is(err, KF_E_CRYPTO));
	OK(kf_is(cut, KF_E_MALFORMED));
}

TEST(der_and_pem_go_both_ways)
{
	CLEANUP(cert_free) struct cert ca = { 0 };
	autobuf der = buf_new(4096), pem = buf_new(4096);
	OK(kf_ok(cert_make_ca(&ca_wish, &ca)));

	OK(kf_ok(cert_to_der(buf_slice(&ca.pem), &der)));
	OK(kf_ok(cert_from_der(buf_slice(&der), &pem)));
	OK(slice_eq(buf_slice(&pem), buf_slice(&ca.pem)));
	for (size_t n = 0; n < der.n; n++)
		OK(kf_is(
			cert_from_der((struct slice){ der.p, n }, &pem), KF_E_MALFORMED));
	buf_add_u8(&der, 0);
	OK(kf_is(cert_from_der(buf_slice(&der), &pem), KF_E_MALFORMED));
}

TEST_MAIN
