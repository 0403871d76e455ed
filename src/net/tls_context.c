/* SPDX-License-Identifier: Apache-2.0
 *
 * From PEM to an SSL_CTX.  A context is the steady thing; the SSL_CTX behind it is replaced by a
 * reload, and old ones live as long as their streams do.
 */
#include "base/conf.h"
#include "base/mem.h"
#include "net/tls_private.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

enum {
	TICKET_LIFETIME_S = 7200,
	CHAIN_MAX = 4,
	CERTIFICATES_MAX = 32 << 10,
	KEY_MAX = 64 << 10,
	PEM_MAX = 16 << 20
};

#define CIPHERS_1_2 "ECDHE+AESGCM:ECDHE+CHACHA20"

static void bio_freep(BIO **b) { BIO_free(*b); }
static void x509_freep(X509 **x) { X509_free(*x); }
static void pkey_freep(EVP_PKEY **k) { EVP_PKEY_free(*k); }
static void ctx_freep(SSL_CTX **c) { SSL_CTX_free(*c); }
#define autobio CLEANUP(bio_freep) BIO

static kf_err complain(struct buf *why, const char *part, const char *text)
{
	const char *more = ERR_reason_error_string(ERR_peek_last_error());
	buf_printf(why, "%s: %s%s%s%s\n", part, text, more ? " (" : "", more ? more : "",
		more ? ")" : "");
	ERR_clear_error();
	return kf_fail(CONFIG, "TLS identity cannot be used");
}

static BIO *open_pem(struct slice pem)
{
	return BIO_new_mem_buf(pem.p ? pem.p : (const uint8_t *)"", (int)pem.n);
}

/* We never ask on a terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf, (void)size, (void)rwflag, (void)arg;
	return -1;
}

static X509 *next_certificate(BIO *b)
{
	X509 *x = PEM_read_bio_X509(b, NULL, no_passphrase, NULL);
	if (!x && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
		ERR_clear_error(); /* the end */
	return x;
}

static void note_end(int64_t *first, const ASN1_TIME *end)
{
	int64_t at = tls_time_s(end);
	if (at && (*first == 0 || at < *first))
		*first = at;
}

static kf_err use_chain(SSL_CTX *ctx, const struct tls_options *o, struct slice pem,
	struct tls_expiry *ends, struct buf *why)
{
	autobio *b = open_pem(pem);
	CLEANUP(x509_freep) X509 *leaf = b ? next_certificate(b) : NULL;
	if (!leaf)
		return complain(why, "certificate", "no PEM certificate found");
	if (!tls_has_role(leaf, o->is_server))
		return complain(why, "certificate",
			o->is_server ? "its extended key usage is not serverAuth alone"
				     : "its extended key usage is not clientAuth alone");
	if (SSL_CTX_use_certificate(ctx, leaf) != 1)
		return complain(why, "certificate", "cannot be used");
	note_end(&ends->certificate_s, X509_get0_notAfter(leaf));
	for (X509 *x; (x = next_certificate(b));) {
		note_end(&ends->certificate_s, X509_get0_notAfter(x));
		if (SSL_CTX_add0_chain_cert(ctx, x) != 1) {
			X509_free(x);
			return complain(
				why, "certificate", "intermediate cannot be used");
		}
	}
	return ERR_peek_error() ? complain(why, "certificate", "is damaged") : KF_OK;
}

static kf_err use_key(SSL_CTX *ctx, struct slice pem, struct buf *why)
{
	autobio *b = open_pem(pem);
	mem_wipe_freed(true);
	CLEANUP(pkey_freep)
	EVP_PKEY *key = b ? PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL) : NULL;
	mem_wipe_freed(false);
	if (!key)
		return complain(
			why, "key", "no PEM private key without passphrase found");
	if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1)
		return complain(why, "key", "does not belong to the certificate");
	return KF_OK;
}

static struct tls_library *library_of(struct tls_context *c)
{
	pthread_mutex_lock(&c->lock);
	if (!c->library)
		c->library = tls_library_new();
	struct tls_library *library = c->library;
	pthread_mutex_unlock(&c->lock);
	return library;
}

static bool is_remote(const struct tls_options *o, struct slice key)
{
	size_t n = o->remote ? strlen(o->remote->prefix) : 0;
	return n && key.n > n && memcmp(key.p, o->remote->prefix, n) == 0;
}

