/* SPDX-License-Identifier: Apache-2.0
 *
 * derive: the bytes that Derive Key makes.
 *
 *   PBKDF2                     of a pass phrase (secret data); HMAC-SHA-1 unless a hash is said
 *   HASH, HMAC                 HASH over the key alone
 *   ENCRYPT                    the data, under the key; secret data only if the client may get them, for the
 *                              ciphertext is as good
 *   SP 800-108 (three modes)   HMAC, or AES-CMAC by an AES key without a hash; the counter has 32 bits and
 *                              stands before the data, which is all of the fixed input
 *   Asymmetric Key             a private and a public key: the shared secret as it is; tokens do ECDH
 *   AWS Signature Version 4    the data are date, region, service, "aws4_request", or all of them with /
 *   HKDF                       RFC 5869; the data is the info
 *
 * ENCRYPT does to the data what Encrypt does, and HMAC, PBKDF2 and SP 800-108 what MAC does: with a key that is for more than
 * deriving, or for codes, the client needs that leave too, the key that bit, and its Usage Limits count.
 *
 * The data is Derivation Data, or secret data that is named as the second object, never both.
 */
#pragma once
#include "crypt/kdf.h"
#include "kmip/derive_key.h"
#include "op/op.h"

struct derivation {
	uint32_t method;
	const struct derivation_parameters *how;
	const struct object *base[2]; /* the second may be NULL */
	size_t n;                     /* bytes; 0: as many as the method gives at once */
	uint32_t iterations_max;      /* of PBKDF2, for all blocks of the key together */
};

/* Does the method protect data with this base? */
bool op_derive_protects(const struct derivation *d, const struct object *base);

/* It is work for a worker: by its method, or because nobody knows how much the data are. */
bool op_derive_is_slow(const struct derivation *d);
/* It takes a tenth of a second or more. */
bool op_derive_is_long(const struct derivation *d);
/* And tokens do it: op_token_work(). */
bool op_derive_waits_for_tokens(const struct derivation *d);
/* On the loop: what else the method does with the bases, the client must have leave for, and it counts
 * (op_use_other()).  State, masks and leave to derive were checked. */
kf_err op_derive_check(struct op_call *call, const struct derivation *d);
/* All of that was checked.  ret_data: how much the data are. */
kf_err op_derive(struct op_call *call, const struct derivation *d, struct buf *ret,
	size_t *ret_data);
