/* SPDX-License-Identifier: Apache-2.0
 *
 * sw: status words of ISO 7816-4 as the card uses them.
 */
#pragma once
#include <stdint.h>

typedef uint16_t sw_t;

enum {
	SW_OK = 0x9000,
	SW_END_OF_FILE = 0x6282,
	SW_MORE = 0x6100,  /* low byte: how much, 00 = 256 or more */
	SW_TRIES = 0x63c0, /* low digit: tries left */
	SW_LENGTH = 0x6700,
	SW_NOT_LOGGED_IN = 0x6982,
	SW_BLOCKED = 0x6983,
	SW_USED_UP = 0x6984, /* of a key: its use counter is zero */
	SW_CONDITIONS = 0x6985,
	SW_DATA = 0x6a80,
	SW_ALGORITHM = 0x6a81, /* not allowed for this key */
	SW_NOT_FOUND = 0x6a82,
	SW_MEMORY = 0x6a84,
	SW_P1P2 = 0x6a86,
	SW_NO_REFERENCE = 0x6a88,
	SW_OFFSET = 0x6b00,
	SW_INS = 0x6d00,
	SW_CLA = 0x6e00,
	SW_INTERNAL = 0x6f00,
};
