/* SPDX-License-Identifier: Apache-2.0
 *
 * wrap: a Key Value encrypted (and authenticated) under another key of this server, and back.
 *
 * A wrapping key must be active, have Wrap Key in its Cryptographic Usage Mask (Unwrap Key for the way
 * back, MAC Generate and MAC Verify for the MAC), and this client must be allowed to wrap or unwrap
 * with it.  The parameters must be among the key's own Cryptographic Parameters (KMIP 2.1, Key
 * Wrapping Specification).
 *
 *   wrapping methods   Encrypt, MAC/sign, Encrypt then MAC/sign; the others: FEATURE
 *   encrypting keys    AES: NIST Key Wrap (RFC 3394), AES Key Wrap Padding (RFC 5649), CBC, GCM, whose tag
 *                      follows the ciphertext; on tokens: op/token_wrap.h; RSA: OAEP, by the public key
 *   MACs               HMAC, CMAC by a symmetric key; a signature, a key on tokens: FEATURE
 */
#pragma once
#include "kmip/key_block.h"
#include "kmip/key_wrapping.h"
#include "op/op.h"

static inline bool wrap_encrypts(const struct key_wrapping *how)
{
	return how->method != KMIP_WRAPPING_METHOD_MAC_SIGN;
}
static inline bool wrap_macs(const struct key_wrapping *how)
{
	return how->method != KMIP_WRAPPING_METHOD_ENCRYPT;
}

/* A Key Value on its way to being a wrapped one.  On the call's loop. */
struct wrapping;

/* All that can be known beforehand is checked and counted.  call->object is the key that is wrapped: its attributes are
 * what Attribute Names mean.  `specification` is the whole item, as it came. */
kf_err op_wrap(struct op_call *call, struct slice specification, struct key_block *kb,
	struct wrapping **ret);
/* The key that wraps is on tokens: call->use is what one of them is to do (OP_USE) before the rest. */
bool wrapping_waits(const struct wrapping *w);
/* The rest: replaces the Key Value of the block by the wrapped one, and adds the Key Wrapping Data.  What the block then
 * points to is in `bytes`, which must not be where it pointed before. */
kf_err op_wrap_end(struct op_call *call, struct wrapping *w, struct key_block *kb,
	struct buf *bytes);
void wrapping_free(struct wrapping *w); /* NULL is fine */
static inline void wrapping_freep(struct wrapping **w) { wrapping_free(*w); }

/* The keys that a wrapped Key Block names, held until unwrapping_clear(). */
struct unwrapping {
	struct key_wrapping how;
	struct object *encryption, *mac; /* owned references, or NULL */
};
/* On the loop.  *ret_is_known is false, and no error, when a key is not here or this client may not unwrap
 * with it: then the object stays wrapped.  op_is_over_limit(): it may, but not now. */
kf_err op_unwrap_find(struct op_call *call, const struct key_block *kb,
	struct unwrapping *ret, bool *ret_is_known);
/* On any thread.  The block becomes one that is not wrapped, with its bytes in `bytes`.  DATA: it is
 * not what was wrapped with this key. */
kf_err op_unwrap(struct op_call *call, const struct unwrapping *u, struct key_block *kb,
	struct buf *bytes);
/* A key that tokens hold unwraps on a worker that may wait for them; an AES key of software takes microseconds. */
bool unwrapping_waits_for_tokens(const struct unwrapping *u);
bool unwrapping_is_quick(const struct unwrapping *u);
void unwrapping_clear(struct unwrapping *u);
