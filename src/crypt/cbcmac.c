/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/cbcmac.h"
#include "crypt/block.h"
#include "crypt/ossl.h"
#include <string.h>

enum { CHUNK = 1024 };

kf_err cbcmac_check_padding(uint32_t padding)
{
	switch (padding) {
	case PADDING_ABSENT:
	case PADDING_NONE:
	case PADDING_PKCS5:
	case PADDING_ZEROS:
	case PADDING_ANSI_X9_23: return KF_OK;
	default: return kf_fail(BAD_PARAMETERS, "CBC-MAC has no such padding");
	}
}

static kf_err init(EVP_CIPHER_CTX *ctx, const struct cipher_info *info, struct slice key)
{
	static const uint8_t zeros[CIPHER_BLOCK_MAX];
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, info->openssl_name, NULL);
	const bool is_fine = ctx && cipher &&
			     EVP_EncryptInit_ex2(ctx, cipher, key.p, zeros, NULL) == 1 &&
			     EVP_CIPHER_CTX_set_padding(ctx, 0) == 1;

	EVP_CIPHER_free(cipher);
	return is_fine ? KF_OK : ossl_fail(BAD_PARAMETERS, "the cipher refuses this key");
}

kf_err cbcmac_begin(struct cbcmac *c, const struct cipher_info *info,
	enum padding padding, struct slice key)
{
	*c = (struct cbcmac){ .padding = padding, .block = cipher_block(info) };
	KF_TRY(cbcmac_check_padding(padding));
	if (key.n != info->key_n)
		return kf_fail(BAD_PARAMETERS, "the key has not the cipher's length");
	c->ctx = EVP_CIPHER_CTX_new();
	return init(c->ctx, info, key);
}

/* Of what comes out only the last block counts. */
static kf_err add(struct cbcmac *c, struct slice part)
{
	uint8_t out[CHUNK + CIPHER_BLOCK_MAX];
	int n = 0;

	if (EVP_EncryptUpdate(c->ctx, out, &n, part.p, (int)part.n) != 1 || n < 0)
		return ossl_fail(CRYPTO, "authenticating");
	if ((size_t)n >= c->block)
		memcpy(c->last, out + (size_t)n - c->block, c->block);
	c->n += part.n;
	OPENSSL_cleanse(out, (size_t)n);
	return KF_OK;
}

kf_err cbcmac_add(struct cbcmac *c, struct slice data)
{
	while (data.n) {
		const size_t n = data.n < CHUNK ? data.n : CHUNK;
		KF_TRY(add(c, (struct slice){ data.p, n }));
		data = (struct slice){ data.p + n, data.n - n };
	}
	return KF_OK;
}

kf_err cbcmac_last(struct cbcmac *c, uint8_t ret[CIPHER_BLOCK_MAX])
{
	uint8_t pad[CIPHER_BLOCK_MAX];
	size_t n = 0;

	KF_TRY(block_pad(c->padding, c->block, c->n, pad, &n));
	KF_TRY(cbcmac_add(c, (struct slice){ pad, n }));
	if (!c->n || c->n % c->block)
		return kf_fail(DATA, "the data are not whole blocks");
	memcpy(ret, c->last, c->block);
	return KF_OK;
}

void cbcmac_end(struct cbcmac *c)
{
	EVP_CIPHER_CTX_free(c->ctx);
	OPENSSL_cleanse(c, sizeof(*c));
}
