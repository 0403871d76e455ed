/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificate requests of whoever asks, certificates that are to be renewed, and the files of authorities.  What is
 * issued in the end keeps to the policy, whatever was asked for.
 *
 *   byte 0: 0 PKCS#10, 1 the same in PEM, 2 a certificate, 3 the file of an authority, 4 its certificates in DER, each
 *   behind its length in two bytes
 */
#include "crypt/issue.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Certificates are read and signed: fewer of them. */
extern const unsigned fuzz_one_in;
const unsigned fuzz_one_in = 16;

static const char *const names[] = { ".example.com", "localhost" };
static const struct issue_network loopback = {
	.address = { [10] = 255, [11] = 255, [12] = 127 }, .bits = 104
};
static const struct issue_policy policy = { .names = names,
	.names_n = 2,
	.networks = &loopback,
	.networks_n = 1,
	.rsa_bits = 2048,
	.ec_bits = 256 };

/* --- an authority --- */

static struct issue_ca *ca;
static EVP_PKEY *ca_key;

static kf_err sign(void *arg, const struct mech *mech, struct slice data, struct buf *sig)
{
	uint8_t out[256];
	size_t n = sizeof(out);
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	(void)arg;
	(void)mech;
	if (EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, ca_key) != 1 ||
		EVP_DigestSign(c, out, &n, data.p, data.n) != 1)
		abort();
	EVP_MD_CTX_free(c);
	buf_add(sig, out, n);
	return buf_err(sig);
}

static void add(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	if (!e || !X509_add_ext(x, e, -1))
		abort();
	X509_EXTENSION_free(e);
}

static X509 *make_ca(void)
{
	X509 *x = X509_new();
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
		(const unsigned char *)"fuzz", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_set_pubkey(x, ca_key);
	add(x, NID_basic_constraints, "critical,CA:TRUE");
	add(x, NID_key_usage, "critical,keyCertSign");
	add(x, NID_name_constraints, "critical,excluded;DNS:no.example.com");
	X509_sign(x, ca_key, EVP_sha256());
	return x;
}

static void put_pem(struct buf *to, X509 *x)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *text;
	if (!PEM_write_bio_X509(b, x))
		abort();
	const long n = BIO_get_mem_data(b, &text);
	buf_add(to, text, (size_t)n);
	BIO_free(b);
}

static void begin(void)
{
	autobuf pem = buf_new(1 << 16);
	unsigned line;
	ca_key = EVP_EC_gen("P-256");
	X509 *x = make_ca();
	put_pem(&pem, x);
	X509_free(x);
	if (!kf_ok(issue_ca_new(buf_slice(&pem), &line, &ca)))
		abort();
}

/* --- requests --- */

static bool ends(const ASN1_STRING *s, const char *with)
{
	const size_t n = strlen(with), have = (size_t)ASN1_STRING_length(s);
	return have >= n &&
	       !strncasecmp((const char *)ASN1_STRING_get0_data(s) + have - n, with, n);
}

static void judge_name(const GENERAL_NAME *name)
{
	int type;
	const ASN1_STRING *s = GENERAL_NAME_get0_value(name, &type);
	if (type == GEN_DNS && !ends(s, ".no.example.com") &&
		(ends(s, ".example.com") || ends(s, "localhost")))
		return;
	if (type != GEN_IPADD || ASN1_STRING_length(s) < 4)
		abort();
}

static void judge(struct slice der)
{
	const unsigned char *p = der.p;
	X509 *x = d2i_X509(NULL, &p, (long)der.n);
	if (!x || X509_check_ca(x) || X509_get_extended_key_usage(x) != XKU_SSL_SERVER)
		abort();
	GENERAL_NAMES *list = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(list); i++)
		judge_name(sk_GENERAL_NAME_value(list, i));
	if (sk_GENERAL_NAME_num(list) < 1)
		abort();
	GENERAL_NAMES_free(list);
	X509_free(x);
}

static void print(const struct issue_request *r)
{
	autobuf text = buf_new(1 << 20);
	issue_request_print(r, true, &text);
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] < 0x20 || text.p[i] > 0x7e)
			abort();
}

static void try_request(const struct issue_request *r)
{
	autobuf der = buf_new(1 << 17);
	struct issue i = { .ca = ca,
		.role = CERT_SERVER,
		.serial = { 1 },
		.not_before = 1000000000,
		.not_after = 2000000000,
		.sign = sign };
	autobuf refused = buf_new(1 << 17);
	print(r);
	(void)kf_ok(issue_request_verify(r, ca));
	const kf_err err = issue_check(&policy, CERT_SERVER, r, &refused);
	const bool may = kf_ok(err) && kf_ok(issue_check_constraints(
					       ca, i.takes_whole_subject, r, &refused));
	for (size_t k = 0; k < refused.n; k++)
		if (refused.p[k] <= 0x20 || refused.p[k] > 0x7e)
			abort();
	if (may && kf_ok(issue_certificate(&i, r, &der)))
		judge(buf_slice(&der));
}

/* --- files of authorities --- */

static void try_authority(struct slice pem)
{
	static const struct issue_part www = { NID_commonName,
		{ (const uint8_t *)"www.example.com", 15 } };
	struct issue_ca *other = NULL;
	struct issue_request *r = NULL;
	unsigned char *spki = NULL;
	unsigned line;
	if (!kf_ok(issue_ca_new(pem, &line, &other)))
		return;
	const int n = i2d_PUBKEY(ca_key, &spki);
	const struct issue_names wish = { .parts = &www, .parts_n = 1 };
	if (!kf_ok(issue_request_new((struct slice){ spki, (size_t)n }, &wish, &r)))
		abort();
	autobuf refused = buf_new(1 << 17);
	(void)kf_ok(issue_check_constraints(other, false, r, &refused));
	(void)issue_ca_mech(other, HASH_NONE);
	OPENSSL_free(spki);
	issue_request_free(r);
	issue_ca_free(other);
}

static void try_certificates(struct slice in)
{
	autobuf pem = buf_new(1 << 20);
	while (in.n > 2) {
		const size_t said = (size_t)in.p[0] << 8 | in.p[1], left = in.n - 2;
		const size_t n = said < left ? said : left;
		unsigned char *text = malloc(4 * ((n + 2) / 3) + 1);
		if (!text)
			abort();
		EVP_EncodeBlock(text, in.p + 2, (int)n);
		buf_add_text(&pem, "-----BEGIN CERTIFICATE-----\n");
		for (const char *p = (const char *)text; *p; p += strnlen(p, 64)) {
			buf_add(&pem, p, strnlen(p, 64));
			buf_add_text(&pem, "\n");
		}
		buf_add_text(&pem, "-----END CERTIFICATE-----\n");
		free(text);
		in = (struct slice){ in.p + 2 + n, left - n };
	}
	try_authority(buf_slice(&pem));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct issue_request *r = NULL;
	kf_err err = KF_OK;
	if (!ca)
		begin();
	if (!size)
		return 0;
	const struct slice in = { data + 1, size - 1 };
	switch (data[0]) {
	case 0:
	case 1: err = issue_request_read(in, data[0], &r); break;
	case 2: err = issue_request_renew(in, &r); break;
	case 3: try_authority(in); return 0;
	default: try_certificates(in); return 0;
	}
	if (kf_ok(err))
		try_request(r);
	issue_request_free(r);
	return 0;
}
