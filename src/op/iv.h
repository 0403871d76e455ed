/* SPDX-License-Identifier: Apache-2.0
 *
 * iv: which IV, counter or nonce a request means (KMIP 2.1, Cryptographic Parameters: Random IV, IV Length,
 * Fixed Field Length, Invocation Field Length, Counter Length, Initial Counter Value).  Pure but for the
 * random numbers.
 */
#pragma once
#include "crypt/cipher.h"
#include "kmip/cryptographic_parameters.h"

struct iv {
	uint8_t said[CIPHER_IV_MAX]; /* what the client must know to decrypt */
	uint8_t used[CIPHER_IV_MAX]; /* what the cipher begins with: a counter block */
	size_t said_n, used_n;
	bool is_ours;       /* made here: the answer tells it */
	uint64_t bytes_max; /* before the counter comes round; 0: no limit */
};

/* `given` wins.  To encrypt without one makes a random one, unless the client says Random IV = False; to
 * decrypt without one is MISSING_IV.  A random nonce of less than 96 bits is BAD_PARAMETERS: they repeat. */
kf_err iv_choose(const struct cipher_info *info, const struct cryptographic_parameters *p,
	struct slice given, bool decrypts, struct iv *ret);
