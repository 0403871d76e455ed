/* SPDX-License-Identifier: Apache-2.0
 *
 * keyref: a key reference, the file that a web server loads in place of a private key (docs/wire.md,
 * "Key reference").  It names the key and carries its public half; it holds no secret.
 *
 * Pure functions on the caller's bytes: no files, no OpenSSL, no state.  The DER is read strictly:
 * what keyref_put() would not write is refused, so that one key has one reference.
 */
#pragma once
#include "base/buf.h"

#define KEYREF_LABEL "KEYFLEET KEY REFERENCE"

enum {
	KEYREF_ID_MAX = 64,    /* bytes of UTF-8 */
	KEYREF_DER_MAX = 8192, /* an RSA-16384 public key needs 2.1 KiB */
	KEYREF_PEM_MAX = 16384,
};

struct keyref {
	struct slice id; /* KMIP Unique Identifier of the private key */
	struct slice
		spki; /* SubjectPublicKeyInfo, DER: well formed outside, its inside is not looked at */
};

/* DER.  The slices of *ret point into `der`.  VERSION: written by a later keyfleet; FEATURE: it
 * carries a critical extension that we do not know; MALFORMED, SHORT, TOO_BIG: not a reference. */
kf_err keyref_get(struct slice der, struct keyref *ret);
/* Appends the DER; fails the buf when id or spki would be refused by keyref_get(). */
void keyref_put(struct buf *b, const struct keyref *ref);

/* PEM.  Finds the first block with our label, whatever stands before it (certificates, comments);
 * NOT_FOUND without one.  The DER goes into `der`, and *ret points into it. */
kf_err keyref_get_pem(struct slice text, struct buf *der, struct keyref *ret);
void keyref_put_pem(struct buf *b, const struct keyref *ref);
