/* SPDX-License-Identifier: Apache-2.0 */
#include "token/pad.h"
#include "../crypt/keys.h"
#include "../crypt/pem.h"
#include "crypt/ossl.h"
#include "test.h"
#include <openssl/rsa.h>

enum { BITS = 2048, SIZE = BITS / 8 };

/* What a token does: the bare operation. */
static bool raise_to_d(EVP_PKEY *pkey, const uint8_t em[SIZE], uint8_t ret[SIZE])
{
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
	size_t n = SIZE;
	return ctx && EVP_PKEY_sign_init(ctx) > 0 &&
	       EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) > 0 &&
	       EVP_PKEY_sign(ctx, ret, &n, em, SIZE) > 0 && n == SIZE;
}

static EVP_PKEY *load(void)
{
	autobuf der = buf_new(4096);
	EVP_PKEY *pkey = NULL;
	pem_to_der(rsa_pem, &der);
	return kf_ok(ossl_parse_private(buf_slice(&der), &pkey)) ? pkey : NULL;
}

static kf_err verify(EVP_PKEY *pkey, const struct sign_job *job, const uint8_t sig[SIZE])
{
	CLEANUP(pubkey_freep) struct pubkey *pub = NULL;
	KF_TRY(pubkey_of_pkey(pkey, &pub));
	struct signature s = { job->mech, job->salt, true, pad_input(job),
		{ sig, SIZE } };
	return pubkey_verify(pub, &s);
}

TEST(what_is_padded_here_and_raised_elsewhere_verifies)
{
	static const int salts[] = { SALT_AS_DIGEST, 0, 20, 100 };
	CLEANUP(ossl_pkey_freep) EVP_PKEY *pkey = load();
	static struct sign_job job = { .is_digest = true };
	uint8_t em[SIZE], sig[SIZE];
	OK(pkey);

	for (int id = 0; id < MECH_COUNT; id++) {
		job.mech = mech_get((enum mech_id)id);
		if (job.mech->family != FAMILY_RSA)
			continue;
		job.n = hash_get(job.mech->hash)->size;
		memset(job.data, id + 1, job.n);
		for (size_t i = 0; i < sizeof(salts) / sizeof(*salts); i++) {
			job.salt = salts[i];
			OK(kf_ok(pad_check(&job, alg_get(ALG_RSA_2048))));
			OK(kf_ok(pad_rsa(&job, BITS, em)));
			OK(raise_to_d(pkey, em, sig));
			OK(kf_ok(verify(pkey, &job, sig)));
			sig[9] ^= 1;
			OK(!kf_ok(verify(pkey, &job, sig)));
		}
	}
}

TEST(what_does_not_fit_the_key_is_refused)
{
	static struct sign_job job = { .is_digest = true, .n = 64 };
	uint8_t em[SIZE];

	job.mech = mech_find(SCHEME_RSA_PSS, HASH_SHA512);
	job.salt = SIZE - 64 - 2;
	OK(kf_ok(pad_rsa(&job, BITS, em)));
	job.salt++;
	OK(kf_is(pad_rsa(&job, BITS, em), KF_E_BAD_PARAMETERS));
	job.salt = INT32_MAX;
	OK(kf_is(pad_rsa(&job, BITS, em), KF_E_BAD_PARAMETERS));
	job.mech = mech_find(SCHEME_RSA_PKCS1, HASH_SHA512);
	OK(kf_is(pad_rsa(&job, 512, em), KF_E_BAD_PARAMETERS));
	OK(kf_is(pad_rsa(&job, 65536, em), KF_E_BAD_PARAMETERS));
}

TEST(a_job_must_fit_its_key_and_its_hash)
{
	static struct sign_job job = { .is_digest = true, .n = 32 };
	job.mech = mech_find(SCHEME_ECDSA, HASH_SHA256);

	OK(kf_ok(pad_check(&job, alg_get(ALG_P256))));
	OK(kf_is(pad_check(&job, alg_get(ALG_RSA_2048)), KF_E_BAD_PARAMETERS));
	OK(kf_is(pad_check(&job, NULL), KF_E_BAD_PARAMETERS));
	job.n = 31;
	OK(kf_is(pad_check(&job, alg_get(ALG_P256)), KF_E_BAD_PARAMETERS));
	job.n = 32;
	job.is_digest = false;
	OK(kf_is(pad_check(&job, alg_get(ALG_P256)), KF_E_BAD_PARAMETERS));
	job.mech = mech_find(SCHEME_ED25519, HASH_NONE);
	OK(kf_ok(pad_check(&job, alg_get(ALG_ED25519))));
	job.n = JOB_DATA_MAX + 1;
	OK(kf_is(pad_check(&job, alg_get(ALG_ED25519)), KF_E_TOO_BIG));
}

TEST_MAIN
