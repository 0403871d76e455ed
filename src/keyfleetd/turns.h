/* SPDX-License-Identifier: Apache-2.0
 *
 * turns: in which order handshakes go on when more can than a round has time for.
 *
 * Those that have begun go first, so that no work is lost on clients that give up meanwhile.  Every fourth
 * turn is a new one's all the same: whoever sends its handshake byte by byte, on many connections, must not
 * keep everybody else out.
 */
#pragma once
#include "base/list.h"

struct turns {
	struct list begun, fresh;
	unsigned taken;
};

void turns_init(struct turns *t);
/* A link that is in already stays where it is. */
void turns_add(struct turns *t, struct list *link, bool has_begun);
struct list *turns_take(struct turns *t); /* NULL: nobody waits */
bool turns_wait(const struct turns *t);   /* somebody does */
