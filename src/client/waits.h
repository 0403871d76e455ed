/* SPDX-License-Identifier: Apache-2.0 */
/* waits: which keys are on tokens?
 *
 * Operations with these take their time, which says nothing about their server: they are neither late nor
 * a sign that it is silent, and they go where the wait for a token is shortest.  Known from answers
 * (Expected Wait); the first operation with a key is taken for a quick one.
 *
 * Pure: a set of hashes.  Two keys that hash alike, or more keys than it holds, cost nothing but patience.
 */
#pragma once
#include "base/buf.h"

enum { WAITS_SIZE = 512 };

struct waits {
	size_t n;
	uint64_t key[WAITS_SIZE]; /* by hash; 0: free */
};

/* Of the Unique Identifier with which a request's payload begins; 0: there is none. */
uint64_t waits_key(struct slice payload);
bool waits_has(const struct waits *w, uint64_t key);
void waits_learn(struct waits *w, uint64_t key);
