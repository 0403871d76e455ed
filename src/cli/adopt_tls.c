/* SPDX-License-Identifier: Apache-2.0
 *
 * Real handshakes: of this process with itself, and with the server.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "cli/adopt.h"
#include "crypt/alg.h"
#include "crypt/ossl.h"
#include "net/address.h"
#include <errno.h>
#include <link.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void ctx_freep(SSL_CTX **ctx) { SSL_CTX_free(*ctx); }
static void ssl_freep(SSL **ssl) { SSL_free(*ssl); }

/* Signature algorithms for which only this kind of certificate will do: a server with several then shows the one
 * that we mean. */
static const char *sigalgs_of(const struct alg *alg)
{
	switch (alg->id) {
	case ALG_P256: return "ecdsa_secp256r1_sha256";
	case ALG_P384: return "ecdsa_secp384r1_sha384";
	case ALG_P521: return "ecdsa_secp521r1_sha512";
	case ALG_ED25519: return "ed25519";
	case ALG_SECP256K1:
	case ALG_BRAINPOOL_P256R1: return "ECDSA+SHA256";
	case ALG_BRAINPOOL_P384R1: return "ECDSA+SHA384";
	case ALG_BRAINPOOL_P512R1: return "ECDSA+SHA512";
	case ALG_RSA_1024:
	case ALG_RSA_2048:
	case ALG_RSA_3072:
	case ALG_RSA_4096:
	case ALG_COUNT: break;
	}
	return "rsa_pss_rsae_sha256:rsa_pkcs1_sha256";
}

/* The macros of OpenSSL take texts that they do not change as texts that they may. */
static bool set_sigalgs(SSL *ssl, const struct alg *alg)
{
	char list[128];
	snprintf(list, sizeof(list), "%s", sigalgs_of(alg));
	return SSL_set1_sigalgs_list(ssl, list) == 1;
}

static bool set_name(SSL *ssl, const char *name)
{
	char copy[256];
	snprintf(copy, sizeof(copy), "%s", name);
	if (*copy == '*') /* any name will do */
		*copy = 'x';
	return SSL_set_tlsext_host_name(ssl, copy) == 1;
}

/* The last of OpenSSL's texts is the one nearest to the cause. */
static kf_err openssl_said(const struct cli *c, const char *about, kf_err e)
{
	unsigned long code, last = 0;
	const char *data = "", *more = "";
	int flags;
	while ((code = ERR_get_error_all(NULL, NULL, NULL, &more, &flags))) {
		last = code;
		data = (flags & ERR_TXT_STRING) && *more ? more : data;
	}
	char text[256] = "";
	if (last)
		ERR_error_string_n(last, text, sizeof(text));
	cli_note(c, "%s: %s%s%s%s%s", about, e.site->text, last ? ": " : "", text,
		*data ? ": " : "", data);
	return e;
}

/* ---- with ourselves ---- */

static kf_err load_chain(SSL_CTX *ctx, struct slice pem)
{
	CLEANUP(ossl_bio_freep) BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
	CLEANUP(ossl_x509_freep)
	X509 *leaf = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
	if (!leaf || SSL_CTX_use_certificate(ctx, leaf) != 1)
		return kf_fail(CRYPTO, "OpenSSL does not take the certificate");
	return KF_OK;
}

static kf_err load_reference(OSSL_LIB_CTX *lib, SSL_CTX *ctx, const struct adopt_item *it)
{
	CLEANUP(ossl_bio_freep)
	BIO *in = BIO_new_mem_buf(it->reference.p, (int)it->reference.n);
	CLEANUP(ossl_pkey_freep)
	EVP_PKEY *key =
		in ? PEM_read_bio_PrivateKey_ex(in, NULL, NULL, NULL, lib, NULL) : NULL;
	if (!key)
		return kf_fail(CRYPTO, "OpenSSL does not take the reference");
	if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1)
		return kf_fail(CRYPTO, "the reference does not fit the certificate");
	return KF_OK;
}

