/* SPDX-License-Identifier: Apache-2.0
 *
 * token_use: Encrypt, Decrypt, MAC, wrapping and deriving with keys that tokens hold.
 *
 * Encrypt, Decrypt and MAC are jobs of the pool's (OP_USE), as signatures are.  Keys that wrap and agree are used in the
 * middle of other work, on a worker that may wait for tokens (op_token_work()).
 */
#pragma once
#include "op/encipher.h"

/* A secret or private key that tokens hold. */
static inline bool token_has_key(const struct object *o)
{
	return o->key && pool_key_is(o->key);
}

/* The rest of the start of Encrypt and Decrypt with such an object: whole messages; AES in the modes ECB, CBC, CTR,
 * NIST Key Wrap and AES Key Wrap Padding.  FEATURE for others. */
enum op_next token_encipher_start(struct op_call *call, bool decrypts);

/* call->use becomes the CMAC of `data`, 16 bytes in call->scratch.  FEATURE unless it is a CMAC that is meant. */
kf_err token_mac(struct op_call *call, const struct cryptographic_parameters *p,
	struct slice data);

/* What a pool says of a job, as a client is told: UNAVAILABLE for what another key server may do better, FEATURE for what
 * the key's tokens do not do. */
kf_err token_said(kf_err e);
/* Waits until a token has done the job, a sign, decrypt or use; none begins it once nobody waits for the answer.
 * UNAVAILABLE, BUSY... as pool_submit() has it. */
kf_err token_wait(const struct op_call *call, const struct pool_job *job);
/* The same of a use by this key; appends to job->out. */
kf_err token_use_now(
	const struct op_call *call, const struct object *key, struct use_job *job);
