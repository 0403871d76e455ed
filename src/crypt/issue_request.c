/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/issue_inside.h"
#include <ctype.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

void issue_request_free(struct issue_request *r)
{
	if (!r)
		return;
	X509_REQ_free(r->csr);
	X509_free(r->old);
	X509_NAME_free(r->subject);
	sk_GENERAL_NAME_pop_free(r->names, GENERAL_NAME_free);
	pubkey_free(r->key);
	free(r);
}

static void request_freep(struct issue_request **r) { issue_request_free(*r); }

const struct pubkey *issue_request_key(const struct issue_request *r) { return r->key; }

static kf_err request_new(struct issue_request **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? KF_OK : kf_fail(NOMEM, "certificate request");
}

/* --- PKCS#10 --- */

static X509_REQ *read_der(struct slice bytes)
{
	const unsigned char *p = bytes.p;
	X509_REQ *csr = d2i_X509_REQ(NULL, &p, (long)bytes.n);
	if (csr && p == bytes.p + bytes.n)
		return csr;
	X509_REQ_free(csr);
	return NULL;
}

static X509_REQ *read_pem(struct slice bytes)
{
	CLEANUP(ossl_bio_freep) BIO *in = BIO_new_mem_buf(bytes.p, (int)bytes.n);
	return in ? PEM_read_bio_X509_REQ(in, NULL, NULL, NULL) : NULL;
}

static bool asks_to_be_ca(const STACK_OF(X509_EXTENSION) * extensions, int *ret_how)
{
	BASIC_CONSTRAINTS *b =
		X509V3_get_d2i(extensions, NID_basic_constraints, ret_how, NULL);
	const bool wants = b && b->ca;
	BASIC_CONSTRAINTS_free(b);
	return wants;
}

enum { IS_ABSENT = -1 }; /* of X509V3_get_d2i(): an extension that is not there, once */

/* Only the alternative names are taken; that it wants to be an authority is remembered for the refusal. */
static kf_err read_extensions(struct issue_request *r)
{
	STACK_OF(X509_EXTENSION) *list = X509_REQ_get_extensions(r->csr);
	int how = IS_ABSENT, ca_how = IS_ABSENT;
	if (!list) {
		ERR_clear_error();
		return KF_OK;
	}
	r->names = X509V3_get_d2i(list, NID_subject_alt_name, &how, NULL);
	r->wants_to_be_ca = asks_to_be_ca(list, &ca_how);
	const bool is_odd = (!r->names && how != IS_ABSENT) || ca_how < IS_ABSENT;
	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
	ERR_clear_error();
	return is_odd ? kf_fail(INVALID_CSR, "an extension that cannot be read, or twice")
		      : KF_OK;
}

static kf_err take_subject(struct issue_request *r, const X509_NAME *name)
{
	r->subject = X509_NAME_dup(name);
	return r->subject ? KF_OK : ossl_fail(NOMEM, "subject");
}

static kf_err take_key(struct issue_request *r, EVP_PKEY *key)
{
	if (!key)
		return ossl_fail(INVALID_CSR, "its public key cannot be read");
	return pubkey_of_pkey(key, &r->key);
}

kf_err issue_request_read(struct slice bytes, bool is_pem, struct issue_request **ret)
{
	CLEANUP(request_freep) struct issue_request *r = NULL;
	if (!bytes.n || bytes.n > ISSUE_REQUEST_MAX)
		return kf_fail(INVALID_CSR, "a certificate request has 1 to 65536 bytes");
	KF_TRY(request_new(&r));
	r->csr = is_pem ? read_pem(bytes) : read_der(bytes);
	if (!r->csr)
		return ossl_fail(INVALID_CSR, "it is not one PKCS#10 request");
	KF_TRY(take_subject(r, X509_REQ_get_subject_name(r->csr)));
	KF_TRY(read_extensions(r));
	KF_TRY(take_key(r, X509_REQ_get0_pubkey(r->csr)));
	*ret = r;
	r = NULL;
	return KF_OK;
}