/* Both ends in turn until they are done; each step that can go on makes progress. */
static kf_err shake_hands(SSL *server, SSL *client)
{
	for (int i = 0; i < 100; i++) {
		int a = SSL_do_handshake(client), b = SSL_do_handshake(server);
		if (a == 1 && b == 1)
			return KF_OK;
		int ea = SSL_get_error(client, a), eb = SSL_get_error(server, b);
		if ((a != 1 && ea != SSL_ERROR_WANT_READ) ||
			(b != 1 && eb != SSL_ERROR_WANT_READ))
			break;
	}
	return kf_fail(CRYPTO, "the key cannot be used through the agent");
}

static kf_err join(SSL *server, SSL *client)
{
	BIO *one = NULL, *other = NULL;
	if (!BIO_new_bio_pair(&one, 0, &other, 0))
		return kf_fail(NOMEM, "no memory for a handshake");
	SSL_set_bio(server, one, one);
	SSL_set_bio(client, other, other);
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	return shake_hands(server, client);
}

static kf_err prove_in(OSSL_LIB_CTX *lib, const struct adopt_item *it)
{
	CLEANUP(ctx_freep) SSL_CTX *ctx = SSL_CTX_new_ex(lib, NULL, TLS_server_method());
	CLEANUP(ctx_freep) SSL_CTX *to = SSL_CTX_new(TLS_client_method());
	if (!ctx || !to)
		return kf_fail(NOMEM, "no memory for a handshake");
	KF_TRY(load_chain(ctx, buf_slice(&it->chain)));
	KF_TRY(load_reference(lib, ctx, it));
	CLEANUP(ssl_freep) SSL *server = SSL_new(ctx);
	CLEANUP(ssl_freep) SSL *client = SSL_new(to);
	if (!server || !client || !set_sigalgs(client, it->key.alg))
		return kf_fail(NOMEM, "no memory for a handshake");
	return join(server, client);
}

kf_err adopt_prove(const struct adopt *a, const struct adopt_item *it)
{
	ERR_clear_error();
	kf_err e = prove_in(a->lib, it);
	return kf_ok(e) ? e : openssl_said(a->cli, it->pair->certificate.text, e);
}

kf_err adopt_load_openssl(struct adopt *a)
{
	a->lib = OSSL_LIB_CTX_new();
	if (a->lib && OSSL_LIB_CTX_load_config(a->lib, a->openssl_path))
		return KF_OK;
	return openssl_said(a->cli, a->openssl_path,
		kf_fail(CONFIG, "OpenSSL does not take its configuration"));
}

static int note_provider(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	static const char name[] = "/keyfleet.so";
	size_t n = strlen(info->dlpi_name), e = sizeof(name) - 1;
	if (n <= e || strcmp(info->dlpi_name + n - e, name) != 0)
		return 0;
	*(const char **)arg = info->dlpi_name;
	return 1;
}

kf_err adopt_provider_path(char *ret, size_t size)
{
	const char *path = NULL;
	dl_iterate_phdr(note_provider, &path);
	return path ? slice_to_text(slice_of(path), ret, size)
		    : kf_fail(NOT_FOUND, "the provider is not loaded here");
}

/* ---- with the server ---- */

/* "*:443" and what else stands for all addresses is reached by the loopback. */
static void reachable(const char *listen, char *ret, size_t size)
{
	static const char *const any[] = { "*:", "0.0.0.0:", "_default_:", ":" };
	for (size_t i = 0; i < sizeof(any) / sizeof(any[0]); i++) {
		size_t n = strlen(any[i]);
		if (strncmp(listen, any[i], n) != 0)
			continue;
		snprintf(ret, size, "127.0.0.1:%s", listen + n);
		return;
	}
	if (!strncmp(listen, "[::]:", 5) || !strncmp(listen, ":::", 3))
		snprintf(ret, size, "[::1]:%s", strrchr(listen, ':') + 1);
	else
		snprintf(ret, size, "%s", listen);
}

