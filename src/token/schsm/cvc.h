/* SPDX-License-Identifier: Apache-2.0
 *
 * cvc: card verifiable certificates (BSI TR-03110): requests that a card makes for the keys it generates,
 * the certificate of the card itself, and the command that asks for a key.  Pure.
 */
#pragma once
#include "crypt/pubkey.h"

/* 67 { 7F21 {...} ... } or 7F21 {...} at the front of a file; what follows it is not looked at. */
bool cvc_is(struct slice file);
/* Its public key.  MALFORMED; KEY_FORMAT: not an algorithm of ours.  Signatures are not verified: whoever
 * uses the key has it prove itself. */
kf_err cvc_public_key(struct slice file, struct pubkey **ret);
/* Certificate holder reference: serial number of the card and five digits. */
kf_err cvc_holder(struct slice file, struct slice *ret);

/* GENERATE KEY PAIR. */
struct cvc_wish {
	const struct alg *alg;   /* UNSUPPORTED unless RSA or EC */
	const char *holder;      /* at most 16 characters */
	uint32_t uses;           /* 0: no use counter */
	struct slice algorithms; /* that the key may be used with; empty: all */
};
kf_err cvc_put_wish(const struct cvc_wish *w, struct buf *ret);

/* Appends the key's own signature over SHA-256 of `what`: RSA PKCS#1 v1.5, or ECDSA in DER. */
typedef kf_err cvc_sign_fn(void *arg, struct slice what, struct buf *ret);
struct cvc_prover {
	const struct pubkey *key;
	const char *holder;
	cvc_sign_fn *sign;
	void *arg;
};
/* A request of a key for itself, for keys that did not come to the card with one.  It signs twice: the body of the
 * certificate; the certificate and who vouches for it, which cards do with their own key.  OpenSC reads no public
 * key without that. */
kf_err cvc_prove(const struct cvc_prover *p, struct buf *ret);
