/* SPDX-License-Identifier: Apache-2.0
 *
 * Revoke.
 */
#pragma once
#include "kmip/message.h"

struct revoke_request {
	struct kmip_uid uid;
	uint32_t reason; /* KMIP_REVOCATION_REASON_CODE_... */
	struct slice message;
	bool has_compromise_date;
	int64_t compromise_occurrence_date;
};

struct revoke_response {
	struct kmip_uid uid;
};

void revoke_put_request(struct ttlv_writer *w, const struct revoke_request *q);
kf_err revoke_get_request(struct ttlv_reader *r, struct revoke_request *ret);
void revoke_put_response(struct ttlv_writer *w, const struct revoke_response *a);
kf_err revoke_get_response(struct ttlv_reader *r, struct revoke_response *ret);
