/* SPDX-License-Identifier: Apache-2.0
 *
 * apdu: commands to a card as ISO 7816-4 writes them, and what is in an answer.
 */
#pragma once
#include "base/buf.h"

enum {
	APDU_LE_SHORT = 256,
	APDU_LE_ALL = 65536, /* extended, however long it is: "0000" */
	APDU_MAX = 1462,     /* of any card; struct token has the limit of its own */
	APDU_OVERHEAD = 9,   /* of a command with extended lengths */
};

struct card_command {
	uint8_t cla, ins, p1, p2;
	struct slice data;
	size_t le; /* how much is taken; 0: no answer but the status word */
};

struct card_answer {
	uint16_t sw;
	struct slice data; /* until the next command */
};

/* Short lengths where they do; TOO_BIG beyond max (at most APDU_MAX) or what a length can say. */
kf_err apdu_encode(const struct card_command *c, size_t max, uint8_t *ret, size_t *ret_n);
/* MALFORMED when there is no status word. */
kf_err apdu_answer(struct slice bytes, struct card_answer *ret);
