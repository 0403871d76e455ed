/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key_source.h"
#include "base/conf.h"
#include "base/mem.h"
#include "cli/key_import.h"
#include "crypt/ossl.h"
#include "crypt/x509.h"
#include <openssl/pkcs12.h>

enum { FILE_SIZE_MAX = 1 << 20 };

void key_source_clear(struct key_source *s)
{
	keypair_free(&s->pair);
	buf_free(&s->der);
}

/* The pass phrase of a PKCS#12 file, in locked memory. */
struct phrase {
	char text[1024];
};
static void phrase_freep(struct phrase **p) { secret_free(*p); }

static void pkcs12_freep(PKCS12 **p) { PKCS12_free(*p); }

static kf_err take_pkcs12(struct key_source *s, EVP_PKEY *pkey, X509 *x)
{
	autobuf der = buf_new(PKCS8_MAX);
	KF_TRY(ossl_encode(pkey, EVP_PKEY_KEYPAIR, "PrivateKeyInfo", &der));
	KF_TRY(keypair_import(buf_slice(&der), NULL, NULL, &s->pair));
	unsigned char *p = NULL;
	int n = x ? i2d_X509(x, &p) : 0;
	if (n > 0)
		buf_add(&s->der, p, (size_t)n);
	OPENSSL_free(p);
	return buf_err(&s->der);
}

static kf_err open_pkcs12(struct key_source *s, PKCS12 *p12, const char *phrase)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = NULL;
	CLEANUP(ossl_x509_freep) X509 *x = NULL;
	if (!PKCS12_parse(p12, phrase, &pkey, &x, NULL))
		return ossl_fail(AUTH, "wrong pass phrase, or the file is damaged");
	if (!pkey)
		return ossl_fail(KEY_FORMAT, "there is no private key in it");
	return take_pkcs12(s, pkey, x);
}

static kf_err read_pkcs12(struct key_source *s, struct slice file)
{
	const uint8_t *p = file.p;
	CLEANUP(pkcs12_freep) PKCS12 *p12 = d2i_PKCS12(NULL, &p, (long)file.n);
	CLEANUP(phrase_freep) struct phrase *phrase = secret_alloc(sizeof(*phrase));
	if (!p12)
		return ossl_fail(KEY_FORMAT, "this is no PKCS#12 file");
	if (!phrase)
		return kf_fail(NOMEM, "no locked memory for a pass phrase");
	int n = key_passphrase(
		s->cli, s->passphrase_file, phrase->text, sizeof(phrase->text) - 1);
	if (n < 0)
		return kf_fail(AUTH, "the file is encrypted, a pass phrase is needed");
	phrase->text[n] = 0;
	return open_pkcs12(s, p12, phrase->text);
}

static int ask(void *arg, char *into, int size)
{
	const struct key_source *s = arg;
	return key_passphrase(s->cli, s->passphrase_file, into, size);
}

static kf_err read_key(struct key_source *s)
{
	const char *path = s->p12 ? s->p12 : s->pem;
	autobuf file = buf_new(FILE_SIZE_MAX), why = buf_new(4096);
	kf_err e = conf_read_secret(path, &file, &why);
	if (!kf_ok(e)) {
		cli_note_lines(s->cli, &why);
		return e;
	}
	e = s->p12 ? read_pkcs12(s, buf_slice(&file))
		   : keypair_import(buf_slice(&file), ask, s, &s->pair);
	return cli_file_error(s->cli, path, e);
}

static kf_err read_certificate(struct key_source *s)
{
	autobuf pem = buf_new(CERT_PEM_MAX), why = buf_new(4096);
	if (!s->certificate)
		return KF_OK;
	buf_clear(&s->der);
	kf_err e = conf_read_file(s->certificate, &pem, &why);
	if (!kf_ok(e)) {
		cli_note_lines(s->cli, &why);
		return e;
	}
	return cli_file_error(
		s->cli, s->certificate, cert_to_der(buf_slice(&pem), &s->der));
}

kf_err key_source_read(struct key_source *s)
{
	s->der = buf_new(CERT_PEM_MAX);
	KF_TRY(read_key(s));
	return read_certificate(s);
}
