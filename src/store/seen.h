/* SPDX-License-Identifier: Apache-2.0
 *
 * seen: a small local file that remembers the newest head this server has seen, so that a store
 * which was put back as a whole (every row and its head are right, but old) is noticed.
 * Overwritten in place and not synced: after a power cut it may be a little too old, never too new.
 */
#pragma once
#include "store/record.h"

struct seen {
	int fd; /* -1: none */
	int64_t incarnation;
	uint64_t sequence;
};

/* path NULL: remembers nothing.  CONFIG if the file is not ours. */
kf_err seen_open(const char *path, struct seen *ret);
void seen_close(struct seen *s);
/* TAMPERED if the head is older than what was seen. */
kf_err seen_check(const struct seen *s, const struct head *h);
kf_err seen_put(struct seen *s, const struct head *h);
