/* SPDX-License-Identifier: Apache-2.0
 *
 * dkek: the device key encryption key of a key domain, and keys wrapped under it (key blobs).
 *
 *     KCV 8 | kind 1 | algorithm, allowed algorithms, access, key OID (each 2 + n) |
 *     AES-256-CBC(random 8 | bits 2 | numbers (each 2 + n) | 80 00..) | AES-CMAC 16
 */
#pragma once
#include "vhsm/key.h"

enum { DKEK_SIZE = 32, DKEK_KCV_SIZE = 8, DKEK_BLOB_MAX = 4096 };

void dkek_kcv(const uint8_t kek[static DKEK_SIZE], uint8_t ret[static DKEK_KCV_SIZE]);
kf_err dkek_wrap(
	const uint8_t kek[static DKEK_SIZE], const struct key *k, struct buf *to);
/* DENIED when the blob was made under another key or was changed. */
kf_err dkek_unwrap(
	const uint8_t kek[static DKEK_SIZE], struct slice blob, struct key **ret);
