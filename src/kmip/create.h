/* SPDX-License-Identifier: Apache-2.0
 *
 * Create: a new symmetric key (or what the server supports).
 */
#pragma once
#include "kmip/attrs.h"

/* Decoded attributes are appended to `attrs`, where ret->attributes points. */
struct create_request {
	uint32_t object_type;
	struct slice attributes; /* canonical set */
};

struct create_response {
	uint32_t object_type;
	struct kmip_uid uid;
};

void create_put_request(struct ttlv_writer *w, const struct create_request *q);
kf_err create_get_request(
	struct ttlv_reader *r, struct create_request *ret, struct buf *attrs);
void create_put_response(struct ttlv_writer *w, const struct create_response *a);
kf_err create_get_response(struct ttlv_reader *r, struct create_response *ret);
