/* SPDX-License-Identifier: Apache-2.0 */
#include "token/pad.h"
#include "token/mgf.h"
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

enum { PREFIX_MAX = 19, SALT_MAX = JOB_SIG_MAX };

/* DigestInfo up to the digest: RFC 8017, 9.2, note 1. */
struct prefix {
	size_t n;
	uint8_t bytes[PREFIX_MAX];
};

#define NIST_PREFIX(whole, id, n)                                                        \
	{                                                                                \
		19,                                                                      \
		{                                                                        \
			0x30, whole, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4,  \
				2, id, 5, 0, 4, n                                        \
		}                                                                        \
	}
static const struct prefix prefixes[HASH_COUNT] = {
	[HASH_SHA1] = { 15,
		{ 0x30, 0x21, 0x30, 9, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0, 4, 20 } },
	[HASH_SHA224] = NIST_PREFIX(0x2d, 4, 28),
	[HASH_SHA256] = NIST_PREFIX(0x31, 1, 32),
	[HASH_SHA384] = NIST_PREFIX(0x41, 2, 48),
	[HASH_SHA512] = NIST_PREFIX(0x51, 3, 64),
	[HASH_SHA3_224] = NIST_PREFIX(0x2d, 7, 28),
	[HASH_SHA3_256] = NIST_PREFIX(0x31, 8, 32),
	[HASH_SHA3_384] = NIST_PREFIX(0x41, 9, 48),
	[HASH_SHA3_512] = NIST_PREFIX(0x51, 10, 64),
};

struct slice pad_input(const struct sign_job *job)
{
	return job->outside.p ? job->outside : (struct slice){ job->data, job->n };
}

kf_err pad_check(const struct sign_job *job, const struct alg *alg)
{
	if (!job->mech || !alg || job->mech->family != alg->family)
		return kf_fail(BAD_PARAMETERS, "key and mechanism do not fit");
	if (!job->outside.p && job->n > sizeof(job->data))
		return kf_fail(TOO_BIG, "data to be signed");
	if (job->mech->hash == HASH_NONE)
		return job->is_digest ? kf_fail(BAD_PARAMETERS,
						"Ed25519 signs data, not digests")
				      : KF_OK;
	if (!job->is_digest)
		return kf_fail(BAD_PARAMETERS, "a token wants the digest");
	return pad_input(job).n == hash_get(job->mech->hash)->size
		       ? KF_OK
		       : kf_fail(BAD_PARAMETERS, "digest has the wrong length");
}

size_t pad_digest_info(const struct sign_job *job, uint8_t ret[PAD_DIGEST_INFO_MAX])
{
	const struct prefix *prefix = &prefixes[job->mech->hash];
	struct slice digest = pad_input(job);
	memcpy(ret, prefix->bytes, prefix->n);
	memcpy(ret + prefix->n, digest.p, digest.n);
	return prefix->n + digest.n;
}

static kf_err pad_pkcs1(const struct sign_job *job, size_t n, uint8_t *ret)
{
	uint8_t info[PAD_DIGEST_INFO_MAX];
	size_t info_n = pad_digest_info(job, info);
	if (n < info_n + 11)
		return kf_fail(BAD_PARAMETERS, "key is too short for this digest");
	memset(ret, 0xff, n);
	ret[0] = 0;
	ret[1] = 1;
	ret[n - info_n - 1] = 0;
	memcpy(ret + n - info_n, info, info_n);
	OPENSSL_cleanse(info, sizeof(info));
	return KF_OK;
}

/* RFC 8017, 9.1.1: zeroes, 1, salt, masked; the hash of digest and salt; BC. */
static bool put_pss(
	struct mgf *h, struct slice digest, struct slice salt, uint8_t *em, size_t n)
{
	static const uint8_t zeroes[8];
	size_t block_n = n - h->n - 1;
	uint8_t *hash = em + block_n;
	memset(em, 0, block_n);
	em[block_n - salt.n - 1] = 1;
	memcpy(em + block_n - salt.n, salt.p, salt.n);
	if (!mgf_hash(h, (struct slice[3]){ { zeroes, 8 }, digest, salt }, hash) ||
		!mgf_mask(h, (struct slice){ hash, h->n }, em, block_n))
		return false;
	em[0] &= 0x7f; /* one bit less than the modulus */
	em[n - 1] = 0xbc;
	return true;
}

static kf_err pad_pss(const struct sign_job *job, size_t n, uint8_t *ret)
{
	uint8_t salt[SALT_MAX];
	struct slice digest = pad_input(job);
	size_t salt_n = job->salt < 0 ? digest.n : (size_t)job->salt;
	if (salt_n > sizeof(salt) || n < digest.n + salt_n + 2)
		return kf_fail(
			BAD_PARAMETERS, "key is too short for this digest and salt");
	if (RAND_bytes(salt, (int)salt_n) != 1)
		return ossl_fail(CRYPTO, "random bytes");

	struct mgf h;
	kf_err err = KF_OK;
	if (!mgf_open(&h, job->mech->hash) ||
		!put_pss(&h, digest, (struct slice){ salt, salt_n }, ret, n))
		err = ossl_fail(CRYPTO, "hashing");
	mgf_close(&h);
	OPENSSL_cleanse(salt, sizeof(salt));
	return err;
}

kf_err pad_rsa(const struct sign_job *job, size_t bits, uint8_t *ret)
{
	if (bits % 8 || bits / 8 > JOB_SIG_MAX)
		return kf_fail(BAD_PARAMETERS, "modulus of an odd length");
	return job->mech->scheme == SCHEME_RSA_PSS ? pad_pss(job, bits / 8, ret)
						   : pad_pkcs1(job, bits / 8, ret);
}
