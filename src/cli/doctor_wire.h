/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor_wire: one connection to one key server, a step at a time, so that it can be said which step
 * failed.  Nothing of the peer is believed: whatever its certificate is, the handshake goes on, and what
 * is wrong with it is told.
 */
#pragma once
#include "client/settings.h"
#include "ttlv/ttlv.h"
#include <openssl/ssl.h>

enum wire_step { WIRE_NAME, WIRE_TCP, WIRE_TLS, WIRE_OPEN };

struct wire {
	char host[256], port[16];
	int fd;
	SSL_CTX *context;
	SSL *ssl;
	enum wire_step step; /* how far it came */
	char why[256];       /* why no further */
	long verify_error;   /* X509_V_OK, or what is wrong with the chain of the peer */
	double tcp_ms, tls_ms;
};

/* "HOST:PORT" or "[IPV6]:PORT" or "file:PATH" of a file with one.  Without a
 * certificate of ours it stops before TLS: the server would log a visitor.  To be closed in any case. */
void wire_open(struct wire *w, const struct settings *s, const char *address);
void wire_close(struct wire *w);

/* A message and the answer to it, at most `ret`'s limit.  CLOSED: see w->why. */
kf_err wire_exchange(struct wire *w, struct slice message, struct buf *ret);
/* How long to wait for an answer; 5 s unless told. */
void wire_set_patience(struct wire *w, int64_t ms);

/* A request of one item.  CLOSED: the peer ended the connection, perhaps with an alert: w->why. */
struct wire_answer {
	struct buf bytes;
	struct slice payload;
	int64_t time_stamp;
	kf_err result; /* what the server said */
	double ms;
};
kf_err wire_ask(struct wire *w, uint32_t operation, struct slice payload,
	struct wire_answer *ret);
