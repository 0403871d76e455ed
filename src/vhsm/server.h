/* SPDX-License-Identifier: Apache-2.0
 *
 * server: the cards of one process behind one Unix socket.  A thread a connection, for a card that
 * hangs must hang its reader only.
 */
#pragma once
#include "vhsm/vhsm.h"

enum { SERVER_CARDS_MAX = 64, SERVER_CONNECTIONS_MAX = 512 };

struct server {
	struct vhsm *cards[SERVER_CARDS_MAX];
	size_t n_cards;
	int listener;
	_Atomic int connections;
};

/* Makes or opens DIR/card-1 and so on. */
kf_err server_open_cards(struct server *s, const char *dir, size_t n);
/* "card 2 unplug", "card all slow 3", "status": text for people, in `why` too when it fails. */
kf_err server_tell(struct server *s, struct slice line, struct buf *why);
/* Serves until the process is ended: cards are saved with every command, so nothing is to be done
 * at the end. */
kf_err server_run(struct server *s);