static kf_err resolve(const char *text, struct address *ret)
{
	if (kf_ok(address_parse(text, ret)))
		return KF_OK;
	char host[256];
	const char *colon = strrchr(text, ':');
	if (!colon || (size_t)(colon - text) >= sizeof(host))
		return kf_fail(INVALID_FIELD, "an address that we cannot read");
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	const struct addrinfo want = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	if (getaddrinfo(host, colon + 1, &want, &found) || !found)
		return kf_fail(NOT_FOUND, "the address has a name that nobody knows");
	memcpy(&ret->sa, found->ai_addr, found->ai_addrlen);
	ret->n = found->ai_addrlen;
	freeaddrinfo(found);
	return KF_OK;
}

static kf_err wait_for(int fd, short events, uint64_t deadline_ns)
{
	uint64_t now = clock_monotonic_ns();
	struct pollfd p = { .fd = fd, .events = events };
	if (now >= deadline_ns ||
		poll(&p, 1, (int)((deadline_ns - now) / 1000000) + 1) <= 0)
		return kf_fail(TIMEOUT, "no answer in time");
	return KF_OK;
}

static kf_err handshake_on(SSL *ssl, int fd, uint64_t deadline_ns)
{
	for (;;) {
		ERR_clear_error();
		int rc = SSL_do_handshake(ssl);
		if (rc == 1)
			return KF_OK;
		int why = SSL_get_error(ssl, rc);
		if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
			return kf_fail(CRYPTO, "the handshake fails");
		KF_TRY(wait_for(
			fd, why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline_ns));
	}
}

static kf_err check_shown(SSL *ssl, struct slice pem)
{
	if (!pem.n)
		return KF_OK;
	CLEANUP(ossl_bio_freep) BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
	CLEANUP(ossl_x509_freep)
	X509 *want = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
	CLEANUP(ossl_x509_freep) X509 *shown = SSL_get1_peer_certificate(ssl);
	return want && shown && X509_cmp(want, shown) == 0
		       ? KF_OK
		       : kf_fail(CONFLICT, "the server shows another certificate");
}

static kf_err connected(const struct tls_question *q, uint64_t deadline_ns, int *ret_fd)
{
	char text[256];
	struct address to;
	reachable(q->at->text, text, sizeof(text));
	KF_TRY(resolve(text, &to));
	KF_TRY(connect_start(&to, ret_fd));
	KF_TRY(wait_for(*ret_fd, POLLOUT, deadline_ns));
	return connect_result(*ret_fd);
}

static kf_err introduce(const struct tls_question *q, int fd)
{
	const char *text = site_introduction(q->at->opening);
	const size_t n = text ? strlen(text) : 0;
	if (!text)
		return kf_fail(FEATURE, "it speaks another protocol before TLS");
	return send(fd, text, n, MSG_NOSIGNAL) == (ssize_t)n
		       ? KF_OK
		       : kf_fail(IO, "the server closed the connection");
}

kf_err tls_ask(const struct tls_question *q)
{
	uint64_t deadline_ns = clock_monotonic_ns() + (uint64_t)q->timeout_ms * 1000000;
	CLEANUP(mem_closep) int fd = -1;
	KF_TRY(connected(q, deadline_ns, &fd));
	KF_TRY(introduce(q, fd));
	CLEANUP(ctx_freep) SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	CLEANUP(ssl_freep) SSL *ssl = ctx ? SSL_new(ctx) : NULL;
	if (!ssl || !SSL_set_fd(ssl, fd))
		return kf_fail(NOMEM, "no memory for a handshake");
	if (q->at->name)
		set_name(ssl, q->at->name);
	if (q->alg)
		set_sigalgs(ssl, q->alg);
	SSL_set_connect_state(ssl);
	KF_TRY(handshake_on(ssl, fd, deadline_ns));
	return check_shown(ssl, q->certificate);
}
