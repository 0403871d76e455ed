/* SPDX-License-Identifier: Apache-2.0
 *
 * unpad: from the bare result of the RSA private operation to what was encrypted, wherever the private
 * key lives.  Nobody learns from answers or times whether padding was right, but for OAEP's one error.
 */
#pragma once
#include "token/token.h"

enum { REJECT_SECRET_SIZE = 32 };

/* Whether there can be an answer; before the private key is used. */
kf_err unpad_check(const struct decrypt_job *job);

/* em is as long as the modulus, or empty: the operation was refused as a whole, as a number above the
 * modulus is.  Fills job->plain and plain_n.  `reject` is the secret of implicit rejection (PKCS#1), one a key:
 * whoever has it can tell bad padding from a message. */
kf_err unpad(struct decrypt_job *job, const uint8_t reject[REJECT_SECRET_SIZE],
	struct slice em);

/* ---- parts, for tests ---- */

/* What stands for every bad ciphertext like this one: the last n bytes of message. */
struct unpad_fake {
	uint8_t message[JOB_CIPHER_MAX];
	uint32_t n;
};
/* The message in em if its padding is right, else the fake one; the same instructions for both. */
size_t unpad_choose(struct unpad_fake *fake, struct slice em, uint8_t *ret);
kf_err unpad_pkcs1(struct decrypt_job *job, const uint8_t reject[REJECT_SECRET_SIZE],
	struct slice em);

/* Puts the premaster secret of em into plain if padding and version are right; else plain, random
 * bytes, stays; the same instructions for both. */
void unpad_choose_premaster(struct decrypt_job *job, struct slice em);

/* False: whatever the reason.  All of em is looked at. */
bool unpad_oaep(struct decrypt_job *job, struct slice em);
