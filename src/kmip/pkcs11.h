/* SPDX-License-Identifier: Apache-2.0
 *
 * PKCS#11 (since 2.0): a call of a Cryptoki function.  Parameters are bytes as KMIP 2.1, PKCS#11 Encoding,
 * lays them out: CK_ULONG is 8 bytes, lengths are 4, the highest first.
 */
#pragma once
#include "kmip/message.h"

/* Places in CK_FUNCTION_LIST_3_0, from 1; and values of CK_RV. */
enum {
	PKCS11_C_INITIALIZE = 1,
	PKCS11_C_FINALIZE = 2,
	PKCS11_C_GET_INFO = 3,
	PKCS11_C_LAST = 92,

	PKCS11_CKR_OK = 0x00,
	PKCS11_CKR_FUNCTION_NOT_SUPPORTED = 0x54,
	PKCS11_CKR_CRYPTOKI_NOT_INITIALIZED = 0x190,
	PKCS11_CKR_CRYPTOKI_ALREADY_INITIALIZED = 0x191,
};

struct pkcs11_request {
	struct slice interface; /* text; empty: the standard one */
	uint32_t function;
	struct slice correlation;
	struct slice input;
};

struct pkcs11_response {
	struct slice interface;
	uint32_t function;
	struct slice correlation;
	struct slice output;
	uint32_t return_code;
};

void pkcs11_put_request(struct ttlv_writer *w, const struct pkcs11_request *q);
kf_err pkcs11_get_request(struct ttlv_reader *r, struct pkcs11_request *ret);
void pkcs11_put_response(struct ttlv_writer *w, const struct pkcs11_response *a);
kf_err pkcs11_get_response(struct ttlv_reader *r, struct pkcs11_response *ret);
