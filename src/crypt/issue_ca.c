/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/issue_inside.h"
#include "crypt/sigalg.h"
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void issue_ca_free(struct issue_ca *ca)
{
	if (!ca)
		return;
	X509_free(ca->cert);
	sk_X509_pop_free(ca->above, X509_free);
	buf_free(&ca->chain);
	pubkey_free(ca->key);
	free(ca);
}

static void ca_freep(struct issue_ca **ca) { issue_ca_free(*ca); }

const uint8_t *issue_ca_key_id(const struct issue_ca *ca) { return ca->key_id; }
const uint8_t *issue_ca_digest(const struct issue_ca *ca) { return ca->digest; }
int64_t issue_ca_not_before(const struct issue_ca *ca) { return ca->not_before; }
int64_t issue_ca_not_after(const struct issue_ca *ca) { return ca->not_after; }

bool issue_ca_is_named(const struct issue_ca *ca, struct slice name)
{
	const unsigned char *der = NULL;
	size_t n = 0;
	return X509_NAME_get0_der(X509_get_subject_name(ca->cert), &der, &n) &&
	       slice_eq(name, (struct slice){ der, n });
}

struct slice issue_ca_chain(const struct issue_ca *ca) { return buf_slice(&ca->chain); }

const struct mech *issue_ca_mech(const struct issue_ca *ca, enum hash_id hash)
{
	return sigalg_mech(pubkey_alg(ca->key), hash);
}

/* --- reading --- */

static kf_err seconds_of(const ASN1_TIME *time, int64_t *ret)
{
	struct tm tm;
	if (!ASN1_TIME_to_tm(time, &tm))
		return ossl_fail(MALFORMED, "a certificate without dates");
	*ret = timegm(&tm);
	return KF_OK;
}

static kf_err check_authority(X509 *x)
{
	if (X509_get_extension_flags(x) & EXFLAG_INVALID)
		return ossl_fail(DENIED,
			"its certificate has an extension that cannot be "
			"read");
	if (X509_check_ca(x) != 1)
		return ossl_fail(DENIED, "its certificate is not an authority's");
	if (!(X509_get_key_usage(x) & KU_KEY_CERT_SIGN))
		return ossl_fail(DENIED, "its certificate may not sign certificates");
	return KF_OK;
}

/* A chain ends when its first link does. */
static kf_err shorten(struct issue_ca *ca, X509 *x)
{
	int64_t begin, end;
	KF_TRY(seconds_of(X509_get0_notBefore(x), &begin));
	KF_TRY(seconds_of(X509_get0_notAfter(x), &end));
	if (begin > ca->not_before)
		ca->not_before = begin;
	if (end < ca->not_after)
		ca->not_after = end;
	return KF_OK;
}

/* Of those below only such as are not issued by themselves count (RFC 5280, 6.1.4). */
static kf_err check_path_length(struct issue_ca *ca, X509 *x)
{
	const long most = X509_get_pathlen(x);
	if (most >= 0 && ca->below > most)
		return kf_fail(DENIED, "a certificate of the chain allows fewer "
				       "authorities below it (path length)");
	ca->below += !(X509_get_extension_flags(x) & EXFLAG_SI);
	return KF_OK;
}

static kf_err check_link(X509 *below, X509 *above)
{
	EVP_PKEY *key = X509_get0_pubkey(above);
	if (X509_check_issued(above, below) != X509_V_OK || !key ||
		X509_verify(below, key) != 1)
		return ossl_fail(DENIED,
			"a certificate of the chain has not signed the one before");
	return KF_OK;
}

static kf_err take_key(struct issue_ca *ca)
{
	EVP_PKEY *key = X509_get0_pubkey(ca->cert);
	unsigned n = 0;
	if (!key)
		return ossl_fail(KEY_FORMAT, "its key cannot be read");
	KF_TRY(pubkey_of_pkey(key, &ca->key));
	pubkey_id(ca->key, ca->key_id);
	if (pubkey_alg(ca->key)->is_legacy)
		return kf_fail(KEY_FORMAT, "its key is too weak");
	if (!X509_digest(ca->cert, EVP_sha256(), ca->digest, &n))
		return ossl_fail(CRYPTO, "hashing a certificate");
	return KF_OK;
}

static kf_err add_to_chain(struct issue_ca *ca, X509 *x)
{
	CLEANUP(ossl_bio_freep) BIO *out = BIO_new(BIO_s_mem());
	const char *text = NULL;
	long n = 0;
	if (X509_get_extension_flags(x) & EXFLAG_SS)
		return KF_OK;
	if (out && PEM_write_bio_X509(out, x))
		n = BIO_get_mem_data(out, &text);
	if (n <= 0)
		return ossl_fail(CRYPTO, "writing a certificate");
	buf_add(&ca->chain, text, (size_t)n);
	return buf_err(&ca->chain);
}

static kf_err check_next(struct issue_ca *ca, X509 *x)
{
	const int n = sk_X509_num(ca->above);
	KF_TRY(check_authority(x));
	if (n == ISSUE_CHAIN_MAX)
		return kf_fail(TOO_BIG, "the chain is too long");
	if (ca->cert)
		KF_TRY(check_link(n ? sk_X509_value(ca->above, n - 1) : ca->cert, x));
	KF_TRY(check_path_length(ca, x));
	ca->is_constrained |= X509_get_ext_by_NID(x, NID_name_constraints, -1) >= 0;
	KF_TRY(shorten(ca, x));
	return add_to_chain(ca, x);
}

