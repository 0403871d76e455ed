/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/prf.h"
#include "crypt/cipher.h"
#include "crypt/ossl.h"

/* OpenSSL refuses a key that is NULL, but an empty one is a key. */
static kf_err run(const char *mac, const char *sub, struct slice key, struct slice data,
	struct buf *ret)
{
	static const uint8_t none[1];
	size_t n = 0;

	uint8_t *out = buf_reserve(ret, PRF_SIZE_MAX);
	if (!out)
		return buf_err(ret);
	if (!EVP_Q_mac(NULL, mac, NULL, sub, NULL, key.n ? key.p : none, key.n,
		    data.n ? data.p : none, data.n, out, PRF_SIZE_MAX, &n))
		return ossl_fail(CRYPTO, "message authentication code");
	buf_commit(ret, n);
	return KF_OK;
}

kf_err prf_hmac(
	const struct hash *hash, struct slice key, struct slice data, struct buf *ret)
{
	return run("HMAC", hash->openssl_name, key, data, ret);
}

kf_err prf_cmac(struct slice key, struct slice data, struct buf *ret)
{
	const struct cipher_info *cipher = NULL;

	KF_TRY(cipher_find(CIPHER_AES, MODE_CBC, key.n, &cipher));
	return run("CMAC", cipher->openssl_name, key, data, ret);
}
