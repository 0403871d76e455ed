/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/x509.h"
#include "base/clock.h"
#include "crypt/names.h"
#include <openssl/pem.h>
#include <string.h>

enum { BACKDATED_S = 7200, DAY_S = 86400, CA_DAYS = 3650, DAYS = 365, DAYS_MAX = 36500 };

/* Who signs: a certificate with its key.  For a CA in the making the certificate is its own. */
struct issuer {
	X509 *cert;
	EVP_PKEY *key;
};

void cert_free(struct cert *c)
{
	buf_free(&c->pem);
	buf_free(&c->key_pem);
}

static void issuer_free(struct issuer *i)
{
	X509_free(i->cert);
	EVP_PKEY_free(i->key);
}

/* ---- fields ---- */

static kf_err set_serial(X509 *x)
{
	CLEANUP(ossl_bn_freep) BIGNUM *n = BN_new();
	if (!n || !BN_rand(n, 128, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) ||
		BN_is_zero(n) || !BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)))
		return ossl_fail(CRYPTO, "serial number");
	return KF_OK;
}

static unsigned days_of(const struct cert_wish *wish)
{
	if (wish->days)
		return wish->days;
	return wish->role == CERT_CA ? CA_DAYS : DAYS;
}

/* Backdated a little, for clocks that are late; never beyond the issuer's own end. */
static kf_err set_validity(X509 *x, const struct cert_wish *wish, const X509 *issuer)
{
	time_t now = (time_t)clock_wall_s();
	const ASN1_TIME *end = X509_get0_notAfter(issuer);
	if (days_of(wish) > DAYS_MAX)
		return kf_fail(INVALID_FIELD, "a certificate lives 100 years at most");
	if (!X509_time_adj_ex(X509_getm_notBefore(x), 0, -BACKDATED_S, &now) ||
		!X509_time_adj_ex(X509_getm_notAfter(x), (int)days_of(wish), 0, &now))
		return ossl_fail(CRYPTO, "dates of a certificate");
	if (issuer == x)
		return KF_OK;
	if (ASN1_TIME_cmp_time_t(end, now) <= 0)
		return kf_fail(DENIED, "the authority's own certificate has expired");
	if (ASN1_TIME_compare(X509_get0_notAfter(x), end) > 0 &&
		!X509_set1_notAfter(x, end))
		return ossl_fail(NOMEM, "dates of a certificate");
	return KF_OK;
}

static kf_err set_names(X509 *x, const struct cert_wish *wish, const X509 *issuer)
{
	KF_TRY(names_add_cn(X509_get_subject_name(x), wish->common_name));
	if (!X509_set_issuer_name(x, X509_get_subject_name(issuer)))
		return ossl_fail(NOMEM, "issuer's name");
	return KF_OK;
}

struct extension {
	int nid;
	const char *value; /* constant texts of this file only */
};

static const struct extension extensions[][5] = {
	[CERT_CA] = {
		{ NID_basic_constraints, "critical,CA:TRUE,pathlen:0" },
		{ NID_key_usage, "critical,keyCertSign,cRLSign" },
		{ NID_subject_key_identifier, "hash" },
	},
	[CERT_SERVER] = {
		{ NID_basic_constraints, "critical,CA:FALSE" },
		{ NID_key_usage, "critical,digitalSignature" },
		{ NID_ext_key_usage, "serverAuth" },
		{ NID_subject_key_identifier, "hash" },
		{ NID_authority_key_identifier, "keyid" },
	},
	[CERT_CLIENT] = {
		{ NID_basic_constraints, "critical,CA:FALSE" },
		{ NID_key_usage, "critical,digitalSignature" },
		{ NID_ext_key_usage, "clientAuth" },
		{ NID_subject_key_identifier, "hash" },
		{ NID_authority_key_identifier, "keyid" },
	},
};

kf_err names_add_extensions(X509 *x, enum cert_role role, X509 *issuer)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	for (size_t i = 0; i < 5 && extensions[role][i].nid; i++) {
		X509_EXTENSION *e = X509V3_EXT_nconf_nid(
			NULL, &ctx, extensions[role][i].nid, extensions[role][i].value);
		int done = e && X509_add_ext(x, e, -1);
		X509_EXTENSION_free(e);
		if (!done)
			return ossl_fail(CRYPTO, "certificate extension");
	}
	return KF_OK;
}

static kf_err add_sans(X509 *x, const struct cert_wish *wish)
{
	GENERAL_NAMES *sans = NULL;
	if (wish->role != CERT_SERVER || !wish->sans || !wish->sans[0])
		return KF_OK;
	KF_TRY(names_make_sans(wish->sans, &sans));
	int done =
		X509_add1_ext_i2d(x, NID_subject_alt_name, sans, 0, X509V3_ADD_DEFAULT);
	GENERAL_NAMES_free(sans);
	return done > 0 ? KF_OK : ossl_fail(CRYPTO, "alternative names");
}

/* ---- the certificate ---- */

static kf_err fill(X509 *x, const struct cert_wish *wish, EVP_PKEY *key, X509 *issuer)
{
	if (!X509_set_version(x, X509_VERSION_3) || !X509_set_pubkey(x, key))
		return ossl_fail(CRYPTO, "certificate");
	KF_TRY(set_serial(x));
	KF_TRY(set_validity(x, wish, issuer));
	KF_TRY(set_names(x, wish, issuer));
	KF_TRY(names_add_extensions(x, wish->role, issuer));
	return add_sans(x, wish);
}

