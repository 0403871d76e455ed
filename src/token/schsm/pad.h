/* SPDX-License-Identifier: Apache-2.0
 *
 * pad: what an RSA key has to sign for a digest, so that the card's bare operation does for every hash and
 * padding.  Pure but for the salt.
 */
#pragma once
#include "crypt/alg.h"

/* ret has n bytes, as the modulus.  BAD_PARAMETERS: the key is too short for it. */
kf_err pad_pkcs1(const struct hash *hash, struct slice digest, size_t n, uint8_t *ret);
/* salt: SALT_AS_DIGEST or a length.  bits: of the modulus. */
kf_err pad_pss(const struct hash *hash, struct slice digest, int salt, unsigned bits,
	uint8_t *ret);
