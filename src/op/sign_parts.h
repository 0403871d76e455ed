/* SPDX-License-Identifier: Apache-2.0
 *
 * sign_parts: data that come in parts to be signed, or to have their signature verified.  They are hashed
 * as they come; for mechanisms that do not hash beforehand (Ed25519) they are kept.
 */
#pragma once
#include "crypt/alg.h"
#include "op/parts.h"

/* The mechanism that the first part was for; CORRELATION. */
kf_err sign_parts_mech(struct op_call *call, const struct parts_request *q,
	const struct mech **ret, int *ret_salt);

/* Begins with the first part.  *ret is the call's. */
struct sign_part {
	const struct mech *mech; /* of a first part */
	int salt;
	struct slice data;
	struct parts_request q;
};
kf_err sign_parts_add(
	struct op_call *call, const struct sign_part *part, struct parts **ret);

/* After the last part: the digest in `digest`, or the data themselves, which live as long as `p`. */
kf_err sign_parts_end(struct parts *p, uint8_t digest[DIGEST_MAX], struct slice *ret,
	bool *ret_is_digest);
