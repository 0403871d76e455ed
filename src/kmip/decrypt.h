/* SPDX-License-Identifier: Apache-2.0
 *
 * Decrypt and Encrypt (KMIP 1.2 and later; streams 1.3, additional data and tag 1.4).
 *
 * The RSA key exchange of TLS is a Decrypt with struct kmip_extension's two versions: the server
 * applies TLS's padding and version rules and never says which of them failed.
 */
#pragma once
#include "kmip/cryptographic_parameters.h"
#include "kmip/message.h"

struct decrypt_request {
	struct kmip_uid uid;
	bool has_parameters;
	struct cryptographic_parameters parameters;
	bool has_data;
	struct slice data;
	struct slice iv;
	struct slice correlation_value;
	bool init_indicator, final_indicator;
	struct slice additional_data;
	struct slice tag; /* Decrypt only */
};

struct decrypt_response {
	struct kmip_uid uid;
	bool has_data;
	struct slice data;
	struct slice iv; /* Encrypt only */
	struct slice correlation_value;
	struct slice tag; /* Encrypt only */
};

void decrypt_put_request(struct ttlv_writer *w, const struct decrypt_request *q);
kf_err decrypt_get_request(struct ttlv_reader *r, struct decrypt_request *ret);
void decrypt_put_response(struct ttlv_writer *w, const struct decrypt_response *a);
kf_err decrypt_get_response(struct ttlv_reader *r, struct decrypt_response *ret);

void encrypt_put_request(struct ttlv_writer *w, const struct decrypt_request *q);
kf_err encrypt_get_request(struct ttlv_reader *r, struct decrypt_request *ret);
void encrypt_put_response(struct ttlv_writer *w, const struct decrypt_response *a);
kf_err encrypt_get_response(struct ttlv_reader *r, struct decrypt_response *ret);
