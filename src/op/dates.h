/* SPDX-License-Identifier: Apache-2.0
 *
 * dates: what the dates of an object mean together, and for its State.
 */
#pragma once
#include "op/op.h"

/* INVALID_FIELD: deactivated before it is activated, or a date of use outside of that time. */
kf_err dates_check(struct slice attrs);
/* The state that follows when dates have come: Pre-Active becomes Active, Active becomes Deactivated. */
enum object_state dates_state(struct slice attrs, enum object_state state, int64_t now_s);
