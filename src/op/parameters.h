/* SPDX-License-Identifier: Apache-2.0
 *
 * parameters: which mechanism a request means.  What it does not say itself, the key's Cryptographic
 * Parameters attribute with the lowest index says (KMIP 2.1, Sign).
 */
#pragma once
#include "crypt/alg.h"
#include "crypt/pubkey.h"
#include "kmip/cryptographic_parameters.h"
#include "store/object.h"

/* The request's own, or the key's; all absent if neither has any. */
struct cryptographic_parameters parameters_of(
	const struct object *o, bool has_own, const struct cryptographic_parameters *own);

/* Is it the Block Cipher Mode of one of the key's own? */
bool parameters_name_mode(const struct object *o, uint32_t mode);

/* BAD_PARAMETERS unless they name one signature mechanism of the algorithm.  Who asks for ECDSA by its Cryptographic
 * Algorithm and names no hash gets that of the curve's length. */
kf_err parameters_to_mech(const struct cryptographic_parameters *p, const struct alg *alg,
	const struct mech **ret, int *salt);

/* KMIP's hash that the algorithm of a key for HMAC says by itself; 0: it is not one. */
uint32_t parameters_hash_of_hmac(uint32_t algorithm);

/* How RSA encrypts and decrypts.  What is not said of OAEP is what PKCS#1 says: SHA-1, and MGF1 with the same
 * hash.  *ret_name is for the audit record.  BAD_PARAMETERS without a padding that is one. */
kf_err parameters_to_padding(const struct cryptographic_parameters *p,
	struct rsa_padding *ret, const char **ret_name);

/* For the audit record: "ECDSA_SHA256". */
const char *mech_name(const struct mech *mech);
