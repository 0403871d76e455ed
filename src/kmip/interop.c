/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/interop.h"

void interop_put_request(struct ttlv_writer *w, const struct interop_request *q)
{
	ttlv_put_enum(w, TAG_INTEROP_FUNCTION, q->function);
	ttlv_put_text(w, TAG_INTEROP_IDENTIFIER, q->identifier);
}

kf_err interop_get_request(struct ttlv_reader *r, struct interop_request *ret)
{
	*ret = (struct interop_request){ 0 };
	ttlv_get_enum(r, TAG_INTEROP_FUNCTION, &ret->function);
	ttlv_get_text(r, TAG_INTEROP_IDENTIFIER, &ret->identifier);
	return ttlv_done(r);
}
