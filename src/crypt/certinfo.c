/* SPDX-License-Identifier: Apache-2.0
 *
 * certinfo: what a certificate says of itself (x509.h).
 */
#include "crypt/ossl.h"
#include "crypt/x509.h"
#include <openssl/pem.h>
#include <openssl/sha.h>
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

static kf_err put_der(X509 *x, struct buf *ret)
{
	unsigned char *der = NULL;
	int n = i2d_X509(x, &der);
	if (n <= 0)
		return ossl_fail(CRYPTO, "writing a certificate");
	buf_add(ret, der, (size_t)n);
	OPENSSL_free(der);
	return buf_err(ret);
}

kf_err cert_to_der(struct slice pem, struct buf *ret)
{
	CLEANUP(ossl_x509_freep) X509 *x = NULL;
	KF_TRY(read_cert(pem, &x));
	return put_der(x, ret);
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

kf_err cert_not_after(struct slice pem, int64_t *ret)
{
	CLEANUP(ossl_x509_freep) X509 *x = NULL;
	struct tm tm;
	KF_TRY(read_cert(pem, &x));
	if (!ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm))
		return ossl_fail(MALFORMED, "certificate has no date");
	*ret = timegm(&tm);
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
