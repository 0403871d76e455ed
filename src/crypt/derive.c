/* SPDX-License-Identifier: Apache-2.0 */
#define OPENSSL_SUPPRESS_DEPRECATED /* EVP fetches and allocates, for each row of the store anew */
#include "crypt/derive.h"
#include <openssl/sha.h>
#include <string.h>

/* HMAC (RFC 2104) with a key that is shorter than a block. */
static void begin(SHA256_CTX *h, const uint8_t key[MASTER_KEY_SIZE], uint8_t pad)
{
	uint8_t block[SHA256_CBLOCK];
	memset(block, pad, sizeof(block));
	for (size_t i = 0; i < MASTER_KEY_SIZE; i++)
		block[i] ^= key[i];
	SHA256_Init(h);
	SHA256_Update(h, block, sizeof(block));
	explicit_bzero(block, sizeof(block));
}

kf_err derive_mac(
	const uint8_t key[MASTER_KEY_SIZE], struct slice data, uint8_t ret[MAC_SIZE])
{
	SHA256_CTX h;
	uint8_t inner[MAC_SIZE];
	begin(&h, key, 0x36);
	if (data.n)
		SHA256_Update(&h, data.p, data.n);
	SHA256_Final(inner, &h);
	begin(&h, key, 0x5c);
	SHA256_Update(&h, inner, sizeof(inner));
	SHA256_Final(ret, &h);
	explicit_bzero(&h, sizeof(h));
	explicit_bzero(inner, sizeof(inner));
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
