/* SPDX-License-Identifier: Apache-2.0
 *
 * symmetric: secrets from the random number generator: symmetric keys, for Create and Re-key, and secret data.
 */
#pragma once
#include "op/make.h"

/* Algorithm and length of m->attrs into m, checked: MISSING, INVALID_FIELD; CRYPTO for a wish that no such
 * key fulfils. */
kf_err symmetric_describe(struct make *m);
/* The same for secret data, of which only the length is asked: a password of any bytes. */
kf_err symmetric_describe_data(struct make *m);
/* How long a key of so many bits is.  3DES: the effective bits are said, the stored ones carry a parity bit a byte. */
size_t symmetric_bytes(uint32_t algorithm, int32_t bits);
/* The key itself, with its Digest. */
kf_err symmetric_generate(struct make *m);
