/* SPDX-License-Identifier: Apache-2.0
 *
 * find: where to look for what Locate asks for.  The index gives places (store/catalog.h) of objects that may
 * match; whoever visits them looks at each once more.
 *
 * Of all that is asked for the attribute that fewest objects have decides, or, for a client with few rights, what
 * it may see at all.  A plan is made of the index and costs a few look-ups; it is good until the thread's next
 * quiescent point.
 */
#pragma once
#include "policy/policy.h"
#include "store/catalog.h"

/* Which objects are meant, by whether they are destroyed. */
enum find_spaces { FIND_LIVE = 1, FIND_GONE = 2 };

struct find_question {
	const struct catalog *catalog;
	struct slice wanted; /* canonical attributes; all must match */
	unsigned spaces;     /* enum find_spaces */
};

struct find_plan {
	const struct catalog *catalog;
	bool is_all;        /* nothing helps: everything must be looked at */
	size_t most;        /* places to be looked at, at most */
	struct terms terms; /* else: whoever has one of them */
};
kf_err find_plan(const struct find_question *q, struct find_plan *ret);
void find_plan_free(struct find_plan *p);

struct find_places {
	uint32_t *at; /* newest first, each once */
	size_t n, cap;
	kf_err err;
};
void find_places_free(struct find_places *p);
kf_err find_gather(const struct find_plan *plan, struct find_places *ret);

/* All that the client may see, and perhaps more.  False: that is not much less than the plan has. */
bool find_visible(const struct find_question *q, const struct who *who,
	const struct find_plan *plan, struct find_places *ret);
