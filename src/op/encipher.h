/* SPDX-License-Identifier: Apache-2.0
 *
 * encipher: what Encrypt and Decrypt with a symmetric key share.
 *
 * A message in one piece is worked on where the request is, on its loop, if that takes no longer than to
 * hand it over; else, and whenever a use was counted first, on a worker.
 */
#pragma once
#include "kmip/decrypt.h"
#include "op/iv.h"
#include "op/parts.h"

/* The request struct of Encrypt and Decrypt. */
struct encipher {
	struct decrypt_request
		q; /* comes first: decrypting with RSA knows nothing else */
	struct cryptographic_parameters p;
	const struct cipher_info *info;
	bool decrypts;
	struct slice key;    /* in locked memory, or in `material` */
	struct buf material; /* released with the call */
	struct iv iv;
	size_t tag_n;
	uint8_t tag[CIPHER_TAG_MAX];
	bool has_tag; /* it was made */
	bool has_next;
	uint8_t correlation[PARTS_ID_SIZE]; /* of the next part, if has_next */
};

struct parts_request encipher_parts(const struct decrypt_request *q);

/* The rest of the operation's start, with a symmetric key. */
enum op_next encipher_start(struct op_call *call, bool decrypts);

/* The Encrypt or Decrypt response; the data are in call->scratch. */
struct decrypt_response encipher_answer(struct op_call *call);
