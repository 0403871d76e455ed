/* SPDX-License-Identifier: Apache-2.0
 *
 * transparent: keys as the numbers that they are made of (KMIP 2.1, Transparent Key Structures): RSA, and EC
 * by a Recommended Curve that we know, also in 1.x's forms for ECDSA, ECDH and ECMQV.  Others, of DSA and
 * DH, are kept and are KEY_FORMAT here.
 */
#pragma once
#include "crypt/alg.h"
#include "kmip/key_block.h"

bool transparent_is(uint32_t format);

/* DER of a block in such a format; checked by whoever reads it. */
kf_err transparent_to_pkcs8(const struct key_block *b, struct buf *ret);
kf_err transparent_to_spki(const struct key_block *b, struct buf *ret);

/* The whole Key Material item. */
kf_err transparent_of_pkcs8(struct slice pkcs8, uint32_t format, struct buf *ret);
kf_err transparent_of_spki(struct slice spki, uint32_t format, struct buf *ret);
/* A public key of an elliptic curve, its point as it stands. */
kf_err transparent_of_point(const struct alg *alg, struct slice point, struct buf *ret);
kf_err transparent_of_secret(struct slice bytes, struct buf *ret);
