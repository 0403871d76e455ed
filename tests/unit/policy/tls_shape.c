/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/tls_shape.h"
#include "../crypt/keys.h"
#include "test.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#define SERVER "TLS 1.3, server CertificateVerify"
#define CLIENT "TLS 1.3, client CertificateVerify"

static struct slice certificate_verify(const char *context, size_t hash, uint8_t *into)
{
	memset(into, ' ', 64);
	memcpy(into + 64, context, 34);
	memset(into + 98, 0xa5, hash);
	return (struct slice){ into, 98 + hash };
}

TEST(a_certificate_verify_of_both_hashes_is_one)
{
	uint8_t bytes[256];

	OK(tls_is_certificate_verify(certificate_verify(SERVER, 32, bytes)));
	OK(tls_is_certificate_verify(certificate_verify(SERVER, 48, bytes)));
	OK(tls_shape_ok(certificate_verify(SERVER, 32, bytes)));
}

TEST(nothing_near_a_certificate_verify_is_one)
{
	uint8_t bytes[256];
	struct slice cv = certificate_verify(SERVER, 48, bytes);

	for (size_t n = 0; n < 200; n++)
		OK(tls_shape_ok((struct slice){ bytes, n }) ==
			(n == 98 + 32 || n == 98 + 48));
	for (size_t i = 0; i < 98; i++) {
		bytes[i] ^= 1;
		OK(!tls_shape_ok(cv));
		bytes[i] ^= 1;
	}
	OK(!tls_shape_ok(certificate_verify(CLIENT, 32, bytes)));
}

/* ---- a real handshake, and what the server signed in it ---- */

struct heard {
	uint8_t bytes[2048];
	size_t n;
};

static size_t number_end(const uint8_t *p, size_t at)
{
	return at + 2 + ((size_t)p[at] << 8 | p[at + 1]);
}

static void listen_to(int is_write, int version, int type, const void *buf, size_t n,
	SSL *ssl, void *arg)
{
	struct heard *h = arg;
	const uint8_t *message = buf;
	(void)version;
	if (!is_write || type != SSL3_RT_HANDSHAKE ||
		message[0] != SSL3_MT_SERVER_KEY_EXCHANGE)
		return;
	message += 4;
	bool is_curve = message[0] == 3;
	size_t size = is_curve ? 4 + (size_t)message[3]
			       : number_end(message,
					 number_end(message, number_end(message, 0)));
	SSL_get_client_random(ssl, h->bytes, 32);
	SSL_get_server_random(ssl, h->bytes + 32, 32);
	if (size < n && size < sizeof(h->bytes) - 64) {
		memcpy(h->bytes + 64, message, size);
		h->n = 64 + size;
	}
}

static X509 *self_signed(EVP_PKEY *key)
{
	X509 *x = X509_new();
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
		(const uint8_t *)"test", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_set_pubkey(x, key);
	X509_sign(x, key, EVP_sha256());
	return x;
}

static EVP_PKEY *read_key(const char *pem)
{
	BIO *in = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
	BIO_free(in);
	return key;
}

static SSL_CTX *server_ctx(struct heard *h)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = read_key(rsa_pem);
	X509 *x = self_signed(key);
	SSL_CTX_use_certificate(ctx, x);
	SSL_CTX_use_PrivateKey(ctx, key);
	SSL_CTX_set_dh_auto(ctx, 1);
	SSL_CTX_set_msg_callback(ctx, listen_to);
	SSL_CTX_set_msg_callback_arg(ctx, h);
	X509_free(x);
	EVP_PKEY_free(key);
	return ctx;
}

