/* SPDX-License-Identifier: Apache-2.0
 *
 * page: a part of a list, for the administrator's operations.
 */
#pragma once
#include "kmip/admin.h"
#include "op/step.h"

enum { PAGE_MAX = 500 }; /* items, if the request asks for all */

struct page_call {
	struct page q;
	int32_t total, given;
};

/* Counts one item of the list: is it on the page? */
bool page_has(struct page_call *page);

/* The items are in call->scratch. */
void page_answer(struct op_call *call, struct ttlv_writer *w);

bool op_is_client_name(struct slice name);
