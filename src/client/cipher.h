/* SPDX-License-Identifier: Apache-2.0 */
/* cipher: how encryption and codes of include/keyfleet.h look in KMIP; for kf_client and kf_async alike. */
#pragma once
#include "client/call.h"
#include "kmip/decrypt.h"
#include "kmip/mac.h"

/* NULL, or what is wrong with the request.  `ret` points into the request. */
const char *cipher_plan(
	const kf_cipher_request *request, bool decrypts, struct decrypt_request *ret);
const char *mac_plan(const kf_mac_request *request, struct mac_request *ret);

/* struct decrypt_request; VERSION: one with a tag, and the server's protocol version has none. */
kf_err cipher_encrypt_put(struct ttlv_writer *w, const void *request);
kf_err cipher_decrypt_put(struct ttlv_writer *w, const void *request);
kf_err cipher_mac_put(
	struct ttlv_writer *w, const void *request); /* struct mac_request */

/* MALFORMED: the answer lacks what the caller must keep to decrypt it; the code. */
kf_err cipher_check_encrypted(
	const struct decrypt_response *a, bool has_random_iv, bool has_tag);
kf_err cipher_check_mac(const struct mac_response *a);
