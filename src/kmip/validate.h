/* SPDX-License-Identifier: Apache-2.0
 *
 * Validate: is this chain of certificates valid?
 */
#pragma once
#include "kmip/key_block.h"
#include "kmip/message.h"

enum { VALIDATE_MAX = 32 }; /* certificates of one chain */

struct validate_request {
	/* Whole items: read them with validate_next_certificate() and validate_next_uid(). */
	struct slice certificates, uids;
	bool has_date;
	int64_t date_s;
};

struct validate_response {
	uint32_t indicator; /* KMIP_VALIDITY_INDICATOR_... */
};

void validate_put_request(struct ttlv_writer *w, const struct validate_request *q);
kf_err validate_get_request(struct ttlv_reader *r, struct validate_request *ret);
void validate_put_response(struct ttlv_writer *w, const struct validate_response *a);
kf_err validate_get_response(struct ttlv_reader *r, struct validate_response *ret);

bool validate_next_certificate(struct ttlv_reader *r, struct kmip_object *ret);
bool validate_next_uid(struct ttlv_reader *r, struct kmip_uid *ret);
