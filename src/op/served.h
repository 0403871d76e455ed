/* SPDX-License-Identifier: Apache-2.0
 *
 * served: Fresh (KMIP 2.1, Fresh): true until an object is first served by Get.
 *
 * A server that cannot write still serves, and nobody waits: what is noted in memory holds at once, and
 * goes to the store with a change of its own, or with the object's next one.
 */
#pragma once
#include "op/op.h"

/* The call gives its object's value away.  Costs a look at two flags from the second time on. */
void op_note_served(struct op_call *call);
/* As of now. */
bool object_is_fresh(const struct object *o);
