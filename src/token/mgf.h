/* SPDX-License-Identifier: Apache-2.0
 *
 * mgf: hashes for RSA's paddings, and the mask made of them: MGF1 (RFC 8017, B.2.1).  Any thread.
 */
#pragma once
#include "crypt/ossl.h"
#include "token/token.h"

struct mgf {
	EVP_MD *md;
	EVP_MD_CTX *ctx;
	size_t n; /* of a digest */
};
/* False: there is no such hash; it is to be closed all the same. */
bool mgf_open(struct mgf *h, enum hash_id id);
void mgf_close(struct mgf *h);
/* Of three parts, one after another; empty ones do not count. */
bool mgf_hash(struct mgf *h, const struct slice part[3], uint8_t ret[HASH_SIZE_MAX]);
/* XORs the mask of this seed to p. */
bool mgf_mask(struct mgf *h, struct slice seed, uint8_t *p, size_t n);
