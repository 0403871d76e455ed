/* SPDX-License-Identifier: Apache-2.0 */
/* tls: mutual TLS 1.2 and 1.3, with ECDHE and AEAD only unless its owner says otherwise, on both ends of the
 * fleet.
 *
 * Both ends always show a certificate of the same authority, and its extended key usage must name the
 * role: a client is refused by a client (no serverAuth), a server by a server (no clientAuth), and
 * what names no usage at all is refused by both.  Whom a certificate belongs to, and what he may do,
 * is the owner's question: tls_get_peer().
 *
 * Resumption (tickets): the owner gets the same answers from tls_get_peer(), so that it checks rights
 * again.  A ticket is worthless as soon as its certificate has expired, or the authority's file or
 * the revocation list have changed since: then a full handshake decides.
 *
 * Threads: a context may be used, and reloaded, by all of them; a stream by its own.
 */
#pragma once
#include "net/stream.h"
#include "net/tls_remote.h"
#include <openssl/x509.h>

struct tls_context;

/* Its extended key usage names this role and not the other. */
bool tls_has_role(X509 *certificate, bool is_server);

/* All PEM.  The texts may be wiped after the call. */
struct tls_identity {
	struct slice certificate; /* leaf first, then intermediates */
	struct slice key;         /* or a name that tls_options.remote knows */
	struct slice authorities; /* who may have signed our peers' certificates */
	struct slice
		revoked; /* CRLs of every authority; empty: revocation is not checked here */
};

struct tls_options {
	bool is_server;
	/* Names of protocols, best first, NULL at the end.  A server takes its best that the client
	 * offers, or none when nothing matches; NULL: ALPN is not used.
	 * Literals: they are not copied. */
	const char *const *alpn;
	/* For TLS 1.2, in OpenSSL's words, best first; NULL: ECDHE with AEAD.  A literal. */
	const char *ciphers_1_2;
	int64_t ticket_lifetime_s; /* server; 0: two hours */
	const struct tls_remote
		*remote; /* server; outlives all streams; NULL: keys are PEM */
};

/* CONFIG: `why` gets a line that says what is wrong with which part ("certificate: ..."). */
kf_err tls_context_new(const struct tls_options *options,
	const struct tls_identity *identity, struct buf *why, struct tls_context **ret);
/* New streams get the new identity, old ones live on.  On failure nothing changes.  Ticket keys stay. */
kf_err tls_context_reload(
	struct tls_context *c, const struct tls_identity *identity, struct buf *why);
void tls_context_free(struct tls_context *c); /* streams may outlive it; NULL is fine */

/* Files of an identity, read with the checks of base/conf.h (the key file must be private). */
struct tls_files {
	/* key: or a name that tls_options.remote knows; revoked may be NULL */
	const char *certificate, *key, *authorities, *revoked;
};
kf_err tls_context_open(const struct tls_options *options, const struct tls_files *files,
	struct buf *why, struct tls_context **ret);
kf_err tls_context_reopen(
	struct tls_context *c, const struct tls_files *files, struct buf *why);

/* When what it uses now ends, wall clock; 0: there is none, or it does not say. */
struct tls_expiry {
	int64_t certificate_s;
	int64_t authority_s; /* the first of them */
	int64_t revoked_s;   /* the first next update of the revocation lists */
};
void tls_context_expiry(struct tls_context *c, struct tls_expiry *ret);

/* Both take the descriptor, also on failure. */
kf_err tls_accept(
	struct tls_context *c, int fd, struct stream_pad *pad, struct stream **ret);

struct tls_session; /* what a client keeps to come back quickly */

struct tls_connect_options {
	const char *
		host; /* name or IP address the certificate must show; NULL: any server */
	struct tls_session
		*session; /* from an earlier stream, still the caller's; NULL is fine */
};
kf_err tls_connect(struct tls_context *c, int fd,
	const struct tls_connect_options *options, struct stream_pad *pad,
	struct stream **ret);
/* The newest ticket of this stream, once; NULL when there is none (TLS 1.3 sends it after the first
 * answer was read).  The caller frees it. */
struct tls_session *tls_take_session(struct stream *s);
void tls_session_free(struct tls_session *s); /* NULL is fine */

enum { TLS_NAME_MAX = 256, TLS_SERIAL_MAX = 64 };

struct tls_peer {
	uint8_t fingerprint[32]; /* SHA-256 of the certificate */
	int64_t not_after_s;     /* wall clock: beyond it the owner closes the stream */
	char common_name[TLS_NAME_MAX];
	char subject[TLS_NAME_MAX];  /* RFC 2253, cut if need be */
	char serial[TLS_SERIAL_MAX]; /* hex */
	bool is_resumed;
};

/* Of an open stream; MISSING for plain ones. */
kf_err tls_get_peer(const struct stream *s, struct tls_peer *ret);
kf_err tls_get_peer_der(const struct stream *s, struct buf *ret);
/* After a reload: would the peer's certificate still be accepted (authorities, revocation list, date)?
 * AUTH if not, with the reason in stream_why(); the stream goes on working until its owner ends it.
 * Costs about as much as a handshake's verification: some at a time, not thousands in one round. */
kf_err tls_recheck(struct stream *s);
/* The protocol both agreed upon, "" when none; valid while the stream lives. */
const char *tls_alpn(const struct stream *s);
const char *tls_version(const struct stream *s); /* "TLSv1.3"; "" for plain */
