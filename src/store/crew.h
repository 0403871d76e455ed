/* SPDX-License-Identifier: Apache-2.0
 *
 * crew: work on many items by several threads, whose results are taken in the order in which the items came.
 *
 * One thread, the owner, fills items and takes results; it works, too, when it would have to wait.  Few items
 * start no thread.  What is under way is bounded: by number, and by the bytes that items hold.
 */
#pragma once
#include "base/buf.h"

struct crew;

struct crew_ops {
	size_t item_size;
	void (*work)(void *arg, void *item);   /* on any thread, several items at once */
	kf_err (*take)(void *arg, void *item); /* by the owner, in order */
	/* By the owner, some items before that one's take(): what it needs comes from memory meanwhile.  NULL is fine. */
	void (*expect)(void *arg, const void *item);
	void (*drop)(void *item); /* once for each that was added, at the end */
};

kf_err crew_new(const struct crew_ops *ops, void *arg, struct crew **ret);
/* Room for the next item, zeroed.  Takes results meanwhile: their errors are ours. */
kf_err crew_room(struct crew *c, void **ret);
/* The room was filled; the item holds so many bytes. */
kf_err crew_add(struct crew *c, size_t bytes);
kf_err crew_finish(struct crew *c); /* takes all results */
void crew_free(struct crew *c);     /* drops what was not taken */
