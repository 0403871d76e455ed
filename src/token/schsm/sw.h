/* SPDX-License-Identifier: Apache-2.0
 *
 * sw: status words of the card, and what they mean to the driver's caller (sw.def).
 */
#pragma once
#include "base/err.h"
#include <stdint.h>

enum {
	CARD_OK = 0x9000,
	CARD_END_OF_FILE = 0x6282, /* the data are good */
	CARD_MORE = 0x6100,        /* low byte: how much waits for GET RESPONSE, 0: 256 */
	CARD_TRIES = 0x63c0,       /* low digit: tries that are left */
#define X(id, sw, code, text) CARD_##id = (sw),
#include "token/schsm/sw.def"
#undef X
};

static inline bool sw_is_good(uint16_t sw)
{
	return sw == CARD_OK || sw == CARD_END_OF_FILE;
}
static inline bool sw_is_tries(uint16_t sw) { return (sw & 0xfff0) == CARD_TRIES; }
/* Somebody reset the card: nobody is logged in, or the application is not even selected. */
static inline bool sw_is_lost_login(uint16_t sw)
{
	return sw == CARD_NOT_LOGGED_IN || sw == CARD_INS || sw == CARD_CLA;
}

/* OK for what is good; TOKEN for what no such card says. */
kf_err sw_error(uint16_t sw);