static kf_err find_remote(
	const struct tls_remote *r, const char *name, X509 *certificate, void **ret)
{
	unsigned char *spki = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &spki);
	if (n <= 0)
		return kf_fail(NOMEM, "public key of the certificate");
	kf_err e = r->find(r->arg, name, (struct slice){ spki, (size_t)n }, ret);
	OPENSSL_free(spki);
	return e;
}

/* It is that of the certificate: nothing else says which one. */
static kf_err use_remote_key(
	SSL_CTX *ctx, struct tls_context *c, struct slice named, struct buf *why)
{
	char name[128];
	void *handle = NULL;
	const struct tls_remote *r = c->options.remote;
	X509 *certificate = SSL_CTX_get0_certificate(ctx);
	KF_TRY(slice_to_text(named, name, sizeof(name)));
	kf_err e = find_remote(r, name + strlen(r->prefix), certificate, &handle);
	if (!kf_ok(e))
		return complain(why, name, e.site->text);
	CLEANUP(pkey_freep)
	EVP_PKEY *key =
		tls_remote_key(c->library, r, handle, X509_get0_pubkey(certificate));
	if (!key)
		r->release(handle);
	if (!key || SSL_CTX_use_PrivateKey(ctx, key) != 1)
		return complain(why, name, "cannot be used with the certificate's key");
	SSL_CTX_set_mode(ctx, SSL_MODE_ASYNC);
	return KF_OK;
}

static kf_err use_authorities(
	SSL_CTX *ctx, struct slice pem, struct tls_expiry *ends, struct buf *why)
{
	autobio *b = open_pem(pem);
	size_t n = 0;
	for (X509 *x; b && (x = next_certificate(b)); n++) {
		bool is_added =
			X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x) == 1 &&
			SSL_CTX_add_client_CA(ctx, x) == 1;
		note_end(&ends->authority_s, X509_get0_notAfter(x));
		X509_free(x);
		if (!is_added)
			return complain(why, "authorities", "certificate cannot be used");
	}
	if (n == 0 || ERR_peek_error())
		return complain(why, "authorities",
			"no PEM certificate found, or one is damaged");
	return KF_OK;
}

static kf_err use_revoked(
	SSL_CTX *ctx, struct slice pem, struct tls_expiry *ends, struct buf *why)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	autobio *b = open_pem(pem);
	size_t n = 0;
	if (!pem.n)
		return KF_OK;
	for (X509_CRL *l; b && (l = PEM_read_bio_X509_CRL(b, NULL, NULL, NULL)); n++) {
		bool is_added = X509_STORE_add_crl(store, l) == 1;
		note_end(&ends->revoked_s, X509_CRL_get0_nextUpdate(l));
		X509_CRL_free(l);
		if (!is_added)
			return complain(why, "revocation list", "cannot be used");
	}
	if (n == 0 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return complain(
			why, "revocation list", "no PEM list found, or one is damaged");
	ERR_clear_error();
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	return KF_OK;
}

/* ---- ALPN ---- */

static bool is_name(const uint8_t *p, const char *name)
{
	return p[0] == strlen(name) && memcmp(p + 1, name, p[0]) == 0;
}

/* The best of ours that the client offers.  OpenSSL has checked the lengths of the list. */
static int pick_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_n,
	const unsigned char *offered, unsigned int n, void *arg)
{
	const struct tls_context *c = arg;
	(void)ssl;
	for (const char *const *name = c->options.alpn; *name; name++)
		for (unsigned int i = 0; i < n; i += offered[i] + 1u)
			if (is_name(offered + i, *name)) {
				*ret = offered + i + 1;
				*ret_n = offered[i];
				return SSL_TLSEXT_ERR_OK;
			}
	return SSL_TLSEXT_ERR_NOACK;
}

static bool offer_alpn(SSL_CTX *ctx, const char *const *names)
{
	autobuf wire = buf_new(1024);
	for (; *names; names++) {
		buf_add_u8(&wire, (uint8_t)strlen(*names));
		buf_add_text(&wire, *names);
	}
	return kf_ok(buf_err(&wire)) &&
	       SSL_CTX_set_alpn_protos(ctx, wire.p, (unsigned int)wire.n) == 0;
}

/* ---- contexts ---- */

static void set_server(SSL_CTX *ctx, struct tls_context *c)
{
	long life = c->options.ticket_lifetime_s ? (long)c->options.ticket_lifetime_s
						 : TICKET_LIFETIME_S;
	SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets only */
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_timeout(ctx, life);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, tls_ticket_key);
	SSL_CTX_set_session_ticket_cb(ctx, NULL, tls_ticket_opened, NULL);
	if (c->options.alpn)
		SSL_CTX_set_alpn_select_cb(ctx, pick_alpn, c);
}

