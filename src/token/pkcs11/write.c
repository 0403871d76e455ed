/* SPDX-License-Identifier: Apache-2.0
 *
 * write: the session that may write is there only while something is written; a login counts for all
 * sessions of the process.
 */
#include "base/mem.h"
#include "crypt/ossl.h"
#include "token/pkcs11/pair.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <string.h>

enum { PART_MAX = 4096 };

kf_err p11_writer_open(struct token *t, struct p11_writer *ret)
{
	CK_SESSION_HANDLE session = 0;
	if (t->facts.is_write_protected)
		return kf_fail(READ_ONLY, "the token is write protected");
	KF_TRY(p11_err(CALL(t->module, OpenSession, t->slot,
		CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session)));
	*ret = (struct p11_writer){ t, session };
	return KF_OK;
}

void p11_writer_close(struct p11_writer *w)
{
	if (w->session)
		CALL(w->token->module, CloseSession, w->session);
	w->session = 0;
}

kf_err p11_writer_create(struct p11_writer *w, const CK_ATTRIBUTE *template, size_t n,
	CK_OBJECT_HANDLE *ret)
{
	CK_OBJECT_HANDLE o = 0;
	KF_TRY(p11_outcome(CALL(w->token->module, CreateObject, w->session,
		(CK_ATTRIBUTE *)(uintptr_t) template, n, &o)));
	*ret = o;
	return KF_OK;
}

void p11_writer_destroy(struct p11_writer *w, CK_OBJECT_HANDLE o)
{
	if (o)
		CALL(w->token->module, DestroyObject, w->session, o);
}

/* ---- a public key as attributes ---- */

struct parts {
	CK_KEY_TYPE type;
	struct buf a, b; /* modulus and exponent; curve and point */
};

static void parts_free(struct parts *p)
{
	buf_free(&p->a);
	buf_free(&p->b);
}

static kf_err put_number(const EVP_PKEY *pkey, const char *name, struct buf *ret)
{
	CLEANUP(ossl_bn_freep) BIGNUM *n = NULL;
	if (!EVP_PKEY_get_bn_param(pkey, name, &n))
		return ossl_fail(CRYPTO, "numbers of a public key");
	uint8_t *p = buf_reserve(ret, (size_t)BN_num_bytes(n));
	if (p)
		buf_commit(ret, (size_t)BN_bn2bin(n, p));
	return buf_err(ret);
}

kf_err p11_curve_of(const struct alg *alg, struct buf *ret)
{
	const char *name = alg->family == FAMILY_EC ? alg->openssl_group : "ED25519";
	ASN1_OBJECT *oid = OBJ_txt2obj(name, 0);
	unsigned char *der = NULL;
	int n = oid ? i2d_ASN1_OBJECT(oid, &der) : 0;
	if (n > 0)
		buf_add(ret, der, (size_t)n);
	OPENSSL_free(der);
	ASN1_OBJECT_free(oid);
	return n > 0 ? buf_err(ret) : ossl_fail(CRYPTO, "name of a curve");
}

static kf_err put_point(const EVP_PKEY *pkey, struct buf *ret)
{
	uint8_t *der = NULL;
	ASN1_OCTET_STRING *string = ASN1_OCTET_STRING_new();
	unsigned char point[PART_MAX];
	size_t n = 0;
	bool is_good = string &&
		       EVP_PKEY_get_octet_string_param(
			       pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &n) &&
		       ASN1_OCTET_STRING_set(string, point, (int)n);
	int size = is_good ? i2d_ASN1_OCTET_STRING(string, &der) : 0;
	if (size > 0)
		buf_add(ret, der, (size_t)size);
	OPENSSL_free(der);
	ASN1_OCTET_STRING_free(string);
	return size > 0 ? buf_err(ret) : ossl_fail(CRYPTO, "point of a public key");
}

static kf_err take_apart(const struct pubkey *public, struct parts *ret)
{
	const EVP_PKEY *pkey = pubkey_pkey(public);
	const struct alg *alg = pubkey_alg(public);
	ret->a = buf_new(PART_MAX);
	ret->b = buf_new(PART_MAX);
	if (alg->family == FAMILY_RSA) {
		ret->type = CKK_RSA;
		KF_TRY(put_number(pkey, OSSL_PKEY_PARAM_RSA_N, &ret->a));
		return put_number(pkey, OSSL_PKEY_PARAM_RSA_E, &ret->b);
	}
	ret->type = alg->family == FAMILY_EC ? CKK_EC : CKK_EC_EDWARDS;
	KF_TRY(p11_curve_of(alg, &ret->a));
	return put_point(pkey, &ret->b);
}