/* SHA-1 and MD5 prove nothing any more. */
static bool is_weak(int nid)
{
	int md = NID_undef, key = NID_undef;
	return OBJ_find_sigid_algs(nid, &md, &key) &&
	       (md == NID_sha1 || md == NID_md5 || md == NID_md4);
}

kf_err issue_request_verify(const struct issue_request *r, const struct issue_ca *ca)
{
	if (r->old && X509_verify(r->old, pubkey_pkey(ca->key)) != 1)
		return ossl_fail(NOT_ISSUED, "the certificate is not of this authority: "
					     "bring a certificate request");
	if (!r->csr)
		return KF_OK;
	if (is_weak(X509_REQ_get_signature_nid(r->csr)))
		return kf_fail(INVALID_CSR, "signed with SHA-1 or MD5");
	if (X509_REQ_verify(r->csr, pubkey_pkey(r->key)) != 1)
		return ossl_fail(INVALID_CSR, "its signature is not by its own key");
	return KF_OK;
}

/* --- without one --- */

kf_err issue_request_renew(struct slice der, struct issue_request **ret)
{
	const unsigned char *p = der.p;
	CLEANUP(request_freep) struct issue_request *r = NULL;
	KF_TRY(request_new(&r));
	X509 *x = r->old = d2i_X509(NULL, &p, (long)der.n);
	if (!x)
		return ossl_fail(INVALID_FIELD, "the certificate cannot be read");
	KF_TRY(take_subject(r, X509_get_subject_name(x)));
	r->names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	KF_TRY(take_key(r, X509_get0_pubkey(x)));
	ERR_clear_error();
	*ret = r;
	r = NULL;
	return KF_OK;
}

static kf_err read_subject(struct issue_request *r, struct slice der)
{
	const unsigned char *p = der.p;
	r->subject = der.n ? d2i_X509_NAME(NULL, &p, (long)der.n) : X509_NAME_new();
	if (!r->subject || (der.n && p != der.p + der.n))
		return ossl_fail(INVALID_FIELD, "a subject that is not a name in DER");
	return KF_OK;
}

static kf_err add_parts(struct issue_request *r, const struct issue_names *names)
{
	for (size_t i = 0; i < names->parts_n; i++) {
		const struct issue_part *p = &names->parts[i];
		if (!X509_NAME_add_entry_by_NID(r->subject, p->nid, MBSTRING_UTF8,
			    p->text.p, (int)p->text.n, -1, 0))
			return ossl_fail(INVALID_FIELD,
				"part of a subject is too long, or no such text");
	}
	return KF_OK;
}

static kf_err read_name(struct issue_request *r, struct slice der)
{
	const unsigned char *p = der.p;
	GENERAL_NAME *name = d2i_GENERAL_NAME(NULL, &p, (long)der.n);
	if (name && p == der.p + der.n && sk_GENERAL_NAME_push(r->names, name))
		return KF_OK;
	GENERAL_NAME_free(name);
	return ossl_fail(INVALID_FIELD, "an alternative name that is none in DER");
}

static kf_err read_names(struct issue_request *r, const struct issue_names *names)
{
	if (names->n > ISSUE_NAMES_MAX)
		return kf_fail(INVALID_FIELD, "more than 100 alternative names");
	r->names = sk_GENERAL_NAME_new_null();
	if (!r->names)
		return ossl_fail(NOMEM, "alternative names");
	for (size_t i = 0; i < names->n; i++)
		KF_TRY(read_name(r, names->names[i]));
	return KF_OK;
}

static kf_err add_dns(struct issue_request *r, struct slice name)
{
	GENERAL_NAME *n = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();
	if (!n || !text || !ASN1_STRING_set(text, name.p, (int)name.n)) {
		GENERAL_NAME_free(n);
		ASN1_IA5STRING_free(text);
		return ossl_fail(NOMEM, "alternative name");
	}
	GENERAL_NAME_set0_value(n, GEN_DNS, text);
	if (sk_GENERAL_NAME_push(r->names, n))
		return KF_OK;
	GENERAL_NAME_free(n);
	return ossl_fail(NOMEM, "alternative name");
}

