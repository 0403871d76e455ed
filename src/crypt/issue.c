/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/issue_inside.h"
#include "crypt/sigalg.h"
#include <openssl/rand.h>
#include <string.h>
#include <strings.h>

/* RFC 5280 wants a positive number: the top byte is 1..127, all others are random. */
kf_err issue_serial(uint8_t ret[ISSUE_SERIAL_SIZE])
{
	if (RAND_bytes(ret, ISSUE_SERIAL_SIZE) != 1)
		return ossl_fail(CRYPTO, "serial number");
	ret[0] &= 0x7f;
	ret[0] |= 0x40;
	return KF_OK;
}

/* --- fields --- */

static kf_err set_serial(X509 *x, const uint8_t serial[ISSUE_SERIAL_SIZE])
{
	return ASN1_STRING_set(X509_get_serialNumber(x), serial, ISSUE_SERIAL_SIZE)
		       ? KF_OK
		       : ossl_fail(NOMEM, "serial number");
}

static kf_err set_dates(X509 *x, const struct issue *i)
{
	if (i->not_before >= i->not_after)
		return kf_fail(
			INVALID_FIELD, "the certificate would end before it begins");
	return ASN1_TIME_set(X509_getm_notBefore(x), (time_t)i->not_before) &&
			       ASN1_TIME_set(X509_getm_notAfter(x), (time_t)i->not_after)
		       ? KF_OK
		       : ossl_fail(CRYPTO, "dates of a certificate");
}

static kf_err set_common_name(X509 *x, const X509_NAME *subject)
{
	struct slice cn;
	if (!issue_common_name(subject, &cn))
		return KF_OK;
	return X509_NAME_add_entry_by_NID(X509_get_subject_name(x), NID_commonName,
		       MBSTRING_UTF8, cn.p, (int)cn.n, -1, 0)
		       ? KF_OK
		       : ossl_fail(INVALID_CSR, "the common name is too long");
}

static kf_err set_subject(X509 *x, const struct issue *i, const X509_NAME *subject)
{
	if (!i->takes_whole_subject)
		return set_common_name(x, subject);
	return X509_set_subject_name(x, subject) ? KF_OK : ossl_fail(NOMEM, "subject");
}

/* Without a subject the alternative names are all there is: critical (RFC 5280, 4.2.1.6). */
static kf_err add_names(X509 *x, GENERAL_NAMES *names)
{
	const int is_critical = !X509_NAME_entry_count(X509_get_subject_name(x));
	if (!names || !sk_GENERAL_NAME_num(names))
		return KF_OK;
	return X509_add1_ext_i2d(x, NID_subject_alt_name, names, is_critical,
		       X509V3_ADD_DEFAULT) > 0
		       ? KF_OK
		       : ossl_fail(CRYPTO, "alternative names");
}

static kf_err fill(X509 *x, const struct issue *i, const struct issue_request *r)
{
	const X509_NAME *by = X509_get_subject_name(i->ca->cert);
	if (!X509_set_version(x, X509_VERSION_3) ||
		!X509_set_pubkey(x, pubkey_pkey(r->key)) || !X509_set_issuer_name(x, by))
		return ossl_fail(CRYPTO, "certificate");
	KF_TRY(set_serial(x, i->serial));
	KF_TRY(set_dates(x, i));
	KF_TRY(set_subject(x, i, r->subject));
	KF_TRY(names_add_extensions(x, i->role, i->ca->cert));
	return add_names(x, r->names);
}

/* --- name constraints --- */

/* "*.example.com" is each "x.example.com". */
static bool stands_for(struct slice wildcard, struct slice name)
{
	const uint8_t *dot = name.n ? memchr(name.p, '.', name.n) : NULL;
	const size_t n = dot ? name.n - (size_t)(dot - name.p) : 0;
	return n && dot > name.p && wildcard.n == n + 1 && wildcard.p[0] == '*' &&
	       !strncasecmp((const char *)wildcard.p + 1, (const char *)dot, n);
}

static bool is_dns(const GENERAL_NAME *name, struct slice *ret)
{
	int type;
	const ASN1_STRING *s = GENERAL_NAME_get0_value(name, &type);
	if (type != GEN_DNS)
		return false;
	*ret = (struct slice){ ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s) };
	return true;
}

/* libcrypto takes an asterisk for a name like others, which is below none that is excluded; newer clients do not. */
static bool has_excluded_wildcard(const GENERAL_NAMES *names, const NAME_CONSTRAINTS *nc)
{
	struct slice name, excluded;
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
		for (int k = 0; k < sk_GENERAL_SUBTREE_num(nc->excludedSubtrees); k++)
			if (is_dns(sk_GENERAL_NAME_value(names, i), &name) &&
				is_dns(sk_GENERAL_SUBTREE_value(nc->excludedSubtrees, k)
						->base,
					&excluded) &&
				stands_for(name, excluded))
				return true;
	return false;
}

static bool permits(NAME_CONSTRAINTS *nc, X509 *x, const GENERAL_NAMES *names)
{
	return NAME_CONSTRAINTS_check(x, nc) == X509_V_OK &&
	       NAME_CONSTRAINTS_check_CN(x, nc) == X509_V_OK &&
	       !has_excluded_wildcard(names, nc);
}

static kf_err check_under(X509 *authority, X509 *x, const GENERAL_NAMES *names)
{
	int how = -1; /* there are none */
	NAME_CONSTRAINTS *nc =
		X509_get_ext_d2i(authority, NID_name_constraints, &how, NULL);
	const bool is_permitted = nc ? permits(nc, x, names) : how == -1;
	NAME_CONSTRAINTS_free(nc);
	return is_permitted ? KF_OK
			    : ossl_fail(NOT_ISSUED_NAME,
				      "a name that the authority's own certificate "
				      "does not permit (name constraints)");
}

