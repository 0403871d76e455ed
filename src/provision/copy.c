/* SPDX-License-Identifier: Apache-2.0 */
#include "provision/copy.h"
#include "base/mem.h"
#include "crypt/ossl.h"
#include "token/use.h"
#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- on a token's thread ---- */

kf_err copy_find(const struct token_driver *driver, struct token *t,
	const uint8_t key_id[KEY_ID_SIZE], struct token_key_list *list,
	struct token_key_facts **ret)
{
	KF_TRY(driver->list_keys(t, list));
	for (size_t i = 0; i < list->n; i++)
		if ((list->key[i].spki.n || list->key[i].alg) &&
			!memcmp(list->key[i].key_id, key_id, KEY_ID_SIZE)) {
			*ret = &list->key[i];
			return KF_OK;
		}
	return kf_fail(NOT_FOUND, "the token does not hold this key");
}

static const struct mech *mech_for(const struct alg *alg)
{
	switch (alg->family) {
	case FAMILY_RSA: return mech_find(SCHEME_RSA_PKCS1, HASH_SHA256);
	case FAMILY_EC: return mech_find(SCHEME_ECDSA, HASH_SHA256);
	case FAMILY_ED25519: return mech_find(SCHEME_ED25519, HASH_NONE);
	case FAMILY_AES: break;
	}
	return NULL;
}

static kf_err prove_with(const struct token_driver *driver, struct token *t,
	unsigned handle, const struct pubkey *pub, struct sign_job *job)
{
	struct token_key key = { .alg = pubkey_alg(pub) };
	job->key = &key;
	job->mech = mech_for(key.alg);
	job->is_digest = job->mech->hash != HASH_NONE;
	job->salt = SALT_AS_DIGEST;
	job->n = 32;
	if (RAND_bytes(job->data, (int)job->n) != 1)
		return ossl_fail(CRYPTO, "no random bytes");
	KF_TRY(driver->sign(t, handle, job));
	const struct signature s = { .mech = job->mech,
		.salt = job->salt,
		.is_digest = job->is_digest,
		.data = { job->data, job->n },
		.sig = { job->sig, job->sig_n } };
	if (!kf_ok(pubkey_verify(pub, &s)))
		return ossl_fail(CRYPTO, "the copy of the key signs wrongly");
	return KF_OK;
}

static kf_err encrypt(
	const struct pubkey *pub, const uint8_t *plain, size_t n, uint8_t *ret)
{
	int pad = RSA_NO_PADDING;
	OSSL_PARAM list[] = {
		OSSL_PARAM_construct_int(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, &pad),
		OSSL_PARAM_construct_end(),
	};
	size_t made = JOB_CIPHER_MAX;
	CLEANUP(ossl_pkey_ctx_freep)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pubkey_pkey(pub), NULL);
	if (!ctx || EVP_PKEY_encrypt_init_ex(ctx, list) <= 0 ||
		EVP_PKEY_encrypt(ctx, ret, &made, plain, n) <= 0 || made != n)
		return ossl_fail(CRYPTO, "encrypting with the public key");
	return KF_OK;
}

/* A key that signs nothing. */
static kf_err prove_by_decryption(const struct token_driver *driver, struct token *t,
	unsigned handle, const struct pubkey *pub)
{
	uint8_t plain[JOB_CIPHER_MAX] = { 0 }, cipher[JOB_CIPHER_MAX],
		again[JOB_CIPHER_MAX];
	const size_t n = pubkey_alg(pub)->sig_max;
	if (RAND_bytes(plain + 1, (int)n - 1) != 1) /* below the modulus */
		return ossl_fail(CRYPTO, "no random bytes");
	KF_TRY(encrypt(pub, plain, n, cipher));
	KF_TRY(driver->decrypt_raw(t, handle, cipher, n, again));
	return CRYPTO_memcmp(plain, again, n) == 0
		       ? KF_OK
		       : ossl_fail(CRYPTO, "the copy of the key decrypts wrongly");
}

