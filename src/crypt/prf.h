/* SPDX-License-Identifier: Apache-2.0
 *
 * prf: keyed functions over bytes that are all there: what keys are derived and wrapped keys are
 * authenticated with.  Any thread.
 */
#pragma once
#include "crypt/alg.h"

enum { PRF_SIZE_MAX = 64 };

/* HMAC; a key of any length, also none.  Appended. */
kf_err prf_hmac(
	const struct hash *hash, struct slice key, struct slice data, struct buf *ret);
/* CMAC with AES; BAD_PARAMETERS unless the key has 16, 24 or 32 bytes. */
kf_err prf_cmac(struct slice key, struct slice data, struct buf *ret);
