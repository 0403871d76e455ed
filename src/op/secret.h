/* SPDX-License-Identifier: Apache-2.0
 *
 * secret: the bytes of a symmetric key or of secret data, for one operation: to encrypt and to
 * authenticate with, to wrap with, to derive from.
 *
 * Small ones lie in the locked memory where the store keeps what it has opened (store/opened.c), and
 * are unsealed once; what does not fit there is unsealed into `scratch`, the caller's, who wipes it
 * by buf_clear() or buf_free().  Either way *ret lives as long as both the object and `scratch`; the
 * bytes are never copied by whoever only reads them.
 *
 * Says nothing of rights, state and Cryptographic Usage Mask: see op_check_use() and
 * op_check_use_of().  Any thread that may read the catalog.
 */
#pragma once
#include "op/op.h"

/* The call's own object, or another one that it holds a reference to.  Formats Raw, Opaque (secret
 * data) and Transparent Symmetric Key.
 *
 *   OBJECT_TYPE neither a symmetric key nor secret data
 *   DESTROYED, ARCHIVED
 *   KEY_FORMAT  wrapped, compressed, or in a format without plain bytes
 *   FEATURE     tokens hold it
 *   NO_VALUE    it was registered without its Key Value
 */
kf_err op_secret_open(struct op_call *call, const struct object *o, struct buf *scratch,
	struct slice *ret);

/* The same of a managed object that was parsed already: what Register or Import brings. */
struct kmip_object;
kf_err secret_of(const struct kmip_object *k, struct slice *ret);