/* It says once more which key it is: nobody else has it, who could check an answer to another question. */
static kf_err prove_by_cmac(const struct token_driver *driver, struct token *t,
	const struct token_key_facts *key)
{
	const struct token_use question = { USE_CMAC, NULL, use_challenge };
	uint8_t mac[USE_MAC_SIZE], id[KEY_ID_SIZE];
	KF_TRY(driver->use(t, key->handle, &question, mac));
	use_key_id(mac, id);
	return memcmp(id, key->key_id, sizeof(id)) == 0
		       ? KF_OK
		       : kf_fail(CRYPTO, "the copy of the key is another one");
}

kf_err copy_prove(const struct token_driver *driver, struct token *t,
	const struct token_key_facts *key)
{
	CLEANUP(pubkey_freep) struct pubkey *pub = NULL;
	if (key->alg && key->alg->family == FAMILY_AES)
		return prove_by_cmac(driver, t, key);
	CLEANUP(mem_freep) struct sign_job *job = calloc(1, sizeof(*job));
	if (!job)
		return kf_fail(NOMEM, "no memory for a signature");
	KF_TRY(pubkey_parse(buf_slice(&key->spki), &pub));
	if (!key->can_sign && key->can_decrypt && driver->decrypt_raw &&
		pubkey_alg(pub)->family == FAMILY_RSA)
		return prove_by_decryption(driver, t, key->handle, pub);
	return prove_with(driver, t, key->handle, pub, job);
}

/* ---- out ---- */

struct leaving {
	const uint8_t *key_id;
	struct token_blob *blob;
};

kf_err copy_wrap(const struct token_driver *driver, struct token *t,
	const struct token_key_facts *key, struct token_blob *ret)
{
	if (!driver->wrap || driver->facts(t)->wrapping == WRAPPING_NONE)
		return kf_fail(UNSUPPORTED,
			"no key ever leaves this token: it has no DKEK or wrapping key");
	if (!key->can_leave)
		return kf_fail(NOT_EXTRACTABLE, "the key never leaves its token");
	token_blob_free(ret); /* of a holder that failed before */
	return driver->wrap(t, key->handle, ret);
}

static kf_err run_wrap(const struct token_driver *driver, struct token *t,
	struct provision_row *row, const void *arg)
{
	const struct leaving *l = arg;
	CLEANUP(token_key_list_free) struct token_key_list list = { 0 };
	struct token_key_facts *key;
	(void)row;
	KF_TRY(copy_find(driver, t, l->key_id, &list, &key));
	return copy_wrap(driver, t, key, l->blob);
}

kf_err copy_any_holder(const struct provision *p, const uint8_t key_id[KEY_ID_SIZE],
	const struct each *e)
{
	char holder[POOL_TOKENS_MAX][TOKEN_SERIAL_SIZE];
	kf_err err = kf_fail(NOT_FOUND, "no token of the pool holds this key");
	size_t n = pool_key_holders(p->pools, p->pool, key_id, holder, POOL_TOKENS_MAX);
	for (size_t i = 0; i < n && i < POOL_TOKENS_MAX; i++) {
		err = each_one(p, e, holder[i]);
		if (kf_ok(err))
			return KF_OK;
	}
	return err;
}

kf_err copy_out(const struct provision *p, const uint8_t key_id[KEY_ID_SIZE],
	struct token_blob *ret)
{
	const struct leaving l = { key_id, ret };
	const struct each e = { .task = "wrapping a key", .run = run_wrap, .arg = &l };
	return copy_any_holder(p, key_id, &e);
}

/* ---- in ---- */

static kf_err fits(const struct token_facts *f, const struct token_blob *b,
	struct provision_row *row)
{
	if (!f->is_initialised)
		return kf_fail(
			STATE, "the token is not initialised: `keyfleet token init`");
	if (f->is_write_protected)
		return kf_fail(READ_ONLY, "the token is write protected");
	if (f->wrapping != b->wrapping)
		return kf_fail(UNSUPPORTED,
			"the token takes no key that is wrapped like this one");
	if (f->shares_missing)
		return kf_fail(
			STATE, "the token waits for DKEK shares: `keyfleet dkek import`");
	if (!f->has_kcv || !memcmp(f->kcv, b->kcv, sizeof(f->kcv)))
		return KF_OK;
	kf_err e = kf_fail(
		CONFLICT, "the token has another DKEK than the key is wrapped with");
	each_fail(row, e, "`keyfleet dkek status` shows the key check values");
	return e;
}

