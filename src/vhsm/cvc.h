/* SPDX-License-Identifier: Apache-2.0
 *
 * cvc: card verifiable certificates (BSI TR-03110) as the card makes them: requests for the keys it
 * generates, and the certificate of its own key.
 */
#pragma once
#include "base/buf.h"
#include "vhsm/key.h"

/* id-TA-RSA-v1-5-SHA-256 and id-TA-ECDSA-SHA-256, without tag; the last byte names the hash. */
#define CVC_OID_RSA SLICE_LIT("\x04\x00\x7f\x00\x07\x02\x02\x02\x01\x02")
#define CVC_OID_EC  SLICE_LIT("\x04\x00\x7f\x00\x07\x02\x02\x02\x02\x03")

struct cvc {
	const char *issuer;  /* certification authority reference */
	struct slice holder; /* certificate holder reference */
	const struct key *key, *signer;
};

/* 7F21 { 7F4E { ... } 5F37 signature } */
kf_err cvc_put(const struct cvc *what, struct buf *to);
/* 67 { the above signed by the key itself, 42 outer, 5F37 signature of the device }. */
kf_err cvc_put_request(const struct cvc *what, const char *outer,
	const struct key *device, struct buf *to);
