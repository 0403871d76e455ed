/* SPDX-License-Identifier: Apache-2.0
 *
 * decrypt: the bare RSA operation, then token/unpad.h.  Rare next to signatures, so contexts are
 * made as they are needed.
 */
#include "token/soft/soft.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/rsa.h>

/* How much was made; 0 says only that OpenSSL gave nothing. */
static size_t decrypt_raw(const struct decrypt_job *job, uint8_t ret[JOB_CIPHER_MAX])
{
	size_t n = JOB_CIPHER_MAX;
	int pad = RSA_NO_PADDING;
	OSSL_PARAM list[] = {
		OSSL_PARAM_construct_int(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, &pad),
		OSSL_PARAM_construct_end(),
	};
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx =
		EVP_PKEY_CTX_new_from_pkey(NULL, soft_key_of(job->key)->pkey, NULL);
	bool is_good = ctx && EVP_PKEY_decrypt_init_ex(ctx, list) > 0 &&
		       EVP_PKEY_decrypt(ctx, ret, &n, job->cipher, job->n) > 0;
	ERR_clear_error();
	return is_good ? n : 0;
}

static kf_err decrypt(struct decrypt_job *job)
{
	uint8_t em[JOB_CIPHER_MAX];
	KF_TRY(unpad_check(job));
	struct slice raw = { em, decrypt_raw(job, em) };
	kf_err err = unpad(job, soft_key_of(job->key)->reject, raw);
	OPENSSL_cleanse(em, sizeof(em));
	return err;
}

void soft_decrypt(struct token_session *s, struct decrypt_job *job)
{
	(void)s;
	job->plain_n = 0;
	job->err = decrypt(job);
}
