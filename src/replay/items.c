/* SPDX-License-Identifier: Apache-2.0 */
#include "replay/items.h"
#include <stdlib.h>

kf_err items_read(struct slice content, struct items *ret)
{
	*ret = (struct items){ 0 };
	size_t max = content.n / 8 + 1; /* an item has a head of eight bytes */
	ret->item = calloc(max, sizeof(*ret->item));
	ret->is_used = calloc(max, sizeof(*ret->is_used));
	if (!ret->item || !ret->is_used)
		return kf_fail(NOMEM, "reading an answer");
	struct ttlv_reader r = ttlv_read(content);
	while (ret->n < max && ttlv_next(&r, &ret->item[ret->n]))
		ret->n++;
	return r.err;
}

void items_clear(struct items *all)
{
	free(all->item);
	free(all->is_used);
}
