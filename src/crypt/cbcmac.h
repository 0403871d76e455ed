/* SPDX-License-Identifier: Apache-2.0
 *
 * cbcmac: CBC-MAC (ISO/IEC 9797-1, MAC algorithm 1): the last block of what CBC makes of a message, with
 * an IV of zeros.  It is secure for messages of one length under a key that does nothing else: to make one
 * of a single block is to encrypt that block.  Whoever calls this has the owner's word for such a key.
 *
 * A message belongs to one thread at a time.
 */
#pragma once
#include "crypt/cipher.h"

struct cbcmac {
	struct evp_cipher_ctx_st *ctx;
	enum padding padding;
	size_t block;
	uint64_t n; /* bytes of the message so far */
	uint8_t last[CIPHER_BLOCK_MAX];
};

/* BAD_PARAMETERS: not a padding that is the same each time. */
kf_err cbcmac_check_padding(uint32_t padding);

/* `info` is a row of CBC, the key as long as it says. */
kf_err cbcmac_begin(struct cbcmac *c, const struct cipher_info *info,
	enum padding padding, struct slice key);
kf_err cbcmac_add(struct cbcmac *c, struct slice data);
/* c->block bytes.  DATA: not whole blocks, or none at all. */
kf_err cbcmac_last(struct cbcmac *c, uint8_t ret[CIPHER_BLOCK_MAX]);
void cbcmac_end(struct cbcmac *c); /* wipes; zeroed is fine */
