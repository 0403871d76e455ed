/* SPDX-License-Identifier: Apache-2.0
 *
 * Whom we believe, and what we say when we do not.
 */
#include "net/tls_private.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <time.h>

/* OpenSSL takes a certificate without extended key usage for one that may do everything, and one that
 * names both roles for either: that would be a client that can pose as a key server. */
bool tls_has_role(X509 *certificate, bool is_server)
{
	if (!(X509_get_extension_flags(certificate) & EXFLAG_XKUSAGE))
		return false;
	uint32_t usage = X509_get_extended_key_usage(certificate);
	uint32_t roles = usage & (XKU_SSL_SERVER | XKU_SSL_CLIENT | XKU_ANYEKU);
	return roles == (is_server ? XKU_SSL_SERVER : XKU_SSL_CLIENT);
}

int tls_verify_peer(X509_STORE_CTX *store, void *context)
{
	const struct tls_context *c = context;
	if (X509_verify_cert(store) != 1)
		return 0;
	if (tls_has_role(X509_STORE_CTX_get0_cert(store), !c->options.is_server))
		return 1;
	X509_STORE_CTX_set_error(store, X509_V_ERR_INVALID_PURPOSE);
	return 0;
}

int64_t tls_time_s(const ASN1_TIME *time)
{
	struct tm t = { 0 };
	if (!time || ASN1_TIME_to_tm(time, &t) != 1)
		return 0;
	return timegm(&t);
}

int64_t tls_not_after_s(const X509 *certificate)
{
	return tls_time_s(X509_get0_notAfter(certificate));
}

struct reason {
	long code;
	const char *text;
};

static const char *find(const struct reason *r, long code)
{
	while (r->text && r->code != code)
		r++;
	return r->text;
}

static const struct reason verify_reasons[] = {
	{ X509_V_ERR_INVALID_PURPOSE,
		"peer's certificate is not meant for its role (extended key usage)" },
	{ X509_V_ERR_CERT_HAS_EXPIRED, "peer's certificate has expired" },
	{ X509_V_ERR_CERT_NOT_YET_VALID, "peer's certificate is not valid yet" },
	{ X509_V_ERR_CERT_REVOKED, "peer's certificate is revoked" },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
		"peer's certificate is of an authority we do not know" },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
		"peer's certificate is of an authority we do not know" },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
		"peer's certificate is signed by itself" },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
		"peer's certificate is of an authority we do not know" },
	{ X509_V_ERR_UNABLE_TO_GET_CRL, "no revocation list of the peer's authority" },
	{ X509_V_ERR_CRL_HAS_EXPIRED, "revocation list has expired" },
	{ X509_V_ERR_HOSTNAME_MISMATCH, "peer's certificate is for another host" },
	{ X509_V_ERR_IP_ADDRESS_MISMATCH, "peer's certificate is for another address" },
	{ 0, NULL },
};

static const struct reason reasons[] = {
	{ SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "peer showed no certificate" },
	{ SSL_R_NO_SHARED_CIPHER, "no cipher in common (ECDHE with AEAD is needed)" },
	{ SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, "no signature algorithm in common" },
	{ SSL_R_UNSUPPORTED_PROTOCOL, "peer is limited to TLS older than 1.2" },
	{ SSL_R_WRONG_VERSION_NUMBER, "peer does not speak TLS" },
	{ SSL_R_HTTP_REQUEST, "peer speaks HTTP without TLS" },
	{ SSL_R_HTTPS_PROXY_REQUEST, "peer speaks HTTP without TLS" },
	{ SSL_AD_REASON_OFFSET + SSL_AD_BAD_CERTIFICATE,
		"peer refused our certificate: bad" },
	{ SSL_AD_REASON_OFFSET + SSL_AD_UNSUPPORTED_CERTIFICATE,
		"peer refused our certificate: not meant for our role" },
	{ SSL_AD_REASON_OFFSET + SSL_AD_CERTIFICATE_REVOKED,
		"peer refused our certificate: revoked" },
	{ SSL_AD_REASON_OFFSET + SSL_AD_CERTIFICATE_EXPIRED,
		"peer refused our certificate: expired" },
	{ SSL_AD_REASON_OFFSET + SSL_AD_CERTIFICATE_UNKNOWN,
		"peer refused our certificate without saying why" },
	{ SSL_AD_REASON_OFFSET + SSL_AD_UNKNOWN_CA, "peer does not know our authority" },
	{ SSL_AD_REASON_OFFSET + SSL_AD_CERTIFICATE_REQUIRED,
		"peer wants a certificate of ours" },
	{ SSL_AD_REASON_OFFSET + SSL_AD_HANDSHAKE_FAILURE,
		"peer found nothing in common" },
	{ SSL_AD_REASON_OFFSET + SSL_AD_PROTOCOL_VERSION,
		"peer does not speak our versions of TLS" },
	{ SSL_AD_REASON_OFFSET + SSL_AD_DECRYPT_ERROR,
		"peer could not verify our handshake" },
	{ 0, NULL },
};

const char *tls_verify_reason(long verify_result)
{
	const char *text = find(verify_reasons, verify_result);
	return text ? text : X509_verify_cert_error_string(verify_result);
}

enum stream_fault tls_fault(void)
{
	switch (ERR_GET_REASON(ERR_peek_error())) {
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return STREAM_PEER_DISTRUSTED;
	case SSL_AD_REASON_OFFSET + SSL_AD_BAD_CERTIFICATE:
	case SSL_AD_REASON_OFFSET + SSL_AD_UNSUPPORTED_CERTIFICATE:
	case SSL_AD_REASON_OFFSET + SSL_AD_CERTIFICATE_REVOKED:
	case SSL_AD_REASON_OFFSET + SSL_AD_CERTIFICATE_EXPIRED:
	case SSL_AD_REASON_OFFSET + SSL_AD_CERTIFICATE_UNKNOWN:
	case SSL_AD_REASON_OFFSET + SSL_AD_UNKNOWN_CA: return STREAM_PEER_DISTRUSTS;
	default: return STREAM_BROKEN;
	}
}

/* The first error is the cause, later ones are its consequences.  Texts of OpenSSL are constant too. */
const char *tls_reason(const SSL *ssl)
{
	unsigned long e = ERR_peek_error();
	int code = ERR_GET_REASON(e);
	long verified = SSL_get_verify_result(ssl);
	ERR_clear_error();
	if (code == SSL_R_CERTIFICATE_VERIFY_FAILED && verified != X509_V_OK)
		return tls_verify_reason(verified);
	const char *text = ERR_GET_LIB(e) == ERR_LIB_SSL ? find(reasons, code) : NULL;
	if (!text)
		text = ERR_reason_error_string(e);
	return text ? text : "TLS failed";
}