static bool set_client(SSL_CTX *ctx, const struct tls_context *c)
{
	SSL_CTX_set_session_cache_mode(
		ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, tls_keep_ticket);
	return !c->options.alpn || offer_alpn(ctx, c->options.alpn);
}

/* Plaintext is wiped from OpenSSL's buffers when it was read, and idle connections have none. */
static SSL_CTX *new_ctx(struct tls_context *c, OSSL_LIB_CTX *library)
{
	CLEANUP(ctx_freep)
	SSL_CTX *ctx = SSL_CTX_new_ex(library, NULL,
		c->options.is_server ? TLS_server_method() : TLS_client_method());
	if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
		SSL_CTX_set_cipher_list(ctx,
			c->options.ciphers_1_2 ? c->options.ciphers_1_2 : CIPHERS_1_2) !=
			1)
		return NULL;
	SSL_CTX_set_security_level(ctx, 2);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					 SSL_OP_CLEANSE_PLAINTEXT);
	SSL_CTX_set_mode(
		ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_verify_depth(ctx, CHAIN_MAX);
	SSL_CTX_set_cert_verify_callback(ctx, tls_verify_peer, c);
	SSL_CTX_set_app_data(ctx, c);
	if (c->options.is_server)
		set_server(ctx, c);
	else if (!set_client(ctx, c))
		return NULL;
	SSL_CTX *out = ctx;
	ctx = NULL;
	return out;
}

/* Lengths are hashed, too, so that nothing can move from one part to the other. */
static bool hash_scope(const struct tls_identity *i, uint8_t ret[TLS_SCOPE])
{
	uint64_t sizes[2] = { i->authorities.n, i->revoked.n };
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool is_done = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
		       EVP_DigestUpdate(md, sizes, sizeof(sizes)) == 1 &&
		       EVP_DigestUpdate(md, i->authorities.p, i->authorities.n) == 1 &&
		       EVP_DigestUpdate(md, i->revoked.p, i->revoked.n) == 1 &&
		       EVP_DigestFinal_ex(md, ret, NULL) == 1;
	EVP_MD_CTX_free(md);
	return is_done;
}

static kf_err use_identity(SSL_CTX *ctx, struct tls_context *c,
	const struct tls_identity *i, struct tls_expiry *ends, struct buf *why)
{
	const struct tls_options *o = &c->options;
	KF_TRY(use_chain(ctx, o, i->certificate, ends, why));
	if (is_remote(o, i->key))
		KF_TRY(use_remote_key(ctx, c, i->key, why));
	else
		KF_TRY(use_key(ctx, i->key, why));
	KF_TRY(use_authorities(ctx, i->authorities, ends, why));
	return use_revoked(ctx, i->revoked, ends, why);
}

static void replace(struct tls_context *c, SSL_CTX *ctx, const uint8_t scope[TLS_SCOPE],
	const struct tls_expiry *ends)
{
	pthread_mutex_lock(&c->lock);
	SSL_CTX *old = c->current;
	c->current = ctx;
	c->expiry = *ends;
	memcpy(c->scope, scope, TLS_SCOPE);
	pthread_mutex_unlock(&c->lock);
	SSL_CTX_free(old);
}

kf_err tls_context_reload(
	struct tls_context *c, const struct tls_identity *identity, struct buf *why)
{
	uint8_t scope[TLS_SCOPE];
	struct tls_expiry ends = { 0 };
	ERR_clear_error();
	bool remote = is_remote(&c->options, identity->key);
	struct tls_library *library = remote ? library_of(c) : NULL;
	CLEANUP(ctx_freep)
	SSL_CTX *ctx =
		remote && !library ? NULL : new_ctx(c, library ? library->context : NULL);
	if (!ctx || !hash_scope(identity, scope) ||
		SSL_CTX_set_session_id_context(ctx, scope, TLS_SCOPE) != 1)
		return complain(why, "TLS", "context cannot be made");
	KF_TRY(use_identity(ctx, c, identity, &ends, why));
	replace(c, ctx, scope, &ends);
	ctx = NULL;
	return KF_OK;
}