/* It becomes the authority's. */
static kf_err take(struct issue_ca *ca, X509 *x)
{
	kf_err err = check_next(ca, x);
	if (kf_ok(err) && !ca->cert) {
		ca->cert = x;
		return take_key(ca);
	}
	if (kf_ok(err) && !sk_X509_push(ca->above, x))
		err = ossl_fail(NOMEM, "chain of an authority");
	if (!kf_ok(err))
		X509_free(x);
	return err;
}

/* --- the file --- */

struct walk {
	struct slice rest;
	unsigned line;
};

static bool begins(struct slice line, const char *with)
{
	const size_t n = strlen(with);
	return line.n >= n && !memcmp(line.p, with, n);
}

/* The next line that begins with five dashes; lines of more are for people. */
static bool next_mark(struct walk *w, struct slice *ret)
{
	while (w->rest.n) {
		*ret = slice_take_line(&w->rest);
		w->line++;
		if (begins(*ret, "-----") && !begins(*ret, "------"))
			return true;
	}
	return false;
}

/* From a line with BEGIN to the next with END; nothing at the end of the file.  What stands between such blocks is for
 * people.  A block that is cut must not look like the end of the file: clients would lack what is behind. */
static kf_err next_block(struct walk *w, struct slice *ret, unsigned *ret_line)
{
	struct slice first, last;
	*ret = (struct slice){ 0 };
	if (!next_mark(w, &first))
		return KF_OK;
	*ret_line = w->line;
	if (!begins(first, "-----BEGIN ") || !next_mark(w, &last) ||
		!begins(last, "-----END "))
		return kf_fail(MALFORMED, "part of a certificate is missing");
	*ret = (struct slice){ first.p, (size_t)(last.p + last.n - first.p) };
	return KF_OK;
}

static bool is_certificate(struct slice block)
{
	struct slice text = block;
	const struct slice label = slice_trimmed(slice_take_line(&text));
	static const char ending[] = "CERTIFICATE-----";
	const size_t n = sizeof(ending) - 1;
	return label.n > n && !memcmp(label.p + label.n - n, ending, n);
}

static kf_err read_block(struct slice block, X509 **ret)
{
	CLEANUP(ossl_bio_freep) BIO *in = BIO_new_mem_buf(block.p, (int)block.n);
	char *label = NULL, *header = NULL;
	unsigned char *der = NULL;
	long n = 0;
	const int has_der = in && PEM_read_bio(in, &label, &header, &der, &n);
	const unsigned char *p = der;
	X509 *x = has_der ? d2i_X509(NULL, &p, n) : NULL;
	const bool is_whole = x && p == der + n;
	OPENSSL_free(label);
	OPENSSL_free(header);
	OPENSSL_free(der);
	if (is_whole) {
		*ret = x;
		return KF_OK;
	}
	X509_free(x);
	return ossl_fail(MALFORMED, "a certificate that cannot be read");
}

static kf_err read_all(struct issue_ca *ca, struct slice pem, unsigned *ret_line)
{
	struct walk w = { .rest = pem };
	struct slice block;
	KF_TRY(next_block(&w, &block, ret_line));
	while (block.n) {
		X509 *x = NULL;
		if (is_certificate(block)) {
			KF_TRY(read_block(block, &x));
			KF_TRY(take(ca, x));
		}
		KF_TRY(next_block(&w, &block, ret_line));
	}
	*ret_line = 0;
	return ca->cert ? KF_OK : kf_fail(MALFORMED, "no certificate in it");
}

/* What the links alone do not say: name constraints on authorities, critical extensions that nobody knows.  Dates are
 * looked at when it signs. */
static kf_err verify(const struct issue_ca *ca)
{
	const int n = sk_X509_num(ca->above);
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	bool is_good = store && ctx &&
		       X509_STORE_add_cert(
			       store, n ? sk_X509_value(ca->above, n - 1) : ca->cert) &&
		       X509_STORE_CTX_init(ctx, store, ca->cert, ca->above);
	if (is_good) {
		X509_STORE_CTX_set_flags(
			ctx, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME);
		is_good = X509_verify_cert(ctx) == 1;
	}
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return is_good ? KF_OK
		       : ossl_fail(DENIED, "the chain does not verify (openssl verify "
					   "says why)");
}

static kf_err ca_new(struct issue_ca **ret)
{
	CLEANUP(ca_freep) struct issue_ca *ca = calloc(1, sizeof(*ca));
	if (!ca)
		return kf_fail(NOMEM, "authority");
	ca->above = sk_X509_new_null();
	if (!ca->above)
		return ossl_fail(NOMEM, "authority");
	ca->chain = buf_new(CERT_PEM_MAX);
	ca->not_before = INT64_MIN;
	ca->not_after = INT64_MAX;
	*ret = ca;
	ca = NULL;
	return KF_OK;
}

kf_err issue_ca_new(struct slice pem, unsigned *ret_line, struct issue_ca **ret)
{
	CLEANUP(ca_freep) struct issue_ca *ca = NULL;
	*ret_line = 0;
	if (pem.n > CERT_PEM_MAX)
		return kf_fail(TOO_BIG, "certificates of an authority");
	KF_TRY(ca_new(&ca));
	KF_TRY(read_all(ca, pem, ret_line));
	KF_TRY(verify(ca));
	*ret = ca;
	ca = NULL;
	return KF_OK;
}
