/* SPDX-License-Identifier: Apache-2.0
 *
 * Activate.
 */
#pragma once
#include "kmip/message.h"

struct activate_request {
	struct kmip_uid uid;
};

struct activate_response {
	struct kmip_uid uid;
};

void activate_put_request(struct ttlv_writer *w, const struct activate_request *q);
kf_err activate_get_request(struct ttlv_reader *r, struct activate_request *ret);
void activate_put_response(struct ttlv_writer *w, const struct activate_response *a);
kf_err activate_get_response(struct ttlv_reader *r, struct activate_response *ret);
