/* SPDX-License-Identifier: Apache-2.0
 *
 * Check.
 */
#pragma once
#include "kmip/message.h"

struct check_request {
	struct kmip_uid uid;
	bool has_count, has_mask, has_lease;
	int64_t usage_limits_count;
	int32_t usage_mask;
	uint32_t lease_time;
};

/* What is not allowed is told instead of the Unique Identifier (1.x). */
struct check_response {
	struct check_request
		refused; /* uid: is the answer's, absent where something is refused */
};

void check_put_request(struct ttlv_writer *w, const struct check_request *q);
kf_err check_get_request(struct ttlv_reader *r, struct check_request *ret);
void check_put_response(struct ttlv_writer *w, const struct check_response *a);
kf_err check_get_response(struct ttlv_reader *r, struct check_response *ret);
