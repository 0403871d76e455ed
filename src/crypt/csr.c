/* SPDX-License-Identifier: Apache-2.0
 *
 * csr: a certification request (x509.h) whose private key is in a key server.
 */
#include "crypt/names.h"
#include "crypt/sigalg.h"
#include "crypt/x509.h"
#include <openssl/pem.h>

static kf_err add_sans(X509_REQ *req, const char *const *texts)
{
	GENERAL_NAMES *sans = NULL;
	STACK_OF(X509_EXTENSION) *list = NULL;
	if (!texts || !texts[0])
		return KF_OK;
	KF_TRY(names_make_sans(texts, &sans));
	int done = X509V3_add1_i2d(&list, NID_subject_alt_name, sans, 0,
			   X509V3_ADD_DEFAULT) > 0 &&
		   X509_REQ_add_extensions(req, list);
	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
	GENERAL_NAMES_free(sans);
	return done ? KF_OK : ossl_fail(CRYPTO, "alternative names");
}

static kf_err fill(X509_REQ *req, const struct csr_wish *wish, const struct pubkey *key)
{
	CLEANUP(ossl_name_freep) X509_NAME *name = X509_NAME_new();
	if (!name)
		return ossl_fail(NOMEM, "subject");
	if (wish->subject)
		KF_TRY(names_add_subject(name, wish->subject));
	if (!X509_REQ_set_version(req, 0) || !X509_REQ_set_subject_name(req, name) ||
		!X509_REQ_set_pubkey(req, pubkey_pkey(key)))
		return ossl_fail(CRYPTO, "certification request");
	return add_sans(req, wish->sans);
}

static kf_err ask_signer(X509_REQ *req, const struct csr_wish *wish,
	const struct mech *mech, struct buf *sig)
{
	unsigned char *info = NULL;
	int n = i2d_re_X509_REQ_tbs(req, &info);
	if (n <= 0)
		return ossl_fail(CRYPTO, "certification request");
	kf_err err = wish->sign(wish->arg, mech, (struct slice){ info, (size_t)n }, sig);
	OPENSSL_free(info);
	return kf_ok(err) ? buf_err(sig) : err;
}

static kf_err attach(X509_REQ *req, const struct mech *mech, struct slice sig)
{
	ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
	if (!bits || !sigalg_set_bits(bits, sig)) {
		ASN1_BIT_STRING_free(bits);
		return ossl_fail(NOMEM, "signature");
	}
	X509_REQ_set0_signature(req, bits);
	X509_ALGOR *algorithm = sigalg_new(mech);
	int done = algorithm && X509_REQ_set1_signature_algo(req, algorithm);
	X509_ALGOR_free(algorithm);
	return done ? KF_OK : ossl_fail(CRYPTO, "signature algorithm");
}

static kf_err put_pem(X509_REQ *req, struct buf *ret)
{
	CLEANUP(ossl_bio_freep) BIO *out = BIO_new(BIO_s_mem());
	const char *text = NULL;
	long n = 0;
	if (out && PEM_write_bio_X509_REQ(out, req))
		n = BIO_get_mem_data(out, &text);
	if (n <= 0)
		return ossl_fail(CRYPTO, "writing a certification request");
	buf_add(ret, text, (size_t)n);
	return buf_err(ret);
}

kf_err csr_make(const struct csr_wish *wish, struct buf *ret_pem)
{
	CLEANUP(pubkey_freep) struct pubkey *key = NULL;
	CLEANUP(ossl_x509_req_freep) X509_REQ *req = X509_REQ_new();
	autobuf sig = buf_new(1024);
	if (!req)
		return ossl_fail(NOMEM, "certification request");
	KF_TRY(pubkey_parse(wish->spki, &key));
	const struct mech *mech = sigalg_mech(pubkey_alg(key), HASH_NONE);
	KF_TRY(fill(req, wish, key));
	KF_TRY(ask_signer(req, wish, mech, &sig));
	KF_TRY(attach(req, mech, buf_slice(&sig)));
	if (X509_REQ_verify(req, pubkey_pkey(key)) != 1)
		return ossl_fail(CRYPTO, "the signature that came back is wrong");
	return put_pem(req, ret_pem);
}
