/* SPDX-License-Identifier: Apache-2.0
 *
 * sign: one job after the other.  In company nothing gets cheaper with this engine; the call takes
 * many so that one with lanes can stand in its place.
 *
 * RSA results are verified with the public key before they leave, because one signature with a fault
 * in a CRT half gives the key away.  OpenSSL does it for us: rsa_ossl_mod_exp() raises what it
 * computed to e, compares it with the input modulo n, and on a difference throws it away and
 * computes without the CRT (3.0 to 3.5; a test here plants such faults).  Doing it once more costs
 * 6 % with 2048 bits, for nothing new, and is left out; with 3072 bits and more it costs less than
 * 2 % and is done again, for the memory that lies in between.  An engine that does not check
 * itself must verify every result.
 */
#include "token/soft/soft.h"
#include <stdlib.h>

static kf_err fetch(struct token_session *s)
{
	for (int i = HASH_NONE + 1; i < HASH_COUNT; i++) {
		s->md[i] =
			EVP_MD_fetch(NULL, hash_get((enum hash_id)i)->openssl_name, NULL);
		if (!s->md[i])
			return ossl_fail(CRYPTO, "OpenSSL lacks a hash");
	}
	s->hashing = EVP_MD_CTX_new();
	s->scratch = EVP_MD_CTX_new();
	return s->hashing && s->scratch ? KF_OK : ossl_fail(NOMEM, "session");
}

kf_err soft_open(struct token_session **ret)
{
	struct token_session *s = calloc(1, sizeof(*s));
	if (!s)
		return kf_fail(NOMEM, "session");
	kf_err err = fetch(s);
	if (kf_ok(err))
		*ret = s;
	else
		soft_close(s);
	return err;
}

void soft_close(struct token_session *s)
{
	if (!s)
		return;
	cache_clear(s, false);
	for (size_t i = 0; i < HASH_COUNT; i++)
		EVP_MD_free(s->md[i]);
	EVP_MD_CTX_free(s->hashing);
	EVP_MD_CTX_free(s->scratch);
	free(s);
}

static struct slice to_be_signed(const struct sign_job *job)
{
	return job->outside.p ? job->outside : (struct slice){ job->data, job->n };
}

static kf_err check(const struct sign_job *job)
{
	if (!job->key || !job->mech || job->mech->family != job->key->alg->family)
		return kf_fail(BAD_PARAMETERS, "key and mechanism do not fit");
	if (!job->outside.p && job->n > sizeof(job->data))
		return kf_fail(TOO_BIG, "data to be signed");
	if (!job->is_digest)
		return KF_OK;
	if (job->mech->hash == HASH_NONE)
		return kf_fail(BAD_PARAMETERS, "Ed25519 signs data, not digests");
	if (to_be_signed(job).n != hash_get(job->mech->hash)->size)
		return kf_fail(BAD_PARAMETERS, "digest has the wrong length");
	return KF_OK;
}

static bool sign_digest(struct soft_slot *slot, struct sign_job *job, struct slice digest)
{
	size_t n = sizeof(job->sig);
	if (EVP_PKEY_sign(slot->ctx, job->sig, &n, digest.p, digest.n) <= 0)
		return false;
	if (slot->check &&
		EVP_PKEY_verify(slot->check, job->sig, n, digest.p, digest.n) != 1) {
		OPENSSL_cleanse(job->sig, n);
		return false;
	}
	job->sig_n = n;
	return true;
}

static bool hash_and_sign(
	struct token_session *s, struct soft_slot *slot, struct sign_job *job)
{
	uint8_t digest[HASH_SIZE_MAX];
	unsigned n = 0;
	struct slice data = to_be_signed(job);
	bool is_good = EVP_DigestInit_ex2(s->hashing, s->md[job->mech->hash], NULL) &&
		       EVP_DigestUpdate(s->hashing, data.p, data.n) &&
		       EVP_DigestFinal_ex(s->hashing, digest, &n) &&
		       sign_digest(slot, job, (struct slice){ digest, n });
	OPENSSL_cleanse(digest, sizeof(digest));
	return is_good;
}

static bool sign_data(
	struct token_session *s, struct soft_slot *slot, struct sign_job *job)
{
	size_t n = sizeof(job->sig);
	struct slice data = to_be_signed(job);
	if (!EVP_MD_CTX_copy_ex(s->scratch, slot->md) ||
		EVP_DigestSign(s->scratch, job->sig, &n, data.p, data.n) <= 0)
		return false;
	job->sig_n = n;
	return true;
}

static kf_err sign_one(struct token_session *s, struct sign_job *job)
{
	struct soft_slot *slot;
	KF_TRY(check(job));
	KF_TRY(cache_find(s, job, &slot));
	bool is_good = job->mech->hash == HASH_NONE ? sign_data(s, slot, job)
		       : job->is_digest ? sign_digest(slot, job, to_be_signed(job))
					: hash_and_sign(s, slot, job);
	return is_good ? KF_OK : ossl_fail(CRYPTO, "signing");
}

void soft_sign(struct token_session *s, struct sign_job *const *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		jobs[i]->sig_n = 0;
		jobs[i]->err = sign_one(s, jobs[i]);
	}
}
