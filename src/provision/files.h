/* SPDX-License-Identifier: Apache-2.0
 *
 * files: certificates that keys give themselves, without which their card's other users would not know
 * their public keys.  Inside this folder only.
 */
#pragma once
#include "provision/provision.h"

/* SHA-256; RSA: PKCS#1 v1.5; EC: DER. */
typedef kf_err files_sign_fn(void *arg, struct slice data, struct buf *ret);
kf_err files_certificate(
	const struct pubkey *pub, files_sign_fn *sign, void *arg, struct buf *ret);