static void shake_hands(const char *ciphers, const char *groups, struct heard *h)
{
	SSL_CTX *sctx = server_ctx(h), *cctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_max_proto_version(cctx, TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(cctx, ciphers);
	/* what the macro of OpenSSL does, but it casts const away too openly for clang */
	SSL_CTX_ctrl(sctx, SSL_CTRL_SET_GROUPS_LIST, 0, (void *)(uintptr_t)groups);
	SSL_CTX_ctrl(cctx, SSL_CTRL_SET_GROUPS_LIST, 0, (void *)(uintptr_t)groups);
	SSL *server = SSL_new(sctx), *client = SSL_new(cctx);
	BIO *a = NULL, *b = NULL;
	BIO_new_bio_pair(&a, 0, &b, 0);
	SSL_set_bio(server, a, a);
	SSL_set_bio(client, b, b);
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	for (int i = 0; i < 10; i++) {
		SSL_do_handshake(client);
		SSL_do_handshake(server);
	}
	SSL_free(server);
	SSL_free(client);
	SSL_CTX_free(sctx);
	SSL_CTX_free(cctx);
	ERR_clear_error();
}

TEST(what_a_real_server_signs_is_a_server_key_exchange)
{
	const char *kinds[][2] = {
		{ "ECDHE-RSA-AES128-GCM-SHA256", "P-256" },
		{ "ECDHE-RSA-AES128-GCM-SHA256", "P-384" },
		{ "ECDHE-RSA-AES128-GCM-SHA256", "P-521" },
		{ "ECDHE-RSA-AES128-GCM-SHA256", "X25519" },
		{ "ECDHE-RSA-AES128-GCM-SHA256", "X448" },
		{ "DHE-RSA-AES128-GCM-SHA256", "P-256" },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct heard h = { 0 };
		shake_hands(kinds[i][0], kinds[i][1], &h);
		OK(h.n > 64);
		OK(tls_is_server_key_exchange((struct slice){ h.bytes, h.n }));
		OK(!tls_is_certificate_verify((struct slice){ h.bytes, h.n }));
		for (size_t n = 0; n <= h.n + 1; n++)
			OK(tls_shape_ok((struct slice){ h.bytes, n }) == (n == h.n));
	}
}

static struct slice ecdhe(uint8_t into[256], unsigned group, size_t point)
{
	memset(into, 0x11, 64);
	into[64] = 3;
	into[65] = 0;
	into[66] = (uint8_t)group;
	into[67] = (uint8_t)point;
	memset(into + 68, 0x22, point);
	into[68] = 4;
	return (struct slice){ into, 68 + point };
}

TEST(a_curve_we_do_not_know_and_a_point_of_another_length_are_refused)
{
	uint8_t bytes[512];

	OK(tls_shape_ok(ecdhe(bytes, 23, 65)));
	OK(!tls_shape_ok(ecdhe(bytes, 22, 65)));
	OK(!tls_shape_ok(ecdhe(bytes, 23, 97)));
	OK(!tls_shape_ok(ecdhe(bytes, 24, 65)));
	OK(!tls_shape_ok(ecdhe(bytes, 23, 0)));
	OK(!tls_shape_ok(ecdhe(bytes, 23, 33))); /* compressed */
	struct slice s = ecdhe(bytes, 23, 65);
	bytes[68] = 2;
	OK(!tls_shape_ok(s));
	s = ecdhe(bytes, 23, 65);
	bytes[64] = 1; /* explicit prime */
	OK(!tls_shape_ok(s));
	s = ecdhe(bytes, 23, 65);
	bytes[65] = 1;
	OK(!tls_shape_ok(s));
}

static size_t put_number(uint8_t *into, size_t at, uint8_t fill, size_t n)
{
	into[at] = (uint8_t)(n >> 8);
	into[at + 1] = (uint8_t)n;
	memset(into + at + 2, fill, n);
	return at + 2 + n;
}

static struct slice dhe(uint8_t *into, size_t p, size_t g, uint8_t y)
{
	memset(into, 0x11, 64);
	size_t at = put_number(into, 64, 0xd5, p);
	at = put_number(into, at, 2, g);
	at = put_number(into, at, y, p);
	return (struct slice){ into, at };
}

TEST(finite_field_numbers_must_make_sense)
{
	static uint8_t bytes[8192];

	OK(tls_shape_ok(dhe(bytes, 128, 1, 0x77)));
	OK(tls_shape_ok(dhe(bytes, 1024, 1, 0x77)));
	OK(!tls_shape_ok(dhe(bytes, 127, 1, 0x77)));
	OK(!tls_shape_ok(dhe(bytes, 1025, 1, 0x77)));
	OK(!tls_shape_ok(dhe(bytes, 256, 0, 0x77)));
	OK(!tls_shape_ok(dhe(bytes, 256, 257, 0x77)));
	OK(!tls_shape_ok(dhe(bytes, 256, 1, 0xff))); /* above p */
	OK(!tls_shape_ok(dhe(bytes, 256, 1, 0xd5))); /* p itself */
	OK(!tls_shape_ok(dhe(bytes, 256, 1, 0)));
	struct slice s = dhe(bytes, 256, 1, 0x77);
	bytes[64 + 2 + 255] = 0xd4; /* even */
	OK(!tls_shape_ok(s));
}

TEST(other_things_that_one_might_want_signed_are_refused)
{
	EVP_PKEY *key = read_key(ec_pem);
	X509 *x = self_signed(key);
	unsigned char *tbs = NULL;
	int n = i2d_re_X509_tbs(x, &tbs);
	bool is_ok = tls_shape_ok((struct slice){ tbs, (size_t)n });
	OPENSSL_free(tbs);
	X509_free(x);
	EVP_PKEY_free(key);

	OK(n > 0 && !is_ok);
	OK(!tls_shape_ok((struct slice){ 0 }));
	OK(!tls_shape_ok(SLICE_LIT("0123456789abcdef0123456789abcdef"))); /* a digest */
}

TEST(a_certificate_dressed_up_as_a_server_key_exchange_is_refused)
{
	uint8_t bytes[256];
	struct slice s = ecdhe(bytes, 23, 65);
	EQ(s.n, 133);
	OK(tls_shape_ok(s));

	for (int tag = 0x30; tag <= 0x31; tag++) {
		bytes[0] = (uint8_t)tag;
		bytes[1] = 0x81;
		bytes[2] = 130;
		OK(!tls_shape_ok(s));
		bytes[2] = 131; /* longer than the whole: no element, and no danger */
		OK(tls_shape_ok(s));
	}
}

/* ---- PKCS#10 ---- */

struct csr {
	unsigned char *info, *spki;
	size_t info_n, spki_n;
};

static struct csr make_csr(const char *pem)
{
	struct csr c = { 0 };
	EVP_PKEY *key = read_key(pem);
	X509_REQ *req = X509_REQ_new();
	X509_REQ_set_pubkey(req, key);
	X509_NAME *name = X509_NAME_new();
	X509_NAME_add_entry_by_txt(
		name, "CN", MBSTRING_ASC, (const uint8_t *)"www.example", -1, -1, 0);
	X509_REQ_set_subject_name(req, name);
	X509_REQ_sign(req, key, EVP_sha256());
	c.info_n = (size_t)i2d_re_X509_REQ_tbs(req, &c.info);
	c.spki_n = (size_t)i2d_PUBKEY(key, &c.spki);
	X509_NAME_free(name);
	X509_REQ_free(req);
	EVP_PKEY_free(key);
	return c;
}

static void free_csr(struct csr *c)
{
	OPENSSL_free(c->info);
	OPENSSL_free(c->spki);
}

TEST(a_request_for_this_key_is_one_and_a_cut_one_is_not)
{
	CLEANUP(free_csr) struct csr c = make_csr(ec_pem);
	struct slice spki = { c.spki, c.spki_n };

	OK(csr_info_is_for((struct slice){ c.info, c.info_n }, spki));
	OK(!tls_shape_ok((struct slice){ c.info, c.info_n }));
	for (size_t n = 0; n < c.info_n; n++)
		OK(!csr_info_is_for((struct slice){ c.info, n }, spki));
	for (size_t i = 0; i < 5; i++) {
		c.info[i] ^= 0x10;
		OK(!csr_info_is_for((struct slice){ c.info, c.info_n }, spki));
		c.info[i] ^= 0x10;
	}
}

TEST(a_request_for_another_key_and_bytes_after_the_end_are_refused)
{
	CLEANUP(free_csr) struct csr a = make_csr(ec_pem), b = make_csr(rsa_pem);
	uint8_t longer[4096] = { 0 };
	memcpy(longer, a.info, a.info_n);

	OK(!csr_info_is_for(
		(struct slice){ a.info, a.info_n }, (struct slice){ b.spki, b.spki_n }));
	OK(!csr_info_is_for((struct slice){ a.info, a.info_n }, (struct slice){ 0 }));
	OK(!csr_info_is_for((struct slice){ longer, a.info_n + 1 },
		(struct slice){ a.spki, a.spki_n }));
	OK(csr_info_is_for(
		(struct slice){ b.info, b.info_n }, (struct slice){ b.spki, b.spki_n }));
}

TEST(a_certificate_is_no_request)
{
	CLEANUP(free_csr) struct csr c = make_csr(ec_pem);
	EVP_PKEY *key = read_key(ec_pem);
	X509 *x = self_signed(key);
	unsigned char *tbs = NULL;
	int n = i2d_re_X509_tbs(x, &tbs);

	bool is_one = csr_info_is_for(
		(struct slice){ tbs, (size_t)n }, (struct slice){ c.spki, c.spki_n });
	OPENSSL_free(tbs);
	X509_free(x);
	EVP_PKEY_free(key);

	OK(!is_one);
}

TEST_MAIN