/* A subject by its parts has no room for alternative names, without which no client finds the server: they are its
 * common names, which the policy holds to be DNS names. */
static kf_err name_by_parts(struct issue_request *r, const struct issue_names *names)
{
	r->names = sk_GENERAL_NAME_new_null();
	if (!r->names)
		return ossl_fail(NOMEM, "alternative names");
	for (size_t i = 0; i < names->parts_n; i++)
		if (names->parts[i].nid == NID_commonName)
			KF_TRY(add_dns(r, names->parts[i].text));
	return KF_OK;
}

kf_err issue_request_new(
	struct slice spki, const struct issue_names *names, struct issue_request **ret)
{
	CLEANUP(request_freep) struct issue_request *r = NULL;
	KF_TRY(request_new(&r));
	KF_TRY(read_subject(r, names->subject));
	KF_TRY(add_parts(r, names));
	if (names->n)
		KF_TRY(read_names(r, names));
	else if (names->parts_n)
		KF_TRY(name_by_parts(r, names));
	KF_TRY(pubkey_parse(spki, &r->key));
	*ret = r;
	r = NULL;
	return KF_OK;
}

/* --- for records --- */

bool issue_common_name(const X509_NAME *subject, struct slice *ret)
{
	int at = -1, last = -1;
	while ((at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0)
		last = at;
	if (last < 0)
		return false;
	const ASN1_STRING *s =
		X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last));
	*ret = (struct slice){ ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s) };
	return true;
}

static void put_printable(struct buf *to, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_add(to, isprint(s.p[i]) ? (const char *)s.p + i : "?", 1);
}

void issue_print_text(struct buf *to, struct slice text)
{
	for (size_t i = 0; i < text.n; i++)
		buf_add(to, isgraph(text.p[i]) ? (const char *)text.p + i : "?", 1);
}

static const char *kind_of(int type)
{
	switch (type) {
	case GEN_DNS: return "";
	case GEN_EMAIL: return "email:";
	case GEN_URI: return "uri:";
	case GEN_IPADD: return "ip:";
	default: return "other";
	}
}

void issue_print_name(struct buf *to, const GENERAL_NAME *name)
{
	int type;
	const ASN1_STRING *s = GENERAL_NAME_get0_value(name, &type);
	buf_add_text(to, kind_of(type));
	if (type == GEN_DNS || type == GEN_EMAIL || type == GEN_URI)
		issue_print_text(to, (struct slice){ ASN1_STRING_get0_data(s),
					     (size_t)ASN1_STRING_length(s) });
	for (int i = 0; type == GEN_IPADD && i < ASN1_STRING_length(s); i++)
		buf_printf(to, "%02x", ASN1_STRING_get0_data(s)[i]);
}

static void print_whole(struct buf *to, const X509_NAME *subject)
{
	CLEANUP(ossl_bio_freep) BIO *b = BIO_new(BIO_s_mem());
	const uint8_t *text = NULL;
	long n = 0;
	if (b && X509_NAME_print_ex(b, subject, 0, XN_FLAG_RFC2253) >= 0)
		n = BIO_get_mem_data(b, &text);
	if (n > 0)
		put_printable(to, (struct slice){ text, (size_t)n });
	else if (X509_NAME_entry_count(subject) && kf_ok(to->err))
		to->err = ossl_fail(NOMEM, "subject");
}

void issue_request_print(
	const struct issue_request *r, bool has_whole_subject, struct buf *ret)
{
	struct slice cn;
	buf_add_text(ret, "names=");
	for (int i = 0; i < sk_GENERAL_NAME_num(r->names); i++) {
		buf_add_text(ret, i ? "," : "");
		issue_print_name(ret, sk_GENERAL_NAME_value(r->names, i));
	}
	buf_add_text(ret, " subject=");
	if (has_whole_subject)
		print_whole(ret, r->subject);
	else if (issue_common_name(r->subject, &cn))
		put_printable(ret, cn);
}
