/* SPDX-License-Identifier: Apache-2.0
 *
 * pad: what an RSA key signs, made by the host for tokens that only do the bare operation or cannot do
 * it with this hash or salt (RFC 8017, 9.1 and 9.2).  Any thread.
 */
#pragma once
#include "token/token.h"

enum { PAD_DIGEST_INFO_MAX = 19 + HASH_SIZE_MAX };

/* BAD_PARAMETERS unless a key of this algorithm can sign the job as it stands: a digest as long as its
 * hash's, or data for Ed25519. */
kf_err pad_check(const struct sign_job *job, const struct alg *alg);

/* What is to be signed, wherever it lies. */
struct slice pad_input(const struct sign_job *job);

/* DER of the DigestInfo for CKM_RSA_PKCS and its like; returns its length. */
size_t pad_digest_info(const struct sign_job *job, uint8_t ret[PAD_DIGEST_INFO_MAX]);

/* The number to be raised: bits/8 bytes by EMSA-PKCS1-v1_5 or EMSA-PSS, as job->mech says.
 * BAD_PARAMETERS: digest and salt are too long for the key. */
kf_err pad_rsa(const struct sign_job *job, size_t bits, uint8_t *ret);