void copy_take_back(
	const struct token_driver *driver, struct token *t, unsigned handle, kf_err why)
{
	if (kf_is(why, KF_E_TOKEN) || kf_is(why, KF_E_CLOSED) || !driver->delete_key)
		return;
	kf_err gone = driver->delete_key(t, handle);
	(void)gone; /* what is told is why it was no good */
}

/* A copy that cannot sign is worse than none: it is taken back. */
static kf_err take_in(
	const struct token_driver *driver, struct token *t, const struct token_blob *b)
{
	CLEANUP(token_key_facts_free) struct token_key_facts made = { 0 };
	uint8_t want[KEY_ID_SIZE];
	KF_TRY(driver->unwrap(t, b, &made));
	token_blob_id(b, want);
	kf_err e = memcmp(want, made.key_id, sizeof(want)) != 0
			   ? kf_fail(CRYPTO, "the token unwrapped another key")
			   : copy_prove(driver, t, &made);
	if (!kf_ok(e))
		copy_take_back(driver, t, made.handle, e);
	return e;
}

static kf_err run_unwrap(const struct token_driver *driver, struct token *t,
	struct provision_row *row, const void *arg)
{
	const struct token_blob *b = arg;
	CLEANUP(token_key_list_free) struct token_key_list list = { 0 };
	struct token_key_facts *key;
	uint8_t id[KEY_ID_SIZE];
	if (!driver->unwrap)
		return kf_fail(UNSUPPORTED, "tokens of this kind take no wrapped keys");
	KF_TRY(fits(driver->facts(t), b, row));
	token_blob_id(b, id);
	kf_err e = copy_find(driver, t, id, &list, &key);
	if (kf_is(e, KF_E_NOT_FOUND))
		return take_in(driver, t, b);
	KF_TRY(e);
	KF_TRY(copy_prove(driver, t, key));
	row->outcome = PROVISION_WAS_SO;
	snprintf(row->why, sizeof(row->why), "holds the key already");
	return KF_OK;
}

kf_err copy_in(
	const struct provision *p, const struct token_blob *b, struct provision_report *r)
{
	const struct each e = {
		.task = "copying a key", .changes = true, .run = run_unwrap, .arg = b
	};
	return each_token(p, &e, r);
}

/* ---- so many, wherever it works ---- */

static void keep(struct provision_report *all, const struct provision_report *some)
{
	for (size_t i = 0; i < some->n; i++) {
		struct provision_row *row = each_add(all, some->row[i].serial);
		if (row)
			*row = some->row[i];
	}
	each_count(all);
}

static void take_next(const struct provision_report *candidates, size_t *at, size_t want,
	struct provision_report *ret)
{
	ret->n = 0;
	while (*at < candidates->n && ret->n < want) {
		const struct provision_row *row = &candidates->row[(*at)++];
		if (row->outcome == PROVISION_DONE)
			each_add(ret, row->serial);
	}
}

/* In rounds: as many as are still missing; who fails is replaced by the next.  Rows that are decided
 * already stay in the report, and count if they are WAS_SO. */
kf_err copy_to_some(const struct provision *p, const struct token_blob *b,
	unsigned copies, struct provision_report *r)
{
	size_t at = 0;
	CLEANUP(mem_freep) struct provision_report *round = calloc(2, sizeof(*round));
	if (!round)
		return kf_fail(NOMEM, "no memory for work on tokens");
	struct provision_report *all = round + 1;
	for (size_t i = 0; i < r->n; i++)
		if (r->row[i].outcome != PROVISION_DONE)
			*each_add(all, r->row[i].serial) = r->row[i];
	each_count(all);
	if (copies == 0)
		copies = (unsigned)r->n;
	while (all->done < copies) {
		take_next(r, &at, copies - all->done, round);
		if (round->n == 0)
			break;
		KF_TRY(copy_in(p, b, round));
		keep(all, round);
	}
	*r = *all;
	return KF_OK;
}
