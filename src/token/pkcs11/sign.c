/* SPDX-License-Identifier: Apache-2.0
 *
 * sign: digests come in, as every file of the driver's contract has it.  RSA is padded by the token where it
 * can, else here (token/pad.h); an EC signature is r and s on tokens and DER everywhere else.
 */
#include "base/mem.h"
#include "crypt/ossl.h"
#include "token/pad.h"
#include "token/pkcs11/private.h"
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

/* An operation of one part: Init, the PIN if the key wants it each time, and the operation. */
static CK_RV init(const struct p11_operation *o)
{
	struct token *t = o->token;
	CK_MECHANISM m = o->mechanism;
	switch (o->kind) {
	case P11_DECRYPT:
		return CALL(t->module, DecryptInit, t->session, &m, o->key->object);
	case P11_ENCRYPT:
		return CALL(t->module, EncryptInit, t->session, &m, o->key->object);
	case P11_SIGN:
	default: return CALL(t->module, SignInit, t->session, &m, o->key->object);
	}
}

/* A begun operation has no other end that every module knows. */
static void abandon(struct token *t)
{
	kf_err ignored = p11_open_session(t);
	(void)ignored;
}

static kf_err begin(const struct p11_operation *o)
{
	struct token *t = o->token;
	CK_RV rv = init(o);
	if (rv == CKR_USER_NOT_LOGGED_IN) {
		KF_TRY(p11_renew_login(t));
		rv = init(o);
	}
	if (rv == CKR_USER_NOT_LOGGED_IN)
		return kf_fail(TOKEN, "the token forgets its login at once");
	KF_TRY(p11_err(rv));
	if (!o->key->asks_pin)
		return KF_OK;
	kf_err err = p11_login_for_key(t);
	if (!kf_ok(err))
		abandon(t);
	return err;
}

static CK_RV finish(const struct p11_operation *o, CK_ULONG *n)
{
	struct token *t = o->token;
	/* Modules take what they should only read as writable. */
	CK_BYTE *in = (CK_BYTE *)(uintptr_t)o->in.p;
	switch (o->kind) {
	case P11_DECRYPT:
		return CALL(t->module, Decrypt, t->session, in, o->in.n, o->out, n);
	case P11_ENCRYPT:
		return CALL(t->module, Encrypt, t->session, in, o->in.n, o->out, n);
	case P11_SIGN:
	default: return CALL(t->module, Sign, t->session, in, o->in.n, o->out, n);
	}
}

kf_err p11_operate(const struct p11_operation *o, size_t *ret_n)
{
	CK_ULONG n = o->out_size;
	KF_TRY(begin(o));
	KF_TRY(p11_outcome(finish(o, &n)));
	if (n > o->out_size)
		return kf_fail(TOKEN, "the module tells more bytes than it had room for");
	*ret_n = n;
	return KF_OK;
}

/* ---- RSA ---- */

static bool pss_params(const struct sign_job *job, CK_RSA_PKCS_PSS_PARAMS *ret)
{
	static const struct {
		CK_MECHANISM_TYPE hash, mask;
	} table[HASH_COUNT] = {
		[HASH_SHA1] = { CKM_SHA_1, CKG_MGF1_SHA1 },
		[HASH_SHA224] = { CKM_SHA224, CKG_MGF1_SHA224 },
		[HASH_SHA256] = { CKM_SHA256, CKG_MGF1_SHA256 },
		[HASH_SHA384] = { CKM_SHA384, CKG_MGF1_SHA384 },
		[HASH_SHA512] = { CKM_SHA512, CKG_MGF1_SHA512 },
	};
	enum hash_id hash = job->mech->hash;
	*ret = (CK_RSA_PKCS_PSS_PARAMS){ table[hash].hash, table[hash].mask,
		job->salt < 0 ? hash_get(hash)->size : (CK_ULONG)job->salt };
	return ret->hashAlg != 0;
}

