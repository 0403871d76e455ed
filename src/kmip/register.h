/* SPDX-License-Identifier: Apache-2.0
 *
 * Register: an object made elsewhere.
 */
#pragma once
#include "kmip/attrs.h"
#include "kmip/key_block.h"

/* Decoded attributes are appended to `attrs`, where ret->attributes points. */
struct register_request {
	struct slice attributes;   /* canonical set */
	struct kmip_object object; /* put writes its fields for the writer's version */
};

struct register_response {
	struct kmip_uid uid;
};

void register_put_request(struct ttlv_writer *w, const struct register_request *q);
kf_err register_get_request(
	struct ttlv_reader *r, struct register_request *ret, struct buf *attrs);
void register_put_response(struct ttlv_writer *w, const struct register_response *a);
kf_err register_get_response(struct ttlv_reader *r, struct register_response *ret);
