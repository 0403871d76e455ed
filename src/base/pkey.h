/* SPDX-License-Identifier: Apache-2.0
 *
 * pkey: what every EVP_KEYMGMT of ours says and does alike: its keys are elsewhere, and only their public
 * halves come and go.  Inline, for this floor links no OpenSSL.
 */
#pragma once
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdbool.h>
#include <stdint.h>

/* What import and export carry; NULL for whoever wants a private key. */
static inline const OSSL_PARAM *pkey_public_params(int selection)
{
	static const OSSL_PARAM table[] = {
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
		OSSL_PARAM_END,
	};
	return selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY ? NULL : table;
}

/* What can be asked of a key. */
static inline const OSSL_PARAM *pkey_gettable_params(void)
{
	static const OSSL_PARAM table[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(
			OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_EC_PUB_X, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_EC_PUB_Y, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
		OSSL_PARAM_END,
	};
	return table;
}

/* NULL: no such key.  Takes the context. */
static inline EVP_PKEY *pkey_of_params(
	EVP_PKEY_CTX *c, int what, const OSSL_PARAM *params)
{
	EVP_PKEY *made = NULL;
	bool is_made =
		c && EVP_PKEY_fromdata_init(c) > 0 &&
		EVP_PKEY_fromdata(c, &made, what, (OSSL_PARAM *)(uintptr_t)params) > 0;
	EVP_PKEY_CTX_free(c);
	return is_made ? made : NULL;
}
