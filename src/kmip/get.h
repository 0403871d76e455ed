/* SPDX-License-Identifier: Apache-2.0
 *
 * Get.  Allocates nothing.
 */
#pragma once
#include "kmip/key_block.h"
#include "kmip/message.h"

struct get_request {
	struct kmip_uid uid;
	uint32_t key_format_type, key_wrap_type, key_compression_type; /* 0: absent */
	struct slice key_wrapping_specification; /* the whole item; empty: absent */
};

struct get_response {
	uint32_t object_type;
	struct kmip_uid uid;
	struct kmip_object object; /* written by its fields, not by its item */
};

void get_put_request(struct ttlv_writer *w, const struct get_request *q);
kf_err get_get_request(struct ttlv_reader *r, struct get_request *ret);
void get_put_response(struct ttlv_writer *w, const struct get_response *a);
kf_err get_get_response(struct ttlv_reader *r, struct get_response *ret);