static kf_err put_pem(X509 *x, struct buf *ret)
{
	CLEANUP(ossl_bio_freep) BIO *out = BIO_new(BIO_s_mem());
	const char *text = NULL;
	long n = 0;
	if (out && PEM_write_bio_X509(out, x))
		n = BIO_get_mem_data(out, &text);
	if (n <= 0)
		return ossl_fail(CRYPTO, "writing a certificate");
	buf_add(ret, text, (size_t)n);
	return buf_err(ret);
}

/* by->cert NULL: the certificate signs itself. */
static kf_err make(const struct cert_wish *wish, EVP_PKEY *key, const struct issuer *by,
	struct buf *ret)
{
	CLEANUP(ossl_x509_freep) X509 *x = X509_new();
	if (!x)
		return ossl_fail(NOMEM, "certificate");
	KF_TRY(fill(x, wish, key, by->cert ? by->cert : x));
	const EVP_MD *md = EVP_PKEY_is_a(by->key, "ED25519") ? NULL : EVP_sha256();
	if (X509_sign(x, by->key, md) <= 0)
		return ossl_fail(CRYPTO, "signing a certificate");
	return put_pem(x, ret);
}

/* ---- keys ---- */

static kf_err make_key(struct buf *ret_pem, EVP_PKEY **ret)
{
	CLEANUP(keypair_free) struct keypair k = { 0 };
	KF_TRY(keypair_generate(alg_get(ALG_P256), &k));
	KF_TRY(private_to_pem(buf_slice(&k.pkcs8), ret_pem));
	return ossl_parse_private(buf_slice(&k.pkcs8), ret);
}

static X509_REQ *read_request(struct slice text)
{
	const unsigned char *p = text.p;
	if (text.n == 0 || text.n > CERT_PEM_MAX)
		return NULL;
	if (text.p[0] == 0x30)
		return d2i_X509_REQ(NULL, &p, (long)text.n);
	CLEANUP(ossl_bio_freep) BIO *in = BIO_new_mem_buf(text.p, (int)text.n);
	return in ? PEM_read_bio_X509_REQ(in, NULL, NULL, NULL) : NULL;
}

/* Its public key, once its signature has shown that the sender holds the private one. */
static kf_err key_of_request(struct slice text, EVP_PKEY **ret)
{
	CLEANUP(ossl_x509_req_freep) X509_REQ *req = read_request(text);
	CLEANUP(ossl_pkey_freep) EVP_PKEY *key = req ? X509_REQ_get_pubkey(req) : NULL;
	if (!key)
		return ossl_fail(MALFORMED, "certification request cannot be read");
	if (!ossl_alg_of(key))
		return kf_fail(KEY_FORMAT, "keys of this algorithm are not supported");
	if (X509_REQ_verify(req, key) != 1)
		return ossl_fail(
			CRYPTO, "signature of the certification request is wrong");
	*ret = key;
	key = NULL;
	return KF_OK;
}

static kf_err read_issuer(struct slice pem, struct slice key_pem, struct issuer *ret)
{
	CLEANUP(keypair_free) struct keypair k = { 0 };
	CLEANUP(ossl_bio_freep)
	BIO *in = pem.n <= CERT_PEM_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
	ret->cert = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
	if (!ret->cert)
		return ossl_fail(MALFORMED, "the authority's certificate cannot be read");
	KF_TRY(keypair_import(key_pem, NULL, NULL, &k));
	KF_TRY(ossl_parse_private(buf_slice(&k.pkcs8), &ret->key));
	if (X509_check_ca(ret->cert) != 1)
		return ossl_fail(DENIED, "this certificate is not an authority's");
	if (!X509_check_private_key(ret->cert, ret->key))
		return ossl_fail(
			DENIED, "the key is not that of the authority's certificate");
	return KF_OK;
}

/* ---- public ---- */

static kf_err settle(kf_err err, struct cert *made, struct cert *ret)
{
	if (kf_ok(err))
		*ret = *made;
	else
		cert_free(made);
	return err;
}

static kf_err make_ca(const struct cert_wish *wish, struct cert *made)
{
	CLEANUP(issuer_free) struct issuer self = { 0 };
	if (wish->role != CERT_CA || wish->csr.n)
		return kf_fail(INVALID_FIELD, "an authority makes its own key");
	KF_TRY(make_key(&made->key_pem, &self.key));
	return make(wish, self.key, &self, &made->pem);
}

kf_err cert_make_ca(const struct cert_wish *wish, struct cert *ret)
{
	struct cert made = { buf_new(CERT_PEM_MAX), buf_new(CERT_PEM_MAX) };
	return settle(make_ca(wish, &made), &made, ret);
}

static kf_err issue(
	const struct issuer *by, const struct cert_wish *wish, struct cert *made)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *key = NULL;
	if (wish->role != CERT_SERVER && wish->role != CERT_CLIENT)
		return kf_fail(
			INVALID_FIELD, "an authority issues to servers and clients");
	if (wish->csr.n)
		KF_TRY(key_of_request(wish->csr, &key));
	else
		KF_TRY(make_key(&made->key_pem, &key));
	return make(wish, key, by, &made->pem);
}

kf_err cert_issue(struct slice ca_pem, struct slice ca_key_pem,
	const struct cert_wish *wish, struct cert *ret)
{
	CLEANUP(issuer_free) struct issuer by = { 0 };
	struct cert made = { buf_new(CERT_PEM_MAX), buf_new(CERT_PEM_MAX) };
	KF_TRY(read_issuer(ca_pem, ca_key_pem, &by));
	return settle(issue(&by, wish, &made), &made, ret);
}
