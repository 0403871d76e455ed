/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is at the other end of a stream.  The same on a resumed one: the ticket carries the certificate.
 */
#include "base/clock.h"
#include "net/tls_private.h"
#include <openssl/err.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static SSL *ssl_of(const struct stream *s)
{
	return s->ops == &tls_stream_ops ? ((const struct tls_stream *)s)->ssl : NULL;
}

static X509 *certificate_of(const struct stream *s)
{
	SSL *ssl = s->is_open ? ssl_of(s) : NULL;
	return ssl ? SSL_get0_peer_certificate(ssl) : NULL;
}

/* Left empty unless there is exactly one, without NUL, that fits: no half names. */
static void get_common_name(const X509 *x, char ret[TLS_NAME_MAX])
{
	const X509_NAME *name = X509_get_subject_name(x);
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	unsigned char *text = NULL;
	ret[0] = 0;
	if (at < 0 || X509_NAME_get_index_by_NID(name, NID_commonName, at) >= 0)
		return;
	int n = ASN1_STRING_to_UTF8(
		&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
	if (n > 0 && !kf_ok(slice_to_text(
			     (struct slice){ text, (size_t)n }, ret, TLS_NAME_MAX)))
		ret[0] = 0;
	OPENSSL_free(text);
}

static void get_subject(const X509 *x, char ret[TLS_NAME_MAX])
{
	BIO *b = BIO_new(BIO_s_mem());
	ret[0] = 0;
	if (b && X509_NAME_print_ex(b, X509_get_subject_name(x), 0, XN_FLAG_RFC2253) >=
			 0) {
		int n = BIO_read(b, ret, TLS_NAME_MAX - 1);
		ret[n > 0 ? n : 0] = 0;
	}
	BIO_free(b);
}

static void get_serial(const X509 *x, char ret[TLS_SERIAL_MAX])
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
	const uint8_t *p = ASN1_STRING_get0_data(serial);
	int n = ASN1_STRING_length(serial);
	ret[0] = 0;
	if (n < 0 || 2 * (size_t)n >= TLS_SERIAL_MAX)
		return; /* 20 bytes are the most that RFC 5280 allows */
	for (int i = 0; i < n; i++)
		snprintf(ret + (ptrdiff_t)2 * i, 3, "%02x", p[i]);
}

kf_err tls_get_peer(const struct stream *s, struct tls_peer *ret)
{
	const X509 *x = certificate_of(s);
	struct tls_peer p = { 0 };
	if (!x)
		return kf_fail(MISSING, "peer has shown no certificate");
	if (X509_digest(x, EVP_sha256(), p.fingerprint, NULL) != 1)
		return kf_fail(CRYPTO, "fingerprint of a certificate");
	p.not_after_s = tls_not_after_s(x);
	p.is_resumed = SSL_session_reused(ssl_of(s)) == 1;
	get_common_name(x, p.common_name);
	get_subject(x, p.subject);
	get_serial(x, p.serial);
	*ret = p;
	return KF_OK;
}

kf_err tls_get_peer_der(const struct stream *s, struct buf *ret)
{
	const X509 *x = certificate_of(s);
	unsigned char *der = NULL;
	int n = x ? i2d_X509(x, &der) : 0;
	if (n <= 0)
		return kf_fail(MISSING, "peer has shown no certificate");
	buf_add(ret, der, (size_t)n);
	OPENSSL_free(der);
	return buf_err(ret);
}

/* Verifies as a handshake of now would, with the context's present authorities and lists. */
static kf_err verify_again(struct tls_stream *t, SSL_CTX *ctx, X509_STORE_CTX *v)
{
	X509 *x = certificate_of(&t->base);
	const char *role = t->context->options.is_server ? "ssl_client" : "ssl_server";
	if (!x || X509_STORE_CTX_init(v, SSL_CTX_get_cert_store(ctx), x,
			  SSL_get_peer_cert_chain(t->ssl)) != 1)
		return kf_fail(MISSING, "peer has shown no certificate");
	X509_STORE_CTX_set_default(v, role);
	X509_STORE_CTX_set_time(v, 0, clock_wall_s());
	if (tls_verify_peer(v, t->context) == 1)
		return KF_OK;
	t->base.why = tls_verify_reason(X509_STORE_CTX_get_error(v));
	ERR_clear_error();
	return kf_fail(AUTH, "peer's certificate is not accepted any more");
}

kf_err tls_recheck(struct stream *s)
{
	if (!ssl_of(s))
		return kf_fail(MISSING, "peer has shown no certificate");
	struct tls_stream *t = (struct tls_stream *)s;
	SSL_CTX *ctx = tls_context_current(t->context);
	X509_STORE_CTX *v = X509_STORE_CTX_new();
	kf_err e =
		v ? verify_again(t, ctx, v) : kf_fail(NOMEM, "verifying a certificate");
	X509_STORE_CTX_free(v);
	SSL_CTX_free(ctx);
	return e;
}

const char *tls_alpn(const struct stream *s)
{
	const SSL *ssl = ssl_of(s);
	const unsigned char *name = NULL;
	unsigned int n = 0;
	if (!ssl)
		return "";
	SSL_get0_alpn_selected(ssl, &name, &n);
	const char *const *ours = ((const struct tls_stream *)s)->context->options.alpn;
	for (; n && ours && *ours; ours++)
		if (slice_is((struct slice){ name, n }, *ours))
			return *ours;
	return "";
}

const char *tls_version(const struct stream *s)
{
	const SSL *ssl = ssl_of(s);
	return ssl ? SSL_get_version(ssl) : "";
}
