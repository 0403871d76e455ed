/* SPDX-License-Identifier: Apache-2.0
 *
 * Derive Key: a key or a secret out of others.
 */
#pragma once
#include "kmip/attrs.h"
#include "kmip/cryptographic_parameters.h"

enum { DERIVE_KEY_BASES = 4, DERIVE_KEY_DATA = 8 };

struct derivation_parameters {
	bool has_parameters;
	struct cryptographic_parameters parameters;
	struct slice iv;
	struct slice data[DERIVE_KEY_DATA]; /* several: AWS Signature Version 4 */
	size_t data_n;
	struct slice salt;
	bool has_salt, has_iterations;
	int32_t iterations;
};

/* Decoded attributes are appended to `attrs`, where ret->attributes points. */
struct derive_key_request {
	uint32_t object_type;
	struct kmip_uid base[DERIVE_KEY_BASES];
	size_t bases;
	uint32_t method; /* KMIP_DERIVATION_METHOD_... */
	struct derivation_parameters how;
	struct slice attributes; /* canonical set */
};

struct derive_key_response {
	struct kmip_uid uid;
};

void derive_key_put_request(struct ttlv_writer *w, const struct derive_key_request *q);
kf_err derive_key_get_request(
	struct ttlv_reader *r, struct derive_key_request *ret, struct buf *attrs);
void derive_key_put_response(struct ttlv_writer *w, const struct derive_key_response *a);
kf_err derive_key_get_response(struct ttlv_reader *r, struct derive_key_response *ret);
