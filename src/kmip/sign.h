/* SPDX-License-Identifier: Apache-2.0
 *
 * Sign (KMIP 1.2 and later; Digested Data 1.4 and later).  Allocates nothing.
 */
#pragma once
#include "kmip/cryptographic_parameters.h"
#include "kmip/message.h"

struct sign_request {
	struct kmip_uid uid;
	bool has_parameters;
	struct cryptographic_parameters parameters;
	bool has_data, has_digested_data; /* at least one; both empty is possible */
	struct slice data, digested_data;
	struct slice correlation_value; /* of a stream; empty: none */
	bool init_indicator, final_indicator;
};

struct sign_response {
	struct kmip_uid uid;
	struct slice signature;
	struct slice correlation_value;
};

void sign_put_request(struct ttlv_writer *w, const struct sign_request *q);
kf_err sign_get_request(struct ttlv_reader *r, struct sign_request *ret);
void sign_put_response(struct ttlv_writer *w, const struct sign_response *a);
kf_err sign_get_response(struct ttlv_reader *r, struct sign_response *ret);
