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
	pubkey_free(ca->key);
	free(ca);
}

static void ca_freep(struct issue_ca **ca) { issue_ca_free(*ca); }

const uint8_t *issue_ca_key_id(const struct issue_ca *ca) { return ca->key_id; }
const uint8_t *issue_ca_digest(const struct issue_ca *ca) { return ca->digest; }
int64_t issue_ca_not_after(const struct issue_ca *ca) { return ca->not_after; }

kf_err issue_ca_check(const struct issue_ca *ca, int64_t now_s)
{
	if (now_s < ca->not_before)
		return kf_fail(DENIED, "the authority's certificate is not valid yet");
	if (now_s >= ca->not_after)
		return kf_fail(DENIED, "the authority's certificate has expired");
	return KF_OK;
}

bool issue_ca_is_named(const struct issue_ca *ca, struct slice name)
{
	const unsigned char *der = NULL;
	size_t n = 0;
	return X509_NAME_get0_der(X509_get_subject_name(ca->cert), &der, &n) &&
	       slice_eq(name, (struct slice){ der, n });
}

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

static kf_err check_link(X509 *below, X509 *above)
{
	KF_TRY(check_authority(above));
	EVP_PKEY *key = X509_get0_pubkey(above);
	if (X509_check_issued(above, below) != X509_V_OK || !key ||
		X509_verify(below, key) != 1)
		return ossl_fail(DENIED,
			"a certificate of the chain has not signed the one before");
	return KF_OK;
}

static kf_err read_chain(struct issue_ca *ca, BIO *in)
{
	CLEANUP(ossl_x509_freep) X509 *below = NULL;
	X509 *above;
	X509_up_ref(ca->cert);
	below = ca->cert;
	for (int i = 0; (above = PEM_read_bio_X509(in, NULL, NULL, NULL)); i++) {
		kf_err err = i < ISSUE_CHAIN_MAX
				     ? check_link(below, above)
				     : kf_fail(TOO_BIG, "the chain is too long");
		if (kf_ok(err))
			err = shorten(ca, above);
		X509_free(below);
		below = above;
		KF_TRY(err);
	}
	ERR_clear_error();
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

kf_err issue_ca_new(struct slice pem, struct issue_ca **ret)
{
	CLEANUP(ca_freep) struct issue_ca *ca = calloc(1, sizeof(*ca));
	if (!ca)
		return kf_fail(NOMEM, "authority");
	if (pem.n > CERT_PEM_MAX)
		return kf_fail(TOO_BIG, "certificates of an authority");
	CLEANUP(ossl_bio_freep) BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
	ca->cert = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
	if (!ca->cert)
		return ossl_fail(MALFORMED, "no certificate in it");
	ca->not_before = INT64_MIN;
	ca->not_after = INT64_MAX;
	KF_TRY(check_authority(ca->cert));
	KF_TRY(shorten(ca, ca->cert));
	KF_TRY(read_chain(ca, in));
	KF_TRY(take_key(ca));
	*ret = ca;
	ca = NULL;
	return KF_OK;
}
