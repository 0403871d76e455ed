/* SPDX-License-Identifier: Apache-2.0
 *
 * transport: copies of keys between cards that have the same DKEK.
 */
#include "base/tlv.h"
#include "crypt/ossl.h"
#include "token/schsm/cvc.h"
#include "token/schsm/make.h"
#include <string.h>

enum { INS_WRAP = 0x72, INS_UNWRAP = 0x74, SW_DAMAGED = 0x6400, BODY_MAX = 4096 };

/* ---- wrap ---- */

static kf_err take_blob(struct token *t, unsigned handle, struct token_blob *b)
{
	struct card_answer a;
	KF_TRY(schsm_do_logged_in(t,
		&(struct card_command){ .cla = 0x80,
			.ins = INS_WRAP,
			.p1 = (uint8_t)handle,
			.p2 = ALGORITHM_WRAP,
			.le = APDU_LE_ALL },
		true, &a));
	if (a.data.n <= TOKEN_KCV_SIZE)
		return kf_fail(TOKEN, "the card gives no key blob");
	b->wrapped = buf_new(CARD_FILE_MAX);
	buf_add_slice(&b->wrapped, a.data);
	memcpy(b->kcv, a.data.p, TOKEN_KCV_SIZE);
	return buf_err(&b->wrapped);
}

/* Takes over what the facts own. */
static void take_facts(struct token_key_facts *f, struct token_blob *b)
{
	b->wrapping = WRAPPING_DKEK;
	b->alg = f->alg;
	b->may_decrypt = f->can_decrypt;
	b->may_agree = f->can_agree;
	memcpy(b->key_id, f->key_id, sizeof(b->key_id));
	b->spki = f->spki;
	b->certificate = f->certificate;
	f->spki = f->certificate = (struct buf){ 0 };
	memcpy(b->label, f->label, sizeof(b->label));
	memcpy(b->id, f->id, f->id_n);
	b->id_n = f->id_n;
}

static kf_err may_wrap(const struct token *t)
{
	if (t->facts.wrapping != WRAPPING_DKEK)
		return kf_fail(UNSUPPORTED,
			"the card was initialised without a DKEK: no key leaves it, and "
			"none comes to it");
	if (t->facts.shares_missing)
		return kf_fail(CONFLICT, "shares of the card's DKEK are missing");
	return KF_OK;
}

kf_err schsm_wrap(struct token *t, unsigned handle, struct token_blob *ret)
{
	struct token_key_facts f = { 0 };
	struct token_blob b = { 0 };
	KF_TRY(may_wrap(t));
	if (handle == 0 || handle >= CARD_KEYS)
		return kf_fail(NOT_FOUND, "the card has no such key");
	KF_TRY(schsm_read_key(t, handle, &f));
	kf_err e = f.alg ? take_blob(t, handle, &b)
			 : kf_fail(NOT_FOUND, "the card has no such key to use");
	if (kf_ok(e)) {
		take_facts(&f, &b);
		*ret = b;
	} else
		token_blob_free(&b);
	token_key_facts_free(&f);
	return e;
}

/* ---- unwrap ---- */

static kf_err may_unwrap(const struct token *t, const struct token_blob *b)
{
	KF_TRY(may_wrap(t));
	if (b->wrapping != WRAPPING_DKEK)
		return kf_fail(CONFLICT, "the key is not wrapped for SmartCard-HSMs");
	if (b->wrapped.n <= TOKEN_KCV_SIZE || !b->alg)
		return kf_fail(BAD_PARAMETERS, "the key blob is cut");
	if (memcmp(b->wrapped.p, t->facts.kcv, TOKEN_KCV_SIZE) != 0 ||
		memcmp(b->kcv, t->facts.kcv, TOKEN_KCV_SIZE) != 0)
		return kf_fail(CONFLICT, "the key is wrapped under another DKEK than the "
					 "card's: the key check values differ");
	return KF_OK;
}

/* What one command can carry, or through a file that is read by the command. */
static kf_err send_blob(struct token *t, unsigned number, const struct buf *wrapped)
{
	bool is_short = wrapped->n + APDU_OVERHEAD <= t->command_max;
	struct card_answer a = { 0 };
	if (!is_short) {
		KF_TRY(schsm_delete_file(t, FID_TRANSFER));
		KF_TRY(schsm_write_file(t, FID_TRANSFER, buf_slice(wrapped)));
	}
	kf_err e = schsm_do_logged_in(t,
		&(struct card_command){ .cla = 0x80,
			.ins = INS_UNWRAP,
			.p1 = (uint8_t)number,
			.p2 = ALGORITHM_UNWRAP,
			.data = is_short ? buf_slice(wrapped) : (struct slice){ 0 } },
		false, &a);
	if (a.sw == SW_DAMAGED || a.sw == CARD_DATA || a.sw == CARD_P1P2)
		return kf_fail(CRYPTO, "the key blob is damaged: the card refuses it");
	return e;
}

