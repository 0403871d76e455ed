/* SPDX-License-Identifier: Apache-2.0
 *
 * items: the items of a structure as an array.
 */
#pragma once
#include "ttlv/ttlv.h"

struct items {
	struct ttlv_item *item;
	bool *is_used; /* the owner's mark */
	size_t n;
};
#define autoitems CLEANUP(items_clear) struct items

/* *ret is to be cleared in any case. */
kf_err items_read(struct slice content, struct items *ret);
void items_clear(struct items *all);