/* A certificate with the names and nothing else: it is looked at, and goes. */
static kf_err check_constraints(const struct issue_ca *ca, bool takes_whole_subject,
	const struct issue_request *r)
{
	const struct issue i = { .takes_whole_subject = takes_whole_subject };
	CLEANUP(ossl_x509_freep) X509 *x = X509_new();
	if (!x || !X509_set_version(x, X509_VERSION_3))
		return ossl_fail(NOMEM, "certificate");
	KF_TRY(set_subject(x, &i, r->subject));
	KF_TRY(add_names(x, r->names));
	/* Decodes the alternative names; that there is no signature yet is no matter. */
	(void)X509_get_extension_flags(x);
	ERR_clear_error();
	KF_TRY(check_under(ca->cert, x, r->names));
	for (int n = 0; n < sk_X509_num(ca->above); n++)
		KF_TRY(check_under(sk_X509_value(ca->above, n), x, r->names));
	return KF_OK;
}

/* Are the first n alternative names, by themselves? */
static bool are_refused(const struct issue_ca *ca, const GENERAL_NAMES *names, int n)
{
	CLEANUP(ossl_name_freep) X509_NAME *nobody = X509_NAME_new();
	GENERAL_NAMES *some = sk_GENERAL_NAME_new_null();
	for (int i = 0; i < n; i++)
		(void)sk_GENERAL_NAME_push(some, sk_GENERAL_NAME_value(names, i));
	const struct issue_request r = { .subject = nobody, .names = some };
	const bool are = nobody && sk_GENERAL_NAME_num(some) == n &&
			 kf_is(check_constraints(ca, false, &r), KF_E_NOT_ISSUED_NAME);
	sk_GENERAL_NAME_free(some); /* the names stay the request's */
	return are;
}

/* The first one that is refused; where none is, it is the subject. */
static void print_refused(
	const struct issue_ca *ca, const struct issue_request *r, struct buf *to)
{
	int good = 0, bad = sk_GENERAL_NAME_num(r->names);
	struct slice cn;
	if (bad > 0 && are_refused(ca, r->names, bad)) {
		while (bad - good > 1) {
			const int n = good + (bad - good) / 2;
			*(are_refused(ca, r->names, n) ? &bad : &good) = n;
		}
		issue_print_name(to, sk_GENERAL_NAME_value(r->names, bad - 1));
	} else if (issue_common_name(r->subject, &cn)) {
		issue_print_text(to, cn);
	}
}

kf_err issue_check_constraints(const struct issue_ca *ca, bool takes_whole_subject,
	const struct issue_request *r, struct buf *ret_refused)
{
	if (!ca->is_constrained)
		return KF_OK;
	const kf_err err = check_constraints(ca, takes_whole_subject, r);
	if (kf_is(err, KF_E_NOT_ISSUED_NAME))
		print_refused(ca, r, ret_refused);
	return err;
}

/* --- the signature --- */

/* It stands in what is signed, and beside the signature.  OpenSSL lets it be set by signing only, so its
 * copies are written to: the certificate is ours. */
static kf_err set_algorithm(X509 *x, const struct mech *mech)
{
	const X509_ALGOR *outside = NULL;
	X509_ALGOR *algorithm = sigalg_new(mech);
	X509_get0_signature(NULL, &outside, x);
	int done = algorithm &&
		   X509_ALGOR_copy((X509_ALGOR *)(uintptr_t)outside, algorithm) &&
		   X509_ALGOR_copy(
			   (X509_ALGOR *)(uintptr_t)X509_get0_tbs_sigalg(x), algorithm);
	X509_ALGOR_free(algorithm);
	return done ? KF_OK : ossl_fail(NOMEM, "signature algorithm");
}

static kf_err set_signature(X509 *x, struct slice sig)
{
	const ASN1_BIT_STRING *bits = NULL;
	X509_get0_signature(&bits, NULL, x);
	return sigalg_set_bits((ASN1_BIT_STRING *)(uintptr_t)bits, sig)
		       ? KF_OK
		       : ossl_fail(NOMEM, "signature");
}

static kf_err ask_signer(
	X509 *x, const struct issue *i, const struct mech *mech, struct buf *sig)
{
	unsigned char *tbs = NULL;
	const int n = i2d_re_X509_tbs(x, &tbs);
	if (n <= 0)
		return ossl_fail(CRYPTO, "certificate");
	kf_err err = i->sign(i->arg, mech, (struct slice){ tbs, (size_t)n }, sig);
	OPENSSL_free(tbs);
	return kf_ok(err) ? buf_err(sig) : err;
}

static kf_err sign(X509 *x, const struct issue *i)
{
	autobuf sig = buf_new(1024);
	const struct mech *mech = issue_ca_mech(i->ca, i->hash);
	if (!mech)
		return kf_fail(
			BAD_PARAMETERS, "the authority's key has no such signature");
	KF_TRY(set_algorithm(x, mech));
	KF_TRY(ask_signer(x, i, mech, &sig));
	KF_TRY(set_signature(x, buf_slice(&sig)));
	return X509_verify(x, pubkey_pkey(i->ca->key)) == 1
		       ? KF_OK
		       : ossl_fail(CRYPTO, "the signature that came back is wrong");
}

kf_err issue_certificate(
	const struct issue *i, const struct issue_request *r, struct buf *ret)
{
	CLEANUP(ossl_x509_freep) X509 *x = X509_new();
	if (!x)
		return ossl_fail(NOMEM, "certificate");
	KF_TRY(fill(x, i, r));
	KF_TRY(sign(x, i));
	return ossl_put_x509(x, ret);
}
