/* SPDX-License-Identifier: Apache-2.0
 *
 * MAC and MAC Verify (KMIP 1.2 and later; streams 1.3).
 */
#pragma once
#include "kmip/cryptographic_parameters.h"
#include "kmip/message.h"

struct mac_request {
	struct kmip_uid uid;
	bool has_parameters;
	struct cryptographic_parameters parameters;
	bool has_data;
	struct slice data;
	struct slice mac;               /* MAC Verify only */
	struct slice correlation_value; /* of a stream; empty: none */
	bool init_indicator, final_indicator;
};

struct mac_response {
	struct kmip_uid uid;
	struct slice mac; /* only the last answer of a stream has it */
	struct slice correlation_value;
};

struct mac_verify_response {
	struct kmip_uid uid;
	uint32_t validity; /* KMIP_VALIDITY_INDICATOR_... */
	struct slice correlation_value;
};

void mac_put_request(struct ttlv_writer *w, const struct mac_request *q);
kf_err mac_get_request(struct ttlv_reader *r, struct mac_request *ret);
void mac_put_response(struct ttlv_writer *w, const struct mac_response *a);
kf_err mac_get_response(struct ttlv_reader *r, struct mac_response *ret);

void mac_verify_put_request(struct ttlv_writer *w, const struct mac_request *q);
kf_err mac_verify_get_request(struct ttlv_reader *r, struct mac_request *ret);
void mac_verify_put_response(struct ttlv_writer *w, const struct mac_verify_response *a);
kf_err mac_verify_get_response(struct ttlv_reader *r, struct mac_verify_response *ret);