static kf_err sign_padded_here(
	struct p11_operation *o, const struct sign_job *job, size_t *n)
{
	uint8_t padded[JOB_SIG_MAX];
	if (!o->token->has[P11_RSA_RAW])
		return kf_fail(UNSUPPORTED, "the token has neither the mechanism nor the "
					    "bare RSA operation (CKM_RSA_X_509)");
	KF_TRY(pad_rsa(job, o->key->alg->bits, padded));
	o->mechanism = (CK_MECHANISM){ CKM_RSA_X_509, NULL, 0 };
	o->in = (struct slice){ padded, o->key->sig_n };
	kf_err err = p11_operate(o, n);
	OPENSSL_cleanse(padded, sizeof(padded));
	return err;
}

static kf_err sign_pkcs1(struct p11_operation *o, const struct sign_job *job, size_t *n)
{
	uint8_t info[PAD_DIGEST_INFO_MAX];
	if (!o->token->has[P11_RSA_PKCS])
		return sign_padded_here(o, job, n);
	o->mechanism = (CK_MECHANISM){ CKM_RSA_PKCS, NULL, 0 };
	o->in = (struct slice){ info, pad_digest_info(job, info) };
	kf_err err = p11_operate(o, n);
	OPENSSL_cleanse(info, sizeof(info));
	return err;
}

/* Tokens that have PSS may lack a hash or a length of salt. */
static kf_err sign_pss(struct p11_operation *o, const struct sign_job *job, size_t *n)
{
	CK_RSA_PKCS_PSS_PARAMS params;
	if (!o->token->has[P11_RSA_PSS] || !pss_params(job, &params))
		return sign_padded_here(o, job, n);
	o->mechanism = (CK_MECHANISM){ CKM_RSA_PKCS_PSS, &params, sizeof(params) };
	o->in = pad_input(job);
	kf_err err = p11_operate(o, n);
	if ((kf_is(err, KF_E_UNSUPPORTED) || kf_is(err, KF_E_BAD_PARAMETERS)) &&
		o->token->has[P11_RSA_RAW])
		return sign_padded_here(o, job, n);
	return err;
}

static kf_err sign_rsa(struct p11_operation *o, struct sign_job *job)
{
	size_t n = 0;
	o->out = job->sig;
	o->out_size = sizeof(job->sig);
	KF_TRY(job->mech->scheme == SCHEME_RSA_PSS ? sign_pss(o, job, &n)
						   : sign_pkcs1(o, job, &n));
	if (n != o->key->sig_n)
		return kf_fail(TOKEN, "a signature has the wrong length");
	job->sig_n = n;
	return KF_OK;
}

/* ---- elliptic curves ---- */

static kf_err put_der(const uint8_t *rs, size_t n, struct sign_job *job)
{
	uint8_t *p = job->sig;
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(rs, (int)n / 2, NULL);
	BIGNUM *s = BN_bin2bn(rs + n / 2, (int)n / 2, NULL);
	int size = 0;
	if (sig && r && s && ECDSA_SIG_set0(sig, r, s)) {
		r = s = NULL; /* the signature's now */
		size = i2d_ECDSA_SIG(sig, NULL);
	}
	if (size > 0 && size <= JOB_SIG_MAX)
		job->sig_n = (size_t)i2d_ECDSA_SIG(sig, &p);
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	return job->sig_n ? KF_OK : ossl_fail(NOMEM, "signature");
}

/* Of a digest longer than the curve the left part counts (FIPS 186-4, 6.4); some tokens do not know. */
static kf_err sign_ecdsa(struct p11_operation *o, struct sign_job *job)
{
	uint8_t rs[JOB_SIG_MAX];
	size_t n = 0, half = o->key->sig_n / 2;
	o->mechanism = (CK_MECHANISM){ CKM_ECDSA, NULL, 0 };
	o->in = pad_input(job);
	if (o->in.n > half)
		o->in.n = half;
	o->out = rs;
	o->out_size = sizeof(rs);
	KF_TRY(p11_operate(o, &n));
	if (n != o->key->sig_n)
		return kf_fail(TOKEN, "a signature has the wrong length");
	return put_der(rs, n, job);
}

