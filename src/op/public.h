/* SPDX-License-Identifier: Apache-2.0
 *
 * public: the public key that an operation works with: Signature Verify, Encrypt.
 */
#pragma once
#include "crypt/pubkey.h"
#include "op/op.h"

/* Of a public key object, a certificate, or the public half of a private key.  OBJECT_TYPE for others.
 * The caller frees it.  call->scratch is used up. */
kf_err op_public_key(struct op_call *call, struct pubkey **ret);
/* The same of another object. */
kf_err op_public_key_of(
	struct op_call *call, const struct object *o, struct pubkey **ret);
/* To read it takes so long that it is for a worker: a certificate that is much longer than those of web sites. */
bool op_public_is_long(const struct object *o);
