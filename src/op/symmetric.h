/* SPDX-License-Identifier: Apache-2.0
 *
 * symmetric: symmetric keys from the random number generator, for Create and Re-key.
 */
#pragma once
#include "op/make.h"

/* Algorithm and length of m->attrs into m, checked: MISSING, INVALID_FIELD; CRYPTO for a wish that no such
 * key fulfils. */
kf_err symmetric_describe(struct make *m);
/* The key itself, with its Digest. */
kf_err symmetric_generate(struct make *m);
