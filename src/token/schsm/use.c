/* SPDX-License-Identifier: Apache-2.0
 *
 * use: signatures and decryptions, one command each.  Padding is done here, so that every hash and salt
 * works with every firmware.
 */
#include "crypt/ossl.h"
#include "token/pad.h"
#include "token/schsm/card.h"
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <string.h>

enum { INS_SIGN = 0x68, INS_DECIPHER = 0x62 };

static inline void ecdsa_sig_freep(ECDSA_SIG **s) { ECDSA_SIG_free(*s); }

static kf_err key_of(struct token *t, unsigned handle, const struct card_key **ret)
{
	if (handle >= CARD_KEYS || !t->keys[handle].alg)
		return kf_fail(NOT_FOUND, "the card has no such key to use");
	*ret = &t->keys[handle];
	return KF_OK;
}

static size_t size_of(const struct alg *alg) { return (alg->bits + 7) / 8; }

/* An answer that has another length than it must have is no answer of a card that works. */
static kf_err operate(
	struct token *t, struct card_command *c, unsigned handle, struct card_answer *ret)
{
	c->cla = 0x80;
	c->p1 = (uint8_t)handle;
	c->le = APDU_LE_ALL;
	KF_TRY(schsm_do_logged_in(t, c, !t->keys[handle].has_counter, ret));
	if (ret->sw != CARD_OK)
		return kf_fail(TOKEN, "the card gives a part of a result");
	return KF_OK;
}

static kf_err sign_rsa(
	struct token *t, unsigned handle, const struct alg *alg, struct sign_job *job)
{
	uint8_t padded[JOB_SIG_MAX];
	size_t n = size_of(alg);
	struct card_answer a;
	KF_TRY(pad_rsa(job, alg->bits, padded));
	kf_err e = operate(t,
		&(struct card_command){ .ins = INS_SIGN,
			.p2 = ALGORITHM_RSA_SIGN,
			.data = { padded, n } },
		handle, &a);
	OPENSSL_cleanse(padded, sizeof(padded));
	KF_TRY(e);
	if (a.data.n != n)
		return kf_fail(TOKEN, "a signature of the card has the wrong length");
	memcpy(job->sig, a.data.p, n);
	job->sig_n = n;
	return KF_OK;
}

/* However the card encodes the two numbers: DER as others expect it. */
static kf_err normalise(struct slice from, const struct alg *alg, struct sign_job *job)
{
	const uint8_t *p = from.p;
	CLEANUP(ecdsa_sig_freep) ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)from.n);
	if (!sig || p != from.p + from.n)
		return ossl_fail(TOKEN, "a signature of the card is malformed");
	const BIGNUM *r = ECDSA_SIG_get0_r(sig), *s = ECDSA_SIG_get0_s(sig);
	int bits = (int)alg->bits;
	if (BN_is_negative(r) || BN_is_negative(s) || BN_is_zero(r) || BN_is_zero(s) ||
		BN_num_bits(r) > bits || BN_num_bits(s) > bits)
		return kf_fail(TOKEN, "a signature of the card has wrong numbers");
	int n = i2d_ECDSA_SIG(sig, NULL);
	uint8_t *to = job->sig;
	if (n <= 0 || (size_t)n > sizeof(job->sig))
		return ossl_fail(TOKEN, "a signature of the card is too long");
	job->sig_n = (size_t)i2d_ECDSA_SIG(sig, &to);
	return KF_OK;
}

/* A digest that is longer than the field counts with its first bytes only (FIPS 186-5, 6.4.1); the bits of
 * all our fields make whole bytes, but for P-521, which is longer than any digest. */
static kf_err sign_ec(
	struct token *t, unsigned handle, const struct alg *alg, struct sign_job *job)
{
	size_t n = job->n < size_of(alg) ? job->n : size_of(alg);
	struct card_answer a;
	KF_TRY(operate(t,
		&(struct card_command){ .ins = INS_SIGN,
			.p2 = ALGORITHM_EC_SIGN,
			.data = { job->data, n } },
		handle, &a));
	return normalise(a.data, alg, job);
}

kf_err schsm_sign(struct token *t, unsigned handle, struct sign_job *job)
{
	const struct card_key *key;
	KF_TRY(key_of(t, handle, &key));
	if (job->outside.p)
		return kf_fail(BAD_PARAMETERS, "a token wants the digest");
	KF_TRY(pad_check(job, key->alg));
	return key->alg->family == FAMILY_RSA ? sign_rsa(t, handle, key->alg, job)
					      : sign_ec(t, handle, key->alg, job);
}

kf_err schsm_decrypt_raw(
	struct token *t, unsigned handle, const uint8_t *cipher, size_t n, uint8_t *ret)
{
	const struct card_key *key;
	struct card_answer a;
	KF_TRY(key_of(t, handle, &key));
	if (key->alg->family != FAMILY_RSA || n != size_of(key->alg))
		return kf_fail(BAD_PARAMETERS, "ciphertext and key do not fit");
	KF_TRY(operate(t,
		&(struct card_command){ .ins = INS_DECIPHER,
			.p2 = ALGORITHM_RSA_DECRYPT,
			.data = { cipher, n } },
		handle, &a));
	kf_err e = KF_OK;
	if (a.data.n == n)
		memcpy(ret, a.data.p, n);
	else
		e = kf_fail(TOKEN, "a result of the card has the wrong length");
	buf_clear(&t->answer);
	return e;
}
