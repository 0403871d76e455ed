/* SPDX-License-Identifier: Apache-2.0
 *
 * link: how commands reach a card.  Over PC/SC in programs (pcsc.c), to a virtual card in the same
 * process in tests.  One thread has a link; interrupt() may come from any.
 */
#pragma once
#include "base/buf.h"

enum { CARD_ATR_MAX = 33, CARD_ANSWER_MAX = 65536 + 2 };

struct card_link {
	const struct card_link_ops *ops;
	size_t atr_n;
	uint8_t atr[CARD_ATR_MAX];
};

struct card_link_ops {
	/* One command, and its answer with the status word at its end (replaces what ret held).
	 * CLOSED: it never reached the card.  TOKEN: what became of it is not known. */
	kf_err (*transmit)(struct card_link *l, struct slice apdu, struct buf *ret);
	/* After TOKEN: OK if the same card is still in its reader and was only reset. */
	kf_err (*repair)(struct card_link *l);
	/* Makes a transmit() that hangs return; whatever comes after it fails. */
	void (*interrupt)(struct card_link *l);
	void (*close)(struct card_link *l);
};
