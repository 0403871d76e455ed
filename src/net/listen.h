/* SPDX-License-Identifier: Apache-2.0 */
/* listen: sockets that accept. */
#pragma once
#include "net/address.h"
#include "net/loop.h"

struct listen_options {
	int backlog; /* 0: 1024 */
	int unix_mode; /* permissions of a path socket; 0: 0666, who may connect is SO_PEERCRED's matter */
};

/* Non-blocking.  A path socket that nobody listens on any more is replaced, one in use is EXISTS. */
kf_err listen_open(
	const struct address *a, const struct listen_options *options, int *ret_fd);
/* A socket that systemd handed over: checks that it listens for streams, makes it non-blocking. */
kf_err listen_adopt(int fd);

/* Accepts for a loop.  When descriptors run out, the waiting connection is accepted with one kept in
 * reserve and closed, so that its client learns it at once and the loop does not spin. */
struct listener {
	struct loop *loop;
	struct loop_watch watch;
	int reserve_fd;
	uint64_t refused; /* because descriptors ran out */
	int budget;       /* connections a round; 0: 64 */
	/* The descriptor is the callee's: non-blocking, close-on-exec, TCP_NODELAY, keep-alive. */
	void (*accepted)(struct listener *l, int fd, const struct address *peer);
};

/* Takes fd.  The caller has set `accepted` and may set `budget`, all else is zero. */
kf_err listener_start(struct listener *l, struct loop *loop, int fd);
/* While paused nobody is accepted; the kernel's backlog keeps them. */
kf_err listener_pause(struct listener *l, bool is_paused);
void listener_stop(struct listener
		*l); /* closes; not being started is fine if the struct was zeroed */
