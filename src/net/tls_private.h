/* SPDX-License-Identifier: Apache-2.0 */
/* tls_private: what the files net/tls*.c share. */
#pragma once
#include "net/stream_ops.h"
#include "net/tls.h"
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

enum { TLS_SCOPE = 32 };

struct tls_library;
struct tls_tickets; /* the keys that session tickets are sealed with */

struct tls_tickets *tls_tickets_new(void); /* NULL: no randomness, no memory */
void tls_tickets_free(struct tls_tickets *t);
/* For SSL_CTX_set_tlsext_ticket_key_evp_cb; finds the keys by the context of the SSL. */
int tls_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv,
	EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_sealing);
/* For SSL_CTX_set_session_ticket_cb: a ticket of a certificate that has expired is ignored. */
SSL_TICKET_RETURN tls_ticket_opened(SSL *ssl, SSL_SESSION *session,
	const unsigned char *name, size_t name_n, SSL_TICKET_STATUS status, void *arg);

struct tls_context {
	_Atomic size_t users; /* the owner and every stream */
	struct tls_options options;
	struct tls_tickets *tickets;
	BIO_METHOD *bio_method;
	pthread_mutex_t lock; /* guards current, expiry and scope */
	SSL_CTX *current;
	struct tls_expiry expiry;
	/* With the provider of remote keys; made when one is used. */
	struct tls_library *library;
	uint8_t scope
		[TLS_SCOPE]; /* hash of what decides whether a session may be resumed */
};

void tls_context_put(struct tls_context *c);
/* Makes the SSL of a new stream, with a user more; NULL: no memory. */
SSL *tls_context_ssl(struct tls_context *c, uint8_t ret_scope[TLS_SCOPE]);
/* With a reference more, for the caller to free. */
SSL_CTX *tls_context_current(struct tls_context *c);
/* For SSL_CTX_sess_set_new_cb of clients. */
int tls_keep_ticket(SSL *ssl, SSL_SESSION *session);

struct tls_pending; /* a signature under way */

struct tls_waiting {
	struct tls_waker waker;
	struct tls_pending *signature; /* under way */
	kf_err why;                    /* the signature failed */
	unsigned steps;                /* of the handshake */
	bool is_abandoned;
};

struct tls_stream {
	struct stream base;
	struct tls_context *context;
	SSL *ssl;
	uint8_t scope[TLS_SCOPE]; /* of the context, and of the host for clients */
	struct buf
		pending; /* received, and not given to OpenSSL, because the reader was full */
	SSL_SESSION *ticket; /* client: the newest one, until it is taken */
	unsigned reads;      /* since it was made or rested, up to a few */

	struct tls_waiting *waiting; /* handshake with a remote key; else NULL */
};

/* The transport OpenSSL sees: the stream's pad. */
BIO_METHOD *tls_bio_method(void);

/* net/tls_remote.c */
struct tls_library {
	OSSL_LIB_CTX *context;
	OSSL_PROVIDER *base, *remote;
};
struct tls_library *tls_library_new(
	void); /* NULL: no memory, or jobs cannot pause here */
void tls_library_free(struct tls_library *l); /* NULL is fine */
/* NULL: not a key that can be remote, or no memory; else takes `handle`. */
EVP_PKEY *tls_remote_key(const struct tls_library *library, const struct tls_remote *r,
	void *handle, EVP_PKEY *public_key);
/* SSL_do_handshake(), with signatures elsewhere. */
int tls_remote_handshake(struct tls_stream *t);
/* No more signatures.  A handshake that waits for one ends: its stack unwinds. */
void tls_remote_end(struct tls_stream *t);

/* net/tls_verify.c */
int tls_verify_peer(X509_STORE_CTX *store, void *context);
const char *tls_verify_reason(long verify_result); /* constant text */
/* Constant text for a failed operation, from the error queue, which is emptied. */
const char *tls_reason(const SSL *ssl);
/* Of the error that tls_reason() will name. */
enum stream_fault tls_fault(void);
int64_t tls_time_s(const ASN1_TIME *t); /* 0: it does not say */
int64_t tls_not_after_s(const X509 *certificate);
