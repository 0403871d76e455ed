/* SPDX-License-Identifier: Apache-2.0 */
/* visitor: the connections of an HTTP endpoint, so that nobody keeps others out by holding them all.
 *
 * Whoever comes when all places are taken gets in: the place is that of the user who has most, and of its
 * connections the oldest.  Users are known on Unix sockets; over TCP everybody is one user.
 * Used by the thread that runs the daemon, and by no other.
 */
#pragma once
#include "base/list.h"
#include <sys/types.h>

struct visitors {
	struct list all; /* the oldest first */
	unsigned n, most;
};

struct visitor {
	struct list link;
	uid_t user;
	int fd;
};

void visitors_init(struct visitors *v, unsigned most);
/* `fd` stays the daemon's; NULL: no memory, the connection does not count. */
struct visitor *visitor_enter(struct visitors *v, int fd);
void visitor_leave(struct visitors *v, struct visitor *who); /* NULL is fine */
