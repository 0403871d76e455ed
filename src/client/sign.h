/* SPDX-License-Identifier: Apache-2.0 */
/* sign: how the requests of include/keyfleet.h look in KMIP; for kf_client and kf_async alike. */
#pragma once
#include "client/call.h"
#include "crypt/alg.h"
#include "kmip/decrypt.h"
#include "kmip/sign.h"

enum { SIGN_DATA_MAX = 1280 }; /* what is longer travels as a digest (docs/wire.md) */

/* A request whose caller has been checked, ready to be written for any version. */
struct sign_plan {
	struct sign_request q;
	uint8_t digest[HASH_SIZE_MAX];
};
/* NULL, or what is wrong with the request.  q points into the plan and the request. */
const char *sign_plan(const kf_sign_request *request, struct sign_plan *ret);
const char *decrypt_plan(const kf_decrypt_request *request, struct decrypt_request *ret);

kf_err sign_put(struct ttlv_writer *w, const void *request); /* struct sign_request */
kf_err decrypt_put(
	struct ttlv_writer *w, const void *request); /* struct decrypt_request */
