/* SPDX-License-Identifier: Apache-2.0
 *
 * certinfo: what a certificate says of itself (x509.h).
 */
#include "crypt/names.h"
#include "crypt/pubkey.h"
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <string.h>
#include <time.h>

static kf_err read_cert(struct slice pem, X509 **ret)
{
	if (pem.n > CERT_PEM_MAX)
		return kf_fail(TOO_BIG, "certificate");
	CLEANUP(ossl_bio_freep) BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
	X509 *x = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
	if (!x)
		return ossl_fail(MALFORMED, "certificate cannot be read");
	*ret = x;
	return KF_OK;
}

kf_err cert_to_der(struct slice pem, struct buf *ret)
{
	CLEANUP(ossl_x509_freep) X509 *x = NULL;
	KF_TRY(read_cert(pem, &x));
	return ossl_put_x509(x, ret);
}

kf_err cert_fingerprint(struct slice pem, uint8_t ret[FINGERPRINT_SIZE])
{
	autobuf der = buf_new(CERT_PEM_MAX);
	KF_TRY(cert_to_der(pem, &der));
	SHA256(der.p, der.n, ret);
	return KF_OK;
}

kf_err cert_from_der(struct slice der, struct buf *ret_pem)
{
	const unsigned char *p = der.p;
	const char *text = NULL;
	long n = 0;
	if (der.n > CERT_PEM_MAX)
		return kf_fail(TOO_BIG, "certificate");
	CLEANUP(ossl_x509_freep) X509 *x = d2i_X509(NULL, &p, (long)der.n);
	CLEANUP(ossl_bio_freep) BIO *out = BIO_new(BIO_s_mem());
	if (!x || p != der.p + der.n)
		return ossl_fail(MALFORMED, "certificate cannot be read");
	if (out && PEM_write_bio_X509(out, x))
		n = BIO_get_mem_data(out, &text);
	if (n <= 0)
		return ossl_fail(CRYPTO, "writing a certificate");
	buf_add(ret_pem, text, (size_t)n);
	return buf_err(ret_pem);
}

kf_err cert_dates(struct slice pem, int64_t *ret_from, int64_t *ret_to)
{
	CLEANUP(ossl_x509_freep) X509 *x = NULL;
	struct tm from, to;
	KF_TRY(read_cert(pem, &x));
	if (!ASN1_TIME_to_tm(X509_get0_notBefore(x), &from) ||
		!ASN1_TIME_to_tm(X509_get0_notAfter(x), &to))
		return ossl_fail(MALFORMED, "certificate has no date");
	*ret_from = timegm(&from);
	*ret_to = timegm(&to);
	return KF_OK;
}

kf_err cert_not_after(struct slice pem, int64_t *ret)
{
	int64_t from;
	return cert_dates(pem, &from, ret);
}

/* ---- what it is for ---- */

static bool same_names(const GENERAL_NAMES *a, const GENERAL_NAMES *b)
{
	unsigned char *a_der = NULL, *b_der = NULL;
	const int a_n = a ? i2d_GENERAL_NAMES((GENERAL_NAMES *)(uintptr_t)a, &a_der) : 0;
	const int b_n = b ? i2d_GENERAL_NAMES((GENERAL_NAMES *)(uintptr_t)b, &b_der) : 0;
	const bool same =
		a_n >= 0 && a_n == b_n && (!a_n || !memcmp(a_der, b_der, (size_t)a_n));
	OPENSSL_free(a_der);
	OPENSSL_free(b_der);
	return same;
}

static bool has_names(X509 *x, const GENERAL_NAMES *names)
{
	GENERAL_NAMES *own = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	const bool same = same_names(own, names);
	GENERAL_NAMES_free(own);
	ERR_clear_error();
	return same;
}

kf_err cert_is_for(
	struct slice pem, struct slice spki, const char *const *sans, bool *ret)
{
	CLEANUP(ossl_x509_freep) X509 *x = NULL;
	CLEANUP(pubkey_freep) struct pubkey *key = NULL;
	GENERAL_NAMES *names = NULL;
	KF_TRY(read_cert(pem, &x));
	KF_TRY(pubkey_parse(spki, &key));
	if (sans && sans[0])
		KF_TRY(names_make_sans(sans, &names));
	EVP_PKEY *own = X509_get0_pubkey(x);
	*ret = own && EVP_PKEY_eq(own, pubkey_pkey(key)) == 1 && has_names(x, names);
	GENERAL_NAMES_free(names);
	ERR_clear_error();
	return KF_OK;
}

kf_err cert_have_one_key(struct slice a, struct slice b, bool *ret)
{
	CLEANUP(ossl_x509_freep) X509 *one = NULL, *other = NULL;
	KF_TRY(read_cert(a, &one));
	KF_TRY(read_cert(b, &other));
	EVP_PKEY *its = X509_get0_pubkey(one), *others = X509_get0_pubkey(other);
	*ret = its && others && EVP_PKEY_eq(its, others) == 1;
	ERR_clear_error();
	return KF_OK;
}

static X509_REQ *read_request(struct slice text)
{
	const unsigned char *p = text.p;
	if (!memmem(text.p, text.n, "-----BEGIN ", 11))
		return d2i_X509_REQ(NULL, &p, (long)text.n);
	CLEANUP(ossl_bio_freep) BIO *in = BIO_new_mem_buf(text.p, (int)text.n);
	return in ? PEM_read_bio_X509_REQ(in, NULL, NULL, NULL) : NULL;
}

static GENERAL_NAMES *names_of(X509_REQ *csr)
{
	STACK_OF(X509_EXTENSION) *list = X509_REQ_get_extensions(csr);
	GENERAL_NAMES *names = X509V3_get_d2i(list, NID_subject_alt_name, NULL, NULL);
	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
	return names;
}

kf_err cert_is_for_request(struct slice pem, struct slice csr, bool *ret)
{
	CLEANUP(ossl_x509_freep) X509 *x = NULL;
	KF_TRY(read_cert(pem, &x));
	CLEANUP(ossl_x509_req_freep)
	X509_REQ *r = csr.n && csr.n <= CERT_PEM_MAX ? read_request(csr) : NULL;
	if (!r)
		return ossl_fail(INVALID_CSR, "certificate request cannot be read");
	EVP_PKEY *own = X509_get0_pubkey(x), *its = X509_REQ_get0_pubkey(r);
	GENERAL_NAMES *names = names_of(r);
	*ret = own && its && EVP_PKEY_eq(own, its) == 1 && has_names(x, names);
	GENERAL_NAMES_free(names);
	ERR_clear_error();
	return KF_OK;
}

/* The last one, as verifiers take it; a NUL in it is refused. */
kf_err cert_common_name(struct slice pem, char *ret, size_t size)
{
	CLEANUP(ossl_x509_freep) X509 *x = NULL;
	KF_TRY(read_cert(pem, &x));
	X509_NAME *name = X509_get_subject_name(x);
	int at = -1, last = -1;
	while ((at = X509_NAME_get_index_by_NID(name, NID_commonName, at)) >= 0)
		last = at;
	if (last < 0)
		return kf_fail(MISSING, "certificate has no common name");
	unsigned char *text = NULL;
	int n = ASN1_STRING_to_UTF8(
		&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, last)));
	if (n < 0)
		return ossl_fail(MALFORMED, "common name");
	kf_err err = slice_to_text((struct slice){ text, (size_t)n }, ret, size);
	OPENSSL_free(text);
	return err;
}