kf_err p11_writer_create_public(struct p11_writer *w, struct slice spki,
	const struct token_key_facts *f, CK_OBJECT_HANDLE *ret)
{
	CLEANUP(parts_free) struct parts parts = { 0 };
	CLEANUP(pubkey_freep) struct pubkey *public = NULL;
	KF_TRY(pubkey_parse(spki, &public));
	KF_TRY(take_apart(public, &parts));
	CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	bool is_rsa = parts.type == CKK_RSA;
	struct slice label = slice_of(f->label), id = { f->id, f->id_n };
	const CK_ATTRIBUTE template[] = { P11_ATTRIBUTE(CKA_CLASS, class),
		P11_ATTRIBUTE(CKA_KEY_TYPE, parts.type), P11_ATTRIBUTE(CKA_TOKEN, yes),
		P11_ATTRIBUTE(CKA_PRIVATE, no), P11_ATTRIBUTE(CKA_VERIFY, yes),
		P11_BYTES(CKA_LABEL, label), P11_BYTES(CKA_ID, id),
		P11_BYTES(is_rsa ? CKA_MODULUS : CKA_EC_PARAMS, parts.a),
		P11_BYTES(is_rsa ? CKA_PUBLIC_EXPONENT : CKA_EC_POINT, parts.b) };
	return p11_writer_create(w, template, sizeof(template) / sizeof(*template), ret);
}

/* ---- a certificate as attributes ---- */

struct names {
	unsigned char *subject, *issuer, *serial;
	int subject_n, issuer_n, serial_n;
};

static void names_free(struct names *n)
{
	OPENSSL_free(n->subject);
	OPENSSL_free(n->issuer);
	OPENSSL_free(n->serial);
}

static kf_err names_of(struct slice der, struct names *ret)
{
	const uint8_t *p = der.p;
	CLEANUP(ossl_x509_freep) X509 *x = d2i_X509(NULL, &p, (long)der.n);
	if (!x || p != der.p + der.n)
		return ossl_fail(BAD_PARAMETERS, "the certificate cannot be read");
	ret->subject_n = i2d_X509_NAME(X509_get_subject_name(x), &ret->subject);
	ret->issuer_n = i2d_X509_NAME(X509_get_issuer_name(x), &ret->issuer);
	ret->serial_n = i2d_ASN1_INTEGER(X509_get_serialNumber(x), &ret->serial);
	return ret->subject_n > 0 && ret->issuer_n > 0 && ret->serial_n > 0
		       ? KF_OK
		       : ossl_fail(CRYPTO, "names in a certificate");
}

kf_err p11_writer_create_certificate(struct p11_writer *w, struct slice der,
	const struct token_key_facts *f, CK_OBJECT_HANDLE *ret)
{
	CLEANUP(names_free) struct names names = { 0 };
	KF_TRY(names_of(der, &names));
	CK_OBJECT_CLASS class = CKO_CERTIFICATE;
	CK_CERTIFICATE_TYPE type = CKC_X_509;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	struct slice label = slice_of(f->label), id = { f->id, f->id_n };
	const CK_ATTRIBUTE template[] = { P11_ATTRIBUTE(CKA_CLASS, class),
		P11_ATTRIBUTE(CKA_CERTIFICATE_TYPE, type), P11_ATTRIBUTE(CKA_TOKEN, yes),
		P11_ATTRIBUTE(CKA_PRIVATE, no), P11_BYTES(CKA_LABEL, label),
		P11_BYTES(CKA_ID, id), P11_BYTES(CKA_VALUE, der),
		{ CKA_SUBJECT, names.subject, (CK_ULONG)names.subject_n },
		{ CKA_ISSUER, names.issuer, (CK_ULONG)names.issuer_n },
		{ CKA_SERIAL_NUMBER, names.serial, (CK_ULONG)names.serial_n } };
	return p11_writer_create(w, template, sizeof(template) / sizeof(*template), ret);
}