kf_err tls_context_new(const struct tls_options *options,
	const struct tls_identity *identity, struct buf *why, struct tls_context **ret)
{
	struct tls_context *c = calloc(1, sizeof(*c));
	if (!c)
		return kf_fail(NOMEM, "TLS context");
	atomic_init(&c->users, 1);
	pthread_mutex_init(&c->lock, NULL);
	c->options = *options;
	c->tickets = tls_tickets_new();
	c->bio_method = tls_bio_method();
	kf_err e = c->tickets && c->bio_method ? tls_context_reload(c, identity, why)
					       : kf_fail(NOMEM, "TLS context");
	if (!kf_ok(e)) {
		tls_context_free(c);
		return e;
	}
	*ret = c;
	return KF_OK;
}

void tls_context_put(struct tls_context *c)
{
	if (atomic_fetch_sub(&c->users, 1) != 1)
		return;
	SSL_CTX_free(c->current);
	tls_library_free(c->library);
	tls_tickets_free(c->tickets);
	BIO_meth_free(c->bio_method);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void tls_context_free(struct tls_context *c)
{
	if (c)
		tls_context_put(c);
}

SSL *tls_context_ssl(struct tls_context *c, uint8_t ret_scope[TLS_SCOPE])
{
	pthread_mutex_lock(&c->lock);
	SSL *ssl = SSL_new(c->current);
	memcpy(ret_scope, c->scope, TLS_SCOPE);
	pthread_mutex_unlock(&c->lock);
	if (ssl)
		atomic_fetch_add(&c->users, 1);
	return ssl;
}

SSL_CTX *tls_context_current(struct tls_context *c)
{
	pthread_mutex_lock(&c->lock);
	SSL_CTX *ctx = c->current;
	SSL_CTX_up_ref(ctx);
	pthread_mutex_unlock(&c->lock);
	return ctx;
}

void tls_context_expiry(struct tls_context *c, struct tls_expiry *ret)
{
	pthread_mutex_lock(&c->lock);
	*ret = c->expiry;
	pthread_mutex_unlock(&c->lock);
}

/* ---- files ---- */

struct identity_files {
	struct buf certificate, key, authorities, revoked;
};

static void files_free(struct identity_files *f)
{
	buf_free(&f->certificate);
	buf_free(&f->key);
	buf_free(&f->authorities);
	buf_free(&f->revoked);
}

/* A remote key's name stands for it. */
static kf_err read_key(
	const struct tls_options *o, const char *key, struct buf *ret, struct buf *why)
{
	if (!is_remote(o, slice_of(key)))
		return conf_read_secret(key, ret, why);
	buf_add_text(ret, key);
	return buf_err(ret);
}

static kf_err read_files(const struct tls_options *o, const struct tls_files *files,
	struct identity_files *f, struct buf *why)
{
	KF_TRY(conf_read_file(files->certificate, &f->certificate, why));
	KF_TRY(read_key(o, files->key, &f->key, why));
	KF_TRY(conf_read_file(files->authorities, &f->authorities, why));
	return files->revoked ? conf_read_file(files->revoked, &f->revoked, why) : KF_OK;
}

/* What is wrong is said with the names of the files. */
static kf_err name_files(kf_err e, const struct tls_files *files, struct buf *why)
{
	if (kf_is(e, KF_E_CONFIG))
		buf_printf(why, "(certificate %s, key %s, authorities %s)\n",
			files->certificate, files->key, files->authorities);
	return e;
}

/* A new context, or a reload of the one there is. */
static kf_err load(struct tls_context **c, const struct tls_options *options,
	const struct tls_files *files, struct buf *why)
{
	CLEANUP(files_free)
	struct identity_files f = { buf_new(PEM_MAX), buf_new(KEY_MAX), buf_new(PEM_MAX),
		buf_new(PEM_MAX) };
	KF_TRY(read_files(options ? options : &(*c)->options, files, &f, why));
	struct tls_identity i = { buf_slice(&f.certificate), buf_slice(&f.key),
		buf_slice(&f.authorities), buf_slice(&f.revoked) };
	kf_err e = options ? tls_context_new(options, &i, why, c)
			   : tls_context_reload(*c, &i, why);
	return name_files(e, files, why);
}

kf_err tls_context_open(const struct tls_options *options, const struct tls_files *files,
	struct buf *why, struct tls_context **ret)
{
	return load(ret, options, files, why);
}

kf_err tls_context_reopen(
	struct tls_context *c, const struct tls_files *files, struct buf *why)
{
	return load(&c, NULL, files, why);
}
