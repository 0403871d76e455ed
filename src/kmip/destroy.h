/* SPDX-License-Identifier: Apache-2.0
 *
 * Destroy.
 */
#pragma once
#include "kmip/message.h"

struct destroy_request {
	struct kmip_uid uid;
};

struct destroy_response {
	struct kmip_uid uid;
};

void destroy_put_request(struct ttlv_writer *w, const struct destroy_request *q);
kf_err destroy_get_request(struct ttlv_reader *r, struct destroy_request *ret);
void destroy_put_response(struct ttlv_writer *w, const struct destroy_response *a);
kf_err destroy_get_response(struct ttlv_reader *r, struct destroy_response *ret);
