/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/block.h"
#include "crypt/ossl.h"
#include <openssl/rand.h>
#include <string.h>

kf_err block_pad(enum padding padding, size_t block, uint64_t n,
	uint8_t ret[CIPHER_BLOCK_MAX], size_t *ret_n)
{
	const size_t pad = block - (size_t)(n % block);

	memset(ret, 0, CIPHER_BLOCK_MAX);
	*ret_n = pad;
	switch (padding) {
	case PADDING_ABSENT:
	case PADDING_NONE: *ret_n = 0; return KF_OK;
	case PADDING_ZEROS: *ret_n = pad % block; return KF_OK;
	case PADDING_PKCS5: memset(ret, (int)pad, pad); return KF_OK;
	case PADDING_ISO_10126:
		if (RAND_bytes(ret, (int)pad) != 1)
			return ossl_fail(CRYPTO, "no random numbers");
		break;
	case PADDING_ANSI_X9_23: break;
	}
	ret[pad - 1] = (uint8_t)pad;
	return KF_OK;
}

/* All ones if a < b, else 0; both are small. */
static size_t is_below(size_t a, size_t b) { return (size_t)0 - ((a - b) >> 63); }

/* Bytes before the last one must equal this one, under PKCS#5 and X9.23. */
static size_t filler(enum padding padding, size_t pad)
{
	return padding == PADDING_PKCS5 ? pad : 0;
}

static kf_err unpad_counted(
	enum padding padding, const uint8_t *last, size_t block, size_t *ret_n)
{
	const size_t pad = last[block - 1];
	const size_t ignored = padding == PADDING_ISO_10126 ? 0 : ~(size_t)0;
	size_t bad = is_below(pad, 1) | is_below(block, pad);

	for (size_t i = 1; i < block; i++)
		bad |= is_below(i, pad) & ignored &
		       (last[block - 1 - i] ^ filler(padding, pad));
	if (bad)
		return kf_fail(DATA, "decryption failed");
	*ret_n = block - pad;
	return KF_OK;
}

/* Zeros that belong to the message are lost: so is this padding. */
static size_t without_zeros(const uint8_t *last, size_t block)
{
	size_t n = 0;
	for (size_t i = 0; i < block; i++) {
		const size_t is_set = is_below(0, last[i]);
		n = (is_set & (i + 1)) | (~is_set & n);
	}
	return n;
}

kf_err block_unpad(enum padding padding, const uint8_t *last, size_t block, size_t *ret_n)
{
	if (padding != PADDING_ZEROS)
		return unpad_counted(padding, last, block, ret_n);
	*ret_n = without_zeros(last, block);
	return KF_OK;
}
