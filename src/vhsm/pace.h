/* SPDX-License-Identifier: Apache-2.0
 *
 * pace: how long the card takes for what.
 */
#pragma once
#include "vhsm/card.h"

enum pace_id {
#define X(id, name, what) PACE_##id,
#include "vhsm/pace.def"
#undef X
	PACE_COUNT
};

struct pace {
	double ms[PACE_COUNT]; /* JITTER: per cent */
	double factor;
};

/* "rsa2048=660,ec=240.5": all or nothing. */
kf_err pace_set(struct pace *p, const char *text);
enum pace_id pace_of(const struct card *c, struct slice command);
uint64_t pace_ns(const struct pace *p, enum pace_id id);
