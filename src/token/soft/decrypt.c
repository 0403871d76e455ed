/* SPDX-License-Identifier: Apache-2.0
 *
 * decrypt: RSA, by three schemes and never without one.  Rare next to signatures, so contexts are
 * made as they are needed.
 */
#include "token/soft/soft.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <string.h>

/* One decryption with these parameters.  False says only that OpenSSL gave nothing. */
static bool decrypt(
	const struct decrypt_job *job, OSSL_PARAM *list, uint8_t *ret, size_t *n)
{
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx =
		EVP_PKEY_CTX_new_from_pkey(NULL, soft_key_of(job->key)->pkey, NULL);
	bool is_good = ctx && EVP_PKEY_decrypt_init_ex(ctx, list) > 0 &&
		       EVP_PKEY_decrypt(ctx, ret, n, job->cipher, job->n) > 0;
	ERR_clear_error();
	return is_good;
}

/* OpenSSL looks at padding and version in constant time and answers with random bytes if either is
 * wrong.  What it refuses as a whole (a number above the modulus) is public, but gets random bytes
 * too: there is one kind of answer. */
static kf_err decrypt_premaster(struct decrypt_job *job)
{
	uint8_t out[JOB_CIPHER_MAX];
	size_t n = sizeof(out);
	unsigned client = job->client_version, negotiated = job->negotiated_version;
	int tls_pad = RSA_PKCS1_WITH_TLS_PADDING;
	OSSL_PARAM list[] = {
		OSSL_PARAM_construct_int(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, &tls_pad),
		OSSL_PARAM_construct_uint(
			OSSL_ASYM_CIPHER_PARAM_TLS_CLIENT_VERSION, &client),
		OSSL_PARAM_construct_uint(
			OSSL_ASYM_CIPHER_PARAM_TLS_NEGOTIATED_VERSION, &negotiated),
		OSSL_PARAM_construct_end(),
	};
	if (client < 0x0300 || client > 0x03ff)
		return kf_fail(
			BAD_PARAMETERS, "the version of the ClientHello is missing");
	if (RAND_priv_bytes(job->plain, TLS_PREMASTER_SIZE) != 1)
		return ossl_fail(CRYPTO, "no randomness");
	if (decrypt(job, list, out, &n) && n == TLS_PREMASTER_SIZE)
		memcpy(job->plain, out, TLS_PREMASTER_SIZE);
	OPENSSL_cleanse(out, sizeof(out));
	job->plain_n = TLS_PREMASTER_SIZE;
	return KF_OK;
}

static void name_hash(char into[16], enum hash_id id)
{
	strcpy(into, hash_get(id)->openssl_name);
}

/* One error for every reason (Manger's attack lives on the difference). */
static kf_err decrypt_oaep(struct decrypt_job *job)
{
	size_t n = sizeof(job->plain);
	int pad = RSA_PKCS1_OAEP_PADDING;
	char hash[16], mask_hash[16];
	if (!hash_get(job->hash) || !hash_get(job->mask_hash) ||
		job->label_n > sizeof(job->label))
		return kf_fail(BAD_PARAMETERS, "OAEP needs a hash");
	name_hash(hash, job->hash);
	name_hash(mask_hash, job->mask_hash);
	OSSL_PARAM list[] = {
		OSSL_PARAM_construct_int(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, &pad),
		OSSL_PARAM_construct_utf8_string(
			OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST, hash, 0),
		OSSL_PARAM_construct_utf8_string(
			OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST, mask_hash, 0),
		OSSL_PARAM_construct_octet_string(
			OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL, job->label, job->label_n),
		OSSL_PARAM_construct_end(),
	};
	if (!decrypt(job, list, job->plain, &n))
		return kf_fail(CRYPTO, "decryption failed");
	job->plain_n = n;
	return KF_OK;
}

static kf_err decrypt_pkcs1(struct decrypt_job *job)
{
	uint8_t em[JOB_CIPHER_MAX];
	size_t n = sizeof(em);
	int pad = RSA_NO_PADDING;
	OSSL_PARAM list[] = {
		OSSL_PARAM_construct_int(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, &pad),
		OSSL_PARAM_construct_end(),
	};
	if (!decrypt(job, list, em, &n))
		return kf_fail(CRYPTO, "decryption failed");
	kf_err err =
		reject_unpad(soft_key_of(job->key), (struct slice){ job->cipher, job->n },
			(struct slice){ em, n }, job->plain, &job->plain_n);
	OPENSSL_cleanse(em, sizeof(em));
	return err;
}

static kf_err decrypt_one(struct decrypt_job *job)
{
	if (!job->key || job->key->alg->family != FAMILY_RSA)
		return kf_fail(BAD_PARAMETERS, "only RSA keys decrypt");
	if (job->n != job->key->alg->sig_max) /* the modulus's length */
		return kf_fail(BAD_PARAMETERS, "ciphertext has not the key's length");
	switch (job->scheme) {
	case DECRYPT_TLS_PREMASTER: return decrypt_premaster(job);
	case DECRYPT_OAEP: return decrypt_oaep(job);
	case DECRYPT_PKCS1: return decrypt_pkcs1(job);
	}
	return kf_fail(BAD_PARAMETERS, "no such scheme");
}

void soft_decrypt(struct token_session *s, struct decrypt_job *job)
{
	(void)s;
	job->plain_n = 0;
	job->err = decrypt_one(job);
}
