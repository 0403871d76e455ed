/* SPDX-License-Identifier: Apache-2.0 */
#include "token/unpad.h"
#include "crypt/ossl.h"
#include "token/mask.h"
#include <openssl/rand.h>

enum { PADDING_MIN = 10 /* 00 02, eight bytes that are not 0 */ };

/* 00 02, bytes that are not 0, 00, 48 bytes that begin with a version (RFC 5246, 7.4.7.1). */
static uint32_t is_premaster(const struct decrypt_job *job, struct slice em)
{
	size_t start = em.n - TLS_PREMASTER_SIZE;
	uint32_t version = (uint32_t)em.p[start] << 8 | em.p[start + 1];
	uint32_t zero = 0;
	for (size_t i = 2; i < start - 1; i++)
		zero |= mask_zero(em.p[i]);
	uint32_t right = mask_equal(version, job->client_version) |
			 (mask_equal(version, job->negotiated_version) &
				 ~mask_zero(job->negotiated_version));
	return mask_zero(em.p[0]) & mask_equal(em.p[1], 2) & ~zero &
	       mask_zero(em.p[start - 1]) & right;
}

void unpad_choose_premaster(struct decrypt_job *job, struct slice em)
{
	const uint8_t *secret = em.p + em.n - TLS_PREMASTER_SIZE;
	uint32_t good = is_premaster(job, em);
	for (size_t i = 0; i < TLS_PREMASTER_SIZE; i++)
		job->plain[i] = (uint8_t)mask_choose(good, secret[i], job->plain[i]);
}

/* What the operation refused as a whole is public, but gets random bytes too: there is one kind of
 * answer. */
static kf_err premaster(struct decrypt_job *job, struct slice em)
{
	if (RAND_priv_bytes(job->plain, TLS_PREMASTER_SIZE) != 1)
		return ossl_fail(CRYPTO, "no randomness");
	if (em.n > PADDING_MIN + TLS_PREMASTER_SIZE)
		unpad_choose_premaster(job, em);
	job->plain_n = TLS_PREMASTER_SIZE;
	return KF_OK;
}

kf_err unpad_check(const struct decrypt_job *job)
{
	if (!job->key || job->key->alg->family != FAMILY_RSA)
		return kf_fail(BAD_PARAMETERS, "only RSA keys decrypt");
	if (job->n != job->key->alg->sig_max) /* the modulus's length */
		return kf_fail(BAD_PARAMETERS, "ciphertext has not the key's length");
	if (job->label_n > sizeof(job->label))
		return kf_fail(BAD_PARAMETERS, "the label for OAEP is too long");
	switch (job->scheme) {
	case DECRYPT_TLS_PREMASTER:
		if (job->client_version < 0x0300 || job->client_version > 0x03ff)
			return kf_fail(BAD_PARAMETERS,
				"the version of the ClientHello is missing");
		return KF_OK;
	case DECRYPT_OAEP:
		if (!hash_get(job->hash) || !hash_get(job->mask_hash))
			return kf_fail(BAD_PARAMETERS, "OAEP needs a hash");
		return KF_OK;
	case DECRYPT_PKCS1: return KF_OK;
	}
	return kf_fail(BAD_PARAMETERS, "no such scheme");
}

kf_err unpad(struct decrypt_job *job, const uint8_t reject[REJECT_SECRET_SIZE],
	struct slice em)
{
	job->plain_n = 0;
	if (job->scheme == DECRYPT_TLS_PREMASTER)
		return premaster(job, em);
	if (job->scheme == DECRYPT_PKCS1 && em.n)
		return unpad_pkcs1(job, reject, em);
	if (job->scheme == DECRYPT_OAEP && unpad_oaep(job, em))
		return KF_OK;
	/* One error for every reason. */
	return kf_fail(DATA, "decryption failed");
}
