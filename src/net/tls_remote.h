/* SPDX-License-Identifier: Apache-2.0
 *
 * tls_remote: private keys that are elsewhere, in hardware for instance.  The handshakes of a server
 * with such a key wait for its signatures, each by itself, while their thread goes on.
 *
 * OpenSSL runs the handshake as a job with a stack of its own (ASYNC_JOB), which pauses inside the
 * signature.  A paused job must be resumed by the thread that began it: streams that wait
 * (stream_is_waiting()) are neither moved to nor freed by another one.
 */
#pragma once
#include "base/buf.h"

struct loop;
struct loop_message;
struct stream;

enum { TLS_DIGEST_MAX = 64, TLS_SIGNATURE_MAX = 1024 };

struct tls_signing {
	const char *hash; /* OpenSSL's name: "SHA256" */
	bool is_pss;      /* RSA: with a salt as long as the digest; else PKCS#1 v1.5 */
	uint8_t digest[TLS_DIGEST_MAX];
	size_t n;
	void *job; /* the signer's, of its job_size, zeroed; lives until forget() */

	kf_err err;
	uint8_t sig[TLS_SIGNATURE_MAX]; /* ECDSA: DER */
	size_t sig_n;
};

/* All but release() by the threads of streams. */
struct tls_remote {
	const char
		*prefix; /* of names that stand in the place of a key's file: "pool:" */
	size_t job_size;
	/* The private key of this public key; the reason of a failure is for people. */
	kf_err (*find)(void *arg, const char *name, struct slice spki, void **ret);
	/* Does not block.  KF_OK: tls_signed() will be called, once, by any thread. */
	kf_err (*sign)(void *key, struct tls_signing *s);
	/* Nobody waits any more.  True: taken back, tls_signed() will not be called. */
	bool (*cancel)(void *key, struct tls_signing *s);
	void (*forget)(struct tls_signing *s); /* after either, before s is freed */
	void (*release)(void *key);            /* any thread */
	void *arg;
};

void tls_signed(struct tls_signing *s);

/* Before the handshake, or signatures elsewhere fail: `woken` is called on the loop, which is the
 * stream's, when stream_handshake() can go on.  Not after stream_free(). */
struct tls_waker {
	/* loop_post: so that programs without loops need none */
	void (*post)(struct loop *l, struct loop_message *m);
	struct loop *loop;
	void (*woken)(void *arg);
	void *arg;
};
void tls_wake_on(struct stream *s, const struct tls_waker *w);
