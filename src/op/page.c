/* SPDX-License-Identifier: Apache-2.0 */
#include "op/page.h"

bool page_has(struct page_call *page)
{
	const bool asked = page->q.maximum > 0 && page->q.maximum < PAGE_MAX;
	const int32_t maximum = asked ? page->q.maximum : PAGE_MAX;

	if (page->total++ < page->q.offset || page->given >= maximum)
		return false;
	page->given++;
	return true;
}

void page_answer(struct op_call *call, struct ttlv_writer *w)
{
	list_put_response(w, &(struct list_response){
				     .total = OP_REQUEST(call, struct page_call)->total,
				     .items = buf_slice(&call->scratch),
			     });
}
