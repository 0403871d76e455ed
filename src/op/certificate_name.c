/* SPDX-License-Identifier: Apache-2.0 */
#include "op/certificate_name.h"
#include "crypt/ossl.h"
#include "ttlv/utf8.h"
#include <arpa/inet.h>

/* --- in words --- */

void certificate_put_name(struct ttlv_writer *w, enum ttlv_tag tag, const X509_NAME *name)
{
	CLEANUP(ossl_bio_freep) BIO *b = BIO_new(BIO_s_mem());
	char *text = NULL;
	const unsigned long how = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;

	/* OpenSSL does not say of all of it that memory was missing. */
	if (!b) {
		buf_fail(w->out, ossl_fail(NOMEM, "a name in words"));
		return;
	}
	if (X509_NAME_print_ex(b, name, 0, how) >= 0) {
		const long n = BIO_get_mem_data(b, &text);
		const struct slice said = { (const uint8_t *)text,
			n > 0 ? (size_t)n : 0 };
		ttlv_put_text(w, tag, utf8_is_text(said) ? said : slice_of(""));
	}
	ossl_forgive(w->out);
}

/* What TTLV cannot say, and what is empty, says nothing. */
static void put_string(struct ttlv_writer *w, enum ttlv_tag tag, const ASN1_STRING *s)
{
	const struct slice text = { ASN1_STRING_get0_data(s),
		(size_t)ASN1_STRING_length(s) };
	if (text.n && utf8_is_text(text))
		ttlv_put_text(w, tag, text);
}

static void put_address(struct ttlv_writer *w, enum ttlv_tag tag, const ASN1_STRING *s)
{
	char text[INET6_ADDRSTRLEN];
	const int n = ASN1_STRING_length(s);
	const int family = n == 4 ? AF_INET : AF_INET6;

	if ((n == 4 || n == 16) &&
		inet_ntop(family, ASN1_STRING_get0_data(s), text, sizeof(text)))
		ttlv_put_text(w, tag, slice_of(text));
}

static void put_words(struct ttlv_writer *w, enum ttlv_tag tag, const GENERAL_NAME *name)
{
	switch (name->type) {
	case GEN_EMAIL:
	case GEN_DNS:
	case GEN_URI: put_string(w, tag, name->d.ia5); break;
	case GEN_IPADD: put_address(w, tag, name->d.iPAddress); break;
	case GEN_DIRNAME: certificate_put_name(w, tag, name->d.directoryName); break;
	default: break;
	}
}

void certificate_put_alternatives_text(
	struct ttlv_writer *w, enum ttlv_tag tag, const GENERAL_NAMES *names)
{
	const int n = sk_GENERAL_NAME_num(names); /* -1 for NULL */
	for (int i = 0; i < n && i < CERTIFICATE_NAMES_MAX; i++)
		put_words(w, tag, sk_GENERAL_NAME_value(names, i));
}

/* --- as they are --- */

static void put_der(struct ttlv_writer *w, enum ttlv_tag tag, const GENERAL_NAME *name)
{
	unsigned char *der = NULL;
	const int n = i2d_GENERAL_NAME(name, &der);
	if (n > 0)
		ttlv_put_bytes(w, tag, (struct slice){ der, (size_t)n });
	OPENSSL_free(der);
	ossl_forgive(w->out);
}

void certificate_put_alternatives(
	struct ttlv_writer *w, enum ttlv_tag tag, const GENERAL_NAMES *names)
{
	const int n = sk_GENERAL_NAME_num(names);
	for (int i = 0; i < n && i < CERTIFICATE_NAMES_MAX; i++)
		put_der(w, tag, sk_GENERAL_NAME_value(names, i));
}
