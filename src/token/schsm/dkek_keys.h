/* SPDX-License-Identifier: Apache-2.0
 *
 * dkek_keys: what a DKEK encrypts and authenticates with.  Inside this folder only.
 */
#pragma once
#include "token/schsm/dkek.h"

enum { DKEK_KEY_SIZE = 32 };
enum dkek_use { DKEK_ENCRYPTS = 1, DKEK_AUTHENTICATES = 2 };

/* SHA-256(DKEK | use as four bytes); the caller wipes it. */
void dkek_key(const struct dkek *d, enum dkek_use use, uint8_t ret[static DKEK_KEY_SIZE]);
