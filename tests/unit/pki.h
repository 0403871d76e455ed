/* SPDX-License-Identifier: Apache-2.0 */
/* pki: certificates for tests, made in memory: P-256, names, extended key usage, validity, CRLs. */
#pragma once
#include "base/buf.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

struct pki_ca {
	EVP_PKEY *key;
	X509 *certificate;
	long serial;
	struct buf pem;
};

struct pki_leaf {
	struct buf certificate, key;
	long serial;
};

static inline EVP_PKEY *pki_key(void) { return EVP_EC_gen("P-256"); }

static inline struct buf pki_text(BIO *b)
{
	char *p;
	struct buf out = buf_new(1 << 20);
	long n = BIO_get_mem_data(b, &p);
	buf_add(&out, p, (size_t)n);
	BIO_free(b);
	return out;
}

static inline struct buf pki_pem(X509 *x)
{
	BIO *b = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(b, x);
	return pki_text(b);
}

static inline void pki_extend(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX v;
	X509V3_set_ctx(&v, issuer, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &v, nid, value);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

static inline X509 *pki_draft(const char *name, EVP_PKEY *key, long serial, long valid_s)
{
	X509 *x = X509_new();
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), valid_s);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
		(const unsigned char *)name, -1, -1, 0);
	X509_set_pubkey(x, key);
	return x;
}

static inline struct pki_ca pki_ca_new(const char *name)
{
	struct pki_ca ca = { .key = pki_key(), .serial = 1 };
	ca.certificate = pki_draft(name, ca.key, 1, 86400);
	X509_set_issuer_name(ca.certificate, X509_get_subject_name(ca.certificate));
	pki_extend(ca.certificate, ca.certificate, NID_basic_constraints,
		"critical,CA:TRUE");
	pki_extend(ca.certificate, ca.certificate, NID_key_usage,
		"critical,keyCertSign,cRLSign");
	pki_extend(ca.certificate, ca.certificate, NID_subject_key_identifier, "hash");
	X509_sign(ca.certificate, ca.key, EVP_sha256());
	ca.pem = pki_pem(ca.certificate);
	return ca;
}

static inline void pki_ca_free(struct pki_ca *ca)
{
	EVP_PKEY_free(ca->key);
	X509_free(ca->certificate);
	buf_free(&ca->pem);
}

/* usage: "clientAuth", "serverAuth", or NULL for none; alt: "IP:127.0.0.1", or NULL. */
static inline struct pki_leaf pki_issue(struct pki_ca *ca, const char *name,
	const char *usage, const char *alt, long valid_s)
{
	EVP_PKEY *key = pki_key();
	X509 *x = pki_draft(name, key, ++ca->serial, valid_s);
	X509_set_issuer_name(x, X509_get_subject_name(ca->certificate));
	if (usage)
		pki_extend(x, ca->certificate, NID_ext_key_usage, usage);
	if (alt)
		pki_extend(x, ca->certificate, NID_subject_alt_name, alt);
	X509_sign(x, ca->key, EVP_sha256());
	BIO *b = BIO_new(BIO_s_mem());
	PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL);
	struct pki_leaf leaf = { pki_pem(x), pki_text(b), ca->serial };
	X509_free(x);
	EVP_PKEY_free(key);
	return leaf;
}

static inline void pki_leaf_free(struct pki_leaf *l)
{
	buf_free(&l->certificate);
	buf_free(&l->key);
}

/* Revokes one serial number; 0: nobody. */
static inline struct buf pki_crl(struct pki_ca *ca, long serial)
{
	X509_CRL *l = X509_CRL_new();
	ASN1_TIME *now = ASN1_TIME_adj(NULL, time(NULL), 0, -60);
	ASN1_TIME *next = ASN1_TIME_adj(NULL, time(NULL), 1, 0);
	X509_CRL_set_version(l, 1);
	X509_CRL_set_issuer_name(l, X509_get_subject_name(ca->certificate));
	X509_CRL_set1_lastUpdate(l, now);
	X509_CRL_set1_nextUpdate(l, next);
	if (serial) {
		X509_REVOKED *r = X509_REVOKED_new();
		ASN1_INTEGER *number = ASN1_INTEGER_new();
		ASN1_INTEGER_set(number, serial);
		X509_REVOKED_set_serialNumber(r, number);
		X509_REVOKED_set_revocationDate(r, now);
		X509_CRL_add0_revoked(l, r);
		ASN1_INTEGER_free(number);
	}
	X509_CRL_sign(l, ca->key, EVP_sha256());
	BIO *b = BIO_new(BIO_s_mem());
	PEM_write_bio_X509_CRL(b, l);
	X509_CRL_free(l);
	ASN1_TIME_free(now);
	ASN1_TIME_free(next);
	return pki_text(b);
}
