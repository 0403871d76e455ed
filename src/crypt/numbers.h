/* SPDX-License-Identifier: Apache-2.0
 *
 * numbers: private keys from the numbers that they are made of, as cards and their key blobs have them.
 */
#pragma once
#include "crypt/curve.h"

enum { NUMBERS_RSA_BITS_MIN = 1024, NUMBERS_RSA_BITS_MAX = 4096 };

/* The CRT parts are computed.  INVALID_FIELD: these are not the numbers of a key. */
kf_err numbers_rsa(struct slice n, struct slice e, struct slice d, EVP_PKEY **ret);
/* The same from the primes; p and q in any order. */
kf_err numbers_rsa_primes(struct slice p, struct slice q, struct slice e, EVP_PKEY **ret);
/* The public point is computed. */
kf_err numbers_ec(const struct curve *curve, struct slice scalar, EVP_PKEY **ret);

/* One number of a key, as long as `size` (0: no leading zeros); name is OSSL_PKEY_PARAM_. */
kf_err numbers_get(const EVP_PKEY *pkey, const char *name, size_t size, struct buf *to);
