/* SPDX-License-Identifier: Apache-2.0
 *
 * uuid: identifiers that are made without asking anybody (RFC 9562), as text.  CRYPTO: no random numbers.
 */
#pragma once
#include "base/err.h"
#include <stdint.h>

enum { UUID_TEXT = 37 }; /* with NUL */

/* Version 4: 122 random bits, which tell nothing. */
kf_err uuid_random(char ret[UUID_TEXT]);
/* Version 7: milliseconds since 1970, then 74 random bits.  What is made one after the other sorts so. */
kf_err uuid_by_time(int64_t wall_us, char ret[UUID_TEXT]);
