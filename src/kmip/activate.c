/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/activate.h"
#include "kmip/wire.h"

void activate_put_request(struct ttlv_writer *w, const struct activate_request *q)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &q->uid);
}

kf_err activate_get_request(struct ttlv_reader *r, struct activate_request *ret)
{
	return wire_get_only_uid(r, &ret->uid);
}

void activate_put_response(struct ttlv_writer *w, const struct activate_response *a)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
}

kf_err activate_get_response(struct ttlv_reader *r, struct activate_response *ret)
{
	return wire_get_only_uid(r, &ret->uid);
}
