/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/ossl.h"
#include "crypt/pubkey.h"
#include <openssl/core_names.h>
#include <openssl/rsa.h>

static void add_text(OSSL_PARAM **p, const char *key, const char *text)
{
	*(*p)++ = OSSL_PARAM_construct_utf8_string(key, (char *)(uintptr_t)text, 0);
}

static kf_err encrypt(
	EVP_PKEY_CTX *ctx, const OSSL_PARAM *list, struct slice plain, struct buf *ret)
{
	size_t n = 0;

	if (EVP_PKEY_encrypt_init_ex(ctx, list) != 1 ||
		EVP_PKEY_encrypt(ctx, NULL, &n, plain.p, plain.n) != 1)
		return ossl_fail(CRYPTO, "RSA encryption");
	uint8_t *to = buf_reserve(ret, n);
	if (!to)
		return buf_err(ret);
	if (EVP_PKEY_encrypt(ctx, to, &n, plain.p, plain.n) != 1)
		return ossl_fail(DATA, "more data than the key can encrypt");
	buf_commit(ret, n);
	return KF_OK;
}

kf_err pubkey_encrypt(const struct pubkey *k, const struct rsa_padding *padding,
	struct slice plain, struct buf *ret)
{
	int pad = padding->is_oaep ? RSA_PKCS1_OAEP_PADDING : RSA_PKCS1_PADDING;
	OSSL_PARAM list[6], *p = list;
	static const uint8_t nothing[1];

	if (pubkey_alg(k)->family != FAMILY_RSA)
		return kf_fail(BAD_PARAMETERS, "only RSA keys encrypt");
	*p++ = OSSL_PARAM_construct_int(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, &pad);
	if (padding->is_oaep) {
		add_text(&p, OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST,
			hash_get(padding->hash)->openssl_name);
		add_text(&p, OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST,
			hash_get(padding->mask_hash)->openssl_name);
	}
	if (padding->label.n)
		*p++ = OSSL_PARAM_construct_octet_string(
			OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL,
			(void *)(uintptr_t)padding->label.p, padding->label.n);
	*p = OSSL_PARAM_construct_end();
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pubkey_pkey(k), NULL);
	if (!ctx)
		return ossl_fail(CRYPTO, "RSA encryption");
	return encrypt(ctx, list, plain.n ? plain : (struct slice){ nothing, 0 }, ret);
}
