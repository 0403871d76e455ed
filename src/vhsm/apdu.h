/* SPDX-License-Identifier: Apache-2.0
 *
 * apdu: a command as ISO 7816-4 has it, all seven forms (cases 1 to 4, short and extended).
 */
#pragma once
#include "base/buf.h"

enum { APDU_NE_SHORT = 256, APDU_NE_EXTENDED = 65536 };
enum { CLA_CHAIN = 0x10 };

struct apdu {
	uint8_t cla, ins, p1, p2;
	struct slice data; /* inside the bytes that were parsed */
	size_t ne;         /* how much the caller takes; 0 = there was no Le */
	bool is_extended;
};

static inline uint16_t apdu_p1p2(const struct apdu *a)
{
	return (uint16_t)(a->p1 << 8 | a->p2);
}

/* MALFORMED when the lengths do not add up. */
kf_err apdu_parse(struct slice bytes, struct apdu *ret);
