/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/derive.h"
#include "crypt/ossl.h"
#include <openssl/hmac.h>
#include <string.h>

kf_err derive_mac(
	const uint8_t key[MASTER_KEY_SIZE], struct slice data, uint8_t ret[MAC_SIZE])
{
	unsigned n = 0;
	uint8_t nothing = 0;
	if (!HMAC(EVP_sha256(), key, MASTER_KEY_SIZE, data.n ? data.p : &nothing, data.n,
		    ret, &n) ||
		n != MAC_SIZE)
		return ossl_fail(CRYPTO, "HMAC");
	return KF_OK;
}

/* RFC 5869: extract with a salt of zeros, then the first block of expand. */
kf_err derive_key(const uint8_t key[MASTER_KEY_SIZE], const char *info,
	uint8_t ret[MASTER_KEY_SIZE])
{
	static const uint8_t no_salt[MAC_SIZE];
	uint8_t prk[MAC_SIZE], block[64];
	size_t n = strlen(info);
	if (n >= sizeof(block))
		return kf_fail(INTERNAL, "label is too long");
	memcpy(block, info, n);
	block[n] = 1;
	kf_err err = derive_mac(no_salt, (struct slice){ key, MASTER_KEY_SIZE }, prk);
	if (kf_ok(err))
		err = derive_mac(prk, (struct slice){ block, n + 1 }, ret);
	explicit_bzero(prk, sizeof(prk));
	return err;
}