static kf_err sign_checked(struct token *t, unsigned number, const struct pubkey *key,
	struct slice what, struct sign_job *job)
{
	bool is_rsa = pubkey_alg(key)->family == FAMILY_RSA;
	unsigned n = 0;
	job->mech = mech_get(is_rsa ? MECH_RSA_PKCS1_SHA256 : MECH_ECDSA_SHA256);
	job->is_digest = true;
	if (EVP_Digest(what.p, what.n, job->data, &n, EVP_sha256(), NULL) != 1)
		return ossl_fail(CRYPTO, "a digest failed");
	job->n = n;
	KF_TRY(schsm_sign(t, number, job));
	kf_err e = pubkey_verify(key, &(struct signature){ .mech = job->mech,
					      .is_digest = true,
					      .data = { job->data, job->n },
					      .sig = { job->sig, job->sig_n } });
	if (!kf_ok(e))
		return kf_fail(CONFLICT, "the key in the blob is not the one it is said "
					 "to be: its signature is wrong");
	return KF_OK;
}

/* The key that was unwrapped, which is to prove that it is the one it is said to be. */
struct unwrapped {
	struct token *token;
	unsigned number;
	const struct pubkey *key;
};

static kf_err sign(void *arg, struct slice what, struct buf *ret)
{
	const struct unwrapped *u = arg;
	struct sign_job job = { 0 };
	kf_err e = sign_checked(u->token, u->number, u->key, what, &job);
	if (kf_ok(e))
		buf_add(ret, job.sig, job.sig_n);
	sign_job_clear(&job);
	return kf_ok(e) ? buf_err(ret) : e;
}

/* It signs for itself, which proves it, and makes the request that tells its public key. */
static kf_err prove(
	struct token *t, unsigned number, const struct pubkey *key, struct buf *request)
{
	struct unwrapped u = { t, number, key };
	char holder[MAKE_HOLDER_SIZE];
	make_holder(t, holder);
	return cvc_prove(&(struct cvc_prover){ key, holder, sign, &u }, request);
}

static kf_err put_files(struct token *t, unsigned number, const struct token_blob *b,
	const struct pubkey *key)
{
	autobuf own = buf_new(BODY_MAX);
	t->keys[number] = (struct card_key){ .alg = b->alg };
	KF_TRY(prove(t, number, key, &own));
	KF_TRY(schsm_write_file(t, FID_CERTIFICATE | number,
		b->certificate.n ? buf_slice(&b->certificate) : buf_slice(&own)));
	struct prkd d = prkd_of_key(b->alg, b->label, (struct slice){ b->id, b->id_n });
	if (b->alg->family == FAMILY_RSA && !b->may_decrypt)
		d.usage &= ~(unsigned)PRKD_DECRYPT;
	if (b->alg->family == FAMILY_EC && !b->may_agree)
		d.usage &= ~(unsigned)PRKD_DERIVE;
	return make_describe(t, number, &d);
}

static kf_err take_pair(struct token *t, unsigned number, const struct token_blob *blob,
	struct token_key_facts *ret)
{
	CLEANUP(pubkey_freep) struct pubkey *key = NULL;
	KF_TRY(pubkey_parse(buf_slice(&blob->spki), &key));
	if (pubkey_alg(key) != blob->alg)
		return kf_fail(
			BAD_PARAMETERS, "the key blob's public key is of another kind");
	KF_TRY(put_files(t, number, blob, key));
	return schsm_read_key(t, number, ret);
}

kf_err schsm_unwrap(
	struct token *t, const struct token_blob *blob, struct token_key_facts *ret)
{
	unsigned number;
	KF_TRY(may_unwrap(t, blob));
	KF_TRY(make_find_number(t, &number));
	kf_err e = send_blob(t, number, &blob->wrapped);
	if (kf_ok(e))
		e = blob->alg->family == FAMILY_AES
			    ? schsm_take_secret(t, number, blob, ret)
			    : take_pair(t, number, blob, ret);
	if (!kf_ok(e))
		make_discard(t, number);
	return e;
}
