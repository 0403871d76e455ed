/* SPDX-License-Identifier: Apache-2.0
 *
 * link: what goes over the Unix socket of `vhsm`: frames of a length (4 bytes, big-endian, counts what
 * follows), a kind (1 byte) and bytes.  One connection serves one card, or watches one, or controls.
 */
#pragma once
#include "base/buf.h"

enum link_kind {
	/* asked */
	LINK_OPEN = 'O', /* card number, 1 byte, from 1: whose commands follow */
	LINK_WATCH =
		'W', /* card number: LINK_PRESENCE comes now and whenever it changes */
	LINK_RESET = 'R', /* LINK_ANSWER with the ATR */
	LINK_OFF = 'X',   /* LINK_ANSWER, empty */
	LINK_APDU = 'A',  /* LINK_ANSWER */
	LINK_TELL = 'T',  /* a line of text: LINK_ANSWER with text for people */
	/* answered */
	LINK_ANSWER = 'a',
	LINK_PRESENCE = 'p', /* 1 byte: 0 or 1 */
	LINK_GONE = 'g',     /* the card is out, or was pulled or reset meanwhile */
	LINK_REFUSED = 'r',  /* text: why */
};

enum { LINK_FRAME_MAX = 65536 + 64 };

kf_err link_listen(
	const char *path, int *ret); /* mode 0600; CONFLICT: somebody listens there */
kf_err link_connect(const char *path, int *ret);
/* Blocking; CLOSED at the end of the stream. */
kf_err link_send(int fd, enum link_kind kind, struct slice bytes);
kf_err link_receive(int fd, enum link_kind *kind, struct buf *ret);
/* Sends, receives; what is no LINK_ANSWER is CLOSED (LINK_GONE) or DENIED, its text in ret. */
kf_err link_ask(int fd, enum link_kind kind, struct slice bytes, struct buf *ret);
