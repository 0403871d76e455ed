/* SPDX-License-Identifier: Apache-2.0
 *
 * block: padding of a message's last block.
 */
#pragma once
#include "crypt/cipher.h"

/* What is to follow a message of n bytes; 0: nothing, it ends with a block.  CRYPTO without random numbers. */
kf_err block_pad(enum padding padding, size_t block, uint64_t n,
	uint8_t ret[CIPHER_BLOCK_MAX], size_t *ret_n);
/* How much of the last block is message; DATA if it is not padded like that.  How long it takes tells
 * nothing about the padding; what is returned does. */
kf_err block_unpad(
	enum padding padding, const uint8_t *last, size_t block, size_t *ret_n);