static kf_err sign_ed25519(struct p11_operation *o, struct sign_job *job)
{
	size_t n = 0;
	o->mechanism = (CK_MECHANISM){ CKM_EDDSA, NULL, 0 };
	o->in = pad_input(job);
	o->out = job->sig;
	o->out_size = sizeof(job->sig);
	KF_TRY(p11_operate(o, &n));
	if (n != o->key->sig_n)
		return kf_fail(TOKEN, "a signature has the wrong length");
	job->sig_n = n;
	return KF_OK;
}

static kf_err sign(struct token *t, unsigned handle, struct sign_job *job)
{
	struct p11_key *key;
	KF_TRY(p11_keys_get(t, handle, &key));
	KF_TRY(pad_check(job, key->alg));
	struct p11_operation o = { .token = t, .key = key };
	switch (key->alg->family) {
	case FAMILY_RSA: return sign_rsa(&o, job);
	case FAMILY_EC: return sign_ecdsa(&o, job);
	case FAMILY_AES: return kf_fail(BAD_PARAMETERS, "an AES key signs nothing");
	case FAMILY_ED25519:
	default: return sign_ed25519(&o, job);
	}
}

kf_err p11_sign(struct token *t, unsigned handle, struct sign_job *job)
{
	job->sig_n = 0;
	job->err = sign(t, handle, job);
	/* OpenSC 0.23 refuses one signature in a hundred with P-521 as bad data, and makes it when
	 * asked again.  What is really bad is so twice. */
	if (kf_is(job->err, KF_E_BAD_PARAMETERS))
		job->err = sign(t, handle, job);
	if (!kf_ok(job->err))
		OPENSSL_cleanse(job->sig, sizeof(job->sig));
	return job->err;
}

kf_err p11_prove(struct token *t, unsigned handle, struct slice spki)
{
	CLEANUP(pubkey_freep) struct pubkey *public = NULL;
	KF_TRY(pubkey_parse(spki, &public));
	enum alg_family family = pubkey_alg(public)->family;
	CLEANUP(mem_freep) struct sign_job *job = calloc(1, sizeof(*job));
	if (!job)
		return kf_fail(NOMEM, "job");
	job->mech = family == FAMILY_RSA  ? mech_find(SCHEME_RSA_PKCS1, HASH_SHA256)
		    : family == FAMILY_EC ? mech_find(SCHEME_ECDSA, HASH_SHA256)
					  : mech_find(SCHEME_ED25519, HASH_NONE);
	job->is_digest = family != FAMILY_ED25519;
	job->n = 32;
	if (RAND_bytes(job->data, (int)job->n) != 1)
		return ossl_fail(CRYPTO, "random bytes");
	KF_TRY(p11_sign(t, handle, job));
	struct signature s = { job->mech, 0, job->is_digest, { job->data, job->n },
		{ job->sig, job->sig_n } };
	return pubkey_verify(public, &s);
}

/* ---- decryption ---- */

kf_err p11_decrypt_raw(
	struct token *t, unsigned handle, const uint8_t *cipher, size_t n, uint8_t *ret)
{
	uint8_t plain[JOB_CIPHER_MAX];
	struct p11_key *key;
	size_t plain_n = 0;
	KF_TRY(p11_keys_get(t, handle, &key));
	if (key->alg->family != FAMILY_RSA || n != key->sig_n || n > sizeof(plain))
		return kf_fail(BAD_PARAMETERS, "ciphertext does not fit the key");
	if (!t->has[P11_RSA_RAW_OPEN])
		return kf_fail(UNSUPPORTED,
			"the token has no bare RSA operation (CKM_RSA_X_509)");
	struct p11_operation o = { t, key, { CKM_RSA_X_509, NULL, 0 }, P11_DECRYPT,
		{ cipher, n }, plain, n };
	kf_err err = p11_operate(&o, &plain_n);
	if (kf_ok(err)) { /* some leave zeroes out in front */
		memset(ret, 0, n - plain_n);
		memcpy(ret + n - plain_n, plain, plain_n);
	}
	OPENSSL_cleanse(plain, sizeof(plain));
	return err;
}
