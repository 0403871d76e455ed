/* SPDX-License-Identifier: Apache-2.0
 *
 * Signature Verify (KMIP 1.2 and later; Digested Data 1.4 and later).
 */
#pragma once
#include "kmip/cryptographic_parameters.h"
#include "kmip/message.h"

struct signature_verify_request {
	struct kmip_uid uid;
	bool has_parameters;
	struct cryptographic_parameters parameters;
	bool has_data, has_digested_data;
	struct slice data, digested_data;
	struct slice signature;
	struct slice correlation_value;
	bool init_indicator, final_indicator;
};

struct signature_verify_response {
	struct kmip_uid uid;
	uint32_t validity; /* KMIP_VALIDITY_INDICATOR_... */
	struct slice data; /* recovered; usually empty */
	struct slice correlation_value;
};

void signature_verify_put_request(
	struct ttlv_writer *w, const struct signature_verify_request *q);
kf_err signature_verify_get_request(
	struct ttlv_reader *r, struct signature_verify_request *ret);
void signature_verify_put_response(
	struct ttlv_writer *w, const struct signature_verify_response *a);
kf_err signature_verify_get_response(
	struct ttlv_reader *r, struct signature_verify_response *ret);
