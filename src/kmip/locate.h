/* SPDX-License-Identifier: Apache-2.0
 *
 * Locate.
 */
#pragma once
#include "kmip/attrs.h"

/* Decoded attributes are appended to `attrs`, where ret->attributes points. */
struct locate_request {
	int32_t maximum_items, offset_items; /* -1: absent */
	bool has_storage_status_mask;
	int32_t storage_status_mask;
	uint32_t object_group_member; /* 0: absent */
	struct slice attributes;      /* canonical set; all must match */
};

struct locate_response {
	int32_t located_items; /* -1: absent (before 1.3, or not asked for) */
	struct slice
		uids; /* encoded Unique Identifiers: locate_add_uid(), locate_next_uid() */
};

void locate_put_request(struct ttlv_writer *w, const struct locate_request *q);
kf_err locate_get_request(
	struct ttlv_reader *r, struct locate_request *ret, struct buf *attrs);
void locate_put_response(struct ttlv_writer *w, const struct locate_response *a);
kf_err locate_get_response(struct ttlv_reader *r, struct locate_response *ret);

void locate_add_uid(struct buf *uids, struct slice uid);
/* Iterate: struct ttlv_reader r = ttlv_read(a.uids); while (locate_next_uid(&r, &uid)) */
bool locate_next_uid(struct ttlv_reader *r, struct slice *ret);
