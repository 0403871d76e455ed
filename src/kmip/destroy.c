/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/destroy.h"
#include "kmip/wire.h"

void destroy_put_request(struct ttlv_writer *w, const struct destroy_request *q)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &q->uid);
}

kf_err destroy_get_request(struct ttlv_reader *r, struct destroy_request *ret)
{
	return wire_get_only_uid(r, &ret->uid);
}

void destroy_put_response(struct ttlv_writer *w, const struct destroy_response *a)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
}

kf_err destroy_get_response(struct ttlv_reader *r, struct destroy_response *ret)
{
	return wire_get_only_uid(r, &ret->uid);
}
