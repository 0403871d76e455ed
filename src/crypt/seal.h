/* SPDX-License-Identifier: Apache-2.0
 *
 * seal: an object's material at rest.
 *
 *     sealed = 1 | id length | master key id | salt 16 | nonce 12 | wrapped object key 32 | tag 16
 *              | nonce 12 | material | tag 16
 *
 * A fresh object key encrypts the material; a key derived from the master key and the salt wraps
 * the object key; both by AES-256-GCM, both with the caller's associated data.  An object key
 * encrypts once.  A wrapping key is new with every salt, so random nonces need no counter, and
 * servers that share a master key need not count together.
 *
 * The associated data must be unambiguous (lengths before variable fields) and name all that an
 * editor of rows must not change: object id, type, owner, rights, state, version.
 */
#pragma once
#include "crypt/keyring.h"

enum { SEAL_OVERHEAD_MAX = 2 + MASTER_ID_MAX + 16 + 12 + 32 + 16 + 12 + 16 };

/* All append to ret, which is left as it was on failure (apart from its own sticky error). */
kf_err seal_object(const struct keyring *k, struct slice material,
	struct slice associated, struct buf *ret);
/* TAMPERED on any difference; CONFIG if the master key is not in the keyring. */
kf_err unseal_object(const struct keyring *k, struct slice sealed,
	struct slice associated, struct buf *ret);
/* The same material under the newest master key; its ciphertext stays byte for byte. */
kf_err reseal_object(const struct keyring *k, struct slice sealed,
	struct slice associated, struct buf *ret);
/* For a change of the associated data (a new state, a new owner): fresh object key. */
kf_err rebind_object(const struct keyring *k, struct slice sealed,
	struct slice associated, struct slice new_associated, struct buf *ret);
/* Which master key opens it; MALFORMED if it is no sealed object. */
kf_err seal_master_id(struct slice sealed, struct slice *ret);
