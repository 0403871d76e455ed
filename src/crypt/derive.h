/* SPDX-License-Identifier: Apache-2.0
 *
 * derive: keys out of keys.  Inside src/crypt only.
 */
#pragma once
#include "crypt/keyring.h"

/* HKDF-SHA-256 without salt (the input is uniform); info says what for. */
kf_err derive_key(const uint8_t key[MASTER_KEY_SIZE], const char *info,
	uint8_t ret[MASTER_KEY_SIZE]);
/* HMAC-SHA-256 */
kf_err derive_mac(
	const uint8_t key[MASTER_KEY_SIZE], struct slice data, uint8_t ret[MAC_SIZE]);

/* The key that wraps an object key: new with every salt. */
kf_err keyring_wrap_key(const struct keyring *k, struct slice id, struct slice salt,
	uint8_t ret[MASTER_KEY_SIZE]);
