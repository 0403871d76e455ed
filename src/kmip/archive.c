/* SPDX-License-Identifier: Apache-2.0 */
#include "kmip/archive.h"
#include "kmip/wire.h"

void archive_put_request(struct ttlv_writer *w, const struct archive_request *q)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &q->uid);
}

kf_err archive_get_request(struct ttlv_reader *r, struct archive_request *ret)
{
	return wire_get_only_uid(r, &ret->uid);
}

void archive_put_response(struct ttlv_writer *w, const struct archive_response *a)
{
	kmip_put_uid(w, TAG_UNIQUE_IDENTIFIER, &a->uid);
}

kf_err archive_get_response(struct ttlv_reader *r, struct archive_response *ret)
{
	return wire_get_only_uid(r, &ret->uid);
}
